"""The skin's mesh: structured rings around mouth, eyes, nostrils and ears, even points between them, quads where they fit.

Everything happens in the chart (see `chart`); the triangulation takes place in its stereographic plane seen from the neck.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .chart import Surface
from .delaunay import constrained_delaunay
from .geometry import FLIP, Face, edges, in_polygon, turned_over
from .landmarks import Landmarks
from .pairing import paired
from .rings import feature_rings
from .sampling import NECK_END, Samples, in_plane, points_between

LONGEST = 14.0  # mm: the midline's points are further apart only across an opening


@dataclass
class Skin:
    """directions, points: (V, 3); faces counter-clockwise seen from outside; mirror: (V,); rings: name -> list of vertex loops.

    ring_of: (V,) the index of the feature a vertex belongs to, -1 between features.
    """

    directions: np.ndarray
    points: np.ndarray
    faces: list[Face]
    mirror: np.ndarray
    rings: dict[str, list[np.ndarray]]
    ring_of: np.ndarray


def build_skin(surface: Surface, landmarks: Landmarks) -> Skin:
    """Mesh of the outer skin with holes at mouth, eyes, nostrils, ears and the neck's end."""
    samples = Samples(surface)
    directions, rings = feature_rings(surface, landmarks, samples)
    middle, side = points_between(surface, samples, directions, rings)
    points2 = np.vstack([directions, middle, side, side * FLIP])
    first_middle, first_side = len(directions), len(directions) + len(middle)
    mirror = _mirror_map(len(points2), rings, first_side, len(side))
    points = surface.lift(points2)
    points = (points + points[mirror] * FLIP) / 2
    faces = skin_faces(points2, points, rings, mirror, np.arange(first_middle, first_side), LONGEST)
    ring_of = np.full(len(points2), -1)
    for k, loops in enumerate(rings.values()):
        ring_of[np.concatenate(loops)] = k
    return Skin(points2, points, faces, mirror, rings, ring_of)


def _mirror_map(count: int, rings: dict[str, list[np.ndarray]], first_side: int, sides: int) -> np.ndarray:
    mirror = np.arange(count)
    mirror[first_side : first_side + sides] = np.arange(first_side + sides, first_side + 2 * sides)
    mirror[first_side + sides :] = np.arange(first_side, first_side + sides)
    for loop in rings["mouth"]:
        mirror[loop] = loop[(len(loop) // 2 - np.arange(len(loop))) % len(loop)]
    for name in ("eye", "nostril", "ear"):
        for left, right in zip(rings[name + "Left"], rings[name + "Right"]):
            mirror[left], mirror[right] = right, left
    return mirror


def skin_faces(
    d: np.ndarray,
    p: np.ndarray,
    rings: dict[str, list[np.ndarray]],
    mirror: np.ndarray,
    middle: np.ndarray,
    longest: float,
) -> list[Face]:
    """Faces over vertices with directions d and places p (V, 3), exactly mirrored, open inside the rings.

    middle: the vertices on the midline in order around it; neighbours no more than `longest` mm apart are joined by an edge.
    """
    constraints = [e for loops in rings.values() for e in edges(loops[-1].tolist())]
    gaps = np.linalg.norm(np.diff(p[middle], axis=0), axis=1)
    constraints += [(int(middle[i]), int(middle[i + 1])) for i in range(len(gaps)) if gaps[i] < longest]
    outer = rings["mouth"][-1]
    for spoke in (len(outer) // 4, 3 * len(outer) // 4):
        nearest = middle[np.argmin(np.linalg.norm(p[middle] - p[outer[spoke]], axis=1))]
        constraints.append((int(outer[spoke]), int(nearest)))
    flat = in_plane(d)
    triangles = constrained_delaunay(flat * 100, constraints)
    # The test for "inside an opening" must be made in the plane: a curved triangle's centroid in space may lie elsewhere.
    centroid = flat[triangles].mean(1)
    drop = (p[triangles, 1] < NECK_END + 1.5).all(1)
    for loops in rings.values():
        drop |= in_polygon(centroid, flat[loops[-1]])
    triangles = triangles[~drop]
    x = p[triangles][:, :, 0]
    straddling = (x.min(1) < -0.3) & (x.max(1) > 0.3)
    if straddling.any():
        raise ValueError(
            f"{straddling.sum()} triangles cross the midline near {p[triangles[straddling]].mean(1).round()[0]}"
        )
    half = triangles[x.mean(1) > 1e-6]
    pairs, rest = paired(half, p)
    faces = [tuple(f) for f in (*pairs, *rest)]
    faces += [turned_over(tuple(mirror[list(f)].tolist())) for f in faces]
    for loops in rings.values():
        for inner, outward in zip(loops[:-1], loops[1:]):
            faces += strip(inner, outward)
    return [_outward(f, d) for f in faces]


def strip(a: np.ndarray, b: np.ndarray) -> list[Face]:
    """Quads between two loops of equal length."""
    n = len(a)
    return [(int(a[i]), int(a[(i + 1) % n]), int(b[(i + 1) % n]), int(b[i])) for i in range(n)]


def _outward(face: Face, d: np.ndarray) -> Face:
    p = d[list(face)]
    normal = np.cross(p[1] - p[0], p[2] - p[0]) if len(face) == 3 else np.cross(p[2] - p[0], p[3] - p[1])
    return tuple(int(i) for i in (face if normal @ p.mean(0) > 0 else turned_over(face)))
