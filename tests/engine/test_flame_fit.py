"""Expression and jaw recovered from vertices."""

from __future__ import annotations

import numpy as np

from engine.face.flame import flame_from_arrays, pose_flame
from engine.face.flame_fit import MAX_VERTICES, fit_flame

from .test_flame import synthetic


def model_and_motion(vertices: int, frames: int = 40):
    arrays = synthetic(vertices)
    arrays["shapedirs"] *= 0.3
    arrays["weights"][: vertices // 2, 2] = 0
    arrays["weights"][vertices // 2 :, 2] += 2
    arrays["weights"] /= arrays["weights"].sum(1, keepdims=True)
    rng = np.random.default_rng(2)
    jaw = np.stack([rng.uniform(0, 0.4, frames), *rng.normal(0, 0.03, (2, frames))], 1)
    return flame_from_arrays(arrays), rng.normal(size=(frames, 50)), jaw


def test_parameters_come_back_to_what_rounding_leaves():
    for vertices in (60, 2 * MAX_VERTICES):
        model, expression, jaw = model_and_motion(vertices)
        posed = np.round(pose_flame(model, expression, {"jaw": jaw}), 4)
        found, opened = fit_flame(model, posed)
        assert np.abs(opened - jaw).max() < 2e-3
        again = pose_flame(model, found, {"jaw": opened})
        assert np.abs(again - posed).max() < 2e-4
        assert found.dtype == opened.dtype == np.float32 and found.shape == (40, 50)


def test_a_neutral_face_has_neutral_parameters():
    model, *_ = model_and_motion(60)
    expression, jaw = fit_flame(model, np.repeat(model.template[None], 3, axis=0))
    assert np.abs(expression).max() < 1e-4 and np.abs(jaw).max() < 1e-5


def test_vertices_that_no_face_makes_stay_bounded():
    model, *_ = model_and_motion(60)
    wild = model.template + np.random.default_rng(0).normal(0, 0.02, (5, 60, 3))
    expression, jaw = fit_flame(model, wild)
    assert np.isfinite(expression).all() and np.abs(jaw).max() < 3.2
