"""The two sides of a transfer made ready: the starter head's skin with its shapes, and the user's mesh, checked. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...errors import InputError
from ..arkit import ARKIT_52
from ..registration.closest import TriangleIndex
from ..registration.surface import (
    Neighbours,
    Surface,
    cotangent_neighbours,
    edges_of,
    islands_of,
    triangle_normals,
    triangulate,
    vertex_normals,
    welded,
)
from ..starter_head import FOLDER, HeadModel
from .openings import RINGS, sides_of

FACEMESH = FOLDER / "facemesh_points.npz"  # where FaceMesh's points lie on the default starter head
MAX_VERTICES = 120_000
FEWEST_IN_FACE = 80
COVERED = 0.45  # least share of the starter's face that must come to lie on the mesh
SNAP = 0.02  # m: a point this near the skin is taken to be on it
MOUTH = [61, 0]  # FaceMesh's points at a corner of the lips and in the middle of the upper one, on their outer edge
ROUNDNESS = 0.75  # share of the whole arch that lips keep: more shows at the corners
MIDLINE = 0.001  # m from it within which nothing comes nearer to it
SIDES_BEGIN, SIDES_END = 1.3, 2.0  # half widths of the mouth from the midline up to which what narrows is the mouth, and none of it
BEND = 0.006  # m by which a place with the opposite normal counts as farther away


@dataclass
class Work:
    """The mesh in the starter's frame, and how far the work has come."""

    surface: Surface
    stands: np.ndarray
    edges: np.ndarray
    label: np.ndarray
    skin: np.ndarray


class Source:
    """The starter head's skin with its shapes, addressed as the transfer needs it."""

    def __init__(self, head: HeadModel) -> None:
        everything = triangulate(head.face_sizes, head.face_vertices)
        points = head.vertices.astype(float)
        edges, _ = edges_of(everything)
        label = islands_of(len(points), edges)
        middle = head.landmark_triangles[30, 0]
        ids = np.flatnonzero(label == label[middle])
        local = np.full(len(points), -1)
        local[ids] = np.arange(len(ids))
        triangles = local[everything]
        self.surface = Surface(points[ids], triangles[(triangles >= 0).all(1)])
        own_edges, _ = edges_of(self.surface.triangles)
        self.cotangent = cotangent_neighbours(self.surface, own_edges)
        rows = [head.blendshape_names.index(name) for name in ARKIT_52]
        self.shapes = head.blendshapes[rows][:, ids].astype(float)
        self._corners, self._weights = local[head.landmark_triangles], head.landmark_barycentric.astype(float)
        self.landmarks = self.landmarks_on(self.surface.points)
        with np.load(FACEMESH) as data:
            self._corners468, self._weights468 = local[data["triangles"].astype(int)], data["weights"].astype(float)
        self.points468 = self.points_on(self.surface.points)
        lengths = Neighbours(len(ids), own_edges)
        everywhere = np.ones(len(ids), bool)
        self.sides = sides_of(self.surface, lengths, self.points468, everywhere)
        # What lies inside mouth and lids has nothing to be drawn on to; the rest takes it along.
        front = vertex_normals(self.surface.points, self.surface.triangles)[:, 2] > 0.2
        face = np.abs(self.surface.points - [0, -0.03, 0.0]).max(1) < 0.085
        self.face = front & face

    def landmarks_on(self, points: np.ndarray) -> np.ndarray:
        """(68, 3) with the skin's vertices at these points."""
        return (points[self._corners] * self._weights[..., None]).sum(1)

    def points_on(self, points: np.ndarray) -> np.ndarray:
        """(468, 3) FaceMesh's points, likewise."""
        return (points[self._corners468] * self._weights468[..., None]).sum(1)

    def nearest(self, points: np.ndarray) -> np.ndarray:
        """(N,) the skin's vertices nearest to points on the starter head."""
        return np.array([((self.surface.points - p) ** 2).sum(1).argmin() for p in points])


def kept_round(head: HeadModel) -> HeadModel:
    """The head as it is carried over: where its mouth narrows, the sides come forward farther than the middle does, as lips about
    an arch of teeth do. A mouth of half the width would else stick out like a keel, and all the more on a coarse mesh. A head
    whose lips do so already stays as it is."""
    points = head.vertices.astype(float)
    with np.load(FACEMESH) as data:
        corners, weights = data["triangles"].astype(int), data["weights"].astype(float)[..., None]
    places = (points[corners] * weights).sum(1)
    ring = places[[number for ring in RINGS["mouth"] for number in ring]]
    half = np.abs(ring[:, 0]).max()
    arch = -np.linalg.lstsq(np.c_[np.ones(len(ring)), ring[:, 0] ** 2], ring[:, 2], rcond=None)[0][1]
    x = points[:, 0]
    fading = np.clip((SIDES_END - np.abs(x) / half) / (SIDES_END - SIDES_BEGIN), 0, 1)
    shapes = head.blendshapes.copy()
    for name in ("mouthPucker", "mouthFunnel"):
        shape = shapes[head.blendshape_names.index(name)]
        narrowed = np.clip(-shape[:, 0] / np.where(np.abs(x) < MIDLINE, np.inf, x), 0, 1)
        further = ROUNDNESS * narrowed * fading * arch * x * x
        corner, middle = ((values[corners[MOUTH]] * weights[MOUTH][..., 0]).sum(1) for values in (further, shape[:, 2]))
        missing = corner[0] - (middle[0] - middle[1])
        shape[:, 2] += further * np.clip(missing / max(corner[0], 1e-9), 0, 1)
    return replace(head, blendshapes=shapes)


def checked_mesh(vertices: np.ndarray, face_sizes: np.ndarray, face_vertices: np.ndarray, name: str) -> np.ndarray:
    vertices = np.asarray(vertices, float)
    if vertices.ndim != 2 or vertices.shape[1:] != (3,) or not len(vertices):
        raise InputError(f"'{name}' has no vertices.")
    if len(vertices) > MAX_VERTICES:
        raise InputError(
            f"'{name}' has {len(vertices):,} vertices; shapes can be given to {MAX_VERTICES:,}: use a lower resolution, "
            "with the detail in a Multiresolution or Subdivision modifier."
        )
    if not np.isfinite(vertices).all():
        raise InputError(f"'{name}' has vertices that are nowhere (not finite numbers).")
    corners = np.asarray(face_vertices)
    if not len(corners) or int(np.asarray(face_sizes).sum()) != len(corners):
        raise InputError(f"'{name}' has no faces.")
    if corners.min() < 0 or corners.max() >= len(vertices):
        raise InputError(f"'{name}' has faces whose vertices are missing.")
    return vertices


def prepared(
    points: np.ndarray, triangles: np.ndarray, laid: np.ndarray, name: str
) -> tuple[Work, np.ndarray]:
    """The mesh ready for work, and the points on its skin."""
    stands = welded(points, triangles)
    triangles = stands[triangles]
    distinct = (triangles[:, 0] != triangles[:, 1]) & (triangles[:, 1] != triangles[:, 2]) & (triangles[:, 2] != triangles[:, 0])
    triangles = triangles[distinct]
    if not len(triangles):
        raise InputError(f"'{name}' has no faces.")
    found = TriangleIndex(points, triangles).nearest(laid)
    edges, _ = edges_of(triangles)
    label = islands_of(len(points), edges)
    islands, votes = np.unique(label[triangles[found.triangle, 0]], return_counts=True)
    skin = label == islands[votes.argmax()]
    if skin.sum() < FEWEST_IN_FACE:
        raise InputError(f"The face of '{name}' has {int(skin.sum())} vertices; at least {FEWEST_IN_FACE} are needed.")
    # Inside out? At the points the surface must look away from the middle of the head.
    flat = triangle_normals(points, triangles)[found.triangle]
    out = laid - np.array([0.0, -0.03, -0.09])
    if ((flat * out).sum(1) < 0).mean() > 0.5:
        triangles = triangles[:, ::-1]
    on_skin = triangles[skin[triangles].all(1)]
    nearest = TriangleIndex(points, on_skin).nearest(laid)
    snapped = (points[on_skin[nearest.triangle]] * nearest.weights[..., None]).sum(1)
    laid = np.where((nearest.distance < SNAP)[:, None], snapped, laid)
    return Work(Surface(points, triangles), stands, edges, label, skin), laid


def refuse_other_things(source: Source, drawn: np.ndarray, target: Surface, name: str) -> None:
    """Raise InputError where the starter's face, drawn on to the mesh, finds no face there."""
    flat = triangle_normals(target.points, target.triangles)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-30)
    rows = np.flatnonzero(source.face)[::3]
    normals = vertex_normals(drawn, source.surface.triangles)[rows]
    found = TriangleIndex(target.points, target.triangles, flat).nearest(drawn[rows], normals, BEND)
    lies = (found.distance < 0.005) & ((flat[found.triangle] * normals).sum(1) > 0.4)
    if lies.mean() < COVERED:
        raise InputError(
            f"The surface of '{name}' does not look like a face between the points: drag them to where their names say."
        )
