"""Motion in ARKit's weights to FLAME's expression and jaw, and back, by a `Table`. NumPy only.

There, weights times the table. Back, the weights, each within 0..1, whose motion by the table is nearest to the given one,
measured in metres on the mesh.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from ...motion import FaceMotion
from ..flame_fit import JAW_HIGHEST, JAW_LOWEST
from .fit import Table

RIDGE = 5e-5  # m: root mean square over the mesh that a weight of 1 must explain to be worth it
SWEEPS, SETTLED = 400, 1e-5  # of the solve, and the largest change of a weight at which it ends


def to_flame(table: Table, channels: Sequence[str], weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(T, E) float32 expression and (T, 3) float32 jaw, rad, of weights (T, K) of the channels; unknown channels are left out."""
    rows = [(table.channels.index(name), k) for k, name in enumerate(channels) if name in table.channels]
    parameters = np.zeros((len(weights), table.parameters.shape[1]))
    if rows:
        there, here = np.array(rows).T
        parameters = np.asarray(weights, np.float64)[:, here] @ table.parameters[there]
    return parameters[:, :-3].astype(np.float32), np.clip(parameters[:, -3:], JAW_LOWEST, JAW_HIGHEST).astype(np.float32)


def motion_to_flame(table: Table, motion: FaceMotion, meta: dict[str, Any]) -> FaceMotion:
    """A motion of ARKit's weights as expression and jaw; head and eyes turn as they did, the jaw's own turn becomes its pose."""
    expression, jaw = to_flame(table, motion.channels, cast(np.ndarray, motion.weights))
    kept = [j for j, name in enumerate(motion.rotation_names) if name != "jaw"]
    return FaceMotion(
        fps=motion.fps,
        rotation_names=tuple(motion.rotation_names[j] for j in kept),
        rotations=cast(np.ndarray, motion.rotations)[:, kept],
        expression=expression,
        jaw_pose=jaw,
        meta=meta,
    )


def to_arkit(table: Table, expression: np.ndarray, jaw: np.ndarray, steadiness: float = 0.0) -> np.ndarray:
    """(T, K) float32 weights, 0..1, of the table's channels: those whose motion is nearest to the given one.

    expression: (T, e), jaw: (T, 3) rad. With fewer coefficients than the table's only these are compared. steadiness: m by
    which the motion may be missed so that a weight changes by 1 less from frame to frame; 0 takes each frame by itself.
    Minimises the mean square distance of the vertices + RIDGE^2 |w|^2 + steadiness^2 |w_t - w_(t-1)|^2 over 0 <= w <= 1 by
    coordinate descent, which converges to the minimum of a convex function in a box (Tseng 2001), all frames at once.
    """
    expression = np.asarray(expression, np.float64)
    count = expression.shape[1]
    if count < table.expressions:
        table = _without(table, count)
    else:
        expression = expression[:, : table.expressions]
    given = np.concatenate([expression, np.asarray(jaw, np.float64)], axis=1)
    gram = table.parameters @ table.metric @ table.parameters.T
    wanted = given @ table.metric @ table.parameters.T
    return _boxed(gram, wanted, steadiness**2).astype(np.float32)


def _without(table: Table, count: int) -> Table:
    """Only the first `count` coefficients and the jaw, as they are."""
    kept = np.r_[np.arange(count), table.expressions + np.arange(3)]
    metric = table.metric[np.ix_(kept, kept)]
    return replace(table, parameters=table.parameters[:, kept], metric=metric, sizes=table.sizes[:count])


def _boxed(gram: np.ndarray, wanted: np.ndarray, steady: float) -> np.ndarray:
    """(T, K) the w in 0..1 that minimises w gram w - 2 wanted w + RIDGE^2 |w|^2 + steady |difference of frames|^2."""
    frames, count = wanted.shape
    weights = np.zeros((frames, count))
    slope = -wanted.copy()  # half the gradient without the ridge and the frames around
    neighbours = np.zeros(frames)
    neighbours[1:] += 1
    neighbours[:-1] += 1
    halves = [slice(0, None)] if steady == 0 else [slice(0, None, 2), slice(1, None, 2)]
    for _ in range(SWEEPS):
        largest = 0.0
        for k in range(count):
            for part in halves:
                around = np.zeros(frames)
                if steady:
                    around[1:] += weights[:-1, k]
                    around[:-1] += weights[1:, k]
                here = gram[k, k] + RIDGE**2 + steady * neighbours[part]
                best = (gram[k, k] * weights[part, k] - slope[part, k] + steady * around[part]) / here
                change = np.clip(best, 0, 1) - weights[part, k]
                weights[part, k] += change
                slope[part] += change[:, None] * gram[k]
                largest = max(largest, float(np.abs(change).max(initial=0.0)))
        if largest < SETTLED:
            break
    return weights
