"""The average face in FaceMesh's numbering: what a detected face is compared with. NumPy only.

Metres, +x the subject's left, +y up, +z forward, origin midway between the irises, which are 63 mm apart; see
`engine/assets/starter_head/NOTES.md` for where it comes from.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

ASSET = Path(__file__).resolve().parents[2] / "assets" / "starter_head" / "mean_face.csv"
POINTS = 468
# iBUG's 68 points as FaceMesh's numbers, as most people map them; 0 is on the subject's right.
IBUG68 = np.array(
    [127, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 356,
     70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 168, 197, 5, 4, 98, 97, 2, 326, 327,
     33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
     61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 81, 13, 311, 308, 402, 14, 178]
)  # fmt: skip
# Where the lips meet: each point of the upper lip with the one below it, and the corners of the mouth.
UPPER_CONTACT = np.array([191, 80, 81, 82, 13, 312, 311, 310, 415])
LOWER_CONTACT = np.array([95, 88, 178, 87, 14, 317, 402, 318, 324])
# The red of the lips and the skin next to it, above and below, without the corners.
UPPER_LIP = np.array(
    [183, 42, 41, 38, 12, 268, 271, 272, 407, 184, 74, 73, 72, 11, 302, 303, 304, 408, 40, 39, 37, 0, 267, 269, 270]
)
LOWER_LIP = np.array(
    [96, 89, 179, 86, 15, 316, 403, 319, 325, 77, 90, 180, 85, 16, 315, 404, 320, 307, 91, 181, 84, 17, 314, 405, 321]
)
# The face's outline: where the pictures disagree most, and heads differ most.
OUTLINE = np.array(
    [10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152,
     148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109]
)  # fmt: skip
# The lids' edges.
EYES = np.array(
    [33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246,
     263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466]
)  # fmt: skip
NOSE, CHEEKS = np.array([1, 4, 5, 195]), np.array([50, 280, 205, 425])
INNER = np.setdiff1d(np.arange(POINTS), OUTLINE)


@dataclass(frozen=True)
class Similarity:
    """p -> scale * rotation @ p + shift; error: root mean square distance, in the target's unit, of what was fitted."""

    scale: float
    rotation: np.ndarray
    shift: np.ndarray
    error: float


@lru_cache(maxsize=1)
def mean_face() -> np.ndarray:
    """(468, 3) m. Raises OSError where the asset is missing."""
    rows = [line for line in ASSET.read_text(encoding="utf-8").splitlines() if line[:1].isdigit()]
    points = np.array([line.split(",")[1:4] for line in rows], float)[:POINTS] / 1000
    points.flags.writeable = False
    return points


def fit_similarity(source: np.ndarray, target: np.ndarray, weights: np.ndarray) -> Similarity:
    """The similarity that brings source (N, 3) nearest to target (N, 3), by weights (N,) (Umeyama 1991)."""
    w = weights / weights.sum()
    from_middle, to_middle = w @ source, w @ target
    x, y = source - from_middle, target - to_middle
    left, spread, right = np.linalg.svd((y * w[:, None]).T @ x)
    turn = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation = (left * turn) @ right
    scale = float((spread * turn).sum() / max((w[:, None] * x**2).sum(), 1e-30))
    shift = to_middle - scale * rotation @ from_middle
    wrong = scale * source @ rotation.T + shift - target
    return Similarity(scale, rotation, shift, float(np.sqrt(w @ (wrong**2).sum(axis=1))))
