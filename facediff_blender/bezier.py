"""F-curves evaluated as Blender evaluates them, all frames at once. NumPy only."""

from __future__ import annotations

import numpy as np

CONSTANT, LINEAR, BEZIER = 0, 1, 2  # the numbers of the interpolations that `evaluate` knows
STEPS = 30  # of bisection, for handles that are not a third of the way: 1e-9 of a segment


def evaluate(co: np.ndarray, left: np.ndarray, right: np.ndarray, interpolation: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """(F,) float64 values of a curve at frames (F,), constant before its first and after its last key.

    co, left, right: (N, 2) keys and handles, frame and value; interpolation: (N,) of the three above, from each key to the
    next. A handle that reaches beyond the other key is drawn in to it, as Blender does (`BKE_fcurve_correct_bezpart`).
    """
    frames = np.asarray(frames, np.float64)
    co, left, right = (np.asarray(a, np.float64) for a in (co, left, right))
    if len(co) == 1:
        return np.full(len(frames), co[0, 1])
    k = np.clip(np.searchsorted(co[:, 0], frames, side="right") - 1, 0, len(co) - 2)
    start, end = co[k], co[k + 1]
    length = end[:, 0] - start[:, 0]
    inside = np.clip(frames, co[0, 0], co[-1, 0])
    part = np.where(length > 0, (inside - start[:, 0]) / np.where(length > 0, length, 1.0), 1.0)
    straight = start[:, 1] + part * (end[:, 1] - start[:, 1])
    kind = np.asarray(interpolation)[k]
    values = np.where((kind == CONSTANT) & (part < 1.0), start[:, 1], straight)
    curved = np.flatnonzero(kind == BEZIER)
    if len(curved):
        values[curved] = _cubic(start[curved], right[k[curved]], left[k[curved] + 1], end[curved], part[curved])
    return values


def _cubic(p0: np.ndarray, p1: np.ndarray, p2: np.ndarray, p3: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Values at `part` (F,) of the way in time through F Bezier segments, whose points are (F, 2)."""
    length = p3[:, 0] - p0[:, 0]
    out, back = p1 - p0, p3 - p2
    for handle in (out, back):
        handle *= np.where(np.abs(handle[:, 0]) > length, length / np.maximum(np.abs(handle[:, 0]), 1e-12), 1.0)[:, None]
    a, b = out[:, 0] / length, 1.0 - back[:, 0] / length
    u = part.copy()
    uneven = np.flatnonzero((np.abs(a - 1 / 3) > 1e-6) | (np.abs(b - 2 / 3) > 1e-6))
    if len(uneven):
        a, b, want = a[uneven], b[uneven], part[uneven]
        low, high = np.zeros(len(uneven)), np.ones(len(uneven))
        for _ in range(STEPS):
            middle = 0.5 * (low + high)
            over = 3 * a * middle * (1 - middle) ** 2 + 3 * b * middle**2 * (1 - middle) + middle**3 > want
            low, high = np.where(over, low, middle), np.where(over, middle, high)
        u[uneven] = 0.5 * (low + high)
    v = 1 - u
    y1, y2 = p0[:, 1] + out[:, 1], p3[:, 1] - back[:, 1]
    return v**3 * p0[:, 1] + 3 * v * v * u * y1 + 3 * v * u * u * y2 + u**3 * p3[:, 1]
