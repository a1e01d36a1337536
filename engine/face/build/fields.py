"""Smooth displacement fields over the mesh: exact at handle vertices, zero far away, as smooth as a bent plate between.

Minimises the integral of the squared Laplacian (bi-Laplacian surfaces: Botsch & Kobbelt, "An intuitive framework for real-time
freeform modeling", SIGGRAPH 2004) with cotangent weights. Mouth and eyes are real openings of the mesh, so nothing leaks across.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import scipy.sparse as sparse
from scipy.sparse.csgraph import dijkstra
from scipy.sparse.linalg import splu

from .geometry import edges, triangulate
from .mesh import Mesh

Handles = Mapping[int, np.ndarray]


class Field:
    """Solver of displacement fields on one mesh at rest."""

    def __init__(self, mesh: Mesh) -> None:
        """Set up the operators."""
        self.count = len(mesh.points)
        laplacian, area = _cotangent_laplacian(mesh)
        identity = sparse.eye(self.count)
        self.plate = (laplacian @ sparse.diags(1 / area) @ laplacian + 1e-9 * identity).tocsr()
        self.plate_and_membrane = (self.plate + 0.02 * laplacian).tocsr()
        directed = np.array([e for f in mesh.faces for e in edges(f)])
        lengths = np.linalg.norm(mesh.points[directed[:, 0]] - mesh.points[directed[:, 1]], axis=1)
        graph = sparse.csr_matrix((lengths, (directed[:, 0], directed[:, 1])), (self.count, self.count))
        self.graph = graph.maximum(graph.T)

    def beyond(self, vertices: Iterable[int], radius: float) -> np.ndarray:
        """(V,) which vertices lie further than `radius` mm along the surface from all given ones."""
        return dijkstra(self.graph, indices=sorted(set(vertices)), min_only=True) > radius

    def solve(self, handles: Handles, held: np.ndarray, bounded: bool = False) -> np.ndarray:
        """(V, D) field equal to each handle's (D,) value, zero where `held` (V,) is true.

        bounded: mix in a membrane term, which hardly overshoots.
        """
        operator = self.plate_and_membrane if bounded else self.plate
        ids = np.fromiter(handles, int)
        values = np.zeros((self.count, len(next(iter(handles.values())))))
        values[ids] = np.array(list(handles.values()))
        known = held.copy()
        known[ids] = True
        free = ~known
        rows = operator[free]
        factors = splu(rows[:, free].tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
        values[free] = factors.solve(-(rows[:, known] @ values[known]))
        return values


def _cotangent_laplacian(mesh: Mesh) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Positive semidefinite (V, V) Laplacian with clamped cotangents, and lumped areas (V,)."""
    p, t = mesh.points, triangulate(mesh.faces)
    rows, columns, values, area = [], [], [], np.zeros(len(p))
    for a, b, c in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        u, v = p[t[:, a]] - p[t[:, c]], p[t[:, b]] - p[t[:, c]]
        double_area = np.linalg.norm(np.cross(u, v), axis=1)
        w = 0.5 * np.clip((u * v).sum(1) / np.maximum(double_area, 1e-6), 0.05, 5)
        rows += [t[:, a], t[:, b]]
        columns += [t[:, b], t[:, a]]
        values += [w, w]
        np.add.at(area, t[:, c], double_area / 6)
    shape = (len(p), len(p))
    adjacency = sparse.csr_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape)
    degree = sparse.diags(np.asarray(adjacency.sum(1)).ravel())
    return degree - adjacency, np.maximum(area, 0.3)
