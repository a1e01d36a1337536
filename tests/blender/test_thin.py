"""Fewer keys on a real take: how many, how far off as Blender evaluates them, what is kept, and how fast."""

from __future__ import annotations

import time

import bpy
import numpy as np
import pytest
import real_take
from facediff_tree.facediff_blender import adjust, bake, bezier, keyframes, resample, thin, thin_take, written

HALF_FRAMES = np.arange(1, 253.5, 0.5)


pytestmark = pytest.mark.usefixtures("registered")


@pytest.fixture
def head():
    return real_take.perform(real_take.motion())


def keys_of(head) -> int:
    return sum(len(curve.keyframe_points) for curve in real_take.curves(head).values())


@pytest.mark.parametrize(("tolerance", "fewer"), [(0.02, 4), (0.005, 4)])
def test_a_real_take_keeps_its_shape_with_few_keys(head, tolerance, fewer):
    action = bake.current_take(head)
    before, count = real_take.weights(head, HALF_FRAMES), keys_of(head)
    moving = {name for name, values in before.items() if np.ptp(values) > tolerance}
    report = thin_take.thin_take(head, action, tolerance)
    after = real_take.weights(head, HALF_FRAMES)
    errors = {name: np.abs(after[name] - before[name]).max() for name in before}
    print(f"\n{bpy.app.version_string}: {report.sentence()} Bones {report.turn:.4f} rad.")
    assert max(errors.values()) <= tolerance
    assert report.before == count and report.after == keys_of(head) < count / fewer
    of_moving = sum(len(c.keyframe_points) for (path, _), c in real_take.curves(head).items() if path.split('"')[1] in moving)
    assert of_moving < len(moving) * 253 / fewer, "not by the still channels alone"
    for name, error in report.errors.items():
        assert abs(error - errors[name]) < 1e-6, f"what is said of {name} is so"
    assert 0 < report.lips < 1e-3
    assert report.turn <= tolerance * thin_take.ROTATION_SHARE
    for values in after.values():
        assert values.min() >= 0 and values.max() <= 1


def test_the_error_at_the_lips_is_that_of_the_mesh(head):
    """The vertices themselves, as Blender deforms them, are never further off than what is said."""

    def lips() -> np.ndarray:
        found = []
        for frame in range(60, 90):
            bpy.context.scene.frame_set(frame)
            instance = head.evaluated_get(bpy.context.evaluated_depsgraph_get())
            co = np.empty(len(instance.data.vertices) * 3, np.float32)
            instance.data.vertices.foreach_get("co", co)
            found.append(co.reshape(-1, 3))
        return np.array(found)

    head.modifiers.clear()  # the head's own turning is another error
    before = lips()
    report = thin_take.thin_take(head, bake.current_take(head), 0.02)
    keys = head.data.shape_keys
    near = np.zeros(len(before[0]), bool)
    rest = np.empty(before[0].size, np.float32)
    keys.reference_key.points.foreach_get("co", rest)
    for name in thin_take.LIPS:
        co = np.empty(rest.size, np.float32)
        keys.key_blocks[name].points.foreach_get("co", co)
        reach = np.linalg.norm((co - rest).reshape(-1, 3), axis=1)
        near |= reach > 0.3 * reach.max()
    moved = np.linalg.norm(lips() - before, axis=2)[:, near].max()
    assert 0.05 * report.lips < moved <= report.lips + 1e-6, (moved, report.lips)


def test_closures_and_blinks_are_kept(head):
    motion = real_take.motion()
    frames = np.arange(1, 254)
    thin_take.thin_take(head, bake.current_take(head), 0.02)
    after = real_take.weights(head, frames)
    gap = motion.channel("jawOpen") - motion.channel("mouthClose")
    found = resample.closures(gap)
    assert len(found) > 10
    now = after["jawOpen"] - after["mouthClose"]
    assert np.abs(now[found] - gap[found]).max() < 1e-6, "a key of both stands on the closure"
    firm = adjust.closedness(motion.weights, motion.channels) == 1.0
    assert np.abs(now[firm]).max() < 0.02 + np.abs(gap[firm]).max()
    for side in ("Left", "Right"):
        lids = motion.channel(f"eyeBlink{side}")
        peaks = np.flatnonzero((lids > 0.9) & (lids >= np.r_[0, lids[:-1]]) & (lids >= np.r_[lids[1:], 0]))
        assert len(peaks) >= 2
        assert np.abs(after[f"eyeBlink{side}"][peaks] - lids[peaks]).max() < 1e-6


def test_handles_lie_inside_their_segment_and_smooth_ones_in_a_line(head):
    thin_take.thin_take(head, bake.current_take(head), 0.02)
    aligned = 0
    for (path, _), curve in real_take.curves(head).items():
        keys = keyframes.read(curve)
        frames = keys["co"][:, 0]
        assert (np.diff(frames) > 0).all() and (frames == np.rint(frames)).all()
        assert (keys["handle_right"][:-1, 0] < keys["handle_left"][1:, 0]).all(), path
        assert (keys["handle_right"][:-1, 0] > frames[:-1]).all() and (keys["handle_left"][1:, 0] < frames[1:]).all()
        assert (keys["interpolation"] == bezier.BEZIER).all()
        inner = np.flatnonzero(keys["handle_left_type"] == keyframes.number_of("handle_left_type", "ALIGNED"))
        aligned += len(inner)
        for i in inner:
            before, after = keys["co"][i] - keys["handle_left"][i], keys["handle_right"][i] - keys["co"][i]
            assert abs(before[1] / before[0] - after[1] / after[0]) < 1e-3
    assert aligned > 0.1 * keys_of(head)
    before = real_take.weights(head, HALF_FRAMES)
    for curve in real_take.curves(head).values():
        curve.update()  # as any edit in the Graph Editor does
    after = real_take.weights(head, HALF_FRAMES)
    assert max(np.abs(after[n] - before[n]).max() for n in before) < 1e-4


def test_edited_and_pinned_keys_stay_and_go_on_counting_as_such(head):
    action = bake.current_take(head)
    if written.PROPERTY not in action:
        written.store(action)
    curve = real_take.curves(head)[('key_blocks["browInnerUp"].value', 0)]
    curve.keyframe_points[77].co.y = 0.9
    curve.keyframe_points[120].type = "EXTREME"
    edited = written.edited_frames(action)
    assert [f.tolist() for f in edited.values()] == [[78.0, 121.0]]
    pinned = curve.keyframe_points[120].co.y
    thin_take.thin_take(head, action, 0.05)
    assert curve.evaluate(78) == np.float32(0.9) and curve.evaluate(121) == pinned
    again = written.edited_frames(action)
    assert [f.tolist() for f in again.values()] == [[78.0, 121.0]]


def test_undo_gives_every_key_back(head):
    before = real_take.bits(head)
    bpy.ops.ed.undo_push(message="made")
    assert bpy.ops.facediff.thin_keys(tolerance=0.02) == {"FINISHED"}
    bpy.ops.ed.undo_push(message="thinned")
    assert keys_of(head) < 15433 / 4
    bpy.ops.ed.undo()
    assert real_take.bits(bpy.context.scene.facediff.head) == before


def test_what_cannot_be_thinned_says_why(head):
    action = bake.current_take(head)
    action.facediff_adjust.mouth = 1.2
    before = real_take.bits(head)
    with pytest.raises(RuntimeError, match="Apply or reset"):
        bpy.ops.facediff.thin_keys()
    assert real_take.bits(head) == before
    bpy.ops.facediff.reset_adjustment()
    bpy.ops.facediff.thin_keys()
    before = real_take.bits(head)
    with pytest.raises(RuntimeError, match="thin already"):
        bpy.ops.facediff.thin_keys()
    assert real_take.bits(head) == before
    head.data.shape_keys.animation_data_clear()
    with pytest.raises(RuntimeError, match="no animation"):
        bpy.ops.facediff.thin_keys()


def test_short_and_still_curves():
    values = np.stack([np.zeros(5), np.linspace(0, 1, 5), [0, 1, 0, 1, 0]], 1)
    still, ramp, saw = thin.thin(values, [0.02] * 3)
    assert [len(c.frames) for c in (still, ramp, saw)] == [2, 2, 5]
    assert thin.thin(values[:1], [0.02] * 3)[1].frames.tolist() == [0]
    assert [c.frames.tolist() for c in thin.thin(values[:2], [0.02] * 3)] == [[0, 1]] * 3
    kept = thin.thin(values, [0.02] * 3, forced=[[2], [1, 3], []])
    assert [c.frames.tolist() for c in kept[:2]] == [[0, 2, 4], [0, 1, 3, 4]]


def test_a_minute_is_thinned_at_once():
    head = real_take.perform(real_take.motion(60, 30))
    start = time.process_time()
    report = thin_take.thin_take(head, bake.current_take(head), 0.02)
    seconds = time.process_time() - start
    print(f"\n{bpy.app.version_string}: {seconds:.2f} s. {report.sentence()}")
    assert seconds < 4 and report.before / report.after > 4
