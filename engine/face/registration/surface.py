"""A triangle surface and what is asked of it: normals, islands, neighbours, ways along it, smooth fields. NumPy only.

Lengths are in whatever unit the points have.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

COLUMNS = 32  # of many right-hand sides worked on at a time, so that they stay in the cache's reach
COTANGENT_RANGE = (0.05, 5.0)  # slivers have wild cotangents, which would make the system indefinite


@dataclass(frozen=True)
class Surface:
    """points: (V, 3) float64; triangles: (T, 3) int64, counter-clockwise seen from outside."""

    points: np.ndarray
    triangles: np.ndarray

    def moved(self, points: np.ndarray) -> Surface:
        """The same triangles elsewhere."""
        return Surface(points, self.triangles)


def triangulate(face_sizes: np.ndarray, face_vertices: np.ndarray) -> np.ndarray:
    """(T, 3) int64: every polygon as a fan about its first corner; polygons of fewer than three corners are left out."""
    sizes = np.asarray(face_sizes, np.int64)
    corners = np.asarray(face_vertices, np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    counts = np.maximum(sizes - 2, 0)
    face = np.repeat(np.arange(len(sizes)), counts)
    step = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    first = starts[face]
    return np.stack([corners[first], corners[first + step + 1], corners[first + step + 2]], 1)


def triangle_normals(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(T, 3) normals whose lengths are twice the triangles' areas. points may be (..., V, 3)."""
    a, b, c = (points[..., triangles[:, k], :] for k in range(3))
    return np.cross(b - a, c - a)


def vertex_normals(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(V, 3) unit normals, the triangles' weighted by area; zero where no triangle is."""
    normals = np.zeros_like(points, dtype=float)
    flat = triangle_normals(points, triangles)
    for k in range(3):
        for axis in range(3):
            normals[:, axis] += np.bincount(triangles[:, k], flat[:, axis], len(points))
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)


def edges_of(triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(E, 2) edges, each once with its smaller vertex first, and (E,) how many triangles use each."""
    pairs = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    if not len(pairs):
        return np.zeros((0, 2), np.int64), np.zeros(0, np.int64)
    return np.unique(pairs, axis=0, return_counts=True)


def islands_of(count: int, edges: np.ndarray) -> np.ndarray:
    """(V,) for each vertex the smallest vertex that it hangs together with."""
    label = np.arange(count)
    while len(edges):
        before = label.copy()
        least = np.minimum(label[edges[:, 0]], label[edges[:, 1]])
        np.minimum.at(label, edges[:, 0], least)
        np.minimum.at(label, edges[:, 1], least)
        label = label[label]
        if (label == before).all():
            break
    return label


def welded(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(V,) for each vertex the one that stands for it: vertices on open edges at one place, as files leave along the
    seams of a texture, become one. What they were split for does not matter to a shape."""
    edges, uses = edges_of(triangles)
    open_vertices = np.unique(edges[uses == 1])
    stands = np.arange(len(points))
    if len(open_vertices):
        grain = max(float(np.ptp(points, axis=0).max()) * 1e-7, 1e-30)
        cells = np.round(points[open_vertices] / grain).astype(np.int64)
        _, first, which = np.unique(cells, axis=0, return_index=True, return_inverse=True)
        stands[open_vertices] = open_vertices[first[which.ravel()]]
    return stands


class Neighbours:
    """Who is joined to whom by an edge, with weights; every row is at least one long (a lone vertex is its own)."""

    def __init__(self, count: int, edges: np.ndarray, weights: np.ndarray | None = None) -> None:
        weights = np.ones(len(edges)) if weights is None else weights
        alone = np.setdiff1d(np.arange(count), edges)
        rows = np.concatenate([edges[:, 0], edges[:, 1], alone])
        columns = np.concatenate([edges[:, 1], edges[:, 0], alone])
        order = np.argsort(rows, kind="stable")
        self.count = count
        self.columns = columns[order]
        self.rows = rows[order]
        self.starts = np.searchsorted(self.rows, np.arange(count))
        self.weights = np.concatenate([weights, weights, np.ones(len(alone))])[order]
        self.total = np.add.reduceat(self.weights, self.starts) if count else np.zeros(0)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """(V, C) weighted sums over the neighbours of (V, C) values."""
        out = np.empty_like(values)
        weights = self.weights[:, None].astype(values.dtype)
        for start in range(0, values.shape[1], COLUMNS):
            part = slice(start, start + COLUMNS)
            out[:, part] = np.add.reduceat(values[:, part][self.columns] * weights, self.starts, axis=0)
        return out

    def means(self, values: np.ndarray) -> np.ndarray:
        """(V, C) weighted means over the neighbours."""
        return self.sums(values) / self.total[:, None].astype(values.dtype)

    def spread(self, mask: np.ndarray, rings: int) -> np.ndarray:
        """The (V,) mask grown by so many rings of neighbours."""
        mask = mask.copy()
        for _ in range(rings):
            mask = mask | np.maximum.reduceat(mask[self.columns], self.starts)
        return mask

    def among(self, part: np.ndarray) -> Neighbours:
        """Who of the vertices `part` (N,) is joined to whom, numbered as they stand there."""
        local = np.full(self.count, -1)
        local[part] = np.arange(len(part))
        inside = (local[self.rows] >= 0) & (local[self.columns] >= 0) & (self.rows < self.columns)
        return Neighbours(len(part), np.stack([local[self.rows[inside]], local[self.columns[inside]]], 1), self.weights[inside])

    def ways(self, points: np.ndarray, start: np.ndarray, reach: float = np.inf) -> np.ndarray:
        """(V,) length of the shortest way along the edges from where `start` (V,) is finite, plus `start` there; inf
        beyond `reach`. Bellman and Ford's rounds, each over all edges at once."""
        lengths = np.linalg.norm(points[self.rows] - points[self.columns], axis=1)
        distance = start.astype(float).copy()
        for _ in range(self.count):
            through = np.minimum.reduceat(distance[self.columns] + lengths, self.starts)
            through[through > reach] = np.inf
            if not (through < distance - 1e-12).any():
                break
            distance = np.minimum(distance, through)
        return distance


def cotangent_neighbours(surface: Surface, edges: np.ndarray) -> Neighbours:
    """Neighbours weighted by clamped cotangents (Pinkall and Polthier, "Computing Discrete Minimal Surfaces", 1993)."""
    p, t = surface.points, surface.triangles
    keys = edges[:, 0] * np.int64(len(p)) + edges[:, 1]
    weights = np.zeros(len(edges))
    for k in range(3):
        apex, b, c = t[:, k], t[:, (k + 1) % 3], t[:, (k + 2) % 3]
        u, v = p[b] - p[apex], p[c] - p[apex]
        cotangent = (u * v).sum(1) / np.maximum(np.linalg.norm(np.cross(u, v), axis=1), 1e-30)
        ends = np.sort(np.stack([b, c], 1), axis=1)
        at = np.searchsorted(keys, ends[:, 0] * np.int64(len(p)) + ends[:, 1])
        fits = (at < len(keys)) & (keys[np.minimum(at, len(keys) - 1)] == ends[:, 0] * np.int64(len(p)) + ends[:, 1])
        weights += np.bincount(at[fits], 0.5 * cotangent[fits], len(edges))
    return Neighbours(len(p), edges, np.clip(weights, *COTANGENT_RANGE))


def conjugate_gradients(
    apply: Callable[[np.ndarray], np.ndarray],
    right: np.ndarray,
    diagonal: np.ndarray,
    first: np.ndarray | None = None,
    rounds: int = 200,
    tolerance: float = 1e-4,
) -> np.ndarray:
    """Solve A x = b for many right-hand sides at once (Hestenes and Stiefel, 1952), preconditioned by A's diagonal.

    apply: x (V, C) -> A x for a symmetric positive definite A; right: (V, C); diagonal: (V,) of A; first: a guess.
    Ends when every column's residual is `tolerance` of its right-hand side, or after `rounds`. Returns (V, C).
    """
    x = np.zeros_like(right) if first is None else first.copy()
    residual = right - apply(x) if first is not None else right.copy()
    scale = np.maximum(np.sqrt((right * right).sum(0)), 1e-30)
    inverse = (1 / np.maximum(diagonal, 1e-12))[:, None].astype(right.dtype)
    z = inverse * residual
    direction = z.copy()
    rho = (residual * z).sum(0)
    for _ in range(rounds):
        if (np.sqrt((residual * residual).sum(0)) <= tolerance * scale).all():
            break
        moved = apply(direction)
        step = rho / np.maximum((direction * moved).sum(0), 1e-30)
        x += step * direction
        residual -= step * moved
        z = inverse * residual
        following = (residual * z).sum(0)
        direction = z + (following / np.maximum(rho, 1e-30)) * direction
        rho = following
    return x


def smooth_field(
    neighbours: Neighbours,
    wanted: np.ndarray,
    trust: np.ndarray,
    stiffness: float,
    first: np.ndarray | None = None,
    rounds: int = 200,
    tolerance: float = 1e-4,
) -> np.ndarray:
    """(V, C) that minimises sum of trust |x - wanted|^2 + stiffness |x - mean of neighbours|^2.

    trust: (V,), 0 where nothing is wanted; a very large one holds a vertex in place. The second term is the umbrella
    operator applied twice, so fields go through trusted places without kinks.
    """
    dtype = wanted.dtype
    weight = trust[:, None].astype(dtype)
    share = (1 / neighbours.total)[:, None].astype(dtype)

    def apply(x: np.ndarray) -> np.ndarray:
        bent = x - share * neighbours.sums(x)
        return weight * x + dtype.type(stiffness) * (bent - neighbours.sums(share * bent))

    squares = np.add.reduceat((neighbours.weights / neighbours.total[neighbours.columns]) ** 2, neighbours.starts)
    diagonal = trust + stiffness * (1 + squares)
    guess = wanted if first is None else first
    return conjugate_gradients(apply, weight * wanted, diagonal, guess, rounds, tolerance)
