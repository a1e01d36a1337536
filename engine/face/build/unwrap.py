"""Texture coordinates: the skin unrolled about the vertical axis, opened at the back of the head; loose pieces in a strip below.

The chart already spreads mouth, eyes, nostrils and ears into open lenses, so what lies inside an opening fills its lens ring
by ring, and the only seam of the skin is the one at the back.
"""

from __future__ import annotations

import numpy as np

from .accessories import Part
from .geometry import Face
from .mesh import Mesh

STRIP = 0.14  # height of the strip of loose pieces
LATITUDES, HEIGHTS = (-82.0, -58.0, -30.0, 35.0, 90.0), (0.0, 0.14, 0.33, 0.80, 1.0)  # degrees of the chart -> share of the height
MARGIN = 0.004
# one hair of each kind: (across, along) in its own lane
HAIRS = {
    "brow": ((0.1, 0), (0.9, 0), (0.5, 1)),
    "lashes": ((0.9, 0), (0.1, 0), (0.9, 0.55), (0.1, 0.55), (0.5, 1)),
}


def unwrap(mesh: Mesh, parts: list[Part], faces: list[Face]) -> np.ndarray:
    """(C, 2) in 0..1, one per corner of `faces`, which are the mesh's and then each part's."""
    skin = _skin(mesh)
    per_vertex = [skin, *(_flat(part, k, len(parts)) for k, part in enumerate(parts))]
    uv = np.vstack(per_vertex)
    corners = []
    for face in faces:
        corner = uv[list(face)]
        if max(face) < len(skin) and np.ptp(corner[:, 0]) > 0.5:  # across the seam: all on the side where most of it lies
            right = corner[:, 0] > 0.5
            at_seam = np.isclose(corner[:, 0], 0, atol=1e-9) | np.isclose(corner[:, 0], 1, atol=1e-9)
            corner[at_seam, 0] = 1.0 if right[~at_seam].all() else 0.0
        corners.append(corner)
    return np.clip(np.vstack(corners), 0, 1)


def _skin(mesh: Mesh) -> np.ndarray:
    d = mesh.directions
    flat = np.zeros((len(mesh.points), 2))
    turn = np.arctan2(d[:, 0], d[:, 2]) / (2 * np.pi)  # 0 in front, +-0.5 at the back
    turn[np.abs(d[:, 0]) < 1e-6] = np.where(d[np.abs(d[:, 0]) < 1e-6, 2] > 0, 0.0, 0.5)
    # the face gets more room than the back of the head
    flat[: len(d), 0] = 0.5 + np.interp(np.abs(turn), [0, 0.25, 0.5], [0, 0.31, 0.5]) * np.sign(np.where(turn == 0, 1, turn))
    flat[: len(d), 1] = np.interp(np.degrees(np.arcsin(np.clip(d[:, 1], -1, 1))), LATITUDES, HEIGHTS)
    for name in [n for n in mesh.loops if n.endswith("_in")]:
        rim = flat[mesh.loops[name[: -len("_in")]][0]]
        inner = mesh.loops[name]
        middle = rim.mean(0)
        for k, loop in enumerate(inner):
            flat[loop] = middle + (rim - middle) * (1 - (k + 1) / (len(inner) + 1))
    for name, centre in mesh.centres.items():
        flat[centre] = flat[mesh.loops[name][0]].mean(0)
    flat[:, 1] = STRIP + MARGIN + flat[:, 1] * (1 - STRIP - 2 * MARGIN)
    return flat


def _flat(part: Part, place: int, count: int) -> np.ndarray:
    """A loose piece laid flat in its own box of the strip: eyeballs from the front, hairs along their length."""
    p = part.points
    if part.name == "hair":  # strands upright, side by side
        flat = np.c_[0.5 + 0.5 * part.tags["around"], part.tags["along"]]
    elif part.name.startswith("eye"):
        polar = part.tags["degrees"] / 360
        around = np.arctan2(p[:, 1] - p[:, 1].mean(), p[:, 0] - p[:, 0].mean())
        flat = 0.5 + np.c_[np.cos(around), np.sin(around)] * polar[:, None]
    elif (hair := next((h for kind, h in HAIRS.items() if part.name.startswith(kind)), None)) is not None:
        lanes = len(p) // len(hair)
        flat = np.tile(hair, (lanes, 1)) + np.c_[np.repeat(np.arange(lanes), len(hair)), np.zeros(len(p))]
        flat = flat / [lanes, 1]
    else:
        flat = p[:, [0, 2]] if part.name == "tongue" else p[:, :2]
        flat = (flat - flat.min(0)) / np.ptp(flat, axis=0)
    box = np.array([(place + 0.02) / count, MARGIN]), np.array([0.96 / count, STRIP - 2 * MARGIN])
    return box[0] + flat * box[1]
