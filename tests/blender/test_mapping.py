"""Heads of the user's own: names matched, tables kept, and what a take then does to the meshes, bones and files."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import bpy
import numpy as np
import pytest
import real_take
import stage
from facediff_tree.engine.face.arkit import ARKIT_52
from facediff_tree.engine.face.starter_head import load_starter_head, rotation_matrices
from facediff_tree.engine.motion import FaceMotion
from facediff_tree.facediff_blender import (
    assign,
    bake,
    compat,
    heads,
    mapped,
    mapping,
    read_back,
    session,
    strips,
    take_list,
    takes,
)
from facediff_tree.facediff_blender.bake import BakeError
from facediff_tree.facediff_blender.operators import export, generate
from facediff_tree.facediff_blender.operators import mapping as table
from facediff_tree.facediff_blender.strips import Timing
from mathutils import Matrix

# A VRoid character's face keys in the starter head's own shapes.
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
PREFIX = "Face.M_F00_000_00_"


@pytest.fixture(autouse=True)
def registered(empty_file):
    """The add-on, enabled for the test and disabled after it."""
    addon = sys.modules["facediff_tree"]
    addon.register()
    yield
    session.stop_engine()
    session.current.__init__()
    addon.unregister()


def character(prefix: str = PREFIX, name: str = "Face") -> bpy.types.Object:
    """A mesh with VRoid's keys under an armature of the user's, with a head bone that leans and rolls."""
    model = load_starter_head()
    rig = bpy.data.objects.new("Armature", bpy.data.armatures.new("Armature"))
    bpy.context.scene.collection.objects.link(rig)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    bone = rig.data.edit_bones.new("J_Bip_C_Head")
    bone.head, bone.tail, bone.roll = (0, 0, -0.1), (0, 0.03, 0.05), 0.7
    bpy.ops.object.mode_set(mode="OBJECT")
    return add_mesh(model, rig, name, prefix)


def add_mesh(model, rig: bpy.types.Object, name: str, prefix: str, scale: float = 1.0) -> bpy.types.Object:
    """The starter head's surface with VRoid's keys, carried by the head's bone."""
    mesh = heads._mesh(model, name)
    obj = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(obj)
    mesh.transform(Matrix.Scale(scale, 4))
    obj.parent = rig
    obj.modifiers.new("Armature", "ARMATURE").object = rig
    obj.vertex_groups.new(name="J_Bip_C_Head").add(range(len(mesh.vertices)), 1.0, "REPLACE")
    place = {name: model.blendshapes[k] for k, name in enumerate(model.blendshape_names)}
    deltas = [sum(w * place[c] for c, w in recipe.items()) for recipe in VRM.values()]
    heads.add_shape_keys(obj, [prefix + key for key in VRM], scale * heads.to_blender(np.array(deltas)))
    return obj


def arkit_mesh(names: tuple[str, ...] = ARKIT_52) -> bpy.types.Object:
    """A triangle with keys of these names."""
    mesh = bpy.data.meshes.new("Plain")
    mesh.from_pydata([(0, 0, 0), (1, 0, 0), (0, 0, 1)], [], [(0, 1, 2)])
    obj = bpy.data.objects.new("Plain", mesh)
    bpy.context.scene.collection.objects.link(obj)
    heads.add_shape_keys(obj, names, np.ones((len(names), 3, 3), np.float32))
    return obj


def play(head: bpy.types.Object, made: FaceMotion, start: float = 1.0) -> bake.Take:
    """Write the motion at the scene's own rate."""
    bpy.context.scene.render.fps = round(made.fps)
    bpy.context.scene.facediff.head = head
    return takes.write(head, made, Timing(start, made.fps))


def curve(obj: bpy.types.Object, key: str, frames: np.ndarray) -> np.ndarray:
    """The values of a key's curve, in the action that moves the mesh now."""
    found = compat.curves_of(obj.data.shape_keys)[bake.key_path(key), 0]
    return np.array([found.evaluate(f) for f in frames])


def why_not_generated(folder: Path, head: bpy.types.Object) -> str:
    """What stands below Generate for this head when there is a strip to speak."""
    bpy.context.scene.facediff.head = head
    if not strips.sound_strips(bpy.context.scene):
        stage.strip(folder)
    return generate.why_not(bpy.context)


def test_a_vrm_head_speaks_without_asking(tmp_path):
    head, made = character(), real_take.motion()
    take = play(head, made)
    frames = np.arange(take.frame_start, take.frame_end + 1)
    vowels = np.stack([curve(head, f"{PREFIX}Fcl_MTH_{v}", frames) for v in "AIUEO"], 1)
    assert vowels.sum(1).max() <= 1 + 1e-5 and vowels.min() >= 0
    gap = made.channel("jawOpen") - made.channel("mouthClose")
    assert np.corrcoef(vowels @ [0.5, 0.12, 0.13, 0.28, 0.34], gap)[0, 1] > 0.9, "the jaw is followed"
    shut = (made.channel("mouthClose") > 0.06) & (gap < 0.1 * made.channel("jawOpen"))
    assert shut.sum() > 5 and vowels[shut].max() < 0.01, "closed lips stay closed"
    assert np.abs(curve(head, f"{PREFIX}Fcl_EYE_Close_L", frames) - made.channel("eyeBlinkLeft")).max() < 1e-6
    assert why_not_generated(tmp_path, head) == "" and "does not turn" in take.note
    assert compat.curves_in(take.action, "OBJECT") == {}, "and the user's armature is left alone"


def test_the_face_moves_as_the_starter_head_does():
    """The lips of the VRM head follow the ARKit head's: what five vowels can show of it."""
    made = real_take.motion(4.0)
    vrm = character()
    play(vrm, made)
    arkit = heads.add_head(load_starter_head(), bpy.context.scene)
    play(arkit, FaceMotion(made.fps, made.channels, made.weights))
    model = load_starter_head()
    lip = int(np.argmin(model.blendshapes[model.blendshape_names.index("jawOpen")][:, 1]))
    frames = list(range(1, 101, 3))
    a, b = (read_back.posed(bpy.context.scene, obj, frames)[:, lip, 2] for obj in (vrm, arkit))
    assert np.corrcoef(a, b)[0, 1] > 0.85


def test_generate_makes_a_take_on_a_vrm_head(tmp_path):
    head = character()
    stage.engine(tmp_path)
    stage.strip(tmp_path)
    for obj in bpy.context.selected_objects:
        obj.select_set(False)
    bpy.context.view_layer.objects.active = head
    first = stage.generate()
    second = stage.generate()
    assert first != second and take_list.of_head(head) == [first, second]
    take_list.switch(head, first)
    assert bake.current_take(head) == first
    take_list.delete(head, first)
    assert bake.current_take(head) == second
    assert "ARKit" in _why(bpy.ops.facediff.regenerate), "a part of mapped curves cannot be made anew, and says so"


def _why(operator) -> str:
    with pytest.raises(RuntimeError) as info:
        operator()
    return str(info.value)


def test_exported_and_read_back(tmp_path):
    head = character()
    head.facediff_mapping.turned = head.parent
    made = real_take.motion(2.0)
    assert play(head, made).note == ""
    path, said = export.export(
        bpy.context, str(tmp_path / "vrm.fbx"), ".fbx", export.write_fbx, load=export.formats.read_fbx
    )
    assert path.is_file() and float(said.split("at most ")[1].split(" mm")[0]) < 0.5, said


@pytest.mark.parametrize("up", ["z", "y"])
def test_a_bone_turns_as_the_head_does(up):
    head = character()
    if up == "y":  # as importers of FBX leave it: data with y up under an object that is turned by 90 degrees
        upright = Matrix.Rotation(np.pi / 2, 4, "X")
        head.parent.data.transform(upright.inverted())
        head.data.transform(upright.inverted(), shape_keys=True)
        head.parent.matrix_world = upright
        bpy.context.view_layer.update()
    own = head.facediff_mapping
    own.turned = head.parent
    assert own.bone == "J_Bip_C_Head", "proposed by its name"
    turn = np.array([[0.3, 0.0, 0.0], [0.0, 0.5, 0.0], [0.1, -0.2, 0.3]], np.float32)
    made = FaceMotion(24, ("jawOpen",), np.zeros((3, 1)), ("head",), turn[:, None])
    play(head, made)
    model = load_starter_head()
    pivot = np.array([0.0, 0.0, -0.1])
    for frame, matrix in zip((1, 2, 3), rotation_matrices(turn)):
        m = mapped.FROM_MODEL @ matrix @ mapped.FROM_MODEL.T
        expected = (heads.to_blender(model.vertices) - pivot) @ m.T + pivot
        assert np.abs(read_back.posed(bpy.context.scene, head, [frame])[0] - expected).max() < 1e-5


@pytest.mark.parametrize("mode", ["XYZ", "QUATERNION"])
def test_an_object_turns_on_top_of_its_own_rotation(mode):
    head = character()
    target = bpy.data.objects.new("Turn", None)
    bpy.context.scene.collection.objects.link(target)
    target.rotation_mode = "XYZ"
    target.rotation_euler = (0.2, 0.1, -0.4)
    before = np.array(target.rotation_euler.to_matrix())
    target.rotation_mode = mode
    if mode == "QUATERNION":
        target.rotation_quaternion = Matrix(before).to_quaternion()
    head.facediff_mapping.turned = target
    turn = np.array([[0.0, 0.0, 0.0], [0.1, -0.2, 0.3]], np.float32)
    take = play(head, FaceMotion(24, ("jawOpen",), np.zeros((2, 1)), ("head",), turn[:, None]))
    bpy.context.scene.frame_set(2)
    m = mapped.FROM_MODEL @ rotation_matrices(turn)[1] @ mapped.FROM_MODEL.T
    assert np.abs(np.array(target.matrix_world.to_3x3()) - m @ before).max() < 1e-5
    assign.release(head, take.action)
    bpy.context.scene.frame_set(2)
    assert np.abs(np.array(target.matrix_world.to_3x3()) - before).max() < 1e-5, "and goes back"


def test_an_armature_with_an_action_of_its_own_keeps_it():
    head = character()
    head.facediff_mapping.turned = rig = head.parent
    rig.animation_data_create().action = walk = bpy.data.actions.new("Walk")
    take = play(head, real_take.motion(1.0))
    assert "Walk" in take.note and rig.animation_data.action == walk


def test_teeth_and_brows_move_along(tmp_path):
    head = character()
    model = load_starter_head()
    teeth = add_mesh(model, head.parent, "Teeth", PREFIX, 0.9)
    brows = add_mesh(model, head.parent, "Brows", "", 1.1)
    alone = arkit_mesh()
    bpy.context.scene.facediff.head = head
    assert bpy.ops.facediff.link_meshes() == {"FINISHED"}
    assert {entry.mesh for entry in head.facediff_mapping.meshes} == {teeth, brows}
    assert head.facediff_mapping.turned == head.parent
    take = play(head, real_take.motion(2.0))
    frames = np.arange(take.frame_start, take.frame_end + 1)
    for key in VRM:
        values = curve(head, PREFIX + key, frames)
        assert (curve(teeth, PREFIX + key, frames) == values).all()
        assert np.abs(curve(brows, key, frames) - values).max() < 1e-6
    second = play(head, real_take.motion(1.0))
    assert {o.data.shape_keys.animation_data.action for o in (head, teeth, brows)} == {second.action}
    take_list.switch(head, take.action)
    assert {o.data.shape_keys.animation_data.action for o in (head, teeth, brows)} == {take.action}
    assert alone.data.shape_keys.animation_data is None
    number = [entry.mesh for entry in head.facediff_mapping.meshes].index(brows)
    assert bpy.ops.facediff.unlink_mesh(index=number) == {"FINISHED"}
    assert brows.data.shape_keys.animation_data.action is None
    assert all(block.value == 0 for block in brows.data.shape_keys.key_blocks[1:])
    head.facediff_mapping.meshes.add().mesh = brows
    path, _ = export.export(bpy.context, str(tmp_path / "all.fbx"), ".fbx", export.write_fbx)
    before = set(bpy.data.objects)
    bpy.ops.wm.fbx_import(filepath=str(path))
    assert len([o for o in set(bpy.data.objects) - before if o.type == "MESH"]) == 3


def test_keys_with_drivers_are_left_to_them(tmp_path):
    head = character()
    keys = head.data.shape_keys
    keys.key_blocks[f"{PREFIX}Fcl_EYE_Close_L"].driver_add("value").driver.expression = "0.25"
    take = play(head, real_take.motion(1.0))
    assert "Fcl_EYE_Close_L" in take.note
    assert (bake.key_path(f"{PREFIX}Fcl_EYE_Close_L"), 0) not in compat.curves_of(keys)
    for block in keys.key_blocks[1:]:
        block.driver_add("value")
    assert "driver" in why_not_generated(tmp_path, head)


def test_the_table_is_used_saved_and_loaded(tmp_path):
    head = character()
    bpy.context.scene.facediff.head = head
    assert bpy.ops.facediff.match_keys() == {"FINISHED"}
    own = head.facediff_mapping
    rows = [(row.channel, row.key, row.gain) for row in own.rows]
    assert ("vowel A", f"{PREFIX}Fcl_MTH_A", 1.0) in rows
    own.rows[[row.channel for row in own.rows].index("vowel A")].gain = 0.5
    made = real_take.motion(2.0)
    take = play(head, made)
    frames = np.arange(take.frame_start, take.frame_end + 1)
    plain = mapping.apply([mapping.Row("vowel A", "x")], made.channels, made.weights)["x"]
    assert np.abs(curve(head, f"{PREFIX}Fcl_MTH_A", frames) - 0.5 * plain).max() < 1e-6
    path = tmp_path / "größe.json"
    assert bpy.ops.facediff.save_mapping(filepath=str(path)) == {"FINISHED"}
    saved = [(row.channel, row.key, row.gain) for row in own.rows]
    assert bpy.ops.facediff.clear_mapping() == {"FINISHED"} and len(own.rows) == 0
    assert bpy.ops.facediff.load_mapping(filepath=str(path)) == {"FINISHED"}
    assert [(row.channel, row.key, row.gain) for row in own.rows] == saved
    assert sorted(p.name for p in tmp_path.iterdir()) == ["größe.json"]


def test_rows_by_hand(tmp_path):
    head = arkit_mesh(("Mund auf", "Augen zu"))
    bpy.context.scene.facediff.head = head
    assert "none of ARKit's" in why_not_generated(tmp_path, head)
    assert "known name" in _why(bpy.ops.facediff.match_keys)
    bpy.ops.facediff.add_mapping_row()
    own = head.facediff_mapping
    assert (own.rows[0].channel, own.rows[0].key) == ("jawOpen", "Mund auf")
    bpy.ops.facediff.add_mapping_row()
    own.rows[1].channel, own.rows[1].gain = "mouthClose", -1.0
    made = real_take.motion(2.0)
    take = play(head, made)
    frames = np.arange(take.frame_start, take.frame_end + 1)
    gap = np.clip(made.channel("jawOpen") - made.channel("mouthClose"), 0, 1)
    assert np.abs(curve(head, "Mund auf", frames) - gap).max() < 1e-6
    bpy.ops.facediff.remove_mapping_row()
    assert len(own.rows) == 1


def test_bad_tables_are_one_sentence_and_nothing_changes(tmp_path):
    head = character()
    bpy.context.scene.facediff.head = head
    bpy.ops.facediff.match_keys()
    own = head.facediff_mapping
    own.rows[0].key = "Gone"
    assert why_not_generated(tmp_path, head) == "'Face' lacks shape keys of its table: 'Gone'."
    with pytest.raises(BakeError, match="'Gone'"):
        play(head, real_take.motion(1.0))
    assert not bpy.data.actions
    own.rows[0].key, own.rows[0].channel = own.rows[1].key, own.rows[1].channel
    assert "two rows" in why_not_generated(tmp_path, head)
    before = [(row.channel, row.key, row.gain) for row in own.rows]
    path = tmp_path / "bad.json"
    for text in ("", "[]", "{", json.dumps({"format": "facediff_mapping", "version": 2}), "\x00" * 10):
        path.write_text(text)
        assert "bad.json" in _why(lambda: bpy.ops.facediff.load_mapping(filepath=str(path)))
    assert "cannot be read" in _why(lambda: bpy.ops.facediff.load_mapping(filepath=str(tmp_path / "no.json")))
    path.write_text(mapping.to_json([mapping.Row("jawOpen", "Not here")]))
    assert "none of the table's" in _why(lambda: bpy.ops.facediff.load_mapping(filepath=str(path)))
    assert [(row.channel, row.key, row.gain) for row in own.rows] == before
    own.rows.remove(0)
    assert "cannot be written" in _why(lambda: bpy.ops.facediff.save_mapping(filepath=str(tmp_path / "no" / "x.json")))


def test_arkit_heads_of_the_users_stay_as_they_were():
    head = arkit_mesh()
    made = real_take.motion(2.0)
    take = play(head, made)
    frames = np.arange(take.frame_start, take.frame_end + 1)
    for name in ARKIT_52:
        assert np.abs(curve(head, name, frames) - made.channel(name)).max() < 1e-6
    assert mapped.of(head).plain == set(ARKIT_52), "all of it can be made anew in part"
    assert mapped.of(heads.add_head(load_starter_head(), bpy.context.scene)) is None


def test_what_the_panel_asks():
    assert "Choose a mesh" in table.why_not(bpy.context)
    cube = bpy.data.objects.new("Cube", bpy.data.meshes.new("Cube"))
    bpy.context.scene.collection.objects.link(cube)
    bpy.context.scene.facediff.head = cube
    assert "no shape keys" in table.why_not(bpy.context)
    bpy.context.scene.facediff.head = None
    head = arkit_mesh(("A", "I", "U"))
    bpy.context.view_layer.objects.active = head
    assert table.why_not(bpy.context) == "" and "empty" in table.why_no_table(bpy.context)


def test_the_panel_in_its_states():
    from test_panels import Layout

    def drawn() -> str:
        layout = Layout()
        bpy.types.FACEDIFF_PT_shape_keys.draw(SimpleNamespace(layout=layout), bpy.context)
        return " ".join(layout.drawn)

    assert "Choose a mesh" in drawn()
    head = character()
    bpy.context.scene.facediff.head = head
    assert "speaks with 9 of its shape keys" in drawn() and "does not turn" in drawn()
    bpy.ops.facediff.match_keys()
    head.facediff_mapping.turned = head.parent
    add_mesh(load_starter_head(), head.parent, "Teeth", PREFIX)
    bpy.ops.facediff.link_meshes()
    assert "Teeth" in drawn() and "prop bone" in drawn() and "does not turn" not in drawn()
    head.facediff_mapping.rows[0].key = "Gone"
    assert "'Gone'" in drawn()
    bpy.context.scene.facediff.head = heads.add_head(load_starter_head(), bpy.context.scene)
    assert "as they are" in drawn()


def test_a_part_of_an_arkit_take_of_the_users_is_made_anew(tmp_path):
    """On keys that are ARKit's to the letter a part is made anew, on the head and what moves along."""
    stage.engine(tmp_path)
    stage.strip(tmp_path)
    head, teeth = arkit_mesh(), arkit_mesh(("jawOpen", "mouthClose"))
    head.facediff_mapping.meshes.add().mesh = teeth
    bpy.context.scene.facediff.head = head
    take = stage.generate()
    before = stage.curve("jawOpen", take)
    frames = np.arange(11, 55)
    old = np.array([before.evaluate(f) for f in frames])
    part = bpy.context.scene.facediff.part
    part.range, part.frame_start, part.frame_end, part.regions = "FIELDS", 20, 30, {"MOUTH"}
    assert bpy.ops.facediff.regenerate() == {"FINISHED"}
    stage.run()
    assert not session.current.failed, session.current.message
    new = curve(head, "jawOpen", frames)
    inside = (frames >= 20) & (frames <= 30)
    assert np.abs(new - old)[inside].max() > 0.01 and (new == old)[~inside].all()
    assert (curve(teeth, "jawOpen", frames) == new).all()
    assert curve(head, "eyeBlinkLeft", frames).std() > 0
