"""One speech take on the starter head, on a FLAME-format head and on a head with VRM's names; and as FBX, there and back."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import bpy
import numpy as np
import pytest
import real_take
from addon_from_tree import ROOT
from facediff_tree.engine.errors import InputError
from facediff_tree.engine.face.arkit import ARKIT_52
from facediff_tree.engine.face.arkit_flame.file import save_table
from facediff_tree.engine.face.arkit_flame.fit import Table, fit_table
from facediff_tree.engine.face.arkit_flame.solve import to_flame
from facediff_tree.engine.face.flame import FlameModel, flame_from_arrays, pose_flame
from facediff_tree.engine.face.starter_head import ASSET, load_starter_head, pose_vertices
from facediff_tree.facediff_blender import flame_arkit, flame_head, heads, mapped, parts, takes
from facediff_tree.facediff_blender.operators import generate
from facediff_tree.facediff_blender.strips import Timing

sys.path.insert(0, str(ROOT / "scripts"))
from synthetic_flame import SyntheticFlame, synthetic_flame  # noqa: E402

SECONDS, FRAMES = 4.0, (1, 20, 40, 60, 77, 99)
LARGEST = 0.5e-3  # m, of any vertex, after FBX
VRM = {
    "Fcl_MTH_A": {"jawOpen": 0.5, "mouthLowerDownLeft": 0.2, "mouthLowerDownRight": 0.2},
    "Fcl_MTH_I": {"jawOpen": 0.12, "mouthStretchLeft": 0.42, "mouthStretchRight": 0.42},
    "Fcl_MTH_U": {"jawOpen": 0.13, "mouthPucker": 0.8},
    "Fcl_MTH_E": {"jawOpen": 0.28, "mouthStretchLeft": 0.3, "mouthStretchRight": 0.3},
    "Fcl_MTH_O": {"jawOpen": 0.34, "mouthPucker": 0.3, "mouthFunnel": 0.33},
    "Fcl_EYE_Close_L": {"eyeBlinkLeft": 1.0},
    "Fcl_EYE_Close_R": {"eyeBlinkRight": 1.0},
    "Fcl_BRW_Angry": {"browDownLeft": 1.0, "browDownRight": 1.0},
    "Fcl_MTH_Fun": {"mouthSmileLeft": 1.0, "mouthSmileRight": 1.0},
}


class Made(NamedTuple):
    synthetic: SyntheticFlame
    model: FlameModel
    table: Table
    lips: np.ndarray


@lru_cache(maxsize=1)
def made() -> Made:
    """The made-up FLAME-format head and its table, of its own true shapes."""
    head = load_starter_head()
    with np.load(ASSET.with_name("facemesh_points.npz")) as data:
        points = (head.vertices[data["triangles"].astype(int)] * data["weights"][..., None]).sum(axis=1)
    synthetic = synthetic_flame(head, points)
    model = flame_from_arrays(synthetic.arrays)
    middle = synthetic.points68[48:].mean(axis=0)
    around = np.exp(-((model.template - middle) ** 2).sum(axis=1) / (2 * 0.06**2)) * (model.skin[:, 3:].sum(axis=1) < 0.5)
    away = ((model.template[:, None] - synthetic.points68[48:]) ** 2).sum(axis=2)
    table = fit_table(model, synthetic.shapes, around, source="made-up.npz")
    return Made(synthetic, model, table, np.unique(away.argmin(axis=0)))


@pytest.fixture(autouse=True)
def addon(empty_file):
    module = sys.modules["facediff_tree"]
    module.register()
    bpy.context.scene.render.fps = round(real_take.motion(SECONDS).fps)
    yield
    module.unregister()


def starter() -> bpy.types.Object:
    return heads.add_head(load_starter_head(), bpy.context.scene)


def flame() -> bpy.types.Object:
    head = flame_head.add_flame_head(made().model, bpy.context.scene)
    flame_arkit.attach(head, made().table)
    return head


def vrm() -> bpy.types.Object:
    """The starter's surface with VRoid's names, under an armature of the user's whose head bone turns."""
    model = load_starter_head()
    rig = bpy.data.objects.new("Armature", bpy.data.armatures.new("Armature"))
    bpy.context.scene.collection.objects.link(rig)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    bone = rig.data.edit_bones.new("J_Bip_C_Head")
    bone.head, bone.tail, bone.roll = (0, 0, -0.1), (0, 0.03, 0.05), 0.7
    bpy.ops.object.mode_set(mode="OBJECT")
    mesh = bpy.data.meshes.new("Face")
    corners = np.split(model.face_vertices, np.cumsum(model.face_sizes)[:-1])
    mesh.from_pydata(heads.to_blender(model.vertices).tolist(), [], [c.tolist() for c in corners])
    obj = bpy.data.objects.new("Face", mesh)
    bpy.context.scene.collection.objects.link(obj)
    obj.parent = rig
    obj.modifiers.new("Armature", "ARMATURE").object = rig
    obj.vertex_groups.new(name=bone_name(rig)).add(range(len(mesh.vertices)), 1.0, "REPLACE")
    place = {name: model.blendshapes[k] for k, name in enumerate(model.blendshape_names)}
    deltas = [sum(w * place[c] for c, w in recipe.items()) for recipe in VRM.values()]
    heads.add_shape_keys(obj, list(VRM), heads.to_blender(np.array(deltas)))
    obj.facediff_mapping.turned, obj.facediff_mapping.bone = rig, bone_name(rig)
    return obj


def bone_name(rig: bpy.types.Object) -> str:
    return mapped.head_bone(rig)


def shown(obj: bpy.types.Object, frame: int) -> np.ndarray:
    """(V, 3) world positions at a frame."""
    bpy.context.scene.frame_set(frame)
    instance = obj.evaluated_get(bpy.context.evaluated_depsgraph_get())
    co = np.empty(len(instance.data.vertices) * 3, np.float32)
    instance.data.vertices.foreach_get("co", co)
    world = np.array(instance.matrix_world)
    return co.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3]


@pytest.mark.parametrize("kind", [starter, flame, vrm])
def test_a_speech_take_plays_and_comes_back_from_fbx(kind, tmp_path: Path):
    """By both of Blender's importers."""
    head = kind()
    bpy.context.scene.facediff.head = head
    take = takes.write(head, real_take.motion(SECONDS), Timing(1.0, real_take.motion(SECONDS).fps))
    assert take.frame_end == real_take.motion(SECONDS).frames
    there = np.stack([shown(head, frame) for frame in FRAMES])
    assert np.linalg.norm(there[3] - there[0], axis=1).max() > 0.003, "it speaks"
    assert bpy.ops.facediff.export_fbx(filepath=str(tmp_path / "take.fbx")) == {"FINISHED"}
    for load in (bpy.ops.import_scene.fbx, bpy.ops.wm.fbx_import):
        before = set(bpy.data.objects.keys())
        load(filepath=str(tmp_path / "take.fbx"), anim_offset=0.0)
        (again,) = (o for o in bpy.data.objects if o.name not in before and o.type == "MESH")
        worst = np.linalg.norm(np.stack([shown(again, frame) for frame in FRAMES]) - there, axis=2).max()
        print(f"\n{bpy.app.version_string} {kind.__name__} {load.idname()}: greatest error of a vertex {1000 * worst:.4f} mm")
        assert worst < LARGEST


def test_the_flame_head_shows_what_flame_says_and_what_the_starter_head_shows():
    """Up to its bones, which stay where the neutral face has its joints, and the sliders' ends."""
    head, motion = flame(), real_take.motion(SECONDS)
    take = takes.write(head, motion, Timing(1.0, motion.fps))
    table = made().table.with_expressions(50)
    expression, jaw = to_flame(table, motion.channels, motion.weights)
    frames = np.array(FRAMES) - 1
    eyes = {name: motion.rotation(name)[frames] for name in ("left_eye", "right_eye")}
    turned = {"jaw": jaw[frames], "neck": motion.rotation("head")[frames], **eyes}
    inside = np.clip(expression[frames], -flame_head.DEVIATIONS, flame_head.DEVIATIONS)
    wanted = heads.to_blender(pose_flame(made().model, inside, turned))
    off = np.stack([np.linalg.norm(shown(head, f) - w, axis=1) for f, w in zip(FRAMES, wanted)])
    assert off.max() < 1e-3 and off.mean() < 1e-4, (off.max(), off.mean())
    assert take.note == "" or "standard deviations" in take.note
    # The head held still, the lips follow the shapes that the head truly ought to have.
    wide = np.zeros((len(frames), 52))
    wide[:, [ARKIT_52.index(c) for c in motion.channels]] = motion.weights[frames]
    lips = made().lips
    truth = made().model.template[lips] + np.einsum("tk,kvc->tvc", wide, made().synthetic.shapes[:, lips])
    still = pose_flame(made().model, inside, {"jaw": jaw[frames]})[:, lips]
    assert np.linalg.norm(still - truth, axis=2).mean() < 0.8e-3
    assert np.ptp(pose_vertices(load_starter_head(), wide), axis=0).max() > 0.002, "the take moves the starter head too"


def test_generate_is_ready_once_the_head_speaks_arkit():
    head = flame_head.add_flame_head(made().model, bpy.context.scene)
    assert "none of ARKit's shape keys" in generate.why_no_match("", head) and "Speak ARKit" in generate.why_no_match("", head)
    flame_arkit.attach(head, made().table)
    assert generate.why_no_match("", head) == "" and flame_arkit.speaks(head)
    take = takes.write(head, real_take.motion(SECONDS), Timing(1.0, 25.0))
    assert parts.names_in(head, take.action) == ((), ())


def test_the_table_beside_the_flame_file_is_taken_and_another_is_refused(tmp_path: Path):
    np.savez(tmp_path / "made-up.npz", **made().synthetic.arrays)
    save_table(made().table, tmp_path / "made-up.arkit.npz")
    assert bpy.ops.facediff.add_flame_head(filepath=str(tmp_path / "made-up.npz"), expressions=30) == {"FINISHED"}
    head = bpy.context.scene.facediff.head
    assert flame_arkit.speaks(head) and flame_head.expression_count(head) == 30
    assert head[flame_arkit.SOURCE_PROPERTY] == "made-up.npz"
    other = Table(ARKIT_52, np.zeros((52, 13)), np.eye(13), np.zeros(52), np.ones(10), 5023, "other.pkl")
    year = replace(made().table, sizes=1.2 * made().table.sizes)
    with pytest.raises(InputError, match="another FLAME file"):
        flame_arkit.attach(head, year)
    with pytest.raises(InputError, match=f"5023 vertices, but '{head.name}' has {len(head.data.vertices)}"):
        flame_arkit.attach(head, other)
    with pytest.raises(InputError, match="no FLAME head"):
        flame_arkit.attach(starter(), made().table)
    bpy.context.scene.facediff.head = head
    del head[flame_arkit.TABLE_PROPERTY]
    assert not flame_arkit.speaks(head)
    assert bpy.ops.facediff.flame_speak(filepath=str(tmp_path / "made-up.npz")) == {"FINISHED"}, "the table was there"
    assert flame_arkit.speaks(head)
    save_table(other, tmp_path / "other.arkit.npz")
    with pytest.raises(RuntimeError, match="5023 vertices"):
        bpy.ops.facediff.flame_speak(filepath=str(tmp_path / "other.arkit.npz"))
    with pytest.raises(RuntimeError, match="There is no FLAME file"):
        bpy.ops.facediff.flame_speak(filepath=str(tmp_path / "none.pkl"))
    assert flame_arkit.speaks(head)
