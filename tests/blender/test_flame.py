"""FLAME heads and moving vertices in Blender: geometry against the engine's own FLAME, honest errors, the whole chain once."""

from __future__ import annotations

import importlib.util
import pickle
import struct
import subprocess
import sys
import time

import bpy
import numpy as np
import pytest
from addon_from_tree import ROOT
from facediff_tree.engine.face.flame import JOINTS, flame_from_arrays, pose_flame, rotation_matrices
from facediff_tree.engine.motion import Blocks, FaceMotion
from facediff_tree.facediff_blender import (
    bake,
    compat,
    flame_head,
    heads,
    point_cache,
    preferences,
    session,
    take_list,
    takes,
    vertex_keys,
    vertex_takes,
)
from facediff_tree.facediff_blender.strips import Timing

PARITY = ROOT.parent / "shared" / "parity" / "lgldm"
VERTICES = 60
EXACT = 1e-5  # m: vertex groups have five digits, and Blender's numbers are single
SPEECH = ROOT / "engine" / "assets" / "demo" / "speech.flac"


def arrays(
    still_joints: bool, vertices: int = VERTICES, seed: int = 3, size: float = 0.002
) -> dict[str, np.ndarray]:
    """A FLAME-format model. still_joints: no expression moves the vertices that the joints are regressed from. size: m, of
    the expressions."""
    rng = np.random.default_rng(seed)
    weights = rng.random((vertices, 5)) ** 3
    regressor = np.zeros((5, vertices))
    regressor[:, :10] = rng.random((5, 10))
    basis = rng.normal(0, size, (vertices, 3, 400))
    if still_joints:
        basis[:10] = 0
    return {
        "v_template": rng.normal(0, 0.08, (vertices, 3)),
        "shapedirs": basis,
        "posedirs": rng.normal(0, 0.002, (vertices, 3, 36)),
        "J_regressor": regressor / regressor.sum(1, keepdims=True),
        "weights": weights / weights.sum(1, keepdims=True),
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], range(5)], np.uint32),
        "f": np.array([[v, (v + 1) % vertices, (v + 2) % vertices] for v in range(vertices)], np.uint32),
    }


def evaluated(obj: bpy.types.Object) -> np.ndarray:
    """(V, 3) evaluated vertices in the object's own axes."""
    instance = obj.evaluated_get(bpy.context.evaluated_depsgraph_get())
    co = np.empty(len(instance.data.vertices) * 3, np.float32)
    instance.data.vertices.foreach_get("co", co)
    return co.reshape(-1, 3)


def farthest(a: np.ndarray, b: np.ndarray) -> float:
    """The greatest distance of two vertices of one number, m."""
    return float(np.linalg.norm(np.asarray(a, np.float64) - b, axis=-1).max())


def turn(head: bpy.types.Object, joint: str, rotation: np.ndarray) -> None:
    """Pose a bone by an axis-angle."""
    bone = heads.rig_of(head).pose.bones[joint]
    bone.rotation_mode = "AXIS_ANGLE"
    angle = np.linalg.norm(rotation)
    bone.rotation_axis_angle = (angle, *(rotation / angle))


def a_mesh(rest: np.ndarray, name: str = "Face") -> bpy.types.Object:
    """A mesh object of these vertices."""
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(rest.tolist(), [], [(v, v + 1, v + 2) for v in range(len(rest) - 2)])
    obj = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(obj)
    return obj


def moving(rest: np.ndarray, frames: int = 50, rank: int = 7, size: float = 0.004, seed: int = 0) -> FaceMotion:
    """Vertices around the rest along `rank` directions, and noise of a hundredth of a millimetre. 24 fps."""
    rng = np.random.default_rng(seed)
    t = np.arange(frames)[:, None] / 24
    ways = np.sin(2 * np.pi * (t * rng.uniform(0.3, 2, rank) + rng.uniform(size=rank)))
    moved = np.einsum("tr,rvc->tvc", ways, rng.normal(0, size, (rank, *rest.shape)))
    return FaceMotion(fps=24, vertices=rest + moved + rng.normal(0, 1e-5, moved.shape))


def show(head: bpy.types.Object, n: int, coefficient: float) -> None:
    """Set the n-th expression by hand."""
    keys, value = head.data.shape_keys.key_blocks, coefficient / flame_head.DEVIATIONS
    keys[f"expression{n + 1:03d}"].value, keys[f"expression{n + 1:03d}-"].value = max(value, 0), max(-value, 0)


@pytest.mark.parametrize("expressions", [50, 100])
def test_keys_bones_and_axes(expressions):
    model = flame_from_arrays(arrays(True))
    head = flame_head.add_flame_head(model, bpy.context.scene, (1, 2, 3), expressions)
    blocks = head.data.shape_keys.key_blocks
    names = [b.name for b in blocks if b.name.startswith("expression")]
    assert len(names) == 2 * expressions and names[:2] == ["expression001", "expression001-"]
    assert all((b.slider_min, b.slider_max) == (0.0, 1.0) for b in blocks[1:]), "importers and game engines cut there"
    assert all(b.value == 0.0 for b in blocks[1:]) and flame_head.expression_count(head) == expressions
    assert heads.is_head(head) and flame_head.is_flame(head)
    assert set(heads.rig_of(head).pose.bones.keys()) == set(JOINTS)
    assert farthest(evaluated(head), heads.to_blender(model.template)) < 1e-6
    assert np.allclose(heads.rig_of(head).location, (1, 2, 3))
    assert np.allclose(heads.rest_of(head)[:, 2], model.template[:, 1], atol=1e-6), "up is +Z"


def test_eyeballs_are_painted_where_they_look():
    """Two balls of 12 mm: white behind, an iris of about 12 mm and a pupil in it, ahead."""
    polar, turn_ = np.meshgrid(np.linspace(0.02, np.pi - 0.02, 41), np.linspace(0, 2 * np.pi, 40, endpoint=False), indexing="ij")
    ball = 0.012 * np.stack([np.sin(polar) * np.cos(turn_), np.sin(polar) * np.sin(turn_), np.cos(polar)], -1).reshape(-1, 3)
    count = len(ball)
    quads = [(r * 40 + c, r * 40 + (c + 1) % 40, (r + 1) * 40 + c) for r in range(40) for c in range(40)]
    content = arrays(True, vertices=2 * count + 30)
    content["v_template"][30:] = np.concatenate([ball + (0.03, 0, 0.02), ball - (0.03, 0, -0.02)])
    content["weights"][30:] = np.repeat(np.eye(5)[3:], count, axis=0)
    content["J_regressor"][3:] = np.repeat(np.eye(2), [30 + count, count], axis=1)
    content["J_regressor"][3:, :30] = 0
    content["J_regressor"] /= content["J_regressor"].sum(1, keepdims=True)
    content["f"] = np.array([(0, 1, 2), *(np.array(quads) + 30), *(np.array(quads) + 30 + count)])
    head = flame_head.add_flame_head(flame_from_arrays(content), bpy.context.scene)
    assert [m.name for m in head.data.materials] == [f"FaceDiff FLAME {n}" for n in ("skin", "eye white", "iris", "pupil")]
    for polygon in head.data.polygons:
        centre = polygon.center
        sideways = np.hypot(abs(centre.x) - 0.03, centre.z)
        part = polygon.material_index
        assert (part == 0) == (polygon.index == 0)
        if part:
            ahead = -centre.y > 0.02
            assert part == (1 if not ahead or sideways > 0.0062 else part)
            assert (part == 3) == (ahead and sideways < 0.00262) or abs(sideways - 0.00262) < 2e-4


def test_expressions_and_rotations_move_it_as_pose_flame_does():
    """Joints that stay put: expression, pose correctives and skinning together are exact."""
    model = flame_from_arrays(arrays(still_joints=True))
    head = flame_head.add_flame_head(model, bpy.context.scene)
    rng = np.random.default_rng(1)
    for _ in range(4):
        coefficients = rng.normal(0, 1.5, 50)
        turns = {joint: rng.normal(0, 0.3, 3) for joint in JOINTS}
        for n, value in enumerate(coefficients):
            show(head, n, value)
        for joint, rotation in turns.items():
            turn(head, joint, rotation)
        bpy.context.view_layer.update()
        expected = pose_flame(model, coefficients[None], {j: r[None] for j, r in turns.items()})[0]
        assert farthest(evaluated(head), heads.to_blender(expected)) < EXACT


def test_joints_that_move_with_the_expression_cost_no_more_than_stated():
    model = flame_from_arrays(arrays(still_joints=False))
    head = flame_head.add_flame_head(model, bpy.context.scene)
    coefficients, jaw = np.random.default_rng(2).normal(0, 1.5, 50), np.array([0.35, 0.05, -0.02])
    for n, value in enumerate(coefficients):
        show(head, n, value)
    assert farthest(evaluated(head), heads.to_blender(pose_flame(model, coefficients[None])[0])) < EXACT
    turn(head, "jaw", jaw)
    bpy.context.view_layer.update()
    moved = model.regressor[2] @ (model.expression_basis[:, :, :50] @ coefficients)
    bound = np.linalg.norm((rotation_matrices(jaw) - np.eye(3)) @ moved)
    error = farthest(evaluated(head), heads.to_blender(pose_flame(model, coefficients[None], {"jaw": jaw[None]})[0]))
    assert 1e-6 < error < bound + EXACT


def test_a_mead_motion_is_baked_and_played_as_pose_flame_plays_it():
    model = flame_from_arrays(arrays(True))
    head = flame_head.add_flame_head(model, bpy.context.scene)
    t = np.arange(40)[:, None] / 24
    rng = np.random.default_rng(5)
    expression = 2 * np.sin(2 * np.pi * (t * rng.uniform(0.3, 2, 50) + rng.uniform(size=50)))
    jaw = np.stack([0.2 + 0.2 * np.sin(9 * t[:, 0]), 0.03 * np.cos(5 * t[:, 0]), 0.02 * np.sin(3 * t[:, 0])], 1)
    motion = FaceMotion(fps=24, expression=expression, jaw_pose=jaw, vertices=pose_flame(model, expression, {"jaw": jaw}))
    first = takes.write(head, motion, Timing(11.0, 24.0), "mead", {"seed": 1})
    assert (first.frame_start, first.frame_end, first.note) == (11, 50, "")
    for i in (0, 7, 23, 39):
        bpy.context.scene.frame_set(11 + i)
        assert farthest(evaluated(head), heads.to_blender(motion.vertices[i])) < EXACT
    second = takes.write(head, motion, Timing(11.0, 24.0), "mead")
    assert second.action != first.action and first.action.use_fake_user and bake.current_take(head) == second.action
    loud = takes.write(head, FaceMotion(fps=24, expression=4 * expression), Timing(1.0, 24.0))
    assert "go beyond 5 standard deviations and are cut there" in loud.note


def test_vertices_become_few_keys_whose_error_is_true():
    rest = np.random.default_rng(0).normal(0, 0.1, (300, 3)).astype(np.float32)
    mesh, motion = a_mesh(rest), moving(rest)
    take = takes.write(mesh, motion, Timing(5.0, 24.0))
    facts = take.action[bake.TAKE_PROPERTY]
    assert facts["shape_keys"] == len(mesh.data.shape_keys.key_blocks) - 1 == 7
    assert f"7 shape keys, greatest vertex error {facts['error_mm']:.3f} mm" in take.note
    worst = 0.0
    for i in range(motion.frames):
        bpy.context.scene.frame_set(5 + i)
        worst = max(worst, farthest(evaluated(mesh), motion.vertices[i]))
    assert worst < 1.05e-4 and abs(1000 * worst - facts["error_mm"]) < 0.002
    curves = compat.curves_of(mesh.data.shape_keys)
    values = np.array([[k.co.y for k in c.keyframe_points] for c in curves.values()])
    assert values.shape == (7, 50) and 0.99 < np.abs(values).max() < 1 + 1e-6
    fewer = takes.write(mesh, motion, Timing(5.0, 24.0), options=takes.VertexOptions(tolerance=0.01))
    assert fewer.action[bake.TAKE_PROPERTY]["shape_keys"] < 7 and fewer.action[bake.TAKE_PROPERTY]["error_mm"] < 10
    bpy.context.scene.frame_set(20)
    error = fewer.action[bake.TAKE_PROPERTY]["error_mm"] / 1000
    assert farthest(evaluated(mesh), motion.vertices[15]) < error + 2e-6, "the first take's keys do not add to the second's"


def test_keys_of_takes_that_are_gone_go_too():
    rest = np.random.default_rng(0).normal(0, 0.1, (60, 3)).astype(np.float32)
    mesh = a_mesh(rest)
    first, second, third = (takes.write(mesh, moving(rest, rank=r), Timing(1.0, 24.0)).action for r in (3, 4, 2))
    mesh.shape_key_add(name="vertices of my own", from_mix=False)
    names = mesh.data.shape_keys.key_blocks.keys()
    assert vertex_takes.remove_unused_keys(mesh) == 0
    bpy.data.actions.remove(second)
    assert vertex_takes.remove_unused_keys(mesh) == 4
    assert mesh.data.shape_keys.key_blocks.keys() == [n for n in names if not n.startswith("vertices 2.")]
    paths = [c.data_path for b in third.layers[0].strips[0].channelbags for c in b.fcurves]
    assert len(paths) == 5 and not any("vertices 2." in p for p in paths), "its curves that held them still went with them"
    bpy.context.scene.frame_set(9)
    assert farthest(evaluated(mesh), moving(rest, rank=2).vertices[8]) < 1.1e-4
    bpy.data.actions.remove(third)
    assert vertex_takes.remove_unused_keys(mesh) == 2 and first.users


def test_a_take_that_is_deleted_takes_its_keys_with_it():
    rest = np.random.default_rng(0).normal(0, 0.1, (60, 3)).astype(np.float32)
    mesh = a_mesh(rest)
    first, second = (takes.write(mesh, moving(rest, rank=r), Timing(1.0, 24.0)).action for r in (3, 4))
    take_list.switch(mesh, first)
    bpy.context.scene.frame_set(9)
    assert farthest(evaluated(mesh), moving(rest, rank=3).vertices[8]) < 1.1e-4, "the second take's keys rest"
    take_list.delete(mesh, second)
    assert [n.split(".")[0] for n in mesh.data.shape_keys.key_blocks.keys()[1:]] == ["vertices 1"] * 3
    take_list.delete(mesh, first)
    assert mesh.data.shape_keys.key_blocks.keys() == ["Basis"]


def test_a_motion_in_blocks_is_written_as_the_whole_one_is(tmp_path):
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "face.blend"))
    rest = np.random.default_rng(0).normal(0, 0.1, (80, 3)).astype(np.float32)
    whole = moving(rest, frames=300)
    asked = []

    def read(start: int, stop: int) -> np.ndarray:
        asked.append(stop - start)
        return whole.vertices[start:stop]

    lazy = FaceMotion(24, vertices=Blocks(whole.vertices.shape, read))
    one, other = a_mesh(rest), a_mesh(rest)
    for options in (takes.VertexOptions(), takes.VertexOptions("CACHE")):
        made = [takes.write(m, v, Timing(1.0, 30.0), options=options) for m, v in ((one, whole), (other, lazy))]
        assert made[0].note.replace("_001", "_002") == made[1].note or made[0].note == made[1].note
        for frame in (1, 200, 371):
            bpy.context.scene.frame_set(frame)
            assert farthest(evaluated(one), evaluated(other)) < 1e-6
    assert max(asked) <= 128


def test_between_motion_frames_the_error_stays_within_the_bound():
    """A scene of 60 fps shows a 24 fps motion: weights are interpolated, and so are the vertices."""
    rest = np.random.default_rng(0).normal(0, 0.1, (80, 3)).astype(np.float32)
    mesh, motion = a_mesh(rest), moving(rest)
    take = takes.write(mesh, motion, Timing(1.0, 60.0))
    for frame in (2, 33, 100):
        bpy.context.scene.frame_set(frame)
        low, part = divmod((frame - 1) * 24 / 60, 1)
        expected = motion.vertices[int(low)] * (1 - part) + motion.vertices[int(low) + 1] * part
        assert farthest(evaluated(mesh), expected) < take.action[bake.TAKE_PROPERTY]["error_mm"] / 1000 + 2e-6


def test_compression_is_minimal_and_refuses_noise():
    rng = np.random.default_rng(0)
    moved = np.einsum("tr,rvc->tvc", rng.normal(size=(400, 9)), rng.normal(0, 0.003, (9, 200, 3))).astype(np.float32)
    found = vertex_keys.compress(moved, 1e-4)
    again = np.einsum("tk,kvc->tvc", found.weights, found.deltas)
    assert found.deltas.shape == (9, 200, 3) and np.abs(found.weights).max() <= 1
    assert farthest(again, moved) == pytest.approx(found.error, abs=1e-6) and found.error < 1e-5
    assert vertex_keys.compress(np.zeros((5, 4, 3), np.float32), 1e-4).deltas.shape == (0, 4, 3)
    with pytest.raises(vertex_keys.TooManyKeys) as noise:
        vertex_keys.compress(rng.normal(0, 0.01, (400, 200, 3)).astype(np.float32), 1e-4)
    assert noise.value.error > 1e-3


def test_what_cannot_be_written_leaves_the_mesh_as_it_was():
    rng = np.random.default_rng(0)
    rest = rng.normal(0, 0.1, (200, 3)).astype(np.float32)
    mesh = a_mesh(rest)

    def refused(motion: FaceMotion, **options: object) -> str:
        with pytest.raises(bake.BakeError) as error:
            takes.write(mesh, motion, Timing(1.0, 24.0), options=takes.VertexOptions(**options))
        assert mesh.data.shape_keys is None and len(bpy.data.actions) == 0 and not mesh.modifiers
        return str(error.value)

    assert refused(moving(rest[:150])) == "The motion moves 150 vertices, but 'Face' has 200."
    noise = FaceMotion(fps=24, vertices=rest + rng.normal(0, 0.01, (300, 200, 3)))
    assert "choose Point Cache, or a larger tolerance." in refused(noise)
    assert refused(moving(rest), kind="CACHE").startswith("Save the file first")
    assert refused(FaceMotion(fps=24, expression=np.zeros((5, 50)))) == "The motion has nothing that 'Face' could show."


def test_keys_made_for_a_take_that_fails_are_taken_back():
    model = flame_from_arrays(arrays(True))
    head = flame_head.add_flame_head(model, bpy.context.scene)
    heads.rig_of(head).pose.bones["jaw"].rotation_mode = "AXIS_ANGLE"
    before = head.data.shape_keys.key_blocks.keys()
    with pytest.raises(bake.BakeError, match="Axis Angle"):
        takes.write(head, moving(model.template), Timing(1.0, 24.0))
    assert head.data.shape_keys.key_blocks.keys() == before and len(bpy.data.actions) == 0


@pytest.mark.parametrize("displaced", [True, False])
@pytest.mark.parametrize("axes", ["file", "blender"])
def test_axes_of_a_mesh_that_is_not_ours(axes, displaced):
    rest = np.random.default_rng(0).normal(0, 0.1, (90, 3)).astype(np.float32)
    motion = moving(rest)
    own = (lambda points: points) if axes == "file" else heads.to_blender
    mesh = a_mesh(own(rest))
    if displaced:
        motion = FaceMotion(24, vertices=motion.vertices - rest, meta={"vertices": "displacements from the neutral face"})
        assert farthest(np.asarray(vertex_takes.displacements(mesh, motion)), motion.vertices) == 0
    else:
        assert farthest(np.asarray(vertex_takes.displacements(mesh, motion)), own(motion.vertices) - own(rest)) < 1e-7


def test_vertices_on_a_flame_head_and_expression_after_it_do_not_mix():
    model = flame_from_arrays(arrays(True))
    head = flame_head.add_flame_head(model, bpy.context.scene)
    expression, jaw = np.full((10, 50), 1.5, np.float32), np.full((10, 3), 0.1, np.float32)
    spoken = FaceMotion(fps=24, expression=expression, jaw_pose=jaw)
    takes.write(head, spoken, Timing(1.0, 24.0))
    bpy.context.scene.frame_set(5)
    vertices = moving(model.template.astype(np.float32), frames=10)
    takes.write(head, vertices, Timing(1.0, 24.0))
    bpy.context.scene.frame_set(4)
    assert farthest(evaluated(head), heads.to_blender(vertices.vertices[3])) < 1.1e-4
    takes.write(head, spoken, Timing(1.0, 24.0))
    bpy.context.scene.frame_set(6)
    assert farthest(evaluated(head), heads.to_blender(pose_flame(model, expression, {"jaw": jaw})[5])) < EXACT


def test_a_point_cache_is_exact_and_rests_when_keys_come(tmp_path):
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "face.blend"))
    rest = np.random.default_rng(0).normal(0, 0.1, (80, 3)).astype(np.float32)
    mesh, motion = a_mesh(rest), moving(rest)
    take = takes.write(mesh, motion, Timing(5.0, 24.0), "a line", options=takes.VertexOptions("CACHE"))
    (path,) = (tmp_path / "facediff").iterdir()
    assert path.name in take.note and path.suffix == ".pc2"
    head, data = path.read_bytes()[:32], np.frombuffer(path.read_bytes()[32:], "<f4").reshape(50, 80, 3)
    assert struct.unpack("<12siiffi", head) == (b"POINTCACHE2\0", 1, 80, 0.0, 1.0, 50)
    assert np.abs(data - motion.vertices).max() < 1e-6
    for i in (0, 1, 20, 49):
        bpy.context.scene.frame_set(5 + i)
        assert farthest(evaluated(mesh), motion.vertices[i]) < 1e-6
    assert bake.current_take(mesh) == take.action and tuple(take.action.frame_range) == (5, 54)
    takes.write(mesh, motion, Timing(30.0, 24.0))
    assert not mesh.modifiers[point_cache.MODIFIER].show_viewport
    bpy.context.scene.frame_set(30)
    assert farthest(evaluated(mesh), motion.vertices[0]) < 1.1e-4


@pytest.fixture
def addon(empty_file):
    """The add-on, enabled."""
    module = sys.modules["facediff_tree"]
    module.register()
    yield module
    module.unregister()


@pytest.mark.parametrize("suffix", ["npz", "pkl"])
def test_the_operator_reads_the_users_file_and_refuses_another(addon, tmp_path, suffix):
    path = tmp_path / f"my flame.{suffix}"
    if suffix == "npz":
        np.savez(path, **arrays(True))
    else:
        path.write_bytes(pickle.dumps(arrays(True), protocol=2))
    assert bpy.ops.facediff.add_flame_head(filepath=str(path)) == {"FINISHED"}
    head = bpy.context.scene.facediff.head
    assert flame_head.is_flame(head) and bpy.context.object == head and "my flame" in head[heads.SOURCE_PROPERTY]
    path.write_bytes(b"something else")
    before = len(bpy.data.objects)
    with pytest.raises(RuntimeError, match="my flame"):
        bpy.ops.facediff.add_flame_head(filepath=str(path))
    assert len(bpy.data.objects) == before


def test_the_model_decides_what_can_be_animated(addon, tmp_path):
    scene = bpy.context.scene
    settings = scene.facediff
    head = flame_head.add_flame_head(flame_from_arrays(arrays(True)), scene)
    mesh = a_mesh(np.zeros((5, 3), np.float32))
    bpy.context.view_layer.objects.active = mesh
    assert settings.chosen_head(bpy.context) == head
    scene.sequence_editor_create().strips.new_sound("Speech", str(SPEECH), 1, 1)
    from facediff_tree.facediff_blender.operators.generate import why_not

    assert "none of ARKit's shape keys: choose a model of its mesh" in why_not(bpy.context)
    settings.model = str(tmp_path)
    assert settings.chosen_head(bpy.context) == mesh and "it has no config.json" in why_not(bpy.context)
    (tmp_path / "config.json").write_text("{}")
    assert why_not(bpy.context) == ""


@pytest.mark.skipif(not PARITY.is_dir(), reason="there is no ../shared folder with the tiny released checkpoints")
def test_from_strip_to_curves_with_a_converted_checkpoint(addon, tmp_path, monkeypatch):
    """Real engine, released-format checkpoints with random weights: the motion is no speech, but every step is the real one."""
    python = sys.executable if importlib.util.find_spec("torch") else preferences.find_python()
    assert python, "no Python with PyTorch was found"
    flame = arrays(False, vertices=40, size=0.5)  # random weights move metres
    np.savez(tmp_path / "flame.npz", **flame)
    stages = [f"--stage{n}={PARITY / f'tiny_mead_stage{n}.mpt'}" for n in (1, 2)]
    sizes = [f"--{part}-heads=4" for part in ("stage1", "stage2", "audio")]
    for out, extra in (("flame", [f"--flame={tmp_path / 'flame.npz'}"]), ("bare", [])):
        command = [python, "-m", "engine", "convert", "lgldm", "--dataset=mead", *stages, *sizes, *extra]
        done = subprocess.run([*command, f"--out={tmp_path / out}"], cwd=ROOT, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr
    preferences.get(bpy.context).engine_python = python
    scene, settings = bpy.context.scene, bpy.context.scene.facediff
    scene.render.fps = 25
    scene.sequence_editor_create().strips.new_sound("Speech", str(PARITY / "tiny_chain_16k.wav"), 1, 20)
    bpy.ops.facediff.add_flame_head(filepath=str(tmp_path / "flame.npz"))
    settings.emotion, settings.model = "happy", str(tmp_path / "flame")
    written: list[tuple[FaceMotion, bake.Take]] = []
    write = takes.write

    def remember(head: bpy.types.Object, motion: FaceMotion, *rest: object) -> bake.Take:
        written.append((motion, write(head, motion, *rest)))
        return written[-1][1]

    monkeypatch.setattr(takes, "write", remember)

    def generate() -> tuple[FaceMotion, bake.Take]:
        bpy.ops.facediff.generate()
        end = time.monotonic() + 240
        while (session.tick() or session.current.generation is not None) and time.monotonic() < end:
            time.sleep(0.02)
        assert not session.current.failed, (session.current.message, session.current.detail)
        return written[-1]

    motion, take = generate()
    assert motion.meta["dataset"] == "mead" and motion.meta["emotion"] == {"happy": 1.0} and motion.fps == 25
    assert (take.frame_start, take.frame_end) == (20, 19 + motion.frames)
    curves = compat.curves_of(settings.head.data.shape_keys)
    for n in (0, 49):
        way, back = (curves[(f'key_blocks["expression{n + 1:03d}{m}"].value', 0)].keyframe_points for m in ("", "-"))
        expected = np.clip(motion.expression[:, n] / flame_head.DEVIATIONS, -1, 1)
        assert np.allclose([k.co.y - m.co.y for k, m in zip(way, back)], expected, atol=1e-6)
        assert np.ptp(motion.expression[:, n]) > 0
    bpy.context.scene.frame_set(30)
    bone = heads.rig_of(settings.head).pose.bones["jaw"]
    jaw = rotation_matrices(motion.jaw_pose[10])  # fitted to no face at all: many turns, which cost digits
    assert np.abs(np.array(bone.matrix_basis.to_3x3()) - jaw).max() < 1e-3

    mesh = a_mesh(flame["v_template"].astype(np.float32))
    settings.head, settings.model = mesh, str(tmp_path / "bare")
    motion, take = generate()
    assert motion.expression is None and motion.meta["vertices"].startswith("displacements")
    bpy.context.scene.frame_set(30)
    shown = evaluated(mesh) - flame["v_template"]
    assert farthest(shown, motion.vertices[10]) < 1.1e-4 and take.note in session.current.message
