"""The sliders of Adjust on a real take: what each changes and what it leaves, Reset to the bit, edits, undo, speed."""

from __future__ import annotations

import time
from dataclasses import replace

import bpy
import numpy as np
import pytest
import real_take
from facediff_tree.engine.face.arkit import ARKIT_52
from facediff_tree.facediff_blender import adjust, adjust_take, bake, bezier, keyframes, resample, written

FPS = 25.0


pytestmark = pytest.mark.usefixtures("registered")


@pytest.fixture
def head():
    return real_take.perform(real_take.motion())


@pytest.fixture(scope="module")
def made():
    """(channels, weights, lips' gap, indices of its closures) of the take."""
    motion = real_take.motion()
    gap = motion.channel("jawOpen") - motion.channel("mouthClose")
    closed = np.flatnonzero(adjust.closedness(motion.weights, motion.channels) == 1.0)
    assert len(closed) > 10
    return motion.channels, motion.weights, gap, closed


def gap_of(weights, channels):
    return weights[:, channels.index("jawOpen")] - weights[:, channels.index("mouthClose")]


def of_kind(channels, *kinds):
    return [k for k, name in enumerate(channels) if adjust.kind_of(name) in kinds]


def sliders(head):
    return bake.current_take(head).facediff_adjust


def test_sliders_in_the_middle_change_no_bit(made):
    channels, weights, _, _ = made
    assert np.array_equal(adjust.adjusted(weights, channels, FPS, adjust.AS_MADE), weights)
    assert np.array_equal(adjust.shifted(weights, channels, FPS, 0.0), weights)
    assert {adjust.kind_of(name) for name in ARKIT_52} == {"mouth", "upper", "blink", "gaze"}


@pytest.mark.parametrize(("slider", "kind"), [("mouth", "mouth"), ("upper", "upper"), ("blinks", "blink")])
def test_a_strength_scales_its_region_alone(made, slider, kind):
    channels, weights, _, closed = made
    for gain in (0.0, 0.5, 1.5, 2.0):
        result = adjust.adjusted(weights, channels, FPS, replace(adjust.AS_MADE, **{slider: gain}))
        own = of_kind(channels, kind)
        sneer = [k for k in own if channels[k] in ("mouthClose", "mouthRollLower")]
        plain = [k for k in own if k not in sneer]
        assert np.abs(result[:, plain] - np.clip(gain * weights[:, plain], 0, 1)).max() < 1e-6
        others = [k for k in range(len(channels)) if k not in own and channels[k] not in ("mouthClose", "mouthRollLower")]
        assert np.array_equal(result[:, others], weights[:, others])
        assert result.min() >= 0 and result.max() <= 1
        assert np.abs(gap_of(result, channels)[closed]).max() < 0.04, f"{slider} {gain}: lips stay closed"


def test_blinks_at_strength_one_keep_closing_and_their_moment(made):
    channels, weights, _, _ = made
    lids = of_kind(channels, "blink")
    assert weights[:, lids].max() > 0.95
    for settings in (replace(adjust.AS_MADE, mouth=1.4, upper=0.6, smoothing=0.12, closure=1.8),):
        assert np.array_equal(adjust.adjusted(weights, channels, FPS, settings)[:, lids], weights[:, lids])
    moved = adjust.shifted(weights, channels, FPS, 0.03)
    assert moved[:, lids].max() == weights[:, lids].max(), "a part of a frame does not open them"


def test_smoothing_evens_out_and_keeps_closures(made):
    channels, weights, gap, closed = made
    result = adjust.adjusted(weights, channels, FPS, replace(adjust.AS_MADE, smoothing=0.08))
    moving = [k for k in of_kind(channels, "mouth", "upper") if np.ptp(weights[:, k]) > 0.05]
    rough = [np.abs(np.diff(w[:, moving], 2, axis=0)).sum() for w in (weights, result)]
    assert rough[1] < 0.65 * rough[0], rough
    assert np.array_equal(gap_of(result, channels)[closed], gap[closed])
    for i in resample.closures(gap):
        if gap[i] < 0.02:
            assert gap_of(result, channels)[i] < gap[i] + 1e-6
    assert result.min() >= 0 and result.max() <= 1


def test_lip_closure_acts_where_lips_close_and_nowhere_else(made):
    channels, weights, gap, closed = made
    degree = adjust.closedness(weights, channels)
    loose = weights.copy()
    close = channels.index("mouthClose")
    loose[closed, close] *= 0.85  # lips that do not quite meet
    for strength in (0.0, 0.5, 1.5, 2.0):
        result = adjust.adjusted(loose, channels, FPS, replace(adjust.AS_MADE, closure=strength))
        elsewhere = adjust.closedness(loose, channels) == 0.0
        assert elsewhere.sum() > 50 and np.array_equal(result[elsewhere], loose[elsewhere]), "not a bit elsewhere"
        before, after = (gap_of(w, channels)[closed].mean() for w in (loose, result))
        assert after < 0.6 * before if strength > 1 else after > 1.2 * before, (strength, before, after)
    sealed = gap_of(adjust.adjusted(weights, channels, FPS, replace(adjust.AS_MADE, closure=2.0)), channels)
    assert sealed[closed].max() < 0.002
    labiodental = (degree == 0) & (weights[:, channels.index("mouthRollLower")] > 0.2)
    assert not labiodental.any() or np.array_equal(sealed[labiodental], gap[labiodental])


@pytest.mark.parametrize("offset", [-0.1, 0.04, 0.05, 0.013])
def test_the_offset_moves_all_and_keeps_closures(made, offset):
    channels, weights, gap, closed = made
    result = adjust.shifted(weights, channels, FPS, offset)
    time = np.arange(len(weights)) / FPS
    brow = channels.index("browInnerUp")
    expected = np.interp(time - offset, time, weights[:, brow])
    assert np.abs(result[:, brow] - expected).max() < 1e-5
    moved = gap_of(result, channels)
    for i in closed:
        at = round(i + offset * FPS)
        if 1 < at < len(gap) - 2:
            assert moved[at - 1 : at + 2].min() <= gap[i] + 0.005, i


def test_live_sliders_write_the_curves_and_reset_gives_every_bit_back(head):
    action = bake.current_take(head)
    before, moment = real_take.bits(head), written.digest(action)
    frames = np.arange(1, 254)
    made = real_take.weights(head, frames)
    rolled = dict(made)
    for name, value in (("mouth", 1.3), ("smoothing", 40), ("head", 0.4), ("closure", 1.6), ("offset", -55), ("mouth", 0.7)):
        setattr(sliders(head), name, value)
        assert written.digest(action) != moment
    names = list(rolled)
    settings = adjust.Settings(mouth=0.7, smoothing=0.04, head=0.4, closure=1.6, offset=-0.055)
    want = np.stack([rolled[n] for n in names], 1).astype(np.float32)
    want = adjust.shifted(adjust.adjusted(want, names, FPS, settings), names, FPS, settings.offset)
    found = real_take.weights(head, frames)
    assert max(np.abs(found[n] - want[:, k]).max() for k, n in enumerate(names)) < 1e-6, "from the original, whatever came between"
    scene = bpy.context.scene
    scene.frame_set(100)
    value = head.evaluated_get(bpy.context.evaluated_depsgraph_get()).data.shape_keys.key_blocks["jawOpen"].value
    assert abs(value - found["jawOpen"][99]) < 1e-6
    sliders(head).mouth = 1.4
    bpy.context.view_layer.update()
    again = head.evaluated_get(bpy.context.evaluated_depsgraph_get()).data.shape_keys.key_blocks["jawOpen"].value
    assert again > 1.5 * value > 0, "the picture follows without a change of frame"
    assert len(bpy.data.actions) == 2
    assert bpy.ops.facediff.reset_adjustment() == {"FINISHED"}
    assert real_take.bits(head) == before
    assert len(bpy.data.actions) == 1 and not adjust_take.is_adjusted(action)
    assert sliders(head).mouth == 1.0 and sliders(head).offset == 0.0


def test_the_head_turns_less_and_the_eyes_as_before(head):
    turns = {n: keyframes.read(c)["co"][:, 1] for n, c in real_take.curves(head).items() if "pose.bones" in n[0]}
    sliders(head).head = 0.5
    for (path, index), curve in real_take.curves(head).items():
        if "pose.bones" in path:
            now = keyframes.read(curve)["co"][:, 1]
            assert np.abs(now - (0.5 if '"head"' in path else 1.0) * turns[(path, index)]).max() < 1e-6, path


def test_quaternions_keep_their_axis():
    angle = np.linspace(-0.6, 0.6, 20)
    turn = np.stack([np.cos(angle / 2), np.sin(angle / 2) * 0.6, np.zeros(20), np.sin(angle / 2) * 0.8], 1)
    half = adjust.turned(turn, "head", FPS, replace(adjust.AS_MADE, head=0.5))
    want = np.stack([np.cos(angle / 4), np.sin(angle / 4) * 0.6, np.zeros(20), np.sin(angle / 4) * 0.8], 1)
    assert np.abs(half - want).max() < 1e-6


def test_apply_makes_it_the_takes_own(head):
    action = bake.current_take(head)
    sliders(head).mouth = 1.2
    adjusted = real_take.bits(head)
    assert bpy.ops.facediff.apply_adjustment() == {"FINISHED"}
    assert real_take.bits(head) == adjusted and len(bpy.data.actions) == 1
    assert sliders(head).mouth == 1.0 and adjust_take.ORIGINAL not in action
    assert not bpy.ops.facediff.reset_adjustment.poll()
    sliders(head).upper = 1.5
    bpy.ops.facediff.reset_adjustment()
    assert real_take.bits(head) == adjusted
    sliders(head).mouth = 0.5
    half = real_take.bits(head)
    adjust_take.apply(action, FPS)  # as whoever makes a part anew does
    assert sliders(head).mouth == 1.0
    sliders(head).upper = 1.2
    bpy.ops.facediff.reset_adjustment()
    assert real_take.bits(head) == half


def test_keys_that_the_animator_edits_meanwhile_stay(head):
    curve = real_take.curves(head)[('key_blocks["jawOpen"].value', 0)]
    brow = real_take.curves(head)[('key_blocks["browInnerUp"].value', 0)]
    made = keyframes.read(curve)["co"].copy()
    sliders(head).mouth = 0.5
    curve.keyframe_points[40].co.y = 0.77
    brow.keyframe_points.insert(30.5, 0.4)
    brow.keyframe_points.remove(brow.keyframe_points[10])
    sliders(head).mouth = 0.8
    sliders(head).upper = 1.3
    now = keyframes.read(curve)["co"]
    others = np.arange(len(made)) != 40
    assert now[40, 1] == np.float32(0.77)
    assert np.abs(now[others, 1] - 0.8 * made[others, 1]).max() < 1e-6
    bpy.ops.facediff.reset_adjustment()
    now = keyframes.read(curve)["co"]
    assert now[40, 1] == np.float32(0.77) and np.array_equal(now[others], made[others])
    assert abs(brow.evaluate(30.5) - 0.4) < 1e-6 and len(brow.keyframe_points) == len(made)
    assert 11.0 not in keyframes.read(brow)["co"][:, 0]


def test_applied_edits_still_count_as_the_animators(head):
    action = bake.current_take(head)
    if written.PROPERTY not in action:
        written.store(action)
    curves = written.curves_of(action)
    name = next(n for n in curves if n[1] == 'key_blocks["jawOpen"].value')
    curves[name].keyframe_points[20].co.y = 0.5
    sliders(head).mouth = 0.9
    written.curves_of(action)[name].keyframe_points[50].co.y = 0.6
    bpy.ops.facediff.apply_adjustment()
    assert {n: f.tolist() for n, f in written.edited_frames(action).items()} == {name: [21.0, 51.0]}


def test_a_copied_take_has_its_own_sliders(head):
    action = bake.current_take(head)
    before = real_take.bits(head)
    sliders(head).mouth = 1.5
    copy = action.copy()
    assert adjust_take.is_adjusted(copy) and copy.facediff_adjust.mouth == 1.5
    slot = next(s for s in copy.slots if s.target_id_type == "KEY")
    path = 'key_blocks["browInnerUp"].value'
    curve = next(c for n, c in written.curves_of(copy).items() if n[1] == path and n[0] == slot.handle)
    curve.keyframe_points[3].co.y = 0.9
    copy.facediff_adjust.upper = 0.5  # the edit goes into an original of the copy's own
    bpy.ops.facediff.reset_adjustment()
    assert real_take.bits(head) == before
    adjust_take.reset(copy, FPS)
    assert curve.keyframe_points[3].co.y == np.float32(0.9)
    assert {a.name for a in bpy.data.actions} == {action.name, copy.name}


def test_thinned_takes_follow_the_sliders_too(head):
    frames = np.arange(1, 254)
    bpy.ops.facediff.thin_keys(tolerance=0.005)
    before, bits = real_take.weights(head, frames), real_take.bits(head)
    sliders(head).upper = 0.5
    after = real_take.weights(head, frames)
    for name in ("browInnerUp", "browDownLeft", "noseSneerLeft", "eyeSquintRight"):
        assert np.abs(after[name] - 0.5 * before[name]).max() < 0.02, name
    sliders(head).upper = 1.0
    sliders(head).offset = 80.0  # two frames
    after = real_take.weights(head, frames)
    assert max(np.abs(after[n][2:] - before[n][:-2]).max() for n in before) < 1e-4
    bpy.ops.facediff.reset_adjustment()
    assert real_take.bits(head) == bits


def test_our_bezier_is_blenders(head):
    rng = np.random.default_rng(2)
    curve = real_take.curves(head)[('key_blocks["jawOpen"].value', 0)]
    frames = np.sort(rng.choice(np.arange(1, 60, 0.5), 12, replace=False))
    keys = keyframes.dense(frames, rng.uniform(size=12))
    for side, sign in (("handle_left", -1), ("handle_right", 1)):
        keys[side][:, 0] += sign * rng.uniform(0, 8, 12)
        keys[side][:, 1] += rng.normal(0, 0.5, 12)
        keys[side + "_type"][:] = keyframes.number_of(side + "_type", "FREE")
    keys["interpolation"][:] = rng.integers(0, 3, 12)
    keyframes.write(curve, keys)
    at = np.arange(-2, 62, 0.25)
    places = (keys[p] for p in ("co", "handle_left", "handle_right"))
    ours = bezier.evaluate(*places, keys["interpolation"], at)
    assert np.abs(ours - [curve.evaluate(f) for f in at]).max() < 2e-5


def test_undo_takes_a_slider_back(head):
    before = real_take.bits(head)
    bpy.ops.ed.undo_push(message="made")
    sliders(head).mouth = 1.4
    adjusted = real_take.bits(head)
    bpy.ops.ed.undo_push(message="slider")
    bpy.ops.facediff.reset_adjustment()
    bpy.ops.ed.undo_push(message="reset")
    bpy.ops.ed.undo()
    head = bpy.context.scene.facediff.head
    assert real_take.bits(head) == adjusted and sliders(head).mouth == np.float32(1.4)
    bpy.ops.ed.undo()
    head = bpy.context.scene.facediff.head
    assert real_take.bits(head) == before and not adjust_take.is_adjusted(bake.current_take(head))
    bpy.ops.ed.redo()
    bpy.ops.ed.redo()
    assert real_take.bits(bpy.context.scene.facediff.head) == before


def test_a_minute_is_adjusted_while_dragging():
    head = real_take.perform(real_take.motion(60, 30))
    took = []
    for value in (1.1, 1.2, 1.3, 1.4, 1.5, 1.6):
        start = time.process_time()
        sliders(head).mouth = value
        sliders(head).smoothing = 40 * value
        took.append((time.process_time() - start) / 2)
    count = len(real_take.curves(head))
    print(f"\n{bpy.app.version_string}: {1000 * min(took[1:]):.1f} ms a step for 1800 frames of {count} curves")
    assert min(took[1:]) < 0.05, took


def test_why_it_is_grey(head):
    assert not bpy.ops.facediff.apply_adjustment.poll()
    head.data.shape_keys.animation_data_clear()
    with pytest.raises(RuntimeError, match="no animation"):
        bpy.ops.facediff.reset_adjustment()
