"""Triangles that a pose turns inside out.

A triangle is flipped when its normal opposes (negative cosine) its normal at rest carried by the rotation of its
neighbourhood: the rotation that fits best, in the least squares sense, how the vertices within two rings of it moved
(Kabsch 1976). A jaw's whole chin may so turn by any angle; a single triangle that turns against its surroundings is a fold.
"""

from __future__ import annotations

import numpy as np

from ..starter_head import HeadModel
from .surface import normals_of, triangles_of

SUSPECT = 0.35  # cosine between a triangle's normals at rest and posed under which its neighbourhood is looked at
TINY = 1e-12  # m2, twice the area under which a triangle has no side


class Folds:
    """The search for flipped triangles on one head."""

    def __init__(self, head: HeadModel) -> None:
        """Neighbourhoods are found once."""
        self.rest = head.vertices.astype(np.float64)
        self.triangles, self.faces = triangles_of(head)
        self.normals = normals_of(self.rest, self.triangles)
        at: list[list[int]] = [[] for _ in self.rest]
        for number, corners in enumerate(self.triangles.tolist()):
            for v in corners:
                at[v].append(number)
        self._at = [np.array(t, int) for t in at]

    def _around(self, triangle: int) -> np.ndarray:
        """Vertices within two rings of a triangle."""
        vertices = self.triangles[triangle]
        for _ in range(2):
            vertices = np.unique(self.triangles[np.concatenate([self._at[v] for v in vertices])])
        return vertices

    def flipped(self, posed: np.ndarray) -> np.ndarray:
        """Numbers of the triangles that the pose (V, 3) m turns inside out."""
        normals = normals_of(posed.astype(np.float64), self.triangles)
        length = np.linalg.norm(normals, axis=1) * np.linalg.norm(self.normals, axis=1)
        cosine = (normals * self.normals).sum(1) / np.maximum(length, 1e-30)
        suspects = np.flatnonzero((cosine < SUSPECT) & (length > TINY**2))
        return np.array([t for t in suspects if self._carried_cosine(int(t), posed, normals[t]) < 0], int)

    def _carried_cosine(self, triangle: int, posed: np.ndarray, normal: np.ndarray) -> float:
        ids = self._around(triangle)
        before, after = self.rest[ids], posed[ids].astype(np.float64)
        u, _, vt = np.linalg.svd((before - before.mean(0)).T @ (after - after.mean(0)))
        turn = (u * [1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt  # row vectors: before @ turn = after
        carried = self.normals[triangle] @ turn
        return float(carried @ normal / (np.linalg.norm(carried) * np.linalg.norm(normal)))

    def folded_at_rest(self) -> np.ndarray:
        """Numbers of the triangles whose normal at rest opposes the mean of their neighbours' over an edge, by area."""
        edges = np.sort(self.triangles[:, [[0, 1], [1, 2], [2, 0]]], axis=2).reshape(-1, 2)
        order = np.lexsort(edges.T)
        same = (edges[order[1:]] == edges[order[:-1]]).all(1)
        one, other = order[:-1][same] // 3, order[1:][same] // 3
        around = np.zeros_like(self.normals)
        np.add.at(around, one, self.normals[other])
        np.add.at(around, other, self.normals[one])
        return np.flatnonzero((around * self.normals).sum(1) < 0)
