"""Joints, skin weights and the 68 landmarks."""

from __future__ import annotations

import numpy as np

from .chart import Surface
from .geometry import smoothstep
from .landmarks import EYE
from .locate import locate
from .mesh import Mesh
from .sampling import NECK_END
from .shapes_jaw import HINGE

JOINTS = {
    "neck": (0.0, -160.0, -112.0),
    "head": (0.0, -33.0, -90.0),  # where the skull sits on the first vertebra (atlas), so that nods look natural
    "jaw": tuple(HINGE),
    "left_eye": tuple(EYE),
    "right_eye": tuple(EYE * [-1, 1, 1]),
}
# iBUG's points 0..59 as FaceMesh landmarks; 0 is on the subject's right
JAW_LINE = (127, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 356)
BROWS = (70, 63, 105, 66, 107, 336, 296, 334, 293, 300)
NOSE = (168, 197, 5, 4, 98, 97, 2, 326, 327)
EYES = (33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380)
OUTER_LIPS = (61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181)
INNER_LIP_SPOKES = (0, 34, 30, 26, 20, 14, 10, 6)  # iBUG's 60..67 on the contact line of 40 spokes
IBUG_MIRROR = (
    *range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1), 45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), 67, 66, 65,
)  # fmt: skip


def head_weights(points: np.ndarray) -> np.ndarray:
    """(V,) how far the connected mesh follows the head joint: 1 above a plane through jaw and nape, 0 at the neck's end."""
    top = -116 - 0.48 * (points[:, 2] + 30)  # the plane rises towards the nape
    return smoothstep(0, 1, (points[:, 1] - NECK_END - 1) / (top - NECK_END - 1))


def landmarks68(mesh: Mesh, surface: Surface) -> tuple[np.ndarray, np.ndarray]:
    """(68, 3) vertices and (68, 3) barycentric weights, exactly mirror-symmetric."""
    numbers = [*JAW_LINE, *BROWS, *NOSE, *EYES, *OUTER_LIPS]
    ids, weights = locate(mesh, surface.landmark_directions[numbers])
    contact, second = mesh.loops["mouth"][:2]
    inner = np.array([(contact[k], contact[(k + 1) % len(contact)], second[k]) for k in INNER_LIP_SPOKES])
    ids = np.vstack([ids, inner])
    weights = np.vstack([weights, np.tile([1.0, 0.0, 0.0], (8, 1))])
    for left, right in enumerate(IBUG_MIRROR):
        if left > right:  # copy the subject's right to the left
            ids[left], weights[left] = mesh.mirror[ids[right]], weights[right]
    return ids, weights
