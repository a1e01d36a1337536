"""Whether the lips pass through each other: the signed gap between the surfaces of upper and lower lip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..starter_head import HeadModel
from .surface import open_edges, signed_distances, triangles_of

OUTER_ROWS, INNER_ROWS = 4, 3  # loops before and behind the contact line that make up a lip's red and its inner side
AT_CORNER = 2  # spokes next to the corners that are not tested: there both lips are one surface


@dataclass(frozen=True)
class Lip:
    """One lip as a piece of surface. tested: (N,) vertices; triangles: (T, 3); ends: (V,) bool, see `signed_distances`."""

    tested: np.ndarray
    triangles: np.ndarray
    ends: np.ndarray


def lips_of(head: HeadModel) -> tuple[Lip, Lip]:
    """The upper and the lower lip of a head with rings. Raises ValueError when it has none."""
    if "mouth" not in head.rings:
        raise ValueError(f"the head '{head.name}' has no named rings")
    loops = [*head.rings["mouth"][:OUTER_ROWS], *head.rings["mouth_in"][:INNER_ROWS]]
    spokes = len(loops[0])
    half = spokes // 2
    triangles, _ = triangles_of(head)
    lips = []
    for first in (half, 0):  # spokes run from the right corner below to the left one and back above
        columns = np.arange(first, first + half + 1) % spokes
        patch = np.zeros(len(head.vertices), bool)
        for loop in loops:
            patch[loop[columns]] = True
        own = triangles[patch[triangles].all(1)]
        ends = np.zeros(len(head.vertices), bool)
        ends[open_edges(own)] = True
        tested = np.concatenate([loop[columns[AT_CORNER:-AT_CORNER]] for loop in loops])
        lips.append(Lip(tested, own, ends))
    return lips[0], lips[1]


def lip_gap(lips: tuple[Lip, Lip], posed: np.ndarray) -> float:
    """The smallest signed distance of a vertex of one lip to the other's surface in one pose (V, 3); negative: inside it."""
    upper, lower = lips
    least = np.inf
    for one, other in ((upper, lower), (lower, upper)):
        used, local = np.unique(other.triangles, return_inverse=True)
        distance = signed_distances(
            posed[one.tested].astype(float), posed[used].astype(float), local.reshape(-1, 3), other.ends[used]
        )
        least = min(least, float(np.nanmin(distance, initial=np.inf)))
    return least
