"""The starter head as FaceMesh would see it: where its points are at rest, and how ARKit's shapes move them. NumPy only.

Millimetres, head axes: +x the subject's left, +y up, +z forward.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ...face.arkit import ARKIT_52
from ...face.starter_head import load_starter_head
from ..regions import FACE_OVAL, LEFT_EYE_BROW, MOUTH, RIGHT_EYE_BROW

ASSET = Path(__file__).resolve().parents[2] / "assets" / "starter_head" / "facemesh_points.npz"
IRISES = 10  # FaceMesh's points 468..477: the centre and four of the rim, first of the subject's right eye
# Rings around the mouth, from the line where the lips meet outwards; the last lies on the skin.
LIP_RINGS = (
    (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191),
    (62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292, 407, 272, 271, 268, 12, 38, 41, 42, 183),
    (76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306, 408, 304, 303, 302, 11, 72, 73, 74, 184),
    (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185),
    (57, 43, 106, 182, 83, 18, 313, 406, 335, 273, 287, 410, 322, 391, 393, 164, 167, 165, 92, 186),
)
LIPS = np.array(sorted({i for ring in LIP_RINGS[:4] for i in ring} | set(MOUTH.tolist())))
NOSE = (168, 6, 197, 195, 5, 4, 1, 19, 98, 97, 2, 326, 327, 129, 358, 48, 278, 64, 294)
CHEEKS = (50, 280, 36, 266, 205, 425, 206, 426, 207, 427, 212, 432, 214, 434, 216, 436, 192, 416, 101, 330, 118, 347, 187, 411)
CHIN = (200, 199, 175, 208, 428, 171, 396, 201, 421, 194, 418, 204, 424, 202, 422)
FOREHEAD = (151, 9, 8, 108, 337, 69, 299, 104, 333, 68, 298)
# What the denoiser looks at: fewer than 468, because neighbouring points tell the same.
LOOKED_AT = np.array(
    sorted(
        {i for ring in LIP_RINGS for i in ring}
        | {*LEFT_EYE_BROW.tolist(), *RIGHT_EYE_BROW.tolist(), *FACE_OVAL.tolist()}
        | {*NOSE, *CHEEKS, *CHIN, *FOREHEAD}
    )
)


@dataclass(frozen=True)
class FacePoints:
    """rest: (468, 3) mm; basis: (52, 468, 3) mm per weight of ARKIT_52; steady: (468,) 0..1, how little a point moves
    with any shape."""

    rest: np.ndarray
    basis: np.ndarray
    steady: np.ndarray


@lru_cache(maxsize=1)
def face_points() -> FacePoints:
    """The starter head's points. Raises HeadError or OSError where an asset is missing."""
    head = load_starter_head()
    with np.load(ASSET, allow_pickle=False) as data:
        ids, share = data["triangles"].astype(np.int64), data["weights"].astype(np.float64)[..., None]
    rest = 1000 * (head.vertices[ids] * share).sum(axis=1)
    basis = 1000 * (head.blendshapes[:, ids] * share).sum(axis=2)
    moved = np.sqrt((basis**2).sum(axis=(0, 2)))
    return FacePoints(rest, basis, 1 / (1 + (moved / 3.0) ** 2))


def shape(name: str) -> int:
    """The row of an ARKit shape in `basis`."""
    return ARKIT_52.index(name)
