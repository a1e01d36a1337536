"""Give a head without shapes ARKit's 52, carried over from the starter head. NumPy only.

Points on both faces lay one over the other (registration/), the starter's surface is drawn on to the mesh, every vertex takes the
motion of the place that it lies on, stretched as the warp stretches there (in the spirit of Noh and Neumann, "Expression
Cloning", 2001), and what the
mesh's own lips and lids need in order to close is worked in afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from ...errors import Cancelled, InputError
from ..arkit import ARKIT_52
from ..registration.closest import TriangleIndex
from ..registration.points import LARGEST_MISFIT, POINTS, checked_points, similarity, starter_points
from ..registration.surface import (
    Neighbours,
    Surface,
    cotangent_neighbours,
    smooth_field,
    triangle_normals,
    triangulate,
    vertex_normals,
)
from ..registration.warp import SidedIndex, Warp, draw_on, fit_warp
from ..starter_head import HeadModel
from .closing import closed, unfolded
from .creases import about_openings
from .openings import RINGS, Opening, find_opening, sides_of
from .parts import Piece, balls, jaw_motion, piece_shapes, pieces_of
from .sides import BEND, Source, Work, checked_mesh, kept_round, prepared, refuse_other_things

NEAR, FAR = 0.008, 0.025  # m: a vertex this near the starter's surface takes its motion; beyond, none
LEAST_TRUST = 0.02
STIFFNESS, GRAIN = 0.3, 0.003  # of the smoothing where vertices lie GRAIN m apart; less where they lie farther apart
EVEN = 1e-6  # m: smaller motions are none

Report = Callable[[str, int, int], None]  # stage, step, total


@dataclass(frozen=True)
class GivenShapes:
    """What a head was given.

    names: K; deltas: (K, V, 3) float32, displacements at weight 1 in the mesh's unit and axes. notes: sentences for the user.
    seconds: spent per stage. unit: m of the starter head's size per unit of the mesh. openings: name -> the lips or lids that were
    found, whose vertices are the mesh's. turned_over: how many triangles a shape alone turns over, and mouthClose with jawOpen.
    """

    names: tuple[str, ...]
    deltas: np.ndarray
    notes: list[str]
    seconds: dict[str, float]
    unit: float
    openings: dict[str, Opening]
    turned_over: dict[str, int] = field(default_factory=dict)


def give_shapes(
    head: HeadModel,
    vertices: np.ndarray,
    face_sizes: np.ndarray,
    face_vertices: np.ndarray,
    points: Mapping[str, np.ndarray],
    name: str = "the mesh",
    progress: Report | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> GivenShapes:
    """Carry the 52 shapes over to a mesh at rest.

    vertices: (V, 3), any unit and axes; face_sizes: (F,), face_vertices: (sum of sizes,) polygons of any size, counter-clockwise
    from outside. points: name of registration.points.POINTS -> (3,) place on the face. name: what to call the mesh.
    progress: called with stage, step, total. Raises InputError with one sentence where it cannot be done, Cancelled.
    """
    report = progress or (lambda stage, step, total: None)
    stop = cancelled or (lambda: False)
    clock = _Clock()

    def told(stage: str, step: int, total: int) -> None:
        if stop():
            raise Cancelled
        clock(stage)
        report(stage, step, total)

    told("fit", 0, 1)
    vertices = checked_mesh(vertices, face_sizes, face_vertices, name)
    known, places = checked_points(points, name)
    starter = starter_points(head)[[list(POINTS).index(n) for n in known]]
    scale, rotation, shift = similarity(places, starter)
    laid = places @ rotation.T * scale + shift
    misfit = np.sqrt(((laid - starter) ** 2).sum(1).mean() / ((starter - starter.mean(0)) ** 2).sum(1).mean())
    if scale <= 0 or misfit > LARGEST_MISFIT:
        raise InputError(f"The points on '{name}' do not lie as on a face: drag them to where their names say.")
    work, laid = prepared(vertices @ rotation.T * scale + shift, triangulate(face_sizes, face_vertices), laid, name)
    source = Source(kept_round(head))
    warp = fit_warp(starter, laid)
    own = cotangent_neighbours(work.surface, work.edges)
    lengths = Neighbours(len(work.surface.points), work.edges)
    sides = sides_of(work.surface, lengths, warp(source.points468), work.skin)
    skin_triangles = work.surface.triangles[work.skin[work.surface.triangles].all(1)]
    target = Surface(work.surface.points, skin_triangles)
    told("fit", 1, 8)
    warped = source.surface.moved(warp(source.surface.points))
    anchors = source.nearest(starter)
    drawn = draw_on(
        warped, source.cotangent, source.sides, (anchors, laid), target, sides, lambda i, n: told("fit", 2 + i, n + 2)
    )
    refuse_other_things(source, drawn, target, name)

    told("carry", 0, 4)
    shapes = _carried(source, drawn, warp, target, sides, work, own, lambda i: told("carry", i, 4))
    drawn_points = source.points_on(drawn)

    told("close", 0, 3)
    pieces = pieces_of(work.surface.points, work.label, work.skin, source.landmarks_on(drawn))
    eyes = balls(work.surface.points, pieces)
    openings: dict[str, Opening] = {}
    for opening_name in RINGS:
        found = find_opening(opening_name, target, work.edges, sides, drawn_points)
        if found is not None:
            openings[opening_name] = found
    names = list(ARKIT_52)
    near = about_openings(target.points, drawn_points)
    shapes = unfolded(target, own, shapes, names, near, lambda i: told("smooth", i, len(names)))
    told("close", 1, 3)
    shapes, turned = closed(target, own, shapes, names, openings, eyes)
    told("close", 2, 3)
    shapes = _with_pieces(head, source, pieces, names, work, target, shapes, warp)
    deltas = shapes[:, work.stands] @ rotation.astype(np.float32) / np.float32(scale)
    deltas[np.abs(deltas) < EVEN / scale] = 0
    told("save", 0, 1)
    notes = _notes(name, openings, pieces)
    return GivenShapes(tuple(names), deltas, notes, clock.seconds, scale, openings, turned)


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._stage, self._since = "", time.perf_counter()

    def __call__(self, stage: str) -> None:
        now = time.perf_counter()
        if self._stage:
            self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + now - self._since
        self._stage, self._since = stage, now


def _carried(
    source: Source,
    drawn: np.ndarray,
    warp: Warp,
    target: Surface,
    sides: np.ndarray,
    work: Work,
    own: Neighbours,
    told: Callable[[int], None],
) -> np.ndarray:
    """(K, V, 3) float32 m: each skin vertex with the motion of its place on the drawn starter, made smooth where there is no
    such place (the inside of mouths)."""
    count = len(target.points)
    rows = np.flatnonzero(work.skin)
    low, high = drawn.min(0) - FAR, drawn.max(0) + FAR
    rows = rows[((target.points[rows] > low) & (target.points[rows] < high)).all(1)]
    flat = triangle_normals(drawn, source.surface.triangles)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-30)
    index = SidedIndex(drawn, source.surface.triangles, flat, source.sides)
    normals = vertex_normals(target.points, target.triangles)
    triangle, weights, distance = index.nearest(target.points[rows], normals[rows], sides[rows], BEND)
    told(1)
    corners = source.surface.triangles[triangle]
    home = (source.surface.points[corners] * weights[..., None]).sum(1)
    moved = np.zeros((len(ARKIT_52), len(rows), 3))
    for k in range(3):
        moved += source.shapes[:, corners[:, k]] * weights[:, k, None]
    turned = np.einsum("ncd,knd->knc", warp.stretch(home), moved)
    near = np.clip((FAR - distance) / (FAR - NEAR), 0, 1)
    agree = (flat[triangle] * normals[rows]).sum(1)
    trust = np.clip(1 - distance / NEAR, 0, 1) * np.clip((agree + 0.2) / 0.8, 0, 1)
    trust = np.maximum(trust, LEAST_TRUST)
    trust[(distance > FAR) & (sides[rows] == 0)] = 1.0
    told(2)
    wanted = np.zeros((count, 3 * len(ARKIT_52)), np.float32)
    wanted[rows] = (turned * near[:, None]).transpose(1, 0, 2).reshape(len(rows), -1)
    all_trust = np.ones(count)
    all_trust[rows] = trust
    active = own.spread(np.abs(wanted).max(axis=1) > EVEN, 3)
    part = np.flatnonzero(active)
    small = own.among(part)
    grain = np.median(np.linalg.norm(target.points[part[small.columns[small.starts]]] - target.points[part], axis=1))
    stiffness = STIFFNESS * min(1.0, (GRAIN / max(float(grain), 1e-6)) ** 2)
    field_ = smooth_field(small, wanted[part], all_trust[part], stiffness, rounds=60, tolerance=3e-3)
    told(3)
    wanted[part] = field_
    return np.ascontiguousarray(wanted.reshape(count, len(ARKIT_52), 3).transpose(1, 0, 2))


def _with_pieces(
    head: HeadModel,
    source: Source,
    pieces: list[Piece],
    names: list[str],
    work: Work,
    target: Surface,
    shapes: np.ndarray,
    warp: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    if not pieces:
        return shapes
    all_shapes = np.stack([head.blendshapes[head.blendshape_names.index(n)] for n in names])
    jaw = jaw_motion(head, names, all_shapes)
    mouth = source.landmarks[48:68]
    behind = np.concatenate([mouth, mouth - [0, 0, 0.02], mouth - [0, 0, 0.04]])
    affine = np.linalg.lstsq(np.c_[behind, np.ones(len(behind))], warp(behind), rcond=None)[0]
    lay = (affine[:3].T, affine[3])
    index = TriangleIndex(target.points, target.triangles)
    for piece in pieces:
        moved = piece_shapes(piece, names, work.surface, shapes, index, target.triangles, jaw, lay)
        shapes[:, piece.vertices] = moved
    return shapes


def _notes(name: str, openings: dict[str, Opening], pieces: list[Piece]) -> list[str]:
    notes = []
    mouth = openings.get("mouth")
    if mouth is None:
        notes.append(f"No lips were found on '{name}': the mouth moves, but whether it closes was not seen to.")
    elif not mouth.apart:
        notes.append(f"The mouth of '{name}' has no opening: the jaw opens it as one surface.")
    for eye in ("right eye", "left eye"):
        found = openings.get(eye)
        if found is None or not found.apart:
            notes.append(f"The {eye} of '{name}' has no opening between its lids: its blink moves the surface as one.")
        elif not found.wide:
            notes.append(f"The {eye} of '{name}' is closed at rest, so its blink has nothing to close.")
    if not any(piece.kind == "eyeball" for piece in pieces):
        notes.append(f"'{name}' has no eyeballs as pieces of their own, so its eyes do not turn.")
    return notes
