"""The starter tracker on faces whose truth is known: the fit, what is hidden, the eyes, sound, and time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.face.arkit import ARKIT_52
from engine.face.embedding.mean_face import IBUG68
from engine.face.starter_head import rotation_matrices
from engine.occlufacediff.layers import alibi
from engine.occlufacediff.occlusion import named_visibility
from engine.occlufacediff.starter.pipeline import STEPS, eased, follow
from engine.occlufacediff.starter.points import LOOKED_AT, face_points
from engine.occlufacediff.starter.pose import fit_pose
from engine.occlufacediff.starter.turns import axis_angle, filled, steadied

from .conftest import filmed

TIME = np.arange(50) / 25
SHORT = 20  # frames, where nothing is asked of the shipped weights
TALK = {
    "jawOpen": 0.25 - 0.25 * np.cos(2 * np.pi * 1.5 * TIME),
    "mouthPucker": np.clip(np.sin(2 * np.pi * 0.7 * TIME), 0, 1) * 0.6,
    "mouthSmileLeft": np.clip(np.sin(2 * np.pi * 0.5 * TIME + 2), 0, 1) * 0.7,
    "browInnerUp": np.clip(np.sin(2 * np.pi * 0.4 * TIME), 0, 1) * 0.8,
    "eyeBlinkLeft": np.exp(-(((TIME - 1.0) / 0.08) ** 2)),
    "eyeBlinkRight": np.exp(-(((TIME - 1.0) / 0.08) ** 2)),
}
TURN = np.stack([0.1 * np.sin(3 * TIME), 0.25 * np.sin(2 * TIME), 0.05 * np.cos(TIME)], axis=1)
LOOK = np.stack([0.1 * np.sin(2 * TIME), 0.2 * np.sin(4 * TIME)], axis=1)
HUM = (0.3 * np.sin(np.arange(32_000) * 0.3) * (np.arange(32_000) % 8000 < 4000)).astype(np.float32)
EVERYTHING = np.ones((50, 478), bool)
FILM = filmed(TALK, TURN)[:SHORT]


def quiet(stage: str, step: int, total: int) -> None:
    pass


def run(tracker, pixels=FILM, visible=EVERYTHING, samples=HUM[: SHORT * 640], seed=0, steps=2):
    return follow(tracker, pixels, visible[: len(pixels)], samples, seed, quiet, steps)


def test_the_shipped_tracker_recovers_weights_head_and_gaze_of_a_face_in_full_view(shipped):
    motion = run(shipped, filmed(TALK, TURN, LOOK, noise=0.15), samples=HUM, steps=STEPS)
    assert motion.channels == ARKIT_52 and motion.frames == 50 and motion.fps == 25
    assert (motion.weights >= 0).all() and (motion.weights <= 1).all()
    for name in ("jawOpen", "mouthSmileLeft", "mouthPucker", "browInnerUp", "eyeBlinkLeft"):
        assert np.corrcoef(motion.channel(name), TALK[name])[0, 1] > 0.85, name
    assert np.abs(motion.channel("jawOpen") - TALK["jawOpen"]).mean() < 0.1
    assert motion.channel("eyeBlinkLeft").argmax() == pytest.approx(25, abs=1)
    assert np.abs(motion.rotation("head") - TURN).max() < 0.06
    assert np.corrcoef(motion.rotation("left_eye")[:, 1], LOOK[:, 1])[0, 1] > 0.85
    assert np.array_equal(motion.rotation("left_eye"), motion.rotation("right_eye"))
    assert np.allclose(motion.rotation("jaw")[:, 0], 0.3665 * motion.channel("jawOpen"))


@pytest.mark.parametrize("part", ["mouth", "upper", "left", "audio_only"])
def test_hidden_points_have_no_influence_to_the_last_bit(tiny, part):
    visible = np.broadcast_to(named_visibility(part), (SHORT, 478)).copy()
    visible[10:14] = False
    moved = FILM.copy()
    moved[~visible] = np.nan
    a, b = run(tiny, FILM, visible), run(tiny, moved, visible)
    assert np.array_equal(a.weights, b.weights) and np.array_equal(a.rotations, b.rotations)
    assert not np.array_equal(a.weights, run(tiny).weights)


def test_a_hidden_mouth_follows_the_denoiser_and_the_sound(tiny):
    visible = np.broadcast_to(named_visibility("mouth"), (SHORT, 478))
    a = run(tiny, FILM, visible)
    assert not np.array_equal(a.weights, run(tiny, FILM, visible, samples=HUM[3000:15_800]).weights)
    assert not np.array_equal(a.weights, run(tiny, FILM, visible, seed=1).weights)
    assert np.array_equal(a.weights, run(tiny, FILM, visible).weights)
    assert np.allclose(a.rotation("head"), TURN[:SHORT], atol=0.06)
    assert a.channel("browInnerUp").max() > 0.4


def test_clips_of_any_length_with_and_without_sound_or_face(tiny):
    for frames, seen in ((1, True), (1, False), (7, True), (65, True), (130, False)):
        pixels = np.resize(FILM, (frames, 478, 2))
        visible = np.full((frames, 478), seen)
        for samples in (np.zeros(0, np.float32), HUM) if frames < 10 else (HUM,):
            motion = run(tiny, pixels, visible, samples=samples)
            assert motion.frames == frames and np.isfinite(motion.weights).all() and np.isfinite(motion.rotations).all()


def test_a_face_that_leaves_and_returns_does_not_jump(tiny):
    visible = EVERYTHING.copy()
    visible[8:14] = False
    motion = run(tiny, FILM, visible)
    step = np.abs(np.diff(motion.rotation("head"), axis=0)).max(axis=1)
    assert step[[7, 13]].max() < 0.08
    assert np.allclose(motion.rotation("head")[:8], TURN[:8], atol=0.06)


def test_points_come_into_view_little_by_little():
    visible = np.ones((30, 2), bool)
    visible[10:15, 0] = False
    weight = eased(visible)
    assert weight[:, 1].min() == 1 and (weight[10:15, 0] == 0).all()
    assert weight[[5, 9, 15, 19], 0] == pytest.approx([1, 0.2, 0.2, 1]) and np.abs(np.diff(weight[:, 0])).max() < 0.21


def test_the_pose_of_a_turned_head_is_found_and_hidden_frames_are_held():
    points = face_points()
    turns = np.array([[0.2, 0.5, -0.1], [-0.3, -0.4, 0.3], [0.0, 0.1, 0.0]])
    pixels = 2.0 * (points.rest @ rotation_matrices(turns).transpose(0, 2, 1))[..., :2] + [10, 20]
    weight = np.tile(points.steady, (3, 1))
    weight[1] = 0
    pose = fit_pose(pixels, np.repeat(points.rest[None], 3, axis=0), weight, np.array([True, False, True]))
    assert np.allclose(axis_angle(pose.rotation)[[0, 2]], turns[[0, 2]], atol=1e-3)
    assert np.allclose(pose.scale, 2.0) and np.allclose(pose.shift, [10, 20], atol=0.01)
    assert np.allclose(axis_angle(pose.rotation)[1], turns[0], atol=1e-3)


def test_axis_angle_turns_back_what_rotation_matrices_made():
    turns = np.random.default_rng(0).normal(0, 0.8, (20, 3))
    turns[0] = 0
    assert np.allclose(axis_angle(rotation_matrices(turns)), turns)


def test_trembling_goes_and_a_nod_stays_in_height_and_time():
    nod = np.exp(-0.5 * ((np.arange(60) - 30) / 4) ** 2)[:, None]
    calm = steadied(nod + np.random.default_rng(0).normal(0, 0.05, nod.shape))
    assert abs(steadied(nod).max() - 1) < 0.03 and steadied(nod).argmax() == 30
    assert np.abs(np.diff(calm - nod, 2, axis=0)).mean() < 0.03
    assert np.array_equal(steadied(nod[:5]), nod[:5])


def test_unknown_values_are_filled_without_a_jump():
    known = np.array([1, 1, 0, 0, 1, 1], bool)
    values, filler = np.full((6, 1), 5.0), np.arange(6.0)[:, None]
    assert filled(values, known, filler)[:, 0] == pytest.approx([5, 5, 5, 5, 5, 5])  # the filler's rise is levelled out
    values[4:] = 9
    assert filled(values, known, filler)[:, 0] == pytest.approx([5, 5, 5 + 4 / 3, 5 + 8 / 3, 9, 9])
    assert filled(values, ~np.ones(6, bool), filler) is filler


def test_the_points_lie_where_the_heads_own_68_do():
    from engine.face.starter_head import load_starter_head

    head = load_starter_head()
    own = (head.vertices[head.landmark_triangles] * head.landmark_barycentric[..., None]).sum(axis=1) * 1000
    assert np.abs(face_points().rest[IBUG68] - own)[:60].max() < 1.5
    assert len(LOOKED_AT) == len(set(LOOKED_AT.tolist())) and LOOKED_AT.max() < 468


def test_attention_is_not_diagonal(tiny):
    """A prior or a denoiser in which every frame attends to itself alone is silently wrong."""
    x = torch.randn(1, 16, 8)
    other = x.clone()
    other[:, 12] += 1
    layer = tiny.flint.decoder.layers[0]
    with torch.inference_mode():
        moved = (layer(x, alibi(2, 16)) - layer(other, alibi(2, 16))).abs()[0].amax(dim=1)
    assert (moved[:12] > 1e-6).all()
