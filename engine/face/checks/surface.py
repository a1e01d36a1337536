"""What the measures share: triangles, normals, rays and signed distances to a piece of surface. Any unit of length."""

from __future__ import annotations

import numpy as np

from ..embedding.places import closest_places
from ..starter_head import HeadModel

RAY_BLOCK = 1 << 21  # pairs of ray and triangle at once: bounds memory
EDGE = 1e-6  # share of a triangle by which it reaches beyond its edges, so that no ray slips between two


def triangles_of(head: HeadModel) -> tuple[np.ndarray, np.ndarray]:
    """(T, 3) int32 triangles, quads cut along their first diagonal, and (T,) the face each belongs to."""
    starts = np.cumsum(head.face_sizes) - head.face_sizes
    found, owner = [], []
    for extra in range(int(head.face_sizes.max()) - 2):
        has = np.flatnonzero(head.face_sizes > extra + 2)
        corners = starts[has, None] + [0, extra + 1, extra + 2]
        found.append(head.face_vertices[corners])
        owner.append(has)
    order = np.argsort(np.concatenate(owner), kind="stable")
    return np.concatenate(found)[order], np.concatenate(owner)[order]


def normals_of(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(..., T, 3) normals of triangles (T, 3) at points (..., V, 3), twice their area long."""
    a, b, c = (points[..., triangles[:, k], :] for k in range(3))
    return np.cross(b - a, c - a)


def vertex_normals(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(V, 3) area-weighted unit normals; zero at vertices of no triangle."""
    normals = normals_of(points, triangles)
    total = np.stack(
        [np.bincount(triangles.ravel(), np.repeat(normals[:, k], 3), len(points)) for k in range(3)], axis=1
    )
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-30)


def open_edges(triangles: np.ndarray) -> np.ndarray:
    """(E, 2) edges, smaller vertex first, that belong to one triangle alone: where the piece of surface ends."""
    edges = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    found, count = np.unique(edges, axis=0, return_counts=True)
    return found[count == 1]


def signed_distances(points: np.ndarray, vertices: np.ndarray, triangles: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """(N,) distance of each point to a piece of surface, negative behind it; nan where the nearest place is on its end.

    ends: (V,) bool, the vertices of the edges where the piece ends; beyond it there is no before and behind. The side is told by
    the vertices' normals, interpolated, so that no edge or corner deceives.
    """
    triangle, share, distance = closest_places(points, vertices, triangles)
    normals = vertex_normals(vertices, triangles)
    corners = triangles[triangle]
    place = (vertices[corners] * share[..., None]).sum(1)
    along = (normals[corners] * share[..., None]).sum(1)
    at_end = ((share < 1e-9) | ends[corners]).all(1)
    side = np.where(((points - place) * along).sum(1) < 0, -1.0, 1.0)
    return np.where(at_end, np.nan, side * distance)


def first_hits(origins: np.ndarray, direction: np.ndarray, vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(N,) distance from each origin (N, 3) along one unit direction (3,) to the first triangle; inf where there is none.

    Moeller & Trumbore, "Fast, minimum storage ray-triangle intersection" (1997); both sides of a triangle count.
    """
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    ab, ac = b - a, c - a
    p = np.cross(direction, ac)
    det = (ab * p).sum(1)
    usable = np.abs(det) > 1e-18
    a, ab, ac, p, det = (x[usable] for x in (a, ab, ac, p, det))
    nearest = np.full(len(origins), np.inf)
    step = max(1, RAY_BLOCK // max(len(det), 1))
    for start in range(0, len(origins), step):
        away = origins[start : start + step, None] - a
        u = (away * p).sum(2) / det
        q = np.cross(away, ab)
        v = q @ direction / det
        t = (q * ac).sum(2) / det
        inside = (u >= -EDGE) & (v >= -EDGE) & (u + v <= 1 + EDGE) & (t > 0)
        nearest[start : start + step] = np.where(inside, t, np.inf).min(1, initial=np.inf)
    return nearest
