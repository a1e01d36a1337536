"""Small geometry the steps share: directions, polygon normals, mirroring."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from scipy.interpolate import CubicSpline

Face = tuple[int, ...]
FLIP = np.array([-1.0, 1.0, 1.0])  # reflection in the midplane
FLAT = 0.97  # cosine between a quad's halves above which it counts as flat


def unit(v: np.ndarray) -> np.ndarray:
    """(..., 3) vectors scaled to length 1."""
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-12)


def smoothstep(a: float, b: float, x: np.ndarray | float) -> np.ndarray:
    """0 below a, 1 above b, smooth between."""
    t = np.clip((np.asarray(x, float) - a) / (b - a), 0, 1)
    return t * t * (3 - 2 * t)


def edges(face: Sequence[int]) -> Iterable[tuple[int, int]]:
    """The directed edges of one polygon."""
    return zip(face, (*face[1:], face[0]))


def triangulate(faces: Sequence[Face]) -> np.ndarray:
    """(T, 3) int triangles; each quad is cut along its first diagonal."""
    return np.array([(f[0], f[i], f[i + 1]) for f in faces for i in range(1, len(f) - 1)])


def turned_over(face: Face) -> Face:
    """The same polygon seen from behind; a quad keeps its first diagonal."""
    return (face[0], *face[:0:-1])


def well_cut(faces: Sequence[Face], points: np.ndarray) -> list[Face]:
    """The same faces; each quad begins where the cut along its first diagonal bends it less, or, flat either way, is shorter."""
    cut = list(faces)
    for i, face in enumerate(faces):
        if len(face) == 4:
            p = points[list(face)]
            bends, lengths = zip(*(_cut(np.roll(p, -k, 0)) for k in (0, 1)))
            flat = min(bends) > FLAT
            if (lengths[1] < 0.999 * lengths[0]) if flat else (bends[1] > bends[0] + 1e-3):
                cut[i] = (*face[1:], face[0])
    return cut


def _cut(p: np.ndarray) -> tuple[float, float]:
    """Cosine between the halves of a quad (4, 3) cut from its first corner, and the cut's length."""
    way = p[2] - p[0]
    halves = unit(np.cross(p[1] - p[0], way)), unit(np.cross(way, p[3] - p[0]))
    return float(halves[0] @ halves[1]), float(np.linalg.norm(way))


def vertex_normals(points: np.ndarray, faces: Sequence[Face]) -> np.ndarray:
    """(V, 3) area-weighted unit normals."""
    t = triangulate(faces)
    n = np.cross(points[t[:, 1]] - points[t[:, 0]], points[t[:, 2]] - points[t[:, 0]])
    total = np.zeros_like(points)
    for corner in t.T:
        np.add.at(total, corner, n)
    return unit(total)


def neighbours(count: int, faces: Sequence[Face]) -> list[np.ndarray]:
    """For each vertex the sorted indices of those it shares an edge with."""
    near: list[set[int]] = [set() for _ in range(count)]
    for face in faces:
        for a, b in edges(face):
            near[a].add(b)
            near[b].add(a)
    return [np.array(sorted(s), dtype=int) for s in near]


def symmetrised(points: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """The mean of points (or displacements) and their mirror image: exactly symmetric."""
    return (points + points[mirror] * FLIP) / 2


def closed_curve(points: np.ndarray, count: int) -> np.ndarray:
    """(count, 3) points on the periodic cubic spline through (N, 3) points, starting at the first."""
    knots = np.arange(len(points) + 1)
    spline = CubicSpline(knots, np.vstack([points, points[:1]]), bc_type="periodic")
    return spline(np.linspace(0, len(points), count, endpoint=False))


def open_curve(points: Sequence[Sequence[float]], count: int) -> np.ndarray:
    """(count, 3) points on the cubic spline through a few points, ends included."""
    points = np.asarray(points, float)
    return CubicSpline(np.linspace(0, 1, len(points)), points)(np.linspace(0, 1, count))


def in_polygon(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """(N,) which of (N, 2) points lie inside a closed (M, 2) polygon, by counting crossings to the right."""
    inside = np.zeros(len(points), bool)
    x, y = points.T
    near = (
        (x >= polygon[:, 0].min())
        & (x <= polygon[:, 0].max())
        & (y >= polygon[:, 1].min())
        & (y <= polygon[:, 1].max())
    )
    x, y = x[near], y[near]
    crossed = np.zeros(len(x), bool)
    for (ax, ay), (bx, by) in zip(polygon, np.roll(polygon, -1, 0)):
        if ay != by:
            crossed ^= ((ay > y) != (by > y)) & (x < ax + (y - ay) * (bx - ax) / (by - ay))
    inside[near] = crossed
    return inside


def distance_to_curve(points: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """(V,) distance from each point to the nearest sample of a curve."""
    return np.sqrt(((points[:, None] - curve[None]) ** 2).sum(-1)).min(1)
