"""Slivers of ears and inner lids that lie folded over, drawn flat again."""

from __future__ import annotations

import numpy as np

from .geometry import neighbours, symmetrised, triangulate, unit
from .landmarks import EYE, EYE_RADIUS
from .mesh import Mesh

ROUNDS = 60
PATIENCE = 15  # rounds until the ring of vertices around is eased as well
STEP = 0.35  # of the way to the neighbours' mean
LEAST_COSINE = 0.1  # between a triangle's normal and the mean of its neighbours' over an edge, by area


def unfold(mesh: Mesh) -> None:
    """Ease the vertices of folded triangles towards their neighbours, where the skin continues into ears and behind the lids.

    Nothing else moves; what lies behind the lids stays outside the eyeballs.
    """
    triangles = triangulate(mesh.faces)
    near = neighbours(len(mesh.points), mesh.faces)
    movable = np.zeros(len(mesh.points), bool)
    for side in ("Left", "Right"):
        movable[np.concatenate([*mesh.loops["ear" + side], *mesh.loops[f"ear{side}_in"]])] = True
        movable[mesh.centres["ear" + side]] = True
        movable[np.concatenate(mesh.loops[f"eye{side}_in"])] = True
    lids = {side: np.concatenate(mesh.loops[f"eye{name}_in"]) for name, side in (("Left", 1), ("Right", -1))}
    for done in range(ROUNDS):
        moved = np.unique(triangles[_folded(mesh.points, triangles)])
        moved = moved[movable[moved]]
        if not len(moved):
            return
        for _ in range(done // PATIENCE):
            moved = np.unique(np.concatenate([moved, *(near[v] for v in moved)]))
            moved = moved[movable[moved]]
        mean = np.array([mesh.points[near[v]].mean(0) for v in moved])
        mesh.points[moved] += STEP * (mean - mesh.points[moved])
        for side, ids in lids.items():
            _keep_outside(mesh.points, np.intersect1d(ids, moved), EYE * [side, 1, 1])
        mesh.points = symmetrised(mesh.points, mesh.mirror)


def _keep_outside(points: np.ndarray, ids: np.ndarray, centre: np.ndarray) -> None:
    away = points[ids] - centre
    radius = np.linalg.norm(away, axis=1)
    low = (radius < EYE_RADIUS + 0.1) & (away[:, 2] > 0)
    points[ids[low]] = centre + unit(away[low]) * (EYE_RADIUS + 0.1)


def _folded(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Numbers of the triangles whose normal does not agree with their neighbours'."""
    corners = points[triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    sides = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]], axis=2).reshape(-1, 2)
    order = np.lexsort(sides.T)
    same = (sides[order[1:]] == sides[order[:-1]]).all(1)
    one, other = order[:-1][same] // 3, order[1:][same] // 3
    around = np.zeros_like(normals)
    np.add.at(around, one, normals[other])
    np.add.at(around, other, normals[one])
    return np.flatnonzero((unit(around) * unit(normals)).sum(1) < LEAST_COSINE)
