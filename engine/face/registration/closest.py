"""The nearest place on a surface, for many points at once, in NumPy alone.

Points and triangles are sorted along a space-filling curve (Morton, 1966) and cut into blocks; whole blocks are ruled out by
their boxes, and what is left is compared exactly, block against block.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

QUERIES, TRIANGLES = 96, 32  # per block
CANDIDATES = 12  # triangles that are compared exactly, those whose surrounding balls are nearest


@dataclass(frozen=True)
class Places:
    """Where the nearest places lie: triangle (N,) int64, barycentric weights (N, 3), distance (N,); -1 and inf: none."""

    triangle: np.ndarray
    weights: np.ndarray
    distance: np.ndarray


class TriangleIndex:
    """A surface that nearest places are asked of."""

    def __init__(self, points: np.ndarray, triangles: np.ndarray, normals: np.ndarray | None = None) -> None:
        """points: (V, 3); triangles: (T, 3); normals: (T, 3) unit, only where queries have normals too."""
        corners = points[triangles]
        self.ids = _morton_order(corners.mean(1)) if len(triangles) else np.zeros(0, np.int64)
        corners = corners[self.ids]
        self.normals = normals[self.ids] if normals is not None else None
        self.a, self.ab, self.ac = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
        self.middle = corners.mean(1)
        self.radius = np.linalg.norm(corners - self.middle[:, None], axis=2).max(1)
        self.starts = np.arange(0, len(triangles), TRIANGLES)
        if len(triangles):
            self.low = np.minimum.reduceat(corners.min(1), self.starts, axis=0)
            self.high = np.maximum.reduceat(corners.max(1), self.starts, axis=0)

    def nearest(self, points: np.ndarray, normals: np.ndarray | None = None, bend: float = 0.0) -> Places:
        """The nearest place to each of (N, 3) points.

        normals: (N, 3) unit; then a place whose normal differs is taken for farther away: to the squared distance comes
        `bend` squared times (1 - the cosine between the normals).
        """
        count = len(points)
        triangle = np.full(count, -1)
        weights, distance = np.zeros((count, 3)), np.full(count, np.inf)
        if len(self.ids) and count:
            order = _morton_order(points)
            for start in range(0, count, QUERIES):
                rows = order[start : start + QUERIES]
                found = self._block(points[rows], normals[rows] if normals is not None else None, bend)
                triangle[rows], weights[rows], distance[rows] = found
        return Places(triangle, weights, distance)

    def _block(
        self, points: np.ndarray, normals: np.ndarray | None, bend: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        centre = (points.min(0) + points.max(0)) / 2
        radius = np.linalg.norm(points - centre, axis=1).max()
        off = np.linalg.norm(np.maximum(np.maximum(self.low - centre, centre - self.high), 0), axis=1)
        best = self._triangles(np.argpartition(off, min(1, len(off) - 1))[:2])
        reach = np.linalg.norm(self.a[best] - centre, axis=1).min()
        if normals is not None:
            reach = np.hypot(reach + radius, 1.5 * bend) - radius
        ids = self._triangles(np.flatnonzero(off <= reach + 2 * radius))
        bent = bend * bend * (1 - normals @ self.normals[ids].T) if normals is not None and self.normals is not None else 0.0
        p, middle = points - centre, self.middle[ids] - centre
        squared = (p * p).sum(1)[:, None] - 2 * p @ middle.T + (middle * middle).sum(1)
        least = np.maximum(np.sqrt(np.maximum(squared, 0)) - self.radius[ids], 0) ** 2 + bent
        few = min(CANDIDATES, len(ids))
        near = np.argpartition(least, few - 1, axis=1)[:, :few] if few < len(ids) else np.tile(np.arange(few), (len(p), 1))
        v, w, squared = closest_on_triangles(points, self.a[ids[near]], self.ab[ids[near]], self.ac[ids[near]])
        rows = np.arange(len(points))
        cost = squared if normals is None else squared + bent[rows[:, None], near]
        which = cost.argmin(1)
        v, w = v[rows, which], w[rows, which]
        return self.ids[ids[near[rows, which]]], np.stack([1 - v - w, v, w], 1), np.sqrt(squared[rows, which])

    def _triangles(self, blocks: np.ndarray) -> np.ndarray:
        ids = (self.starts[blocks][:, None] + np.arange(TRIANGLES)).ravel()
        return ids[ids < len(self.ids)]


def closest_on_triangles(
    points: np.ndarray, a: np.ndarray, ab: np.ndarray, ac: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For (N, 3) points, each with M triangles of its own (a corner and two edges from it, (N, M, 3) each), the barycentric
    weights v, w of the nearest place (the corners at a + ab and a + ac), and its squared distance; (N, M) each."""
    p = points[:, None] - a
    aa, bb, cc = ((x * y).sum(-1) for x, y in ((ab, ab), (ab, ac), (ac, ac)))
    d1, d2, pp = (p * ab).sum(-1), (p * ac).sum(-1), (p * p).sum(-1)
    tiny = 1e-30

    def squared(v: np.ndarray, w: np.ndarray) -> np.ndarray:
        return pp - 2 * (v * d1 + w * d2) + v * v * aa + 2 * v * w * bb + w * w * cc

    determinant = aa * cc - bb * bb
    flat = determinant <= 1e-12 * aa * cc
    determinant = np.where(flat, 1.0, determinant)
    v = (cc * d1 - bb * d2) / determinant
    w = (aa * d2 - bb * d1) / determinant
    outside = (v < 0) | (w < 0) | (v + w > 1) | flat
    best = np.where(outside, np.inf, squared(v, w))
    along_bc = np.clip(((d2 - bb) - (d1 - aa)) / np.maximum(aa - 2 * bb + cc, tiny), 0, 1)
    for v2, w2 in (
        (np.clip(d1 / np.maximum(aa, tiny), 0, 1), np.zeros_like(d1)),
        (np.zeros_like(d1), np.clip(d2 / np.maximum(cc, tiny), 0, 1)),
        (1 - along_bc, along_bc),
    ):
        far = squared(v2, w2)
        nearer = far < best
        best, v, w = np.where(nearer, far, best), np.where(nearer, v2, v), np.where(nearer, w2, w)
    return v, w, np.maximum(best, 0)


def _morton_order(points: np.ndarray) -> np.ndarray:
    """(N,) the order along a curve that keeps neighbours together."""
    span = max(float(np.ptp(points, axis=0).max()), 1e-30)
    cells = ((points - points.min(0)) / span * 1023).astype(np.int64)
    code = np.zeros(len(points), np.int64)
    for bit in range(10):
        for axis in range(3):
            code |= ((cells[:, axis] >> bit) & 1) << (3 * bit + axis)
    return np.argsort(code, kind="stable")
