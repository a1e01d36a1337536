"""Places on a mesh: its connected parts, which lip a triangle belongs to, and the nearest place to a point. NumPy only."""

from __future__ import annotations

import numpy as np

SAME = 1e-6  # of the mesh's size: vertices nearer than this are one, as where a seam of the texture has doubled them
NEAREST = 48  # triangles whose middles are nearest to a point, among which the nearest place is looked for
BLOCK = 1 << 22  # distances at once


def welded(vertices: np.ndarray) -> np.ndarray:
    """(V,) int: the same number for all vertices in one place."""
    size = max(float(np.ptp(vertices, axis=0).max()), 1e-30)
    return np.unique(np.round((vertices - vertices.min(axis=0)) / (SAME * size)), axis=0, return_inverse=True)[1].reshape(-1)


def edges_of(faces: np.ndarray) -> np.ndarray:
    """(E, 2) int, each edge of the triangles (F, 3) once, the smaller number first."""
    pairs = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    return np.unique(pairs, axis=0)


def components(faces: np.ndarray, count: int) -> np.ndarray:
    """(F,) int: the number of the connected part that each triangle (F, 3) of `count` vertices belongs to."""
    edges = edges_of(faces)
    label = np.arange(count)
    while True:
        low = np.minimum(label[edges[:, 0]], label[edges[:, 1]])
        new = label.copy()
        np.minimum.at(new, label[edges[:, 0]], low)
        np.minimum.at(new, label[edges[:, 1]], low)
        new = np.minimum(new, new[new])
        if (new == label).all():
            return label[faces[:, 0]]
        label = new


def distances_along(edges: np.ndarray, lengths: np.ndarray, seeds: np.ndarray, count: int) -> np.ndarray:
    """(count,) the shortest way along edges (E, 2) of lengths (E,) from any of the vertices `seeds`; inf where there is none."""
    ends = np.concatenate([edges, edges[:, ::-1]])
    long = np.concatenate([lengths, lengths])
    found = np.full(count, np.inf)
    found[seeds] = 0
    while True:
        new = found.copy()
        np.minimum.at(new, ends[:, 1], found[ends[:, 0]] + long)
        if (new == found).all():
            return found
        found = new


def nearer_to(vertices: np.ndarray, faces: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(F,) bool: the triangle is nearer, along the mesh, to the vertices `first` than to the vertices `second`."""
    same = welded(vertices)
    joined = same[faces]
    edges = edges_of(joined)
    edges = edges[edges[:, 0] != edges[:, 1]]
    place = np.empty((same.max() + 1, 3))
    place[same] = vertices
    lengths = np.linalg.norm(place[edges[:, 0]] - place[edges[:, 1]], axis=1)
    to_first, to_second = (distances_along(edges, lengths, same[seeds], len(place))[joined] for seeds in (first, second))
    known = np.isfinite(to_first) & np.isfinite(to_second)
    return (np.where(known, to_first, 0) - np.where(known, to_second, 0)).mean(axis=1) < 0


def closest_places(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of (N, 3) points its nearest place on triangles (F, 3): (N,) triangle, (N, 3) barycentric, (N,) distance.

    Exact where no other triangle's middle is among NEAREST nearer ones; so it is on meshes whose triangles are alike in size.
    """
    corners = vertices[faces]
    middles = corners.mean(axis=1)
    count = min(NEAREST, len(faces))
    near = np.empty((len(points), count), np.int64)
    step = max(1, BLOCK // len(faces))
    for start in range(0, len(points), step):
        part = points[start : start + step]
        away = (part**2).sum(axis=1)[:, None] - 2 * part @ middles.T + (middles**2).sum(axis=1)
        near[start : start + step] = np.argpartition(away, count - 1, axis=1)[:, :count]
    share = nearest_on_triangles(points[:, None], corners[near])
    place = (corners[near] * share[..., None]).sum(axis=2)
    distance = np.linalg.norm(place - points[:, None], axis=2)
    best = distance.argmin(axis=1)
    rows = np.arange(len(points))
    return near[rows, best], share[rows, best], distance[rows, best]


def nearest_on_triangles(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """(..., 3) barycentric shares of the place on triangles (..., 3, 3) nearest to points (..., 3).

    By the regions of Ericson, "Real-Time Collision Detection" (2005), 5.1.5: a corner, an edge, or the inside.
    """
    a, b, c = corners[..., 0, :], corners[..., 1, :], corners[..., 2, :]
    ab, ac = b - a, c - a
    d1, d2 = ((points - a) * ab).sum(-1), ((points - a) * ac).sum(-1)
    d3, d4 = ((points - b) * ab).sum(-1), ((points - b) * ac).sum(-1)
    d5, d6 = ((points - c) * ab).sum(-1), ((points - c) * ac).sum(-1)
    va, vb, vc = d3 * d6 - d5 * d4, d5 * d2 - d1 * d6, d1 * d4 - d3 * d2

    def part(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
        return np.clip(top / np.where(np.abs(bottom) > 1e-30, bottom, 1e-30), 0, 1)

    on_ab, on_ac, on_bc = part(d1, d1 - d3), part(d2, d2 - d6), part(d4 - d3, d4 - d3 + d5 - d6)
    whole = va + vb + vc
    whole = np.where(np.abs(whole) > 1e-30, whole, 1e-30)
    zero, one = np.zeros_like(d1), np.ones_like(d1)
    cases = (
        ((d1 <= 0) & (d2 <= 0), (one, zero, zero)),
        ((d3 >= 0) & (d4 <= d3), (zero, one, zero)),
        ((d6 >= 0) & (d5 <= d6), (zero, zero, one)),
        ((vc <= 0) & (d1 >= 0) & (d3 <= 0), (1 - on_ab, on_ab, zero)),
        ((vb <= 0) & (d2 >= 0) & (d6 <= 0), (1 - on_ac, zero, on_ac)),
        ((va <= 0) & (d4 >= d3) & (d5 >= d6), (zero, 1 - on_bc, on_bc)),
    )
    share = np.clip(np.stack([va / whole, vb / whole, vc / whole], axis=-1), 0, 1)
    share = share / np.maximum(share.sum(-1, keepdims=True), 1e-30)
    for inside, values in reversed(cases):
        share = np.where(inside[..., None], np.stack(values, axis=-1), share)
    return share
