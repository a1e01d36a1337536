"""ARKit's shapes in FLAME's words on a FLAME-format head whose true shapes are known, and motion there and back."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.face.arkit import ARKIT_52
from engine.face.arkit_flame.fit import Table, fit_table
from engine.face.arkit_flame.solve import RIDGE, to_arkit, to_flame
from engine.face.flame import FlameModel, flame_from_arrays, pose_flame
from engine.face.starter_head import ASSET, load_starter_head, pose_landmarks68
from engine.motion import FaceMotion

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
from synthetic_flame import SyntheticFlame, synthetic_flame  # noqa: E402

OPEN, CLOSE = ARKIT_52.index("jawOpen"), ARKIT_52.index("mouthClose")


class Made(NamedTuple):
    synthetic: SyntheticFlame
    model: FlameModel
    table: Table
    lips: np.ndarray


@pytest.fixture(scope="module")
def made() -> Made:
    """The made-up head, and its table from its true shapes."""
    head = load_starter_head()
    with np.load(ASSET.with_name("facemesh_points.npz")) as data:
        points = (head.vertices[data["triangles"].astype(int)] * data["weights"][..., None]).sum(axis=1)
    synthetic = synthetic_flame(head, points)
    model = flame_from_arrays(synthetic.arrays)
    middle = synthetic.points68[48:].mean(axis=0)
    around = np.exp(-((model.template - middle) ** 2).sum(axis=1) / (2 * 0.06**2)) * (model.skin[:, 3:].sum(axis=1) < 0.5)
    table = fit_table(model, synthetic.shapes, around, source="made-up.npz")
    away = ((model.template[:, None] - synthetic.points68[48:]) ** 2).sum(axis=2)
    return Made(synthetic, model, table, np.unique(away.argmin(axis=0)))


def take() -> np.ndarray:
    """(T, 52) of speech."""
    motion = FaceMotion.load(ROOT / "tests" / "blender" / "demo_take.npz")
    weights = np.zeros((motion.frames, len(ARKIT_52)))
    weights[:, [ARKIT_52.index(c) for c in motion.channels]] = motion.weights
    return weights


def test_the_synthetic_head_is_a_flame_model_of_another_topology(made):
    head = load_starter_head()
    joints = made.model.regressor @ made.model.template
    assert np.linalg.norm(joints[3] - joints[4]) == pytest.approx(0.063, rel=0.2) and joints[3, 0] > 0 > joints[4, 0]
    assert len(made.model.template) != len(head.vertices) and made.model.expression_basis.shape[2] == 100
    edges = np.sort(np.concatenate([made.model.faces[:, [0, 1]], made.model.faces[:, [1, 2]], made.model.faces[:, [2, 0]]]), axis=1)
    assert np.unique(edges, axis=0, return_counts=True)[1].max() == 2
    away = ((made.model.template[::7, None] - head.vertices) ** 2).sum(axis=2).min(axis=1) ** 0.5
    assert np.median(away) > 0.002, "another person"


def test_speech_in_flames_words_moves_the_lips_as_the_shapes_do(made):
    weights = take()
    expression, jaw = to_flame(made.table, ARKIT_52, weights)
    posed = pose_flame(made.model, expression, {"jaw": jaw})[:, made.lips]
    wanted = made.model.template[made.lips] + np.einsum("tk,kvc->tvc", weights, made.synthetic.shapes[:, made.lips])
    off = 1000 * np.linalg.norm(posed - wanted, axis=2)
    moved = 1000 * np.linalg.norm(wanted - made.model.template[made.lips], axis=2)
    assert off.mean() < 0.5 and np.quantile(off, 0.99) < 2 and moved.mean() > 2
    assert made.table.residual_mm.mean() < 0.4 and (jaw[:, 0] > 0.02).any()


@pytest.mark.parametrize("opening", [0.15, 0.5, 1.0])
def test_mouth_close_closes_what_jaw_open_opened(made, opening):
    weights = np.zeros((2, 52))
    weights[:, OPEN], weights[1, CLOSE] = opening, opening
    expression, jaw = to_flame(made.table, ARKIT_52, weights)
    posed = pose_flame(made.model, expression, {"jaw": jaw})
    middle = made.synthetic.points68[[62, 66]].mean(axis=0)
    near = np.flatnonzero(((made.model.template - middle) ** 2).sum(axis=1) < 0.003**2)
    upper, lower = (near[pick(made.model.skin[near, 2])] for pick in (np.argmin, np.argmax))
    rest = np.linalg.norm(made.model.template[upper] - made.model.template[lower])
    gap = np.linalg.norm(posed[:, upper] - posed[:, lower], axis=1)
    assert gap[0] > 0.02 * opening and gap[1] < rest + 0.0025


def test_there_and_back_the_weights_and_the_lips_are_the_same(made):
    weights = take()
    expression, jaw = to_flame(made.table, ARKIT_52, weights)
    for count in (100, 50):
        table = made.table.with_expressions(count)
        expression, jaw = to_flame(table, ARKIT_52, weights)
        assert expression.shape == (len(weights), count)
        again = to_arkit(made.table if count == 100 else table, expression, jaw)
        head = load_starter_head()
        lips = [pose_landmarks68(head, w)[:, 48:] for w in (weights, again)]
        off = np.abs(again - weights)
        assert 1000 * np.linalg.norm(lips[0] - lips[1], axis=2).mean() < 0.1 and off.mean() < 0.015 and off.max() < 0.3


def test_fewer_expressions_make_the_best_of_what_the_others_did(made):
    few = made.table.with_expressions(20)
    cut = made.table.parameters[:, [*range(20), 100, 101, 102]]

    def missed(parameters: np.ndarray) -> np.ndarray:
        wide = np.zeros_like(made.table.parameters)
        wide[:, [*range(20), 100, 101, 102]] = parameters
        off = wide - made.table.parameters
        return np.einsum("ki,ij,kj->k", off, made.table.metric, off)

    assert few.parameters.shape == (52, 23) and (missed(few.parameters) <= missed(cut) * 1.01 + 1e-12).all()
    assert missed(few.parameters).sum() < 0.97 * missed(cut).sum()
    wide = made.table.with_expressions(120)
    assert np.array_equal(wide.parameters[:, :100], made.table.expression) and not wide.parameters[:, 100:120].any()
    assert np.array_equal(wide.jaw, made.table.jaw)


def table_of(rng: np.random.Generator, expressions: int = 80) -> Table:
    """A table of shapes that differ well, each of about 3 mm."""
    parameters = rng.normal(0, 1, (52, expressions + 3))
    parameters[:, -3:] *= 0.1
    basis = rng.normal(0, 0.003 / np.sqrt(expressions), (300, expressions + 3))
    return Table(ARKIT_52, parameters, basis.T @ basis / 100, np.zeros(52), np.ones(expressions), 100)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_known_weights_are_found_again(seed):
    rng = np.random.default_rng(seed)
    table = table_of(rng)
    weights = np.clip(rng.uniform(-0.5, 1.3, (6, 52)), 0, 1)
    expression, _ = to_flame(table, ARKIT_52, weights)
    jaw = weights @ table.jaw  # beyond a jaw's box, which to_flame keeps
    assert np.abs(to_arkit(table, expression, jaw) - weights).max() < 0.02


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 3e-4, 3e-3]))
def test_no_other_weights_in_the_box_are_better(seed, steadiness):
    """The conditions of Karush, Kuhn and Tucker: the slope is 0 inside the box, and points outwards at its walls."""
    rng = np.random.default_rng(seed)
    table = table_of(rng, 30)
    given_ = rng.normal(0, 1.5, (9, 33))
    weights = to_arkit(table, given_[:, :30], given_[:, 30:], steadiness).astype(float)
    assert weights.min() >= 0 and weights.max() <= 1
    slope = (weights @ table.parameters - given_) @ table.metric @ table.parameters.T + RIDGE**2 * weights
    change = steadiness**2 * np.diff(weights, axis=0)
    slope[1:] += change
    slope[:-1] -= change
    size = np.diag(table.parameters @ table.metric @ table.parameters.T)
    wrong = np.where(weights < 1e-6, np.maximum(-slope, 0), np.where(weights > 1 - 1e-6, np.maximum(slope, 0), np.abs(slope)))
    assert (wrong / size).max() < 5e-3


def test_steadiness_makes_noise_quieter_and_keeps_what_is_still():
    rng = np.random.default_rng(0)
    table = table_of(rng)
    weights = np.tile(np.clip(rng.uniform(0, 1, 52), 0, 1), (40, 1))
    given_ = weights @ table.parameters
    noisy = given_ + rng.normal(0, 0.3, given_.shape)
    plain, steady = (to_arkit(table, noisy[:, :-3], noisy[:, -3:], s) for s in (0.0, 0.003))
    assert np.abs(np.diff(steady, axis=0)).mean() < 0.5 * np.abs(np.diff(plain, axis=0)).mean()
    assert np.abs(steady - weights).mean() < np.abs(plain - weights).mean()
    assert np.abs(to_arkit(table, given_[:, :-3], given_[:, -3:], 0.003) - weights).max() < 0.02


def test_channels_in_another_order_and_strange_ones():
    table = table_of(np.random.default_rng(1))
    weights = np.random.default_rng(2).uniform(0, 1, (4, 3))
    expression, jaw = to_flame(table, ("jawOpen", "wings", "mouthClose"), weights)
    wide = np.zeros((4, 52))
    wide[:, OPEN], wide[:, CLOSE] = weights[:, 0], weights[:, 2]
    want = to_flame(table, ARKIT_52, wide)
    assert np.allclose(expression, want[0]) and np.allclose(jaw, want[1])
    assert not np.any(to_flame(table, ("wings",), np.ones((2, 1)))[0])
    assert to_arkit(table, np.zeros((0, 80)), np.zeros((0, 3))).shape == (0, 52)


def test_a_motion_without_expressions_beyond_fifty_is_compared_in_those(made):
    weights = take()[::10]
    expression, jaw = to_flame(made.table.with_expressions(50), ARKIT_52, weights)
    off = np.abs(to_arkit(made.table, expression, jaw) - weights)
    assert off.mean() < 0.03


def test_the_solve_takes_all_frames_at_once():
    """The bound is loose, for machines that do other things."""
    table = table_of(np.random.default_rng(0))
    weights = np.clip(np.random.default_rng(1).uniform(-1, 1, (1000, 52)), 0, 1)
    given_ = weights @ table.parameters
    started = time.process_time()
    again = to_arkit(table, given_[:, :-3], given_[:, -3:])
    assert time.process_time() - started < 10 and np.abs(again - weights).mean() < 0.01
