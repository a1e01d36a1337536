"""Missed closures: the same that the sync report counts, found in any recording by what the starter model hears."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.errors import Cancelled, InputError
from engine.motion import FaceMotion
from engine.sync import Phones, closures
from engine.weak_spots import check, missed_closures

SPEECH = Path(__file__).resolve().parents[2] / "engine" / "assets" / "demo" / "speech.flac"


def test_missed_are_exactly_those_that_are_not_reached():
    rng = np.random.default_rng(3)
    for _ in range(20):
        edges = np.cumsum(rng.uniform(0.04, 0.2, 41))
        phones = Phones(list(rng.choice(["p", "b", "m", "a", "s", "sil"], 40)), edges[:-1], edges[1:])
        gap = np.repeat(rng.uniform(0, 0.5, 80), 3)
        counts, missed = closures(gap, 30.0, phones), missed_closures(gap, 30.0, phones)
        assert len(missed) == counts.bilabials - counts.reached
        assert all(spot["phone"] in "pbm" and spot["gap"] >= 0.15 and spot["end"] > spot["start"] for spot in missed)


def a_motion(folder: Path, jaw: np.ndarray) -> Path:
    """A motion file at 30 fps with this jaw (T,)."""
    path = folder / "motion.npz"
    FaceMotion(fps=30.0, channels=("jawOpen",), weights=jaw[:, None]).save(path)
    return path


def test_lips_that_never_close_and_lips_that_mostly_do(tmp_path):
    frames = 300
    open_jaw = check(SPEECH, a_motion(tmp_path, np.full(frames, 0.8)), "cpu").meta["sync"]
    bilabials = open_jaw["figures"]["bilabials"]
    assert bilabials >= 5 and open_jaw["figures"]["recall"] == 0.0 and len(open_jaw["missed"]) == bilabials
    shut = np.zeros(frames)
    shut[: frames // 8] = 0.8
    stages: list[str] = []
    report = check(SPEECH, a_motion(tmp_path, shut), "cpu", lambda stage, _s, _n: stages.append(stage))
    late = [spot for spot in report.meta["sync"]["missed"] if spot["start"] > frames / 8 / 30 + 0.1]
    assert late == [] and {"load", "features", "geometry"} <= set(stages)
    assert report.landmarks68 is not None and all(np.isfinite(v) for v in report.meta["sync"]["figures"].values())


def test_bad_input_and_cancelling(tmp_path):
    path = tmp_path / "motion.npz"
    FaceMotion(fps=30.0, channels=("expression",), weights=np.zeros((10, 1))).save(path)
    with pytest.raises(InputError, match="ARKit"):
        check(SPEECH, path, "cpu")
    with pytest.raises(Cancelled):
        check(SPEECH, path, "cpu", cancelled=lambda: True)
