"""Delaunay triangulation that contains given edges: SciPy's, then edges recovered by flips.

Sloan, "A fast algorithm for generating constrained Delaunay triangulations", Computers & Structures 47, 1993.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from scipy.spatial import Delaunay


def constrained_delaunay(points: np.ndarray, constraints: Sequence[tuple[int, int]]) -> np.ndarray:
    """(N, 2) points -> (T, 3) counter-clockwise triangles of their convex hull in which every constraint is an edge.

    Raises ValueError when a constraint runs through another point or crosses another constraint.
    """
    triangles = Delaunay(points).simplices
    flip = _cross(points, triangles[:, 0], triangles[:, 1], triangles[:, 2]) < 0
    triangles[flip] = triangles[flip][:, ::-1]
    apex = {(a, b): c for t in triangles.tolist() for a, b, c in (t, t[1:] + t[:1], t[2:] + t[:2])}
    fixed = {frozenset(c) for c in constraints}
    for a, b in constraints:
        if (a, b) not in apex and (b, a) not in apex:
            _recover(points, apex, a, b, fixed)
    return np.array([(a, b, c) for (a, b), c in apex.items() if a < b and a < c])


def _cross(points: np.ndarray, a: np.ndarray | int, b: np.ndarray | int, c: np.ndarray | int) -> np.ndarray:
    """Twice the signed area of triangle a, b, c."""
    u, v = points[b] - points[a], points[c] - points[a]
    return u.T[0] * v.T[1] - u.T[1] * v.T[0]


def _crosses(points: np.ndarray, a: int, b: int, u: int, v: int) -> bool:
    if {a, b} & {u, v}:
        return False
    sides = _cross(points, a, b, u) * _cross(points, a, b, v), _cross(points, u, v, a) * _cross(points, u, v, b)
    return bool(sides[0] < 0 and sides[1] < 0)


def _recover(points: np.ndarray, apex: dict[tuple[int, int], int], a: int, b: int, fixed: set[frozenset[int]]) -> None:
    u, v = np.array([e for e in apex if e[0] < e[1]]).T
    apart = _cross(points, a, b, u) * _cross(points, a, b, v) < 0
    u, v = u[apart], v[apart]
    crossing = deque((i, j) for i, j in zip(u.tolist(), v.tolist()) if _crosses(points, a, b, i, j))
    for _ in range(1000):
        if not crossing:
            break
        u, v = crossing.popleft()
        if frozenset((u, v)) in fixed:
            raise ValueError(f"constraints {a}-{b} and {u}-{v} cross")
        c, d = apex[u, v], apex[v, u]
        if _cross(points, c, d, v) <= 0 or _cross(points, d, c, u) <= 0:  # not convex: its turn comes later
            crossing.append((u, v))
            continue
        for edge in ((u, v), (v, u)):
            del apex[edge]
        for p, q, r in ((c, d, v), (d, c, u)):
            apex[p, q], apex[q, r], apex[r, p] = r, p, q
        if _crosses(points, a, b, c, d):
            crossing.append((c, d))
    if (a, b) not in apex and (b, a) not in apex:
        raise ValueError(f"edge {a}-{b} could not be made: a point lies on it")
