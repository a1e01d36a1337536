"""Blinks and glances of a part made anew: whole events, which fit to those of the motion around the part. NumPy only.

Blinks and saccades are events (see `life`), not curves to be bent: one that straddles the border of the part is the
base's and stays whole; a new one keeps clear of the border and of its neighbours.
"""

from __future__ import annotations

import numpy as np

BLINK_STARTS = 1e-3  # lid closure from which on a blink is under way
CLOSEST_BLINKS = 0.5  # s from one's beginning to the next one's
SHORTEST_BLINK = 0.12  # s; a single key that was moved is no blink
LONGEST_BLINK = 0.8  # s; lids that stay down longer are a pose, no blink
STILL = 0.004  # rad per frame: a gaze that moves less is fixed
LONGEST_SACCADE = 0.12  # s
CLEAR = 2  # frames between a border and a new event


def runs(on: np.ndarray) -> list[tuple[int, int]]:
    """(T,) bool to the stretches (first, after) in which it is True."""
    edges = np.diff(np.concatenate([[0], on.astype(np.int8), [0]]))
    return [(int(a), int(b)) for a, b in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1))]


def lids_of_part(
    base: np.ndarray, fresh: np.ndarray, first: int, after: int, pinned: np.ndarray, fps: float
) -> np.ndarray:
    """(T, 2) lids for the part first <= frame < after; what is outside of it is the base's.

    base: (T, 2) left and right, 0..1. fresh: (T,) a whole performance's lids. pinned: (P,) frames whose blink is the base's.
    """
    out = base.copy()
    out[first:after] = 0.0
    old = [r for r in runs(base.max(axis=1) > BLINK_STARTS) if r[1] - r[0] <= LONGEST_BLINK * fps]
    taken = []
    for start, end in old:
        inside = first + CLEAR <= start and end <= after - CLEAR
        wanted = end - start >= SHORTEST_BLINK * fps and any(start <= p < end for p in pinned)
        if not inside or wanted:
            out[start:end] = _without_keys(base, pinned)[start:end] if inside else base[start:end]
            taken.append(start)
    for start, end in runs(fresh > BLINK_STARTS):
        length = end - start
        at = min(max(start, first + CLEAR), after - CLEAR - length)  # one that straddles the border moves inside
        if start >= after or end <= first or at < first + CLEAR:
            continue
        if any(abs(at - t) < CLOSEST_BLINKS * fps for t in taken):
            continue
        out[at : at + length] = np.maximum(out[at : at + length], fresh[start:end, None])
        taken.append(at)
    return out


def _without_keys(base: np.ndarray, pinned: np.ndarray) -> np.ndarray:
    """(T, 2) lids as they would be without the moved keys, for these are to bend what is around them."""
    out, frames = base.copy(), np.arange(len(base))
    rest = np.setdiff1d(frames, pinned)
    for side in range(2 if len(rest) else 0):
        out[:, side] = np.interp(frames, rest, base[rest, side])
    return out


def gaze_of_part(base: np.ndarray, fresh: np.ndarray, first: int, after: int, fps: float) -> np.ndarray:
    """(T, 2) rad: where the eyes point in the world, of the part first <= frame < after; outside of it the base's.

    base, fresh: (T, 2). The base's fixation goes on until the first new saccade, and the last one leads back to it.
    """
    out = base.copy()
    longest = max(1, round(LONGEST_SACCADE * fps))
    begin = _settled(base, first, after, longest)
    end = len(base) - _settled(base[::-1], len(base) - after, len(base) - first, longest)
    if end - begin < 1:
        return out
    out[begin:end] = base[begin - 1] if begin > 0 else fresh[0]
    moving = np.abs(np.diff(fresh, axis=0, prepend=fresh[:1])).max(axis=1) > STILL
    glances = _clear_of_borders([r for r in runs(moving) if r[0] < end and r[1] > begin], begin, end)
    goal = base[end] if end < len(base) else None  # where the base looks when the part is over
    if not glances and goal is not None and end - begin > 2 * CLEAR:
        middle = (begin + end) // 2
        glances = [(middle, middle, middle + 1)]
    for number, (at, a, b) in enumerate(glances):
        here = out[at - 1]
        there = goal if goal is not None and number == len(glances) - 1 else fresh[b - 1]
        way = fresh[b - 1] - fresh[a - 1]
        size = float(way @ way)
        done = (fresh[a:b] - fresh[a - 1]) @ way / size if size > STILL**2 else np.linspace(0, 1, b - a + 1)[1:]
        out[at : at + b - a] = here + np.clip(done, 0, 1)[:, None] * (there - here)
        out[at + b - a : end] = there
    return out


def _clear_of_borders(glances: list[tuple[int, int]], begin: int, end: int) -> list[tuple[int, int, int]]:
    """(frame at which it happens now, first, after) of the glances that find room, moved where a border is too near."""
    placed: list[tuple[int, int, int]] = []
    for a, b in glances:
        at = min(max(a, begin + CLEAR), end - CLEAR - (b - a))
        if at >= max(begin + CLEAR, 1) and (not placed or at >= placed[-1][0] + placed[-1][2] - placed[-1][1]):
            placed.append((at, a, b))
    return placed


def _settled(curve: np.ndarray, first: int, after: int, longest: int) -> int:
    """The frame from which on a movement that began before `first` is over; the curve keeps its own values until then."""
    frame = first
    while 0 < frame < min(after, first + longest) and np.abs(curve[frame] - curve[frame - 1]).max() > STILL:
        frame += 1
    return frame
