"""Lay one face over another: a smooth warp through named points, then the surface itself drawn on to the other.

The warp is a spline of multiquadrics (Hardy, "Multiquadric equations of topography and other irregular surfaces", 1971) with an
affine part, which is smooth at its points and nearly affine far from them. The drawing is a non-rigid iterative closest
point (after Amberg, Romdhani and Vetter, "Optimal Step Nonrigid ICP Algorithms for Surface Registration", 2007) with a
field that bends as little as it may.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .closest import TriangleIndex
from .surface import Neighbours, Surface, smooth_field, triangle_normals, vertex_normals

SOFTNESS = 0.018  # m: how round the spline is at its points
SLACK = 0.02  # how far the spline may miss a point for the sake of smoothness
STEP = 0.015  # m
STRETCH = (0.7, 1.4)  # of motions, in any direction: a short chin opens its mouth hardly less than a long one
# (stiffness, reach in m) of the rounds of drawing, from stiff to soft
ROUNDS = ((300.0, 0.014), (120.0, 0.012), (50.0, 0.010), (20.0, 0.008), (10.0, 0.006), (6.0, 0.006))
BEND = 0.008  # m by which a place with the opposite normal counts as farther away


@dataclass(frozen=True)
class Warp:
    """x -> A x + b + sum of weights times sqrt(|x - centre|^2 + SOFTNESS^2)."""

    centres: np.ndarray
    weights: np.ndarray
    matrix: np.ndarray
    shift: np.ndarray

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) -> (N, 3)."""
        return self._basis(points) @ self.weights + points @ self.matrix.T + self.shift

    def _basis(self, points: np.ndarray) -> np.ndarray:
        off = points[:, None] - self.centres
        return np.sqrt((off * off).sum(-1) + SOFTNESS**2)

    def stretch(self, points: np.ndarray) -> np.ndarray:
        """(N, 3, 3) symmetric: how motions are stretched there, over a neighbourhood of STEP, kept from extremes.

        The warp's turning is left out: faces are upright to each other already, and where one is much shorter than the other,
        it would turn a jaw that goes down into one that goes back.
        """
        columns = [(self(points + step) - self(points - step)) / (2 * STEP) for step in STEP * np.eye(3)]
        j = np.stack(columns, -1)
        squares, axes = np.linalg.eigh(np.swapaxes(j, -1, -2) @ j)
        factors = np.clip(np.sqrt(np.maximum(squares, 0)), *STRETCH)
        return (axes * factors[:, None]) @ np.swapaxes(axes, -1, -2)


def fit_warp(source: np.ndarray, target: np.ndarray) -> Warp:
    """The smooth warp that takes (N, 3) source points to target points, all in m and already near each other."""
    count = len(source)
    off = source[:, None] - source
    basis = np.sqrt((off * off).sum(-1) + SOFTNESS**2)
    flat = np.c_[source, np.ones(count)]
    # Minus: on what is orthogonal to affine functions the multiquadric is negative definite.
    system = np.zeros((count + 4, count + 4))
    system[:count, :count] = basis - SLACK * SOFTNESS * np.eye(count)
    system[:count, count:], system[count:, :count] = flat, flat.T
    solution = np.linalg.lstsq(system, np.r_[target, np.zeros((4, 3))], rcond=None)[0]
    return Warp(source.copy(), solution[:count], solution[count : count + 3].T, solution[count + 3])


def draw_on(
    source: Surface,
    neighbours: Neighbours,
    sides: np.ndarray,
    anchors: tuple[np.ndarray, np.ndarray],
    target: Surface,
    target_sides: np.ndarray,
    told: Callable[[int, int], None],
) -> np.ndarray:
    """Draw a surface that lies near another on to it. Returns its new (V, 3) points.

    sides, target_sides: (V,) small numbers; a vertex of one side is drawn only to triangles of the same side or of mixed ones
    (upper lips to upper lips), and one of a negative side to none. anchors: vertices and the (N, 3) places where they must come to.
    told: called with the round and how many there are.
    """
    flat = triangle_normals(target.points, target.triangles)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-30)
    index = SidedIndex(target.points, target.triangles, flat, target_sides)
    points = source.points.copy()
    ids, places = anchors
    for number, (stiffness, reach) in enumerate(ROUNDS):
        told(number, len(ROUNDS))
        normals = vertex_normals(points, source.triangles)
        triangle, weights, distance = index.nearest(points, normals, sides, BEND)
        hit = (target.points[target.triangles[triangle]] * weights[..., None]).sum(1)
        agree = (normals * flat[triangle]).sum(1)
        trust = np.clip(1 - distance / reach, 0, 1) * np.clip((agree - 0.3) / 0.5, 0, 1) * (sides >= 0)
        wanted = hit - points
        trust[ids] = 3.0
        wanted[ids] = places - points[ids]
        wanted[trust == 0] = 0
        points += smooth_field(neighbours, wanted, trust + 1e-6, stiffness, np.zeros_like(wanted), 60, 1e-3)
    return points


class SidedIndex:
    """A surface whose triangles belong to sides; a query of one side sees the triangles of its own and of mixed sides."""

    def __init__(self, points: np.ndarray, triangles: np.ndarray, normals: np.ndarray, sides: np.ndarray) -> None:
        """sides: (V,) >= 0; 0 is what belongs to no side, which every query sees."""
        at = sides[triangles]
        self._indices, self._rows = {}, {}
        for side in np.unique(sides[sides >= 0]).tolist():
            seen = ((at == side) | (at == 0)).any(1) if side else np.ones(len(triangles), bool)
            rows = np.flatnonzero(seen)
            self._rows[side], self._indices[side] = rows, TriangleIndex(points, triangles[rows], normals[rows])

    def nearest(
        self, points: np.ndarray, normals: np.ndarray, sides: np.ndarray, bend: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Triangle (N,), barycentric weights (N, 3) and distance (N,) of the nearest place; see TriangleIndex.nearest.
        Queries of a side that the surface lacks, and of negative ones, see all of it."""
        triangle = np.zeros(len(points), np.int64)
        weights, distance = np.zeros((len(points), 3)), np.zeros(len(points))
        known = np.where(np.isin(sides, list(self._indices)), sides, 0)
        for side in np.unique(known).tolist():
            rows = np.flatnonzero(known == side)
            found = self._indices[side].nearest(points[rows], normals[rows], bend)
            triangle[rows] = self._rows[side][found.triangle]
            weights[rows], distance[rows] = found.weights, found.distance
        return triangle, weights, distance
