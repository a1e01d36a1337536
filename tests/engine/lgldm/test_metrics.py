"""Metrics on faces whose errors are known by hand, and region files."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from engine.errors import InputError
from engine.lgldm.evaluate import clip_figures, pooled
from engine.lgldm.metrics import (
    Clip,
    all_vertex_error,
    diversity,
    facial_dynamics_deviation,
    mean_region_error,
    mean_vertex_error,
    region_error,
)
from engine.lgldm.regions import flame_regions, load_region


def clip(errors: np.ndarray, longer: int = 0) -> Clip:
    """A clip whose prediction is off by errors (T, V) along x."""
    truth = np.zeros((*errors.shape, 3))
    predicted = truth.copy()
    predicted[..., 0] = errors
    return Clip(np.concatenate([truth, np.ones((longer, *truth.shape[1:]))]), predicted, np.zeros(truth.shape[1:]))


ERRORS = np.array([[0.0, 1.0, 2.0], [3.0, 0.0, 1.0]])


def test_known_errors():
    clips = [clip(ERRORS, longer=4), clip(np.full((1, 3), 2.0))]
    assert region_error(clips, np.array([0, 1])) == pytest.approx((1 + 9 + 4) / 3)
    assert mean_region_error(clips, np.array([0, 2])) == pytest.approx((2 + 5 + 4) / 3)
    assert mean_vertex_error(clips) == pytest.approx((1 + 4 / 3 + 2) / 3)
    assert all_vertex_error(clips) == pytest.approx((9 + 4 + 4) / 3)


def test_figures_pooled_over_clips_are_those_of_all_frames():
    rng = np.random.default_rng(0)
    clips = [clip(rng.normal(size=(n, 5))) for n in (3, 8, 5)]
    regions = {"lip": np.array([0, 1]), "emotion": np.array([2, 3])}
    figures = pooled([clip_figures(c, regions) for c in clips])
    assert figures["LVE"] == pytest.approx(region_error(clips, regions["lip"]))
    assert figures["EME"] == pytest.approx(mean_region_error(clips, regions["emotion"]))
    assert figures["MVE"] == pytest.approx(mean_vertex_error(clips))
    assert figures["frames"] == 16 and "FVE" not in figures


def test_a_still_prediction_lacks_dynamics_and_a_wild_one_has_too_much():
    t = np.arange(50) / 5
    moving = np.zeros((50, 4, 3))
    moving[..., 1] = np.sin(t)[:, None]
    neutral, region = np.zeros((4, 3)), np.arange(4)
    assert facial_dynamics_deviation([Clip(moving, moving * 0, neutral)], region)[0] == pytest.approx(np.std(np.sin(t) ** 2))
    signed, absolute = facial_dynamics_deviation([Clip(moving, 2 * moving, neutral), Clip(moving, moving, neutral)], region)
    assert signed == pytest.approx(-1.5 * np.std(np.sin(t) ** 2)) and absolute == pytest.approx(-signed)


def test_diversity_is_the_mean_pairwise_distance():
    still = np.zeros((4, 2, 3))
    assert diversity([[still, still + [3, 0, 0], still + [0, 4, 0]]]) == pytest.approx((3 + 4 + 5) / 3)
    with pytest.raises(ValueError):
        diversity([[still]])


def test_region_files(tmp_path):
    np.save(tmp_path / "lip.npy", np.array([5, 3, 3], np.int64))
    (tmp_path / "lip.txt").write_text("3, 5,\n3\n")
    for name in ("lip.npy", "lip.txt"):
        assert load_region(tmp_path / name, 10).tolist() == [3, 5]
        with pytest.raises(InputError, match="between 0 and 4"):
            load_region(tmp_path / name, 5)
    (tmp_path / "bad.txt").write_text("three")
    for bad in ("bad.txt", "absent.txt"):
        with pytest.raises(InputError):
            load_region(tmp_path / bad, 10)
    masks = {n: np.array([i]) for i, n in enumerate(("lips", "face", "eye_region", "forehead", "nose"))}
    (tmp_path / "FLAME_masks.pkl").write_bytes(pickle.dumps(masks, protocol=2))
    assert flame_regions(tmp_path / "FLAME_masks.pkl", 5)["emotion"].tolist() == [2, 3, 4]
    (tmp_path / "FLAME_masks.pkl").write_bytes(pickle.dumps({"lips": masks["lips"]}))
    with pytest.raises(InputError):
        flame_regions(tmp_path / "FLAME_masks.pkl", 5)
