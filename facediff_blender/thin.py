"""Dense curves -> as few Bezier keys as an error allows. NumPy only; all segments of all curves are fitted at once.

Schneider's scheme ("An Algorithm for Automatically Fitting Digitized Curves", Graphics Gems, 1990) for curves over time: a
segment is fitted by least squares, and where it misses the tolerance it is split at its worst frame. Then neighbours
that one segment can stand for are joined again. Handles always lie a third of the way in time, which makes time linear
along a segment: they cannot fold back, every value is a plain cubic, and glTF's cubic splines hold the same curve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RIDGE = 1e-9  # keeps the fit of a segment without enough samples solvable; it then bends as little as possible
JOINS = 8  # rounds of joining, of every second key each
SLACK = 0.7  # of the tolerance is used up by placing keys; the rest lets most handles lie in a line
ROUNDING = 2e-6  # float32 values and Blender's own evaluation differ by less: the tolerance is kept with it


@dataclass(frozen=True)
class Thinned:
    """One curve. frames: (N,) int64 indices of the frames that keep a key; values, left, right: (N,) float32 values of keys
    and of their handles, which lie a third of the way to the neighbouring keys. smooth: (N,) whether both lie in a line."""

    frames: np.ndarray
    values: np.ndarray
    left: np.ndarray
    right: np.ndarray
    smooth: np.ndarray


def thin(
    values: np.ndarray,
    tolerance: Sequence[float] | np.ndarray,
    forced: Sequence[Sequence[int] | np.ndarray] | None = None,
    limits: np.ndarray | None = None,
) -> list[Thinned]:
    """Fewer keys for (F, K) curves with a value per frame, LINEAR in between.

    tolerance: (K,) greatest error, on the frames and half-way between them. forced: per curve, indices of frames that keep
    a key, and so their value. limits: (K, 2) lowest and highest value that a curve may take between its keys.
    """
    values = np.asarray(values, np.float64)
    count, curves = values.shape
    if count < 2:
        zeros = np.zeros(count, np.int64)
        single = [values[:, k].astype(np.float32) for k in range(curves)]
        return [Thinned(zeros, value, value, value, np.ones(count, bool)) for value in single]
    allowed = np.maximum(np.asarray(tolerance, np.float64) - ROUNDING, 0.0)
    fit = _Fit(values, SLACK * allowed, limits)
    anchors = [np.unique([0, count - 1, *(forced[k] if forced is not None else ())]) for k in range(curves)]
    fixed = np.concatenate([k * fit.length + 2 * a for k, a in enumerate(anchors)]).astype(np.int64)
    keys = _join(fit, _split(fit, fixed), fixed)
    fit.tolerance = allowed
    return _finish(fit, keys)


class _Fit:
    """All curves behind one another, each sampled at half frames; a segment is its first and last index in that row."""

    def __init__(self, values: np.ndarray, tolerance: np.ndarray, limits: np.ndarray | None) -> None:
        self.length = 2 * len(values) - 1
        fine = np.empty((values.shape[1], self.length))
        fine[:, ::2] = values.T
        fine[:, 1::2] = 0.5 * (values.T[:, 1:] + values.T[:, :-1])
        self.row = fine.ravel()
        self.tolerance = tolerance
        free = np.array([[-np.inf, np.inf]])
        limits = np.repeat(free, values.shape[1], 0) if limits is None else np.asarray(limits, np.float64)
        # What lies outside of its limits already must stay reachable.
        self.low = np.minimum(limits[:, 0], values.min(axis=0))
        self.high = np.maximum(limits[:, 1], values.max(axis=0))

    def segments(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First and last index of the segments between these keys."""
        inside = keys[1:] // self.length == keys[:-1] // self.length
        return keys[:-1][inside], keys[1:][inside]

    def solve(self, first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The handles' values (S,), (S,) of least squared error."""
        segment, start, at, t = self._samples(first, last)
        ends = (1 - t) * self.row[first][segment] + t * self.row[last][segment]
        rest = self.row[at] - ends
        b1, b2 = 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t)
        a11, a12, a22, c1, c2 = (np.add.reduceat(x, start) for x in (b1 * b1, b1 * b2, b2 * b2, b1 * rest, b2 * rest))
        a11, a22 = a11 + RIDGE, a22 + RIDGE
        whole = a11 * a22 - a12 * a12
        y0, y3 = self.row[first], self.row[last]
        curve = first // self.length
        low, high = self.low[curve], self.high[curve]
        y1 = (2 * y0 + y3) / 3 + (a22 * c1 - a12 * c2) / whole
        y2 = (y0 + 2 * y3) / 3 + (a11 * c2 - a12 * c1) / whole
        return np.clip(y1, low, high), np.clip(y2, low, high)

    def misses(
        self, first: np.ndarray, last: np.ndarray, y1: np.ndarray, y2: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Of each segment: whether it misses its tolerance, and the index of the whole frame inside it to split at."""
        segment, start, at, t = self._samples(first, last)
        v = 1 - t
        cubic = v**3 * self.row[first][segment] + 3 * v * v * t * y1[segment]
        cubic += 3 * v * t * t * y2[segment] + t**3 * self.row[last][segment]
        error = np.abs(cubic - self.row[at])
        worst = np.maximum.reduceat(error, start)
        _, where = np.unique(segment[error == worst[segment]], return_index=True)
        place = at[np.flatnonzero(error == worst[segment])[where]]
        middle = first + 2 * ((place - first + 1) // 2)
        return worst > self.tolerance[first // self.length], np.clip(middle, first + 2, last - 2)

    def _samples(self, first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, ...]:
        count = last - first + 1
        start = np.cumsum(count) - count
        segment = np.repeat(np.arange(len(first)), count)
        step = np.arange(len(segment)) - start[segment]
        return segment, start, first[segment] + step, step / (count - 1)[segment]


def _split(fit: _Fit, keys: np.ndarray) -> np.ndarray:
    first, last = fit.segments(keys)
    found = [keys]
    while len(first):
        bad, middle = fit.misses(first, last, *fit.solve(first, last))
        first, last, middle = first[bad], last[bad], middle[bad]
        found.append(middle)
        first, last = np.concatenate([first, middle]), np.concatenate([middle, last])
    return np.unique(np.concatenate(found))


def _join(fit: _Fit, keys: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    idle = 0
    for turn in range(JOINS):
        place = np.flatnonzero(~np.isin(keys, fixed))
        place = place[place % 2 == turn % 2]
        if len(place):
            first, last = keys[place - 1], keys[place + 1]
            bad, _ = fit.misses(first, last, *fit.solve(first, last))
            keys = np.delete(keys, place[~bad])
            idle = 0 if (~bad).any() else idle + 1
        else:
            idle += 1
        if idle == 2:
            break
    return keys


def _finish(fit: _Fit, keys: np.ndarray) -> list[Thinned]:
    """Handles in a line wherever the tolerance allows it."""
    first, last = fit.segments(keys)
    y1, y2 = fit.solve(first, last)
    third = (last - first) / 3.0
    joint = np.flatnonzero(last[:-1] == first[1:])  # between segment j and j + 1
    here = fit.row[last[joint]]
    into, out = (here - y2[joint]) / third[joint], (y1[joint + 1] - here) / third[joint + 1]
    slope = (into * third[joint] + out * third[joint + 1]) / (third[joint] + third[joint + 1])
    curve = first // fit.length
    smooth = np.ones(len(joint), bool)
    while True:
        a, b = y1.copy(), y2.copy()
        j = joint[smooth]
        b[j] = here[smooth] - slope[smooth] * third[j]
        a[j + 1] = here[smooth] + slope[smooth] * third[j + 1]
        outside = (np.minimum(a, b) < fit.low[curve]) | (np.maximum(a, b) > fit.high[curve])
        bad = (fit.misses(first, last, a, b)[0] | outside) & ((a != y1) | (b != y2))
        if not bad.any():
            break
        # Of a segment's two joints the one gives way that bent it more.
        strain = np.where(smooth, np.abs(out - into), -1.0)
        left_of, right_of = np.full(len(first), -1.0), np.full(len(first), -1.0)
        right_of[joint], left_of[joint + 1] = strain, strain
        smooth &= ~((bad[joint] & (right_of >= left_of)[joint]) | (bad[joint + 1] & (left_of > right_of)[joint + 1]))
    straight = np.zeros(len(keys), bool)
    straight[np.searchsorted(keys, last[joint[smooth]])] = True
    left, right = fit.row[keys].copy(), fit.row[keys].copy()
    right[np.searchsorted(keys, first)] = a
    left[np.searchsorted(keys, last)] = b
    result = []
    for k in range(len(fit.low)):
        own = slice(*np.searchsorted(keys, [k * fit.length, (k + 1) * fit.length]))
        frames = (keys[own] - k * fit.length) // 2
        value, before, after = (x[own].astype(np.float32) for x in (fit.row[keys], left, right))
        result.append(Thinned(frames, value, before, after, straight[own]))
    return result
