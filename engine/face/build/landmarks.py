"""The average face and its corrections towards measured heads.

The mean landmarks (engine/assets/starter_head/mean_face.csv) come from ten speakers of the GRID corpus through MediaPipe
FaceMesh. What its network gets wrong is corrected here towards anthropometry (Farkas, "Anthropometry of the Head and Face", 1994;
ANSUR II, 2012): lids too closed and not on a ball, nose wings too wide, mouth too narrow, jaw angle too wide, lips apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .geometry import FLIP

MEAN_FACE = Path(__file__).resolve().parents[2] / "assets" / "starter_head" / "mean_face.csv"
EYE = np.array([31.5, 0.1, -9.5])  # centre of the left eyeball, mm
EYE_RADIUS = 12.0
LID_LINE = -0.3  # height at which the lids meet the pupil's axis

# Landmark numbers are FaceMesh's. Mouth rings start at the subject's right corner and go down and round; eye rings (subject's
# right eye) start at the outer corner and go down and round.
OUTLINE = [10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152,
           148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109]  # fmt: skip
LIP_RINGS = (  # contact line, middle of the red, middle, edge of the red, skin around it
    [78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191],
    [62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292, 407, 272, 271, 268, 12, 38, 41, 42, 183],
    [76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306, 408, 304, 303, 302, 11, 72, 73, 74, 184],
    [61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185],
    [57, 43, 106, 182, 83, 18, 313, 406, 335, 273, 287, 410, 322, 391, 393, 164, 167, 165, 92, 186],
)
EYE_RINGS = (  # lid margin, then outwards
    [33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246],
    [130, 25, 110, 24, 23, 22, 26, 112, 243, 190, 56, 28, 27, 29, 30, 247],
    [226, 31, 228, 229, 230, 231, 232, 233, 244, 189, 221, 222, 223, 224, 225, 113],
    [35, 111, 117, 118, 119, 120, 121, 128, 245, 193, 55, 65, 52, 53, 46, 124],
)
BROW_UPPER = (70, 63, 105, 66, 107)  # subject's right, from the temple to the nose
BROW_LOWER = (46, 53, 52, 65, 55)

# (centre, sigma, (outward, up, forward)): a soft push; x is mirrored. One-sided centres have x = 0 and no outward part.
PUSHES = (
    ((20, -38, 19), 8.0, (-4.2, 0, 0)),  # nose wings: 42 -> 34 mm
    ((62, -72, -48), 15.0, (-5.2, 0, 0)),  # jaw angle
    ((50, -88, -30), 13.0, (-1.6, 0, 0)),
    ((10, -33, 32), 6.0, (-0.9, 0, 0)),  # tip of the nose
    ((0, -104, 14), 11.0, (0, 0, 2.6)),  # chin
    ((0, 52, 7), 20.0, (0, 0, 2.0)),  # forehead
    ((40, -42, 6), 14.0, (-0.8, 0, -0.8)),  # cheek below the cheekbone
)
MOUTH_WIDER = 0.09


@dataclass(frozen=True)
class Landmarks:
    """points: (468, 3) mm, corrected and mirror-symmetric; mirror: (468,) the counterpart of each."""

    points: np.ndarray
    mirror: np.ndarray

    def left(self, ids: tuple[int, ...] | list[int]) -> list[int]:
        """The same landmarks on the subject's left."""
        return [int(self.mirror[i]) for i in ids]


def load_landmarks(path: Path = MEAN_FACE) -> Landmarks:
    """Read the mean face and correct it."""
    table = np.loadtxt(path, delimiter=",", comments="#", skiprows=5)
    mirror = table[:, 4].astype(int)
    return Landmarks(_corrected(table[:, 1:4], mirror), mirror)


def _corrected(mean: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    p = mean.copy()
    rings = [np.array(r) for r in EYE_RINGS[:2]]
    for side, (margin, second) in ((-1, rings), (1, [mirror[r] for r in rings])):
        _wrap_on_eyeball(p, margin, second, side)
    for centre, sigma, push in PUSHES:
        for side in (-1, 1) if centre[0] else (1,):
            mirrored = np.array([side, 1, 1])
            w = np.exp(-((p - np.array(centre) * mirrored) ** 2).sum(1) / (2 * sigma**2))
            p += w[:, None] * np.array(push) * mirrored
    near_mouth = np.exp(-(((p - [0, -70, 15]) / [22, 12, 25]) ** 2).sum(1) / 2)
    p[:, 0] *= 1 + MOUTH_WIDER * near_mouth
    p = (p + p[mirror] * FLIP) / 2
    _shape_lips(p)
    return p


def _wrap_on_eyeball(p: np.ndarray, margin: np.ndarray, second: np.ndarray, side: int) -> None:
    """Open the lids to about 10 mm and lay them on a sphere just larger than the eyeball."""
    centre = EYE * [side, 1, 1]
    above = p[margin, 1] > LID_LINE
    p[margin, 1] = LID_LINE + (p[margin, 1] - LID_LINE) * np.where(above, 1.13, 1.19)
    outward = (p[margin, 0] - centre[0]) * side
    reach = (EYE_RADIUS + 1.1) ** 2 - outward**2 - (p[margin, 1] - centre[1]) ** 2
    corner = np.where(outward > 0, 3.0, 6.5)  # the inner corner lies 14.8 mm from the axis, off the ball
    p[margin, 2] = centre[2] + np.maximum(np.sqrt(np.maximum(reach, 0)), corner)
    away = p[second] - centre
    radius = np.linalg.norm(away, axis=1, keepdims=True)
    p[second] = centre + away * np.maximum(radius, EYE_RADIUS + 1.6) / radius


def _shape_lips(p: np.ndarray) -> None:
    """Close the contact line; give the upper lip its bow, which the network's mean has lost."""
    contact, edge, around = LIP_RINGS[0], LIP_RINGS[3], LIP_RINGS[4]
    for lower, upper in zip(contact[1:10], contact[19:10:-1]):
        middle = (p[lower] + p[upper]) / 2
        p[lower], p[upper] = middle - [0, 0.06, 0], middle + [0, 0.06, 0]
    for k, up, forward in ((13, 0.35, 0.0), (14, 1.2, 0.4), (15, -0.5, 0.2), (16, 1.2, 0.4), (17, 0.35, 0.0)):
        p[edge[k]] += [0, up, forward]
        p[around[k]] += [0, 0.5 * up, 0.2 * forward]
    for k in range(3, 8):
        p[edge[k]] += [0, -0.5, 0.2]
