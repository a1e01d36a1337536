"""Motions that end too steeply, made to fade over a longer way. Where a mesh has less skin than the starter head, as an egg has
less of a jaw, an opening mouth would fold it."""

from __future__ import annotations

import numpy as np

from ..registration.surface import Neighbours, Surface, smooth_field
from .openings import RINGS

STEEP = 0.75  # of an edge's length by which its ends may move apart or together
SHORTEST = 0.0015  # m: shorter edges count as this long
FADE = 0.6  # of the way that the largest motion needs to end without being steep, to either side of a crease
# As STEEP, anywhere: neighbours whose motions come from places far apart; how they are brought together.
TORN, ROUNDS, SHARE = 2.5, 40, 0.5
FREE = {"mouth": 0.022, "right eye": 0.020, "left eye": 0.020}  # m from lips and lids, whose motions are steep by nature
HELD = 100.0


def about_openings(points: np.ndarray, points468: np.ndarray) -> np.ndarray:
    """(V,) the vertices near lips and lids. points: (V, 3) m; points468: FaceMesh's points on them."""
    near = np.zeros(len(points), bool)
    for name, reach in FREE.items():
        for place in points468[list(RINGS[name][0])]:
            near |= ((points - place) ** 2).sum(1) < reach**2
    return near


def evened(surface: Surface, neighbours: Neighbours, shape: np.ndarray, free: np.ndarray) -> np.ndarray:
    """The displacement (V, 3) m, drawn anew as smoothly as can be about its steep places. free: (V,) vertices between which it
    may be steep, and which stay as they are where it is not torn."""
    rows, columns = neighbours.rows, neighbours.columns
    length = np.maximum(np.linalg.norm(surface.points[rows] - surface.points[columns], axis=1), SHORTEST)
    jump = np.linalg.norm(shape[rows] - shape[columns], axis=1)
    for _ in range(ROUNDS):
        torn = jump > TORN * length
        if not torn.any():
            break
        ends = np.unique(rows[torn])
        shape = shape.copy()
        shape[ends] += SHARE * (neighbours.means(shape)[ends] - shape[ends])
        jump = np.linalg.norm(shape[rows] - shape[columns], axis=1)
    steep = (jump > STEEP * length) & ~(free[rows] & free[columns])
    if not steep.any():
        return shape
    start = np.full(len(shape), np.inf)
    start[rows[steep]] = 0.0
    wide = FADE * float(np.linalg.norm(shape, axis=1).max()) / STEEP
    region = np.isfinite(neighbours.ways(surface.points, start, wide)) & ~free
    part = np.flatnonzero(neighbours.spread(region, 2))
    small = neighbours.among(part)
    wanted = shape[part].astype(float)
    trust = np.where(region[part], 0.0, HELD)
    changed = shape.copy()
    changed[part] = np.where(region[part, None], smooth_field(small, wanted, trust, 1.0, rounds=400, tolerance=1e-6), wanted)
    return changed
