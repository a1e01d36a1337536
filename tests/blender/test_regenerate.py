"""A part made anew: what is outside stays bit for bit, edited and pinned keys stay, and undo brings all back."""

from __future__ import annotations

import wave

import bpy
import numpy as np
import pytest
import stage
from facediff_tree.engine.face.arkit import ARKIT_52
from facediff_tree.facediff_blender import (
    adjust,
    adjust_take,
    bake,
    heads,
    keyframes,
    parts,
    regeneration,
    take_list,
    written,
)
from facediff_tree.facediff_blender.emotions import NAMES, Feeling
from facediff_tree.facediff_blender.strips import Timing

pytestmark = pytest.mark.usefixtures("registered")


@pytest.fixture
def log(registered, tmp_path):
    """A head with a take from frame 11 to 58, seed 0, and the engine that acts; the first request was the take's."""
    bpy.ops.facediff.add_head()
    stage.strip(tmp_path)
    log = stage.engine(tmp_path)
    stage.generate()
    part = bpy.context.scene.facediff.part
    part.frame_start, part.frame_end = 20, 30
    return log


def regenerate() -> bpy.types.Action:
    """Press Regenerate Part, wait, and return the current take."""
    assert bpy.ops.facediff.regenerate() == {"FINISHED"}
    stage.run()
    assert not stage.session.current.failed, stage.session.current.message
    return bake.current_take(stage.head())


def keys(action: bpy.types.Action, inside: bool, first: int = 20, last: int = 30) -> dict:
    """Every attribute, as bytes, of the keys inside or outside of the frames, by curve."""
    found = {}
    for name, curve in written.curves_of(action).items():
        all_of_it = keyframes.read(curve)
        frames = all_of_it["co"][:, 0]
        rows = ((frames >= first) & (frames <= last)) == inside
        found[name[1:]] = {attribute: values[rows].tobytes() for attribute, values in all_of_it.items()}
    return found


def shape(name: str) -> tuple[str, int]:
    """The curve of a shape key, as `keys` calls it."""
    return bake.key_path(name), 0


def test_frames_are_made_anew_in_a_copy_and_all_outside_stays_bit_for_bit(log):
    take = bake.current_take(stage.head())
    before, name = stage.keys_of(take), take.name
    new = regenerate()
    assert new != take and stage.keys_of(take) == before and len(take_list.of_head(stage.head())) == 2
    assert keys(new, inside=False) == keys(take, inside=False)
    changed = [curve for curve, values in keys(new, inside=True).items() if values["co"] != keys(take, inside=True)[curve]["co"]]
    assert len(changed) == 50 + 9, "every channel but the smile, which is its emotion's, and every axis of three joints"
    asked, base = stage.request(log, 1), stage.motion(log, 1, "base")
    assert asked["seed"] == 1 and base.fps == 24.0 and base.frames == 48 and base.channels == ARKIT_52
    frames = np.arange(base.frames) / base.fps
    inside = np.flatnonzero((frames >= asked["start"]) & (frames < asked["end"]))
    assert inside.tolist() == list(range(9, 20)) and set(asked["channels"]) == {*ARKIT_52, *heads.JOINTS}
    jaw = [stage.curve("jawOpen", take).evaluate(f) for f in range(11, 59)]
    assert np.abs(base.channel("jawOpen") - jaw).max() == 0.0
    assert [k.co.x for k in stage.curve("jawOpen", new).keyframe_points] == list(range(11, 59))
    last = take_list.passages_of(new)[-1]
    assert (last.part.first, last.part.last, last.part.source, last.seed) == (20, 30, name, 1)
    assert take_list.facts_of(new)["seed"] == 0 and written.edited_frames(new) == {}


def test_blender_plays_what_was_written(log):
    new = regenerate()
    scene = bpy.context.scene
    for frame in (15, 20, 25, 30, 31):
        scene.frame_set(frame)
        shown = stage.head().evaluated_get(bpy.context.evaluated_depsgraph_get()).data.shape_keys
        for name in ("jawOpen", "browInnerUp"):
            curve = stage.curve(name, new)
            key = next(k for k in curve.keyframe_points if k.co.x == frame)
            assert shown.key_blocks[name].value == pytest.approx(key.co.y, abs=1e-6) == curve.evaluate(frame)


@pytest.mark.parametrize(
    "region, some, others",
    [
        ("MOUTH", ("jawOpen", "mouthClose", "tongueOut", "cheekPuff"), ("browInnerUp", "eyeBlinkLeft", "noseSneerLeft")),
        ("EYES", ("eyeBlinkLeft", "eyeLookUpRight", "cheekSquintLeft"), ("jawOpen", "browInnerUp")),
        ("BROWS", ("browInnerUp", "noseSneerLeft"), ("eyeBlinkLeft", "mouthClose")),
        ("HEAD", (), ("jawOpen", "eyeBlinkLeft", "browInnerUp")),
    ],
)
def test_regions(log, region, some, others):
    take = bake.current_take(stage.head())
    bpy.context.scene.facediff.part.regions = {region}
    new = regenerate()
    old_keys, new_keys = keys(take, inside=True), keys(new, inside=True)
    assert all(new_keys[shape(n)] != old_keys[shape(n)] for n in some)
    assert all(new_keys[shape(n)] == old_keys[shape(n)] for n in others)
    turned = {path.split('"')[1] for path, _ in new_keys if path.startswith("pose") and any(
        new_keys[path, i] != old_keys[path, i] for i in range(3))}  # fmt: skip
    assert turned == {"HEAD": {"head"}, "EYES": {"left_eye", "right_eye"}}.get(region, set())
    assert keys(new, inside=False) == keys(take, inside=False)


def test_every_channel_belongs_to_exactly_one_region():
    names = (*ARKIT_52, *heads.JOINTS)
    found = [name for region, *_ in parts.REGIONS for name in parts.in_regions(names, {region})]
    assert sorted(found) == sorted(names)


def test_preview_range_selected_keys_and_selected_curves(log):
    scene, part = bpy.context.scene, bpy.context.scene.facediff.part
    take = bake.current_take(stage.head())
    part.range = "PREVIEW"
    with pytest.raises(RuntimeError, match="no preview range"):
        bpy.ops.facediff.regenerate()
    scene.use_preview_range, scene.frame_preview_start, scene.frame_preview_end = True, 40, 45
    regenerate()
    assert stage.request(log, 1)["start"] == pytest.approx(28.5 / 24)
    take_list.switch(stage.head(), take)
    part.range = "KEYS"
    with pytest.raises(RuntimeError, match="Select keys"):
        bpy.ops.facediff.regenerate()
    for frame in (25, 28):
        stage.curve("mouthPucker", take).keyframe_points[frame - 11].select_control_point = True
    new = regenerate()
    assert stage.request(log, 2)["channels"] == ["mouthPucker"]
    assert keys(new, False, 25, 28) == keys(take, False, 25, 28)
    changed = {c for c, v in keys(new, True, 25, 28).items() if v["co"] != keys(take, True, 25, 28)[c]["co"]}
    assert changed == {shape("mouthPucker")}
    take_list.switch(stage.head(), take)
    part.range, part.selected_curves = "FIELDS", True
    with pytest.raises(RuntimeError, match="No selected curve"):
        bpy.ops.facediff.regenerate()
    stage.curve("browInnerUp", take).select = True
    regenerate()
    assert stage.request(log, 3)["channels"] == ["browInnerUp"]


def test_edited_keys_are_found_without_asking_and_stay_with_their_handles(log):
    """An animator drags a key up, pulls its handles, and adds another between two frames of another curve."""
    take = bake.current_take(stage.head())
    jaw, smile = stage.curve("jawOpen", take), stage.curve("mouthSmileLeft", take)
    key = jaw.keyframe_points[25 - 11]
    key.co.y, key.interpolation = 0.95, "BEZIER"
    key.handle_left_type = key.handle_right_type = "FREE"
    key.handle_left, key.handle_right = (23.5, 0.9), (26.25, 0.8)
    smile.keyframe_points.insert(22.5, 0.61)
    rig = heads.rig_of(stage.head())
    nod = next(c for (_, path, i), c in written.curves_of(take).items() if '"head"' in path and i == 0)
    nod.keyframe_points[27 - 11].co.y += 0.2
    outside = jaw.keyframe_points[40 - 11]
    outside.co.y = 0.33
    handle = next(s.handle for s in take.slots if s.target_id_type == "KEY")
    edited = written.edited_frames(take)
    assert edited[(handle, *shape("jawOpen"))].tolist() == [25, 40]
    assert edited[(handle, *shape("mouthSmileLeft"))].tolist() == [22.5] and len(edited) == 3
    mine = keyframes.read(jaw)
    new = regenerate()
    pinned = stage.motion(log, 1, "base").meta["pinned"]
    assert pinned == {"jawOpen": [14, 29], "mouthSmileLeft": [11, 12], "head": [16]}
    now = keyframes.read(stage.curve("jawOpen", new))
    row, old = np.flatnonzero(now["co"][:, 0] == 25)[0], np.flatnonzero(mine["co"][:, 0] == 25)[0]
    for attribute in keyframes.ATTRIBUTES:
        assert now[attribute][row].tobytes() == mine[attribute][old].tobytes(), attribute
    assert stage.curve("jawOpen", new).evaluate(25) == pytest.approx(0.95, abs=1e-4)
    assert stage.curve("mouthSmileLeft", new).evaluate(22.5) == pytest.approx(0.61, abs=1e-4)
    frames = [k.co.x for k in stage.curve("mouthSmileLeft", new).keyframe_points]
    assert frames == sorted([*range(11, 59), 22.5]), "the new key stays, and the frames around it have theirs"
    turn = next(c for (_, path, i), c in written.curves_of(new).items() if '"head"' in path and i == 0)
    assert turn.evaluate(27) == pytest.approx(nod.evaluate(27), abs=1e-4)
    assert keys(new, inside=False) == keys(take, inside=False)
    assert stage.session.current.message.endswith(" 5 edited keys were kept."), "three of them are the axes of the head"
    again = written.edited_frames(new)
    assert {c: f.tolist() for c, f in again.items()} == {c: f.tolist() for c, f in edited.items()}
    assert rig.animation_data.action == new


def test_edited_keys_stay_through_a_second_regeneration_and_the_file(log, tmp_path):
    stage.curve("jawOpen").keyframe_points[25 - 11].co.y = 0.95
    regenerate()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    stage.engine(tmp_path)
    regenerate()
    assert stage.curve("jawOpen").evaluate(25) == pytest.approx(0.95, abs=1e-4)
    assert len(written.edited_frames(bake.current_take(stage.head()))) == 1


def test_pinned_keys_stay_although_nobody_edited_them(log):
    take = bake.current_take(stage.head())
    with pytest.raises(RuntimeError, match="Select keys of the take first"):
        bpy.ops.facediff.pin_keys()
    brow = stage.curve("browInnerUp", take)
    brow.keyframe_points[24 - 11].select_control_point = True
    assert bpy.ops.facediff.pin_keys() == {"FINISHED"}
    assert brow.keyframe_points[24 - 11].type == "EXTREME"
    value = brow.evaluate(24)
    new = stage.curve("browInnerUp", regenerate())
    assert stage.motion(log, 1, "base").meta["pinned"] == {"browInnerUp": [13]}
    assert new.evaluate(24) == pytest.approx(value, abs=1e-4) and new.keyframe_points[24 - 11].type == "EXTREME"
    new.keyframe_points[24 - 11].select_control_point = True
    bpy.ops.facediff.pin_keys(unpin=True)
    assert written.edited_frames(bake.current_take(stage.head())) == {}


def test_a_take_that_was_moved_as_a_whole_is_not_edited(log):
    take = bake.current_take(stage.head())
    for curve in written.curves_of(take).values():
        co = keyframes.read(curve, ("co",))["co"]
        co[:, 0] += 10
        curve.keyframe_points.foreach_set("co", co.ravel())
    assert written.edited_frames(take) == {}
    stage.curve("jawOpen", take).keyframe_points[5].co.y = 0.0
    assert [f.tolist() for f in written.edited_frames(take).values()] == [[26.0]]


@pytest.mark.parametrize("in_place", [False, True])
def test_undo_restores_everything(log, in_place):
    bpy.context.scene.facediff.part.in_place = in_place
    stage.curve("jawOpen").keyframe_points[25 - 11].co.y = 0.95
    bpy.ops.ed.undo_push(message="before")
    before = stage.everything()
    name = regenerate().name
    assert stage.everything() != before
    assert len(take_list.of_head(stage.head())) == (1 if in_place else 2)
    after = stage.everything()
    bpy.ops.ed.undo()
    assert stage.everything() == before
    bpy.ops.ed.redo()
    assert stage.everything() == after and bake.current_take(stage.head()).name == name


def test_repeat_makes_the_part_again_from_what_it_was_made_from(log):
    source = bake.current_take(stage.head())
    new = regenerate()
    bpy.ops.facediff.repeat_take()
    stage.run()
    again = bake.current_take(stage.head())
    assert again != new and stage.keys_of(again) == stage.keys_of(new)
    stage.curve("jawOpen", source).keyframe_points[0].co.y = 0.5
    with pytest.raises(RuntimeError, match="was changed since"):
        bpy.ops.facediff.repeat_take()
    source.name = "Renamed"
    with pytest.raises(RuntimeError, match="is gone"):
        bpy.ops.facediff.repeat_take()
    bpy.context.scene.facediff.part.in_place = True
    regenerate()
    with pytest.raises(RuntimeError, match="in place"):
        bpy.ops.facediff.repeat_take()


def test_a_thinned_take_is_the_same_on_every_frame_outside(log):
    """Few Bezier keys, as after thinning: the frames between the last key before the part and the part must not move."""
    take = bake.current_take(stage.head())
    for curve in written.curves_of(take).values():
        every = keyframes.read(curve)
        few = {name: values[[0, 6, 14, 24, 36, 47]] for name, values in every.items()}
        few["interpolation"][:] = keyframes.number_of("interpolation", "BEZIER")
        keyframes.write(curve, few)
        curve.update()
    written.store(take)
    before = {name: [c.evaluate(f) for f in range(11, 59)] for name, c in written.curves_of(take).items()}
    new = regenerate()
    assert keys(take, inside=False).keys() == keys(new, inside=False).keys()
    old_keys = keyframes.read(stage.curve("jawOpen", take))
    now = keyframes.read(stage.curve("jawOpen", new))
    for row, frame in enumerate(old_keys["co"][:, 0]):
        if not 20 <= frame <= 30:
            (place,) = np.flatnonzero(now["co"][:, 0] == frame)
            assert all(now[a][place].tobytes() == old_keys[a][row].tobytes() for a in keyframes.ATTRIBUTES)
    outside = [f - 11 for f in range(11, 59) if not 20 <= f <= 30]
    for name, curve in written.curves_of(new).items():
        after = [curve.evaluate(f) for f in range(11, 59)]
        assert np.abs(np.array(after)[outside] - np.array(before[name])[outside]).max() < 1e-6, name
    assert written.edited_frames(new) == {}


def test_sliders_of_adjust_are_applied_to_the_copy_and_edited_keys_stay_known(log):
    take = bake.current_take(stage.head())
    stage.curve("jawOpen", take).keyframe_points[25 - 11].co.y = 0.95
    adjust_take.refresh(take, adjust.Settings(mouth=0.5), 24.0)
    shown = keys(take, inside=False)
    new = regenerate()
    assert stage.motion(log, 1, "base").meta["pinned"] == {"jawOpen": [14]}
    assert adjust_take.is_adjusted(take) and not adjust_take.is_adjusted(new)
    assert keys(new, inside=False) == shown
    assert [f.tolist() for f in written.edited_frames(new).values()] == [[25.0]]
    assert not [a for a in bpy.data.actions if a not in (take, new) and not a.name.startswith(".")]


def test_a_part_may_be_said_otherwise(log):
    settings = bpy.context.scene.facediff
    settings.emotion = "sad"
    regenerate()
    assert stage.request(log, 1)["emotion"] == {"neutral": 1.0}
    settings.part.feeling = "CHOSEN"
    regenerate()
    assert stage.request(log, 2)["emotion"] == {"sad": 1.0}


def test_frames_of_sound_that_begins_between_two_of_them(tmp_path):
    grid = parts.Grid.of(Timing(11.25, 24.0), 2.0)
    assert (grid.zero, grid.count, grid.last) == (11, 49, 59) and grid.silence == pytest.approx(0.25 / 24)
    assert parts.Grid.of(Timing(11.0, 24.0), 2.0) == parts.Grid(11, 48, 24.0, 0.0)
    assert parts.Grid.of(Timing(10.99999, 24.0), 2.0).zero == 11
    with wave.open(str(tmp_path / "a.wav"), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(48_000)
        out.writeframes(np.full(100, 7, "<i2").tobytes())
    with wave.open(str(parts.with_silence(tmp_path / "a.wav", grid.silence, tmp_path)), "rb") as sound:
        samples = np.frombuffer(sound.readframes(10**6), "<i2")
    assert len(samples) == 600 and not samples[:500].any() and (samples[500:] == 7).all()
    felt = Feeling(curve=np.tile(np.linspace(0, 1, 50, dtype=np.float32)[:, None], len(NAMES)))
    shifted = regeneration.feeling_on(felt, grid, 11.25).curve[:, 0]
    assert shifted[0] == 0 and shifted[4] == pytest.approx(3.75 / 49, abs=1e-6)


def test_why_it_is_grey(log):
    def reason() -> str:
        with pytest.raises(RuntimeError) as caught:
            bpy.ops.facediff.regenerate()
        return str(caught.value)

    part = bpy.context.scene.facediff.part
    part.frame_start = 31
    assert "end (30) before they begin (31)" in reason()
    part.frame_start, part.frame_end = 200, 300
    assert "choose frames from 11 to 58" in reason()
    part.frame_start, part.frame_end, part.regions = 20, 30, set()
    assert "Choose a region" in reason()
    part.regions = {"MOUTH"}
    bpy.context.scene.sequence_editor.strips[0].mute = True
    assert "is muted" in reason()
    bpy.ops.facediff.delete_take()
    assert "has no take yet" in reason()


def test_a_take_deleted_meanwhile_changes_nothing(log):
    bpy.ops.facediff.regenerate()
    bpy.ops.facediff.delete_take()
    stage.run()
    assert "take was deleted" in stage.session.current.message and len(bpy.data.actions) == 0
