"""Triangles that a shape turns over, and their cure. A triangle is turned over when it faces against the surface about it
although at rest it did not."""

from __future__ import annotations

import numpy as np

from ..registration.surface import Neighbours, Surface, triangle_normals

ROUNDS, LAST_ROUNDS = 60, 80  # in the last ones the corners of what is still turned over go too, and nothing else
SHARE, LAST_SHARE = 0.7, 0.5  # of the way to its neighbours' mean that a vertex goes in a round
GIVING = 0.0008  # m that held vertices may give way in the last rounds
REST_FACING = 0.5  # least cosine at rest between a triangle and what is about it, to be judged: no crease is turned over


def facing(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(T,) cosine between each triangle's normal and the mean of its neighbourhood's at (V, 3) points; nan for triangles
    without an area."""
    flat = triangle_normals(points, triangles)
    sums = np.zeros((len(points), 3))
    for k in range(3):
        for axis in range(3):
            sums[:, axis] += np.bincount(triangles[:, k], flat[:, axis], len(points))
    about = sums[triangles].sum(1) - 3 * flat  # the triangle itself counts at each of its corners
    size = np.linalg.norm(flat, axis=1) * np.linalg.norm(about, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(size > 1e-18, (flat * about).sum(1) / size, np.nan)


def judged(surface: Surface) -> np.ndarray:
    """(T,) the triangles that lie in a smooth enough place at rest for their turning over to be seen."""
    return np.nan_to_num(facing(surface.points, surface.triangles), nan=-1.0) > REST_FACING


def flipped(surface: Surface, displacement: np.ndarray, judge: np.ndarray) -> np.ndarray:
    """(N,) triangles that (V, 3) displacements turn over."""
    moving = np.abs(displacement).max(axis=1) > 1e-9
    touched = np.zeros(len(moving), bool)
    touched[surface.triangles[moving[surface.triangles].any(1)]] = True
    rows = np.flatnonzero(touched[surface.triangles].any(1))  # with all about the moving ones, so that their means are right
    now = facing(surface.points + displacement, surface.triangles[rows])
    own = moving[surface.triangles[rows]].any(1) & judge[rows]
    return rows[own & (np.nan_to_num(now, nan=1.0) < 0)]


def smoothed_out(
    surface: Surface, neighbours: Neighbours, displacement: np.ndarray, judge: np.ndarray, held: np.ndarray
) -> tuple[np.ndarray, int]:
    """The displacement (V, 3), smoothed where it turns triangles over until it turns none, and how many are left.

    held: (V,) vertices that should stay as they are (edges of lips and lids); in the last rounds they give way by GIVING at most.
    """
    best, fewest = displacement, len(flipped(surface, displacement, judge))
    current = displacement.copy()
    for number in range(ROUNDS + LAST_ROUNDS if fewest else 0):
        bad = flipped(surface, current, judge)
        if number == ROUNDS:
            current = best.copy()
            bad = flipped(surface, current, judge)
        if len(bad) < fewest:
            best, fewest = current.copy(), len(bad)
        if not len(bad):
            break
        mask = np.zeros(len(current), bool)
        mask[surface.triangles[bad]] = True
        last = number >= ROUNDS
        if not last:
            mask = neighbours.spread(mask, 1 + number // 20) & ~held
        if last and number % 2:  # a triangle whose corners move alike is not turned
            for triangle in surface.triangles[bad]:
                current[triangle] += LAST_SHARE * (current[triangle].mean(0) - current[triangle])
        else:
            share = LAST_SHARE if last else SHARE
            current[mask] += share * (neighbours.means(current)[mask] - current[mask])
        off = current[held] - displacement[held]
        length = np.linalg.norm(off, axis=1, keepdims=True)
        current[held] = displacement[held] + off * np.minimum(1, GIVING / np.maximum(length, 1e-12))
    return best, fewest
