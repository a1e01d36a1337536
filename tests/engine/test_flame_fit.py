"""Expression and jaw recovered from vertices."""

from __future__ import annotations

import numpy as np

from engine.face.flame import flame_from_arrays, pose_flame
from engine.face.flame_fit import JAW_HIGHEST, JAW_LOWEST, MAX_VERTICES, fit_flame

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
        found, opened, residual = fit_flame(model, posed)
        assert np.abs(opened - jaw).max() < 2e-3
        again = pose_flame(model, found, {"jaw": opened})
        assert np.abs(again - posed).max() < 2e-4 and residual.max() < 1e-4
        assert found.dtype == opened.dtype == np.float32 and found.shape == (40, 50)


def test_a_neutral_face_has_neutral_parameters():
    model, *_ = model_and_motion(60)
    expression, jaw, _ = fit_flame(model, np.repeat(model.template[None], 3, axis=0))
    assert np.abs(expression).max() < 1e-4 and np.abs(jaw).max() < 1e-5


def test_vertices_that_no_face_makes_leave_the_jaw_a_jaw_and_say_how_far_off_they_are():
    model, *_ = model_and_motion(60)
    for size in (0.02, 1.0):
        wild = model.template + np.random.default_rng(0).normal(0, size, (40, 60, 3))
        expression, jaw, residual = fit_flame(model, wild)
        assert np.isfinite(expression).all()
        assert (jaw > JAW_LOWEST - 1e-6).all() and (jaw < JAW_HIGHEST + 1e-6).all()
        left = pose_flame(model, expression, {"jaw": jaw}) - wild
        assert np.allclose(residual, np.sqrt(np.square(left).sum(-1).mean(-1)), rtol=1e-3)
        still = np.sqrt(np.square(wild - model.template).sum(-1).mean(-1))
        assert (residual < still).all()


def test_a_jaw_opened_beyond_its_box_ends_at_the_box_and_the_expression_makes_the_best_of_it():
    model, expression, _ = model_and_motion(60)
    jaw = np.repeat([[1.2, 0.0, 0.5]], len(expression), axis=0)
    posed = pose_flame(model, expression, {"jaw": jaw})
    _found, opened, residual = fit_flame(model, posed)
    assert np.allclose(opened[:, 0], JAW_HIGHEST[0], atol=1e-6)
    plain = pose_flame(model, expression, {"jaw": opened}) - posed
    assert (residual < np.sqrt(np.square(plain).sum(-1).mean(-1))).all()
