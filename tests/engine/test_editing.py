"""A part of a motion made anew by the shipped model: what stays, how it joins, pins, closed lips, blinks, and seeds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import soundfile

from engine import cli
from engine.animate import ASSETS, AnimateOptions, animate, with_geometry
from engine.errors import InputError
from engine.joins import jump_limits, speed_jumps
from engine.motion import FaceMotion
from engine.parts import REGIONS, find_part
from engine.starter.editing import MAKES
from engine.starter.eye_events import gaze_of_part, lids_of_part, runs

FPS = 30.0  # not the model's own


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    samples, rate = soundfile.read(ASSETS / "demo" / "speech.flac")
    path = tmp_path_factory.mktemp("sound") / "s.wav"
    soundfile.write(path, samples[: 6 * rate], rate)
    return path


@pytest.fixture(scope="module")
def take(sound):
    return animate(sound, AnimateOptions(fps=FPS, device="numpy"))


@pytest.fixture(scope="module")
def other(sound, take):
    """Frames 45 to 104 of the whole face from another seed."""
    return anew(sound, take, seed=7)


def anew(sound, base, start=1.5, end=3.5, **options):
    wanted = AnimateOptions(**{"device": "numpy", "base": base, "start": start, "end": end, **options})
    return animate(sound, wanted)


def equal(a, b):
    return np.array_equal(a.view(np.int32), b.view(np.int32))


def moved(take, channel, frames, by):
    """The take with keys moved and pinned."""
    weights = take.weights.copy()
    column = take.channels.index(channel)
    weights[frames, column] = np.clip(weights[frames, column] + by, 0, 1)
    return replace(take, weights=weights, meta={**take.meta, "pinned": {channel: list(frames)}})


def over(new, base, frames, names=None):
    """Channels whose speed jumps at the joins by more than the base's 95th percentile."""
    columns = [base.channels.index(n) for n in names or base.channels]
    jumps, limits = speed_jumps(new.weights[:, columns])[frames], jump_limits(base.weights[:, columns])
    forced = np.abs(np.diff(base.weights[:, columns], 2, axis=0))[[f - 1 for f in frames]] > limits
    return (jumps > limits + 1e-6) & ~forced


def test_outside_nothing_changes_and_inside_everything_may(take, other):
    outside = np.r_[0:45, 105 : take.frames]
    assert equal(other.weights[outside], take.weights[outside])
    assert equal(other.rotations[outside], take.rotations[outside])
    inside = np.abs(other.weights - take.weights)[45:105].max(axis=0)
    assert (inside > 0.002).sum() > 25
    assert np.abs(other.rotation("head") - take.rotation("head"))[45:105].max() > 0.005
    assert other.channels == take.channels and other.fps == FPS and other.frames == take.frames
    assert 0 <= other.weights.min() and other.weights.max() <= 1


def test_joins_have_no_jump(take, other):
    joins = [44, 45, 104, 105]
    assert not over(other, take, joins).any()
    for name in ("head", "left_eye"):
        limits = jump_limits(take.rotation(name))
        assert (speed_jumps(other.rotation(name))[joins] <= limits + 1e-6).all()


def test_the_same_seed_makes_nearly_the_same_again(sound, take, other):
    same = anew(sound, take, seed=0)
    inside = slice(45, 105)
    difference = [np.abs(m.weights - take.weights)[inside].mean() for m in (same, other)]
    assert difference[0] < 0.4 * difference[1] and difference[0] < 0.005
    assert equal(anew(sound, take, seed=7).weights, other.weights)


def test_closed_lips_stay_closed(take, other):
    gaps = []
    for motion in (take, other):
        points = with_geometry(motion, True, False).landmarks68
        gaps.append(np.linalg.norm(points[:, 62] - points[:, 66], axis=1))
    closed = [a for a, b in runs(gaps[0] < 0.1 * np.percentile(gaps[0], 95)) if a >= 45 and b <= 105]
    assert closed
    for start in closed:
        assert gaps[1][start - 1 : start + 3].min() < 0.15 * np.percentile(gaps[0], 95)


@pytest.mark.parametrize("region", ["mouth", "eyes", "brows", "head"])
def test_a_region_alone(sound, take, region):
    motion = anew(sound, take, seed=3, channels=[region], emotion={"sad": 1.0})
    changed = {n for n in take.channels if not equal(motion.channel(n), take.channel(n))}
    changed |= {n for n in take.rotation_names if not equal(motion.rotation(n), take.rotation(n))}
    assert changed and changed <= set(REGIONS[region])
    if region != "head":
        names = [n for n in REGIONS[region] if n in take.channels]
        assert not over(motion, take, [44, 45, 104, 105], names).any()


@pytest.mark.parametrize(("channel", "by"), [("jawOpen", 0.3), ("browInnerUp", 0.25), ("eyeBlinkLeft", 0.6)])
def test_pinned_keys_are_met_and_their_neighbours_come_along(sound, take, channel, by):
    frames = [60, 82]
    base = moved(take, channel, frames, by)
    motion, plain = anew(sound, base, seed=7), anew(sound, take, seed=7)
    np.testing.assert_array_equal(motion.channel(channel)[frames], base.channel(channel)[frames])
    if channel == "eyeBlinkLeft":  # blinks come and go whole, so only the curve at the pins can be compared
        assert (motion.channel(channel)[[59, 61, 81, 83]] > 0.1).all()
    else:
        assert ((motion.channel(channel) - plain.channel(channel))[[59, 61, 81, 83]] > 0.01).all()
    if channel == "jawOpen":  # lips that are to be closed follow a jaw that the animator opened
        apart = [(m.channel("jawOpen") - m.channel("mouthClose"))[45:105].min() for m in (motion, plain)]
        assert apart[0] < apart[1] + 0.02


def test_a_pinned_head_is_met_too(sound, take):
    rotations = take.rotations.copy()
    rotations[70, take.rotation_names.index("head")] += (0.1, -0.05, 0.0)
    base = replace(take, rotations=rotations, meta={"pinned": {"head": [70]}})
    motion = anew(sound, base, seed=7)
    np.testing.assert_array_equal(motion.rotation("head")[70], base.rotation("head")[70])
    assert motion.rotation("head")[68:73, 0].min() > take.rotation("head")[68:73, 0].max() - 0.1
    assert np.abs(np.diff(motion.rotation("head"), 2, axis=0)).max() < 0.03


def test_the_whole_motion_may_be_the_part(sound, take):
    motion = animate(sound, AnimateOptions(base=take, device="numpy"))
    assert np.abs(motion.weights - take.weights).mean() < 2e-3
    assert np.abs(motion.rotation("head") - take.rotation("head")).max() < 0.02


def test_a_motion_with_few_channels_and_no_bones(sound, take):
    names = ("smirk", "eyeLookInLeft", "jawOpen", "mouthClose")
    weights = np.stack([np.linspace(0, 1, take.frames), *(take.channel(n) for n in names[1:])], axis=1)
    base = FaceMotion(FPS, names, weights.astype(np.float32))
    motion = anew(sound, base, seed=7, landmarks=True)
    assert equal(motion.channel("smirk"), base.channel("smirk")) and motion.rotation_names == ()
    assert not np.array_equal(motion.channel("jawOpen"), base.channel("jawOpen"))
    assert motion.landmarks68.shape == (take.frames, 68, 3)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"start": 3.0, "end": 2.0}, "no frame"),
        ({"channels": ["smirk"]}, "no channel 'smirk'"),
        ({"channels": []}, "No channel was chosen"),
        ({"fps": 24.0}, "30 frames per second"),
        ({"base": None}, "give it as the base"),
        ({"start": float("nan")}, "second nan"),
    ],
)
def test_what_cannot_be_is_one_sentence(sound, take, options, said):
    with pytest.raises(InputError, match=said) as caught:
        anew(sound, **{"base": take, **options})
    assert "\n" not in str(caught.value)


def test_pins_that_are_none_are_refused(take):
    for pinned in ([], {"jawOpen": [1.5]}, {"jawOpen": [take.frames]}, {"jawOpen": 3}):
        with pytest.raises(InputError, match="pinned frames"):
            find_part(replace(take, meta={"pinned": pinned}), 0.0, 1.0, None, MAKES)


def test_the_command_line_makes_a_part_anew(sound, take, other, tmp_path, capsys):
    take.save(tmp_path / "take.npz")
    out = tmp_path / "new.npz"
    part = ["--base", str(tmp_path / "take.npz"), "--start", "1.5", "--end", "3.5", "--seed", "7", "--device", "numpy"]
    assert cli.main(["animate", str(sound), "--out", str(out), *part]) == 0
    assert equal(FaceMotion.load(out).weights, other.weights)
    assert cli.main(["animate", str(sound), "--out", str(out), "--base", str(tmp_path / "no.npz")]) == 1
    assert "cannot be read" in capsys.readouterr().err


# --- events


def blink(frames, *starts):
    lids = np.zeros(frames)
    for start in starts:
        lids[start : start + 7] = (0.3, 0.8, 1.0, 1.0, 0.7, 0.4, 0.1)
    return lids


def test_blinks_are_whole_on_both_sides_of_a_border():
    base = np.stack([blink(200, 47, 80, 118)] * 2, axis=1)
    fresh = blink(200, 46, 95, 116)
    lids = lids_of_part(base, fresh, 50, 120, np.zeros(0, int), 25.0)
    np.testing.assert_array_equal(lids[:50], base[:50])
    np.testing.assert_array_equal(lids[120:], base[120:])
    assert [a for a, _ in runs(lids[:, 0] > 0)] == [47, 95, 118]  # straddling ones stay, the old inner one is gone
    assert lids_of_part(base, fresh, 50, 120, np.array([82]), 25.0)[80:87, 0].max() == 1.0  # a pinned blink stays


def test_glances_start_from_and_lead_back_to_the_motion():
    base, fresh = np.zeros((100, 2)), np.zeros((100, 2))
    base[:, 1], base[70:, 0] = 0.1, 0.05
    fresh[40:, 0], fresh[55:, 0] = 0.2, -0.1
    gaze = gaze_of_part(base, fresh, 30, 80, 25.0)
    np.testing.assert_array_equal(gaze[:40], base[:40])
    np.testing.assert_allclose(gaze[40:55], [[0.2, 0.0]] * 15)
    np.testing.assert_allclose(gaze[55:], [[0.05, 0.1]] * 45)
