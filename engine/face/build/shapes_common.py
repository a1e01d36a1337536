"""What all blendshape modules share: the head with its handles' addresses, and the making of one smooth shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from .chart import Surface
from .fields import Field
from .geometry import FLIP, distance_to_curve, open_curve, symmetrised
from .landmarks import Landmarks
from .mesh import Mesh

Shapes = dict[str, np.ndarray]
Push = tuple[Sequence[float], Sequence[float]]  # (place, displacement), both mm
LIP_ROWS = (0, 2, 4)  # rings that handle a lip motion; the field carries those between
FOLD_WIDTH = 3.2


class Sculptor:
    """The head at rest, addressed the way the shapes need it."""

    def __init__(self, mesh: Mesh, surface: Surface, landmarks: Landmarks) -> None:
        """Set up solver, normals and the mouth's vertices."""
        self.mesh, self.landmarks = mesh, landmarks
        self.field = Field(mesh)
        self.normals = mesh.normals()
        self._chart = surface.landmark_directions
        self.outer, self.inner = mesh.loops["mouth"], mesh.loops["mouth_in"]
        contact = mesh.points[self.outer[0]]
        self.spokes = len(contact)
        k = np.arange(self.spokes)
        self.half = self.spokes // 2
        self.lower, self.upper = (k > 0) & (k < self.half), k > self.half
        self.across = contact[:, 0] / np.abs(contact[:, 0]).max()  # -1 at the right corner, 1 at the left
        self.eye_region = np.zeros(len(mesh.points), bool)
        for side in ("Left", "Right"):
            for loop in (*mesh.loops["eye" + side][:3], *mesh.loops[f"eye{side}_in"]):
                self.eye_region[loop] = True

    def landmark(self, number: int) -> int:
        """The skin vertex nearest to a FaceMesh landmark, in the chart."""
        return int(np.argmin(((self.mesh.directions - self._chart[number]) ** 2).sum(1)))

    def at(self, place: Sequence[float]) -> int:
        """The skin vertex nearest to a point."""
        return int(np.argmin(((self.mesh.reference[: self.mesh.skin_count] - np.array(place)) ** 2).sum(1)))

    def pushes(self, *pushes: Push) -> dict[int, np.ndarray]:
        """Handles at the vertices nearest to places."""
        return {self.at(place): np.array(move, float) for place, move in pushes}

    def both(self, handles: Mapping[int, np.ndarray]) -> dict[int, np.ndarray]:
        """The handles and their mirror images."""
        return {**handles, **{int(self.mesh.mirror[v]): d * FLIP for v, d in handles.items()}}

    def lips(
        self, move: Callable[[float, str, int], Sequence[float] | None], rows: Sequence[int] = (0, 1, 2, 3, 4)
    ) -> dict[int, np.ndarray]:
        """Handles on the lips: move(across, part, row) -> displacement or None to leave free.

        across: -1..1 from the right to the left corner; part: "upper", "lower" or "corner"; row: 0 contact line, 1..4 outwards,
        -1..-3 the lip's inner side.
        """
        handles = {}
        loops = [(r, self.outer[r]) for r in rows] + [(-1 - r, self.inner[r]) for r in range(3)]
        for row, loop in loops:
            for k in range(self.spokes):
                part = "upper" if self.upper[k] else "lower" if self.lower[k] else "corner"
                d = move(float(self.across[k]), part, row)
                if d is not None:
                    handles[int(loop[k])] = np.array(d, float)
        return handles

    def shape(self, handles: Mapping[int, np.ndarray], radius: float, still: np.ndarray | None = None) -> np.ndarray:
        """(V, 3) smooth shape: the handles move as told, everything beyond `radius` mm and `still` stays."""
        held = self.field.beyond(handles, radius)
        if still is not None:
            held |= still
        held[list(handles)] = False
        return self.field.solve(handles, held)

    def fold(self, shape: np.ndarray, crease: Sequence[Sequence[float]], depth: float, bulge: float) -> np.ndarray:
        """Add a fold of the skin: a groove along the crease and a bulge beside it, mm along the normal."""
        line = open_curve(crease, 20)
        skin = self.mesh.reference[: self.mesh.skin_count]
        groove = np.exp(-(distance_to_curve(skin, line) ** 2) / (2 * FOLD_WIDTH**2))
        beside = np.exp(-(distance_to_curve(skin, line + [7, 5, 0]) ** 2) / (2 * 5.5**2))
        folded = shape.copy()
        folded[: len(skin)] += self.normals[: len(skin)] * (bulge * beside - depth * groove)[:, None]
        return folded

    def wrinkled(
        self, shape: np.ndarray, lines: Sequence[Sequence[Sequence[float]]], depth: float, width: float = 2.6
    ) -> np.ndarray:
        """Add wrinkles along lines of places: each a groove `depth` mm deep with the skin it takes bulging on both sides."""
        skin = self.mesh.reference[: self.mesh.skin_count]
        folded = shape.copy()
        for line in lines:
            away = distance_to_curve(skin, open_curve(line, 20)) / width
            profile = np.exp(-(away**2) / 2) - 0.85 * np.exp(-((away - 2.3) ** 2) / (2 * 0.8**2))
            folded[: len(skin)] -= self.normals[: len(skin)] * (depth * profile)[:, None]
        return folded

    def two_sided(self, name: str, left: np.ndarray) -> Shapes:
        """The left shape under its name and its mirror image."""
        return {name + "Left": left, name + "Right": left[self.mesh.mirror] * FLIP}

    def symmetric(self, shape: np.ndarray) -> np.ndarray:
        """Exactly mirror-symmetric."""
        return symmetrised(shape, self.mesh.mirror)
