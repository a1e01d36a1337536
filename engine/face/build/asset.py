"""The whole procedure, and the file it ends in."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..arkit import ARKIT_52
from ..starter_head import FORMAT, GLOSS_UNITS, UV_UNITS
from . import colours, rig
from .accessories import BROW_LOWER, BROW_UPPER, Part, build_parts
from .cap import hair_cap
from .chart import Surface
from .correctives import part_correctives, skin_correctives
from .ears import add_ears
from .geometry import distance_to_curve, open_curve, well_cut
from .landmarks import Landmarks, load_landmarks
from .low import low_faces, low_part
from .mesh import Mesh, mesh_from_skin, orient
from .openings import add_openings
from .plan import MEAN, PLANS, HeadPlan
from .sculpt import sculpt
from .shapes import part_shapes, skin_shapes
from .shapes_common import Sculptor
from .topology import Skin, build_skin
from .unfold import unfold
from .unwrap import unwrap

MM = 1e-3
SHAPE_UNIT = 2e-6  # m; displacements are stored as whole multiples, so that left and right stay exact mirror images


def build_mesh(skin: Skin, plan: HeadPlan) -> Mesh:
    """The connected mesh of one head."""
    mesh = mesh_from_skin(skin, sculpt(skin, plan))
    add_openings(mesh)
    add_ears(mesh, plan.ear_size)
    mesh.faces = orient(mesh.faces)
    mesh.symmetrise()
    return mesh


def build_head(name: str = "robin") -> dict[str, np.ndarray]:
    """Make one of PLANS from the mean landmarks; returns the arrays of the asset (metres). Takes seconds; needs SciPy.

    All heads share their topology: the same faces over the same vertices, moved.
    """
    plan = PLANS[name]
    scale = MM * plan.size
    landmarks = load_landmarks()
    surface = Surface(landmarks)
    skin = build_skin(surface, landmarks)
    mesh = build_mesh(skin, plan)
    mesh.reference = build_mesh(skin, MEAN).points
    mesh.faces = well_cut(mesh.faces, mesh.reference)
    unfold(mesh)
    parts = [*build_parts(mesh, surface, landmarks, plan), hair_cap(mesh, plan)]
    sculptor = Sculptor(mesh, surface, landmarks)
    shapes = skin_shapes(sculptor)
    moved = [part_shapes(part, shapes) for part in parts]
    stacked = np.stack([np.vstack([shapes[n], *(m[n] for m in moved)]) for n in ARKIT_52]) * scale
    correctives = skin_correctives(sculptor, shapes)
    moved = [part_correctives(part, shapes, correctives, m) for part, m in zip(parts, moved)]
    corrected = {n: np.vstack([u, *(m[n] for m in moved)]) * scale for n, u in correctives.items()}

    points = np.vstack([mesh.points, *(p.points for p in parts)])
    first = np.cumsum([0, len(mesh.points), *(len(p.points) for p in parts)])
    faces = list(mesh.faces)
    materials = colours.face_material(mesh, plan)
    for part, start in zip(parts, first[1:]):
        faces += [tuple(int(v) + int(start) for v in f) for f in part.faces]
        materials += part.materials
    skin_names, skin_weights = _skin_weights(mesh, parts, first)
    triangles, barycentric = rig.landmarks68(mesh, surface)
    browed = _browed(mesh, landmarks)
    looks = colours.materials(plan)
    names = list(looks)
    return {
        "format": np.array(FORMAT),
        "name": np.array(plan.name),
        "vertices": (points * scale).astype(np.float32),
        "face_sizes": np.array([len(f) for f in faces], np.uint8),
        "face_vertices": np.array([v for f in faces for v in f], np.uint16),
        "material_index": np.array([names.index(m) for m in materials], np.uint8),
        "material_names": np.array(names),
        "material_looks": np.array([(*base, *rest) for base, *rest in looks.values()], np.float32),
        "vertex_colors": np.vstack(
            [colours.skin_colours(mesh, browed, plan), *(colours.part_colours(part, plan) for part in parts)]
        ).astype(np.float16),
        "gloss": np.rint(np.r_[colours.gloss(mesh), np.full(first[-1] - first[1], 0.5)] * GLOSS_UNITS).astype(np.uint8),
        "uvs": np.rint(unwrap(mesh, parts, faces) * UV_UNITS).astype(np.uint16),
        "shape_unit": np.array(SHAPE_UNIT, np.float32),
        "blendshape_names": np.array(ARKIT_52),
        **_packed_shapes("shape", stacked),
        "corrective_names": np.array(list(corrected)),
        **_packed_shapes("corrective", np.stack(list(corrected.values()))),
        **_packed_rings(mesh),
        **_packed_low(skin, mesh, surface, parts, plan),
        "joint_names": np.array(list(rig.JOINTS)),
        "joint_positions": np.array(list(rig.JOINTS.values()), np.float32) * np.float32(scale),
        "skin_names": np.array(skin_names),
        "skin_weights": skin_weights.astype(np.float16),
        "landmark_triangles": triangles.astype(np.uint16),
        "landmark_barycentric": barycentric.astype(np.float32),
    }


def save(arrays: dict[str, np.ndarray], path: Path) -> None:
    """Write the asset; it appears under its name complete or not at all."""
    handle, partial = tempfile.mkstemp(dir=path.parent, suffix=".part")
    with os.fdopen(handle, "wb") as stream:
        np.savez_compressed(stream, **arrays)
    os.chmod(partial, 0o644)
    os.replace(partial, path)


def _packed_shapes(kind: str, shapes: np.ndarray) -> dict[str, np.ndarray]:
    """(K, V, 3) displacements in m -> the moved vertices alone, as whole multiples of SHAPE_UNIT."""
    whole = np.rint(shapes / SHAPE_UNIT).astype(int)
    if np.abs(whole).max() > np.iinfo(np.int16).max:
        raise ValueError("a displacement is too large for the file")
    moved = [np.flatnonzero(w.any(1)) for w in whole]
    return {
        f"{kind}_starts": np.cumsum([0, *map(len, moved)]).astype(np.int32),
        f"{kind}_vertices": np.concatenate(moved).astype(np.uint16),
        f"{kind}_deltas": np.vstack([w[ids] for w, ids in zip(whole, moved)]).astype(np.int16),
    }


def _packed_rings(mesh: Mesh) -> dict[str, np.ndarray]:
    loops = [(name, loop) for name, family in mesh.loops.items() for loop in family]
    return {
        "ring_names": np.array([name for name, _ in loops]),
        "ring_starts": np.cumsum([0, *(len(loop) for _, loop in loops)]).astype(np.int32),
        "ring_vertices": np.concatenate([loop for _, loop in loops]).astype(np.uint16),
    }


def _packed_low(skin: Skin, mesh: Mesh, surface: Surface, parts: list[Part], plan: HeadPlan) -> dict[str, np.ndarray]:
    """The low version's faces over this head's vertices, and its landmarks."""
    faces, built = low_faces(skin, mesh)
    low = replace(mesh, faces=faces, materials=built)
    materials = colours.face_material(low, plan, shorn=True)
    triangles, barycentric = rig.landmarks68(low, surface)
    triangles = np.where(barycentric == 0, triangles[np.arange(68), barycentric.argmax(1)][:, None], triangles)
    start = len(mesh.points)
    for part in parts:
        some, theirs = low_part(part)
        faces = faces + [tuple(v + start for v in f) for f in some]
        materials += theirs
        start += len(part.points)
    names = list(colours.materials(plan))
    return {
        "low_face_sizes": np.array([len(f) for f in faces], np.uint8),
        "low_face_vertices": np.array([v for f in faces for v in f], np.uint16),
        "low_material_index": np.array([names.index(m) for m in materials], np.uint8),
        "low_uvs": np.rint(unwrap(mesh, parts, faces) * UV_UNITS).astype(np.uint16),
        "low_landmark_triangles": triangles.astype(np.uint16),
        "low_landmark_barycentric": barycentric.astype(np.float32),
    }


def _skin_weights(mesh: Mesh, parts: list, first: np.ndarray) -> tuple[list[str], np.ndarray]:
    weights = np.zeros((3, first[-1]))
    weights[0] = 1
    weights[0, : len(mesh.points)] = rig.head_weights(mesh.reference)
    for part, start in zip(parts, first[1:]):
        for row, name in ((1, "eyeLeft"), (2, "eyeRight")):
            if part.name == name:
                weights[row, start : start + len(part.points)] = 1
    return ["head", "left_eye", "right_eye"], weights


def _browed(mesh: Mesh, landmarks: Landmarks) -> np.ndarray:
    """(V,) how much brow hair lies over each vertex."""
    cover = np.zeros(len(mesh.reference))
    for side in (list, landmarks.left):
        middle = landmarks.points[side(BROW_UPPER)] * 0.55 + landmarks.points[side(BROW_LOWER)] * 0.45
        cover = np.maximum(cover, np.exp(-(distance_to_curve(mesh.reference, open_curve(middle, 40)) ** 2) / (2 * 2.6**2)))
    return cover
