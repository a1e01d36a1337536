"""Training examples show what they say they show, and the stages end in a tracker that loads."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.occlufacediff.starter.canonical import enough, looked_at_input, rigid_modes, without_rigid_motion
from engine.occlufacediff.starter.channels import CHANNELS
from engine.occlufacediff.starter.examples import FRAMES, draw_visibility, make_batch
from engine.occlufacediff.starter.points import LOOKED_AT, face_points
from engine.starter.performance import MOTION

REST, STEADY = face_points().rest[LOOKED_AT], face_points().steady[LOOKED_AT]


def performances(count: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.clip(np.cumsum(rng.normal(0, 0.05, (count, FRAMES, len(MOTION))), axis=1), 0, 0.8).astype(np.float32)


def test_examples_hide_with_zeros_and_do_not_depend_on_chance_alone():
    batch = make_batch(performances(3), np.random.default_rng(0))
    again = make_batch(performances(3), np.random.default_rng(0))
    assert batch.motion.shape == (6, 64, len(CHANNELS)) and batch.seen.shape == (6, 64, len(LOOKED_AT) + 2, 3)
    assert (batch.seen[~batch.visible] == 0).all() and (batch.seen[batch.visible][:, 2] == 1).all()
    assert np.array_equal(batch.seen, again.seen) and np.isfinite(batch.seen).all()
    assert (batch.motion[..., :-3] >= 0).all() and (batch.motion[..., :-3] <= 1).all()


def test_all_kinds_of_hiding_are_drawn():
    rng = np.random.default_rng(0)
    shares = np.array([draw_visibility(40, rng)[0].mean() for _ in range(60)])
    assert (shares == 1).any() and (shares == 0).any() and ((shares > 0.3) & (shares < 0.95)).sum() > 20


def test_what_a_head_does_as_a_whole_is_taken_out_by_the_visible_points_alone():
    rng = np.random.default_rng(0)
    share = rng.normal(0, 0.05, (5, 6))
    moved = np.einsum("ta,apc->tpc", share, rigid_modes(REST))
    visible = np.broadcast_to(REST[:, 1] > -45, moved.shape[:2])
    spoiled = np.where(visible[..., None], moved, 99.0)
    left, known = without_rigid_motion(spoiled, visible, REST, STEADY)
    assert known.all() and np.abs(left[visible]).max() < 0.01
    assert enough(np.zeros((1, len(REST)), bool), REST).tolist() == [False]
    seen, shown = looked_at_input(left, visible, np.zeros((5, 3)), known)
    assert seen.shape == (5, len(REST) + 2, 3) and shown[:, -2:].all() and (seen[~shown] == 0).all()


def test_stages_end_in_a_tracker_that_loads(tmp_path):
    from engine.animate import ASSETS
    from engine.occlufacediff.starter.model import load_tracker
    from engine.occlufacediff.starter.train import Plan, export, read_ears, train_denoiser, train_flint
    from engine.starter.train import Features

    ears = read_ears(ASSETS / "starter")
    motion = np.tile(performances(2)[:, None], (1, 1, 2, 1)).astype(np.float16)
    heard = np.zeros((2, 2, 2 * FRAMES, ears.feature_dim), np.float16)
    features = Features(heard, motion, np.zeros((*motion.shape[:3], 2), np.float16), np.zeros((*motion.shape[:3], 7), np.float16))
    lines: list[str] = []
    flint = train_flint(features, tmp_path, Plan.smoke(), lines.append)
    train_denoiser(features, flint, tmp_path, Plan.smoke(), lines.append)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "NOTES.md").write_text("kept")
    export(ears, tmp_path, tmp_path / "out", Plan.smoke())
    tracker = load_tracker(tmp_path / "out", torch.device("cpu"))
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["NOTES.md", "config.json", "model.safetensors"]
    assert tracker.decode(torch.zeros(1, 2, 128)).shape == (1, 16, len(CHANNELS))
    assert tracker.denoiser.config.landmark_dim == 3 * (len(LOOKED_AT) + 2)


def test_a_damaged_tracker_is_refused_in_a_sentence(tmp_path):
    from engine.errors import InputError
    from engine.occlufacediff.starter.model import load_tracker

    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"incomplete or damaged"):
        load_tracker(tmp_path, torch.device("cpu"))
