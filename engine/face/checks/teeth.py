"""Whether teeth come out through the face, or lie in its flesh."""

from __future__ import annotations

import numpy as np

from ..starter_head import HeadModel
from .surface import open_edges, signed_distances, triangles_of

REACH = 0.045  # m around the teeth's front, within which skin counts


class Teeth:
    """The measure on one head."""

    def __init__(self, head: HeadModel) -> None:
        """Find the teeth, the outer skin of the mouth's surroundings, and the mouth's inside."""
        names = [m.name for m in head.materials]
        triangles, faces = triangles_of(head)
        material = head.material_index[faces]
        self.teeth = np.unique(triangles[material == names.index("teeth")])
        inside = np.zeros(len(head.vertices), bool)
        for loop in head.rings["mouth_in"]:
            inside[loop] = True
        skin = np.isin(material, [names.index("skin"), names.index("lips")])
        lips = np.zeros(len(head.vertices), bool)
        lips[np.concatenate(head.rings["mouth"])] = True
        middle = head.vertices[head.rings["mouth"][0]].mean(0)
        close = (np.linalg.norm(head.vertices - middle, axis=1) < REACH) & (head.vertices[:, 2] > middle[2] - REACH)
        outer = triangles[skin & close[triangles].all(1) & ~inside[triangles].any(1)]
        self.outer, self.outer_ends = self._piece(head, outer)
        contact = np.zeros(len(head.vertices), bool)
        contact[head.rings["mouth"][0]] = True
        bag = (inside | contact)[triangles].all(1)
        self.bag, self.bag_ends = self._piece(head, triangles[bag])

    @staticmethod
    def _piece(head: HeadModel, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ends = np.zeros(len(head.vertices), bool)
        ends[open_edges(triangles)] = True
        return triangles, ends

    def _signed(self, posed: np.ndarray, triangles: np.ndarray, ends: np.ndarray) -> np.ndarray:
        used, local = np.unique(triangles, return_inverse=True)
        return signed_distances(posed[self.teeth].astype(float), posed[used].astype(float), local.reshape(-1, 3), ends[used])

    def poking_out(self, posed: np.ndarray) -> float:
        """mm by which the furthest tooth's vertex stands before the outer skin; negative: how far the nearest stays behind it.

        A vertex whose nearest place is the rim of the lips is in the mouth's opening and does not count.
        """
        return float(np.nanmax(self._signed(posed, self.outer, self.outer_ends), initial=-np.inf) * 1000)

    def in_flesh(self, posed: np.ndarray) -> tuple[int, float]:
        """How many vertices of teeth lie behind the mouth's own lining, and how deep in mm the deepest does."""
        depth = -self._signed(posed, self.bag, self.bag_ends) * 1000
        inside = depth > 0.05
        return int(inside.sum()), float(np.max(depth, where=inside, initial=0.0))
