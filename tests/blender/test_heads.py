"""The head in Blender has exactly the geometry that the model's own `pose_vertices` gives."""

from __future__ import annotations

import dataclasses
import sys
import time

import bpy
import numpy as np
import pytest
from facediff_tree.engine.face.arkit import ARKIT_52
from facediff_tree.engine.face.starter_head import HEADS, load_starter_head, pose_vertices
from facediff_tree.engine.motion import FaceMotion
from facediff_tree.facediff_blender import bake, formats, heads, read_back
from facediff_tree.facediff_blender.strips import Timing


@pytest.fixture
def model():
    return load_starter_head()


def evaluated(head: bpy.types.Object) -> np.ndarray:
    """(V, 3) world positions of the head's evaluated vertices."""
    instance = head.evaluated_get(bpy.context.evaluated_depsgraph_get())
    co = np.empty(len(instance.data.vertices) * 3, np.float32)
    instance.data.vertices.foreach_get("co", co)
    matrix = np.array(instance.matrix_world)
    return co.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]


def test_shape_keys_are_arkits_and_sliders_go_from_0_to_1(model):
    head = heads.add_head(model, bpy.context.scene)
    blocks = head.data.shape_keys.key_blocks
    assert blocks.keys() == ["Basis", *ARKIT_52, *model.corrective_names]
    assert all((b.slider_min, b.slider_max, b.value) == (0.0, 1.0, 0.0) for b in blocks[1:])
    assert head.data.validate() is False, "the mesh had faults that Blender repaired"
    assert [slot.material.name for slot in head.material_slots] == [f"FaceDiff {m.name}" for m in model.materials]


def test_neutral_is_the_models_and_faces_minus_y(model):
    head = heads.add_head(model, bpy.context.scene)
    co = evaluated(head)
    assert np.abs(co - heads.to_blender(model.vertices)).max() < 1e-6
    nose = model.landmark_triangles[30]
    assert co[nose, 1].mean() < co[:, 1].mean(), "the nose must point to -Y"
    assert co[:, 2].max() > 0.05 and heads.rig_of(head).type == "ARMATURE"


def test_weights_and_rotations_move_it_as_pose_vertices_does(model):
    head = heads.add_head(model, bpy.context.scene, (0.5, -0.25, 1.5))
    rig = heads.rig_of(head)
    rng = np.random.default_rng(4)
    for _ in range(6):
        weights = rng.uniform(0, 1, 52).astype(np.float32) * (rng.uniform(size=52) < 0.3)
        turns = {name: rng.normal(0, 0.3, 3) for name in heads.JOINTS}
        for name, value in zip(model.blendshape_names, weights):
            head.data.shape_keys.key_blocks[name].value = value
        for name, turn in turns.items():
            bone = rig.pose.bones[name]
            bone.rotation_mode = "AXIS_ANGLE"
            angle = np.linalg.norm(turn)
            bone.rotation_axis_angle = (angle, *(turn / angle))
        expected = pose_vertices(model, weights[None], {n: t[None] for n, t in turns.items()})[0]
        error = np.linalg.norm(evaluated(head) - heads.to_blender(expected) - (0.5, -0.25, 1.5), axis=1)
        assert error.max() < 1e-5, f"{error.max() * 1000:.4f} mm"


def test_correctives_are_driven_without_python(model):
    head = heads.add_head(model, bpy.context.scene)
    drivers = head.data.shape_keys.animation_data.drivers
    assert len(drivers) == len(model.corrective_names) >= 20
    assert all(curve.driver.is_simple_expression and curve.driver.is_valid for curve in drivers)
    wanted = {"jawOpen-mouthClose*mouthPucker", "jawOpen-mouthClose*mouthSmileLeft", "eyeBlinkLeft*eyeLookDownLeft"}
    assert wanted <= set(model.corrective_names)


def test_correctives_follow_curves_and_stay_out_of_what_is_read(model):
    head = heads.add_head(model, bpy.context.scene)
    rng = np.random.default_rng(8)
    weights = rng.uniform(0, 1, (12, 52)).astype(np.float32) * (rng.uniform(size=(12, 52)) < 0.4)
    motion = FaceMotion(fps=24.0, channels=ARKIT_52, weights=weights)
    take = bake.bake(head, motion, Timing(start=1.0, rate=24.0))
    for frame in range(12):
        bpy.context.scene.frame_set(take.frame_start + frame)
        expected = heads.to_blender(pose_vertices(model, weights[frame : frame + 1])[0])
        error = np.linalg.norm(evaluated(head) - expected, axis=1).max()
        assert error < 1e-5, f"{error * 1000:.4f} mm"
    assert bake.read_motion(head, 24.0, take.frame_start, take.frame_end).channels == ARKIT_52


@pytest.mark.parametrize(
    ("write", "load", "suffix"),
    [(formats.write_fbx, formats.read_fbx, ".fbx"), (formats.write_alembic, formats.read_alembic, ".abc")],
)
def test_exports_show_correctives_at_work(model, tmp_path, write, load, suffix):
    head = heads.add_head(model, bpy.context.scene)
    ramp = np.linspace(0, 1, 9, dtype=np.float32)
    shapes = ("jawOpen", "mouthPucker", "eyeBlinkLeft", "eyeLookUpLeft", "mouthSmileLeft")
    motion = FaceMotion(fps=24.0, channels=shapes, weights=np.stack([ramp, ramp, ramp, ramp, 0.5 * ramp], 1))
    take = bake.bake(head, motion, Timing(start=1.0, rate=24.0))
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = take.frame_start, take.frame_end
    for obj in (head, heads.rig_of(head)):
        obj.select_set(True)
    made = read_back.sample(scene, head, take.frame_start, take.frame_end)
    bare = dataclasses.replace(model, corrective_names=(), correctives=model.correctives[:0])
    weights = np.zeros((1, 52), np.float32)
    weights[0, [ARKIT_52.index(name) for name in shapes]] = motion.weights[-1]
    without = heads.to_blender(pose_vertices(bare, weights)[0])
    assert np.linalg.norm(made.vertices[-1] - without, axis=1).max() > 5e-3, "there is nothing that could get lost"
    write(tmp_path / f"head{suffix}")
    rate = (scene.render.fps, scene.render.fps_base)
    assert read_back.difference(tmp_path / f"head{suffix}", rate, load, made) < 5e-4


def test_it_is_recognised_by_its_property_not_by_its_name(model):
    head = heads.add_head(model, bpy.context.scene)
    other = heads.add_head(model, bpy.context.scene)
    head.name, heads.rig_of(head).name = "Bob", "Skeleton"
    assert heads.is_head(head) and heads.head_of(heads.rig_of(head)) == head
    assert heads.head_of(heads.rig_of(other)) == other != head
    imposter = bpy.data.objects.new("FaceDiff Starter Head", bpy.data.meshes.new("m"))
    assert not heads.is_head(imposter) and heads.head_of(imposter) is None and heads.head_of(None) is None
    assert [c.name for c in bpy.context.scene.collection.children] == ["FaceDiff"]
    assert len(bpy.context.scene.collection.children["FaceDiff"].objects) == 4


def test_adding_takes_less_than_a_second(model):
    heads.add_head(model, bpy.context.scene)
    start = time.perf_counter()
    heads.add_head(model, bpy.context.scene)
    assert time.perf_counter() - start < 1.0


@pytest.mark.parametrize("name", list(HEADS))
def test_each_of_the_heads_can_be_added(name):
    model = load_starter_head(name)
    head = heads.add_head(model, bpy.context.scene)
    assert HEADS[name].startswith(head[heads.HEAD_PROPERTY]) and model.name in head.name
    assert model.name in head[heads.SOURCE_PROPERTY]


def test_the_low_version_poses_and_maps_as_the_full_one():
    low = load_starter_head("amara", level="low")
    head = heads.add_head(low, bpy.context.scene)
    assert len(head.data.vertices) == len(low.vertices) < 2300 and head.data.validate() is False
    uvs = np.empty(2 * len(head.data.loops), np.float32)
    head.data.uv_layers["UVMap"].uv.foreach_get("vector", uvs)
    assert np.abs(uvs.reshape(-1, 2) - low.uvs).max() < 1e-6
    head.data.shape_keys.key_blocks["jawOpen"].value = 0.7
    weights = np.zeros((1, 52), np.float32)
    weights[0, ARKIT_52.index("jawOpen")] = 0.7
    assert np.abs(evaluated(head) - heads.to_blender(pose_vertices(low, weights)[0])).max() < 1e-5


def test_a_subdivided_head_is_the_base_mesh_under_a_modifier(model):
    """The keys stay those of the base; lips and lids, whose edges are creased, stay where they are."""
    head = heads.add_head(model, bpy.context.scene, subdivisions=1)
    assert len(head.data.vertices) == len(model.vertices) and heads.rig_of(head) is not None
    head.data.shape_keys.key_blocks["jawOpen"].value = 0.7
    smooth = evaluated(head)
    assert 24_000 < len(smooth) < 30_000
    weights = np.zeros((1, 52), np.float32)
    weights[0, ARKIT_52.index("jawOpen")] = 0.7
    wanted = heads.to_blender(pose_vertices(model, weights)[0])
    away = np.linalg.norm(smooth[: len(wanted)] - wanted, axis=1)  # Blender keeps the vertices, moved, and adds after them
    skin = np.unique(np.concatenate([loop for loops in model.rings.values() for loop in loops]))
    lips = model.rings["mouth"][0][1:-1]
    assert np.median(away[skin]) < 0.4e-3 and away[lips].max() < 1e-3 and away[model.rings["eyeLeft"][0]].max() < 1e-3


def test_each_level_can_be_chosen_and_a_subdivided_head_is_exported_as_its_base(tmp_path):
    module = sys.modules["facediff_tree"]
    module.register()
    try:
        counts = {}
        for level in ("low", "full", "subdivided"):
            assert bpy.ops.facediff.add_head(level=level) == {"FINISHED"}
            head = bpy.context.scene.facediff.head
            counts[level] = len(head.data.vertices), len(evaluated(head))
        assert counts["low"][0] == counts["low"][1] < 2300 and counts["full"] == (counts["full"][0],) * 2
        assert counts["subdivided"][0] == counts["full"][0] < counts["subdivided"][1] / 3
        motion = FaceMotion(24.0, ("jawOpen",), np.linspace(0, 1, 6, dtype=np.float32)[:, None])
        bake.bake(head, motion, Timing(start=1.0, rate=24.0))
        for write in (bpy.ops.facediff.export_fbx, bpy.ops.facediff.export_alembic):
            assert write(filepath=str(tmp_path / "head")) == {"FINISHED"}, "what was read back is the same"
        modifier = head.modifiers[heads.SUBDIVISION]
        assert modifier.show_viewport and modifier.show_render and len(evaluated(head)) == counts["subdivided"][1]
    finally:
        module.unregister()


def test_materials_have_grain_and_gloss_and_leave_the_colours_alone(model):
    """Exporters look for the vertices' colours right at the shader."""
    head = heads.add_head(model, bpy.context.scene)
    gloss = np.empty(len(model.vertices), np.float32)
    head.data.attributes["Gloss"].data.foreach_get("value", gloss)
    assert np.abs(gloss - model.gloss).max() < 1e-6
    for slot in head.material_slots:
        shader = slot.material.node_tree.nodes["Principled BSDF"]
        (colour,) = shader.inputs["Base Color"].links
        assert colour.from_node.bl_idname == "ShaderNodeVertexColor"
        kind = slot.material.name.split(".")[0].removeprefix("FaceDiff ")
        assert shader.inputs["Normal"].is_linked == (kind in ("skin", "lips", "hair")), kind
        assert shader.inputs["Roughness"].is_linked == (kind in ("skin", "lips")), kind


def test_the_active_object_and_its_mode_stay(model):
    bpy.ops.mesh.primitive_cube_add()
    cube = bpy.context.object
    heads.add_head(model, bpy.context.scene)
    assert bpy.context.object == cube and bpy.context.mode == "OBJECT"
