"""A part made anew, set into the motion it belongs to: no jump where they meet, pinned values met, the rest left alone.

NumPy only. T: frames of the whole motion, K: columns (weights or components of rotations), each with its own limits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .bending import bend

JUMP_PERCENTILE = 95  # of a take's own changes of speed: more than that is not allowed where old and new meet
WIDER = (1.0, 2.0)  # how far a correction may spread, in its own reach, before the frames at the join are bounded
SHORT = 4  # frames; in a part shorter than this the two joins share frames, and bounding takes rounds
ROUNDS = 20
STIFF = 1e3  # frames: the reach of a curve that only bends


@dataclass(frozen=True)
class Seam:
    """Where and how a part meets the motion around it.

    first, after: the part is first <= frame < after. held: (T, K) bool, True outside of the part and where pinned. reach:
    (K,) frames over which a correction dies away. low, high: bounds of the values made anew.
    """

    first: int
    after: int
    held: np.ndarray
    reach: np.ndarray
    low: float = 0.0
    high: float = 1.0


def speed_jumps(curve: np.ndarray) -> np.ndarray:
    """(T, K) to (T, K): the change of speed at each frame, |v[i+1] - 2 v[i] + v[i-1]|; 0 at both ends."""
    jumps = np.zeros(curve.shape)
    jumps[1:-1] = np.abs(np.diff(curve.astype(np.float64), 2, axis=0))
    return jumps


def jump_limits(base: np.ndarray) -> np.ndarray:
    """(K,) how much the speed may jump at a join: JUMP_PERCENTILE of the base's own (T, K) jumps."""
    jumps = speed_jumps(base)[1:-1]
    return np.percentile(jumps, JUMP_PERCENTILE, axis=0) if len(jumps) else np.zeros(base.shape[1])


def set_in(fresh: np.ndarray, base: np.ndarray, seam: Seam, pull: np.ndarray | None = None) -> np.ndarray:
    """(T, K) float64: the base where it is held, and between it the fresh values, bent to meet it.

    fresh, base: (T, K). pull: (T, K), where the fresh values are to stay as they are if at all possible, such as a lip
    closure. What has to be bent away at the joins and pins spreads as `bending.bend` does. Where the speed would still jump
    by more than the base's own jumps allow, the two frames inside a join are bounded and the rest bends to meet them too;
    where even that leaves no room, in a part of one to three frames, the curve just goes smoothly across.
    """
    window = slice(max(0, seam.first - 2), min(len(base), seam.after + 2))
    held = seam.held[window]
    goal, start = base[window].astype(np.float64), fresh[window].astype(np.float64)
    push = None if pull is None else pull[window]
    wish = None if pull is None else np.zeros_like(goal)
    limit = jump_limits(base)
    joins = [f - window.start for f in (seam.first - 1, seam.first, seam.after - 1, seam.after)]
    joins = sorted({j for j in joins if 1 <= j < len(goal) - 1})
    out = goal.copy()
    todo = ~held.all(axis=0)
    for factor in WIDER:
        r = bend(
            (goal - start)[:, todo], held[:, todo], (seam.reach * factor)[todo],
            None if wish is None else wish[:, todo], None if push is None else push[:, todo],
        )  # fmt: skip
        out[:, todo] = np.where(held[:, todo], goal[:, todo], np.clip(start[:, todo] + r, seam.low, seam.high))
        todo = todo & (speed_jumps(out)[joins] > limit).any(axis=0)
        if not todo.any():
            return _whole(base, window, out)
    bounded = out[:, todo]
    fixed = held[:, todo] | _bound(bounded, held[:, todo], limit[todo], joins, seam, window.start)
    r = bend(bounded - start[:, todo], fixed, (seam.reach * WIDER[-1])[todo])
    out[:, todo] = np.where(fixed, bounded, np.clip(start[:, todo] + r, seam.low, seam.high))
    if seam.after - seam.first < SHORT:
        todo = todo & (speed_jumps(out)[joins] > limit).any(axis=0)
        straight = bend(goal[:, todo], held[:, todo], STIFF)
        out[:, todo] = np.where(held[:, todo], goal[:, todo], np.clip(straight, seam.low, seam.high))
    return _whole(base, window, out)


def _bound(out: np.ndarray, held: np.ndarray, limit: np.ndarray, joins: list[int], seam: Seam, start: int) -> np.ndarray:
    """Bound the free frames beside the joins in place; returns (N, K) where that was done.

    At the first join a frame follows from the two before it, at the second from the two after it.
    """
    mine = np.zeros(held.shape, bool)
    left = [j for j in joins if j <= seam.first - start]
    right = [j for j in reversed(joins) if j >= seam.after - 1 - start]
    for _ in range(ROUNDS if seam.after - seam.first < SHORT else 1):
        for middle, step in [(j, 1) for j in left] + [(j, -1) for j in right]:
            frame = middle + step
            straight = 2 * out[middle] - out[middle - step]
            bounded = np.clip(np.clip(out[frame], straight - limit, straight + limit), seam.low, seam.high)
            free = ~held[frame]
            out[frame, free] = bounded[free]
            mine[frame] |= free
            mine[middle] |= ~held[middle]
    return mine


def _whole(base: np.ndarray, window: slice, out: np.ndarray) -> np.ndarray:
    whole = base.astype(np.float64)
    whole[window] = out
    return whole
