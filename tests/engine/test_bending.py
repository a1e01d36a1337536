"""The curve that bends least, against the same problem solved densely; and parts set into curves with it."""

from __future__ import annotations

import numpy as np
import pytest

from engine.bending import bend
from engine.joins import Seam, jump_limits, set_in, speed_jumps


def test_it_is_the_minimum_of_what_it_says():
    rng = np.random.default_rng(0)
    count, reach = 40, np.array([2.0, 5.0, 20.0])
    values, held = rng.normal(size=(count, 3)), rng.random((count, 3)) < 0.15
    wish, pull = rng.normal(size=(count, 3)), rng.random((count, 3))
    second = np.diff(np.eye(count), 2, axis=0)
    found = bend(values, held, reach, wish, pull)
    for k in range(3):
        h, springs = held[:, k], np.diag(4 / reach[k] ** 4 + pull[:, k])
        energy = second.T @ second + springs
        right = (pull[:, k] * wish[:, k])[~h] - energy[np.ix_(~h, h)] @ values[h, k]
        expected = values[:, k].copy()
        expected[~h] = np.linalg.solve(energy[np.ix_(~h, ~h)], right)
        np.testing.assert_allclose(found[:, k], expected, atol=1e-6)


def test_what_is_held_is_met_exactly_and_a_far_frame_does_not_move():
    values, held = np.zeros((200, 1)), np.zeros((200, 1), bool)
    values[100], held[100] = 0.3, True
    found = bend(values, held, 3.0)
    assert found[100, 0] == 0.3
    assert abs(found[103, 0]) < 0.2 and np.abs(found[[80, 120]]).max() < 1e-3
    assert np.abs(np.diff(found, 2, axis=0)).max() < 0.1  # it bends there, no spike


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_frame_or_two_is_enough(count):
    held = np.zeros((count, 1), bool)
    held[0] = True
    assert np.isfinite(bend(np.full((count, 1), 0.5), held, 4.0)).all()


@pytest.mark.parametrize("length", [1, 2, 3, 5, 30])
@pytest.mark.parametrize("first", [0, 1, 60])
def test_a_part_meets_the_motion_without_a_jump(length, first):
    time = np.arange(120)[:, None]
    base = 0.5 + 0.3 * np.sin(time / np.array([4.0, 9.0, 25.0]))
    fresh = 0.5 + 0.3 * np.cos(time / np.array([6.0, 7.0, 12.0]))
    held = np.ones(base.shape, bool)
    held[first : first + length] = False
    made = set_in(fresh, base, Seam(first, first + length, held, np.full(3, 3.0)))
    np.testing.assert_array_equal(made[held], base[held])
    joins = [f for f in (first - 1, first, first + length - 1, first + length) if 1 <= f]
    assert (speed_jumps(made)[joins] <= jump_limits(base) + 1e-9).all()
    if length == 30:
        middle = slice(first + 4, first + 26)
        assert np.corrcoef(made[middle, 0], fresh[middle, 0])[0, 1] > 0.8


def test_weights_stay_within_their_limits_where_a_pin_pulls():
    base, fresh = np.full((60, 1), 0.02), np.full((60, 1), 0.95)
    held = np.ones((60, 1), bool)
    held[20:40] = False
    held[30], base[30] = True, 1.0
    made = set_in(fresh, base, Seam(20, 40, held, np.full(1, 3.0)))
    assert made[30, 0] == 1.0 and 0 <= made.min() and made.max() <= 1
