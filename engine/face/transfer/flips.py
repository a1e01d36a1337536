"""Triangles that a shape turns over, and their cure. A triangle is turned over when it faces against the surface about it
although at rest it did not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..registration.surface import Neighbours, Surface, triangle_normals

SMOOTHING_ROUNDS, TURNING_ROUNDS = 40, 200
SHARE = 0.7  # of the way to its neighbours' mean that a vertex goes in a round of smoothing
OPENED = 0.12  # share of its area at rest that a triangle which is turned back shows to the side where it should face
YIELDING = 0.3  # how readily held vertices move, beside free ones, to turn a triangle back
GIVING = (0.0004, 0.0015)  # m that they may move; farther where nothing else helps
REST_FACING = 0.5  # least cosine at rest between a triangle and what is about it, to be judged: no crease is turned over


def facing(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(T,) cosine between each triangle's normal and the mean of its neighbourhood's at (V, 3) points; nan for triangles
    without an area."""
    flat = triangle_normals(points, triangles)
    about = _about(flat, triangles, len(points))
    size = np.linalg.norm(flat, axis=1) * np.linalg.norm(about, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(size > 1e-18, (flat * about).sum(1) / size, np.nan)


def _about(flat: np.ndarray, triangles: np.ndarray, count: int) -> np.ndarray:
    """(T, 3) the sum of the normals about each triangle, without its own, which counts at each of its corners."""
    sums = np.zeros((count, 3))
    for k in range(3):
        for axis in range(3):
            sums[:, axis] += np.bincount(triangles[:, k], flat[:, axis], count)
    return sums[triangles].sum(1) - 3 * flat


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
    """The displacement (V, 3), smoothed where it turns triangles over until it turns none, and how many are left. held: (V,)
    vertices that stay."""

    def smooth(current: np.ndarray, bad: np.ndarray, number: int) -> None:
        mask = np.zeros(len(current), bool)
        mask[surface.triangles[bad]] = True
        mask = neighbours.spread(mask, 1 + number // 20) & ~held
        current[mask] += SHARE * (neighbours.means(current)[mask] - current[mask])

    return _best_of(surface, displacement, judge, smooth, SMOOTHING_ROUNDS)


def turned_back(
    surface: Surface, displacement: np.ndarray, judge: np.ndarray, held: np.ndarray
) -> tuple[np.ndarray, int]:
    """The displacement (V, 3), changed at the corners of triangles that it turns over, and nowhere else, until it turns none;
    and how many are left. held: (V,) vertices that move by GIVING at most (edges of lips and lids)."""
    readiness = np.where(held, YIELDING, 1.0)
    turned, left = displacement, len(flipped(surface, displacement, judge))
    for giving in GIVING:

        def turn(current: np.ndarray, bad: np.ndarray, number: int, giving: float = giving) -> None:
            _turn(surface, current, bad, readiness)
            off = current[held] - displacement[held]
            length = np.linalg.norm(off, axis=1, keepdims=True)
            current[held] = displacement[held] + off * np.minimum(1, giving / np.maximum(length, 1e-12))

        if left:
            turned, left = _best_of(surface, turned, judge, turn, TURNING_ROUNDS)
    return turned, left


def _best_of(
    surface: Surface,
    displacement: np.ndarray,
    judge: np.ndarray,
    step: Callable[[np.ndarray, np.ndarray, int], None],
    rounds: int,
) -> tuple[np.ndarray, int]:
    """Of the displacements after up to so many steps the one that turns the fewest over, and how many. step: changes the
    displacement that it is called with, given the triangles that are turned over and the number of the round."""
    bad = flipped(surface, displacement, judge)
    best, fewest = displacement, len(bad)
    current = displacement.copy()
    for number in range(rounds):
        if not len(bad):
            break
        step(current, bad, number)
        bad = flipped(surface, current, judge)
        if len(bad) < fewest:
            best, fewest = current.copy(), len(bad)
    return best, fewest


def _turn(surface: Surface, displacement: np.ndarray, bad: np.ndarray, readiness: np.ndarray) -> None:
    """Move the corners of triangles as little as turns them to the side where those about them face: one step of Newton's for
    each, as in position-based dynamics (Mueller et al., 2007). readiness: (V,) weights of the vertices' motions."""
    triangles = surface.triangles
    posed = surface.points + displacement
    flat = triangle_normals(posed, triangles)
    about = _about(flat, triangles, len(posed))[bad]
    about /= np.maximum(np.linalg.norm(about, axis=1, keepdims=True), 1e-30)
    rest = np.linalg.norm(triangle_normals(surface.points, triangles[bad]), axis=1)
    short = OPENED * rest - (flat[bad] * about).sum(1)
    corners = posed[triangles[bad]]
    slopes = np.cross(np.roll(corners, -1, 1) - np.roll(corners, -2, 1), about[:, None])
    ready = readiness[triangles[bad]][..., None]
    step = short / np.maximum((ready * slopes * slopes).sum((1, 2)), 1e-30)
    moves = step[:, None, None] * ready * slopes
    count = np.zeros(len(posed))
    np.add.at(count, triangles[bad], 1)
    np.add.at(displacement, triangles[bad], moves / count[triangles[bad]][..., None])
