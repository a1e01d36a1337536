"""The head's mesh while it grows: points, faces with their materials, the mirror map and named loops."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field

import numpy as np

from .geometry import Face, edges, symmetrised, turned_over, vertex_normals
from .topology import Skin, strip


@dataclass
class Mesh:
    """points: (V, 3) mm; faces with one material name each; mirror: (V,).

    loops: name -> vertex loops from the skin inwards (or outwards, ears), the skin's own rings included.
    skin_count: how many of the first vertices are the outer skin; directions: their chart directions.
    reference: (V, 3) where the same vertices lie on the mean head: places named in mm are looked up there, on any head.
    """

    points: np.ndarray
    faces: list[Face]
    materials: list[str]
    mirror: np.ndarray
    loops: dict[str, list[np.ndarray]]
    skin_count: int
    directions: np.ndarray
    centres: dict[str, int] = field(default_factory=dict)
    reference: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))

    def normals(self) -> np.ndarray:
        """(V, 3) unit normals."""
        return vertex_normals(self.points, self.faces)

    def symmetrise(self) -> None:
        """Make the points exactly mirror-symmetric."""
        self.points = symmetrised(self.points, self.mirror)

    def add(self, points: np.ndarray) -> np.ndarray:
        """Append points; returns their indices. The mirror map is completed by `pair` or `self_mirrored`."""
        first = len(self.points)
        self.points = np.vstack([self.points, points])
        new = np.arange(first, first + len(points))
        self.mirror = np.concatenate([self.mirror, new])
        return new

    def pair(self, left: np.ndarray, right: np.ndarray) -> None:
        """Declare two index arrays to be each other's mirror image."""
        self.mirror[left], self.mirror[right] = right, left

    def extend(self, name: str, rings: list[np.ndarray], materials: list[str]) -> None:
        """Continue the loop family `name` (starting at its first loop) through new rings of points, one material per strip."""
        before = self.loops[name][0]
        made = []
        for ring, material in zip(rings, materials):
            loop = self.add(ring)
            quads = strip(before, loop)
            self.faces += quads
            self.materials += [material] * len(quads)
            made.append(loop)
            before = loop
        self.loops[name + "_in"] = made

    def cap(self, name: str, point: np.ndarray, material: str) -> None:
        """Close the family's last loop, of an even number of vertices, with a fan of quads."""
        centre = int(self.add(np.asarray(point)[None])[0])
        loop = self.loops[name + "_in"][-1].tolist()
        # the first diagonal runs to the centre, so that each half is a triangle of the fan
        fan = [(loop[k], loop[(k + 1) % len(loop)], centre, loop[k - 1]) for k in range(0, len(loop), 2)]
        self.faces += fan
        self.materials += [material] * len(fan)
        self.centres[name] = centre


def mesh_from_skin(skin: Skin, points: np.ndarray) -> Mesh:
    """Start with the outer skin, its vertices at (V, 3) points."""
    return Mesh(
        points=points.copy(),
        faces=list(skin.faces),
        materials=["skin"] * len(skin.faces),
        mirror=skin.mirror.copy(),
        loops={name: list(loops) for name, loops in skin.rings.items()},
        skin_count=len(skin.points),
        directions=skin.directions,
    )


def orient(faces: list[Face]) -> list[Face]:
    """Turn faces so that neighbours agree with face 0. Raises ValueError when an edge has three faces or pieces are loose."""
    at: dict[tuple[int, int], list[tuple[int, bool]]] = defaultdict(list)
    for i, face in enumerate(faces):
        for a, b in edges(face):
            at[min(a, b), max(a, b)].append((i, a < b))
    if any(len(users) > 2 for users in at.values()):
        raise ValueError("the mesh has an edge with more than two faces")
    turned: dict[int, bool] = {0: False}
    queue = deque([0])
    while queue:
        i = queue.popleft()
        for a, b in edges(faces[i]):
            for j, along in at[min(a, b), max(a, b)]:
                if j not in turned:
                    turned[j] = along == ((a < b) ^ turned[i])
                    queue.append(j)
    if len(turned) != len(faces):
        raise ValueError(f"{len(faces) - len(turned)} faces hang loose")
    return [turned_over(face) if turned[i] else face for i, face in enumerate(faces)]


def boundary_edges(faces: list[Face]) -> list[tuple[int, int]]:
    """Edges that only one face uses."""
    uses = Counter(tuple(sorted(e)) for face in faces for e in edges(face))
    return [e for e, count in uses.items() if count == 1]
