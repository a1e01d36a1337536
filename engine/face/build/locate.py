"""Where a direction of the chart lies on the finished skin: a triangle and barycentric weights."""

from __future__ import annotations

import numpy as np

from .geometry import triangulate
from .mesh import Mesh


def locate(mesh: Mesh, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) directions -> (N, 3) vertices of the skin triangle each passes through and (N, 3) barycentric weights in space.

    A direction that falls into an opening gets the nearest triangle's edge.
    """
    triangles = triangulate([f for f in mesh.faces if max(f) < mesh.skin_count])
    corners = mesh.directions[triangles].transpose(0, 2, 1)
    usable = np.abs(np.linalg.det(corners)) > 1e-12
    triangles, corners = triangles[usable], corners[usable]
    share = np.einsum("tij,nj->nti", np.linalg.inv(corners), directions)
    best = (share.min(2) / np.abs(share).sum(2)).argmax(1)
    weights = np.clip(share[np.arange(len(directions)), best], 0, None)
    return triangles[best], weights / weights.sum(1, keepdims=True)
