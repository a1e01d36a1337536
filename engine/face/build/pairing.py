"""Triangles joined to quads: as many as there can be of a good shape, and the best-shaped first."""

from __future__ import annotations

import numpy as np

from .geometry import edges, unit

SKEWEST = 0.84  # cosine of a quad's sharpest or bluntest corner
FLATTEST_FOLD = 0.84  # cosine between a quad's two halves
DEEPEST = 14  # pairs that a chain of exchanges may go through


def paired(triangles: np.ndarray, points: np.ndarray) -> tuple[list[list[int]], list[list[int]]]:
    """(T, 3) triangles over (V, 3) points -> quads, and the triangles that are left.

    First greedily by shape. Then, as in matchings of any graph (Berge, "Two theorems in graph theory", 1957), two triangles that
    are left and joined by a chain of pairs and near pairs are used up by exchanging one for the other along the chain.
    """
    quads = _good_quads(triangles, points)
    near: list[list[int]] = [[] for _ in triangles]
    mate = np.full(len(triangles), -1)
    for a, b in sorted(quads, key=lambda pair: (quads[pair][0], pair)):
        near[a].append(b)
        near[b].append(a)
        if mate[a] < 0 and mate[b] < 0:
            mate[a], mate[b] = b, a
    for left in np.flatnonzero(mate < 0).tolist():
        chain = _chain(left, near, mate) if mate[left] < 0 else []
        for a, b in zip(chain[::2], chain[1::2]):
            mate[a], mate[b] = b, a
    made = [quads[a, int(b)][1] for a, b in enumerate(mate) if a < b]
    return made, triangles[mate < 0].tolist()


def _good_quads(triangles: np.ndarray, points: np.ndarray) -> dict[tuple[int, int], tuple[float, list[int]]]:
    """Two triangles' numbers, the smaller first -> how bad a quad they make, and its corners; its first diagonal is their edge."""
    by_edge: dict[frozenset[int], list[int]] = {}
    for i, t in enumerate(triangles.tolist()):
        for e in edges(t):
            by_edge.setdefault(frozenset(e), []).append(i)
    found = {}
    for e, pair in by_edge.items():
        if len(pair) != 2:
            continue
        t, u = (triangles[i].tolist() for i in pair)
        k = t.index(next(v for v in t if v not in e))
        quad = [t[(k + 1) % 3], next(v for v in u if v not in e), t[(k + 2) % 3], t[k]]
        side = np.roll(points[quad], -1, 0) - points[quad]
        length = np.linalg.norm(side, axis=1)
        direction = side / length[:, None]
        skew = np.abs((direction * np.roll(direction, 1, 0)).sum(1)).max()
        fold = unit(np.cross(side[0], side[1])) @ unit(np.cross(side[2], side[3]))
        if skew <= SKEWEST and fold >= FLATTEST_FOLD:
            found[pair[0], pair[1]] = (skew + 0.4 * (length.max() / length.min() - 1) + 2 * (1 - fold), quad)
    return found


def _chain(start: int, near: list[list[int]], mate: np.ndarray) -> list[int]:
    """From one triangle without a mate to another, over good quads and existing pairs in turn; the shortest such; or []."""
    for depth in range(1, DEEPEST):
        if chain := _deeper([start], near, mate, depth):
            return chain
    return []


def _deeper(chain: list[int], near: list[list[int]], mate: np.ndarray, depth: int) -> list[int]:
    for other in near[chain[-1]]:
        if other in chain:
            continue
        if mate[other] < 0:
            return [*chain, other]
        beyond = int(mate[other])
        if depth > 1 and beyond not in chain and (found := _deeper([*chain, other, beyond], near, mate, depth - 1)):
            return found
    return []
