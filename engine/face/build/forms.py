"""Where the lengths of a HeadPlan act: soft pushes of space, given on the mean head, in mm per mm."""

from __future__ import annotations

import numpy as np

from .plan import HeadPlan

Push = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]
# parameter -> (centre, spread per axis, (outward, up, forward) per mm); x is mirrored, at x = 0 nothing goes outward
FORMS: dict[str, tuple[Push, ...]] = {
    "skull_height": (((0, 110, -80), (200, 42, 200), (0, 1, 0)),),
    "skull_width": (((78, 40, -90), (38, 55, 60), (1, 0, 0)),),
    "forehead_slope": (((0, 68, 5), (60, 22, 40), (0, 0, -1)),),
    "brow_ridge": (((18, 17, 14), (16, 6, 14), (0, -0.25, 1)), ((38, 14, 2), (12, 6, 12), (0.4, -0.1, 0.6))),
    "temple": (((66, 22, -25), (16, 24, 24), (1, 0, 0)),),
    "cheekbone": (((50, -22, -8), (16, 11, 18), (0.8, 0.1, 0.6)), ((66, -22, -40), (14, 14, 20), (0.8, 0, 0))),
    "cheek": (((52, -56, -20), (18, 19, 24), (1, 0, 0.35)), ((34, -46, 6), (11, 13, 12), (0.35, 0, 0.7))),
    "jaw_width": (((58, -74, -60), (22, 20, 28), (1, 0, 0)), ((44, -94, -36), (16, 12, 20), (0.55, 0, 0))),
    "jowl": (((38, -97, -16), (11, 10, 14), (0.9, -0.75, 0.2)),),
    "chin_width": (((20, -108, 4), (13, 12, 18), (1, 0, 0)),),
    "chin_down": (((0, -116, 0), (34, 17, 36), (0, -1, 0)),),
    "chin_forward": (((0, -106, 14), (24, 14, 26), (0, 0, 1)),),
    "throat": (((0, -118, -26), (28, 12, 22), (0, -1, 0.1)), ((0, -132, -42), (34, 14, 22), (0, -0.25, 0.7))),
    "bridge_height": (((0, -8, 26), (7, 14, 14), (0, 0, 1)),),
    "nose_length": (((0, -40, 28), (20, 10, 26), (0, -1, 0)),),
    "nose_width": (((17, -38, 21), (8, 9, 11), (1, 0, 0)),),
    "tip_forward": (((0, -34, 40), (13, 12, 14), (0, 0, 1)),),
    "tip_width": (((9, -34, 33), (6, 7, 9), (1, 0, 0)),),
    "mouth_width": (((26, -69, 12), (15, 12, 16), (1, 0, 0)),),
    "upper_lip": (((0, -59.5, 26), (15, 3.2, 14), (0, 1, 0.35)), ((14, -62, 22), (8, 3.2, 10), (0, 0.55, 0.25))),
    "lower_lip": (((0, -80, 24), (15, 3.8, 14), (0, -1, 0.45)), ((14, -78, 20), (8, 4, 10), (0, -0.5, 0.25))),
    "lips_forward": (((0, -69, 26), (20, 10, 18), (0, 0, 1)),),
    "eye_open": (((31, 7, 0), (11, 4.5, 12), (0, 0.6, 0)), ((31, -7, 0), (11, 4.5, 12), (0, -0.4, 0))),
    "eye_tilt": (((46, 1, -5), (7, 9, 12), (0, 1, 0)),),
    "lid_hood": (((36, 10.5, 1), (11, 3.6, 8), (0, -1, 0.5)),),
    "eye_bag": (((30, -15, 5), (11, 4.5, 8), (0, -0.2, 0.9)),),
    "neck_width": (((58, -150, -95), (32, 42, 60), (1, 0, 0)), ((0, -150, -160), (60, 42, 30), (0, 0, -0.8))),
    "brow_height": (((30, 19, 8), (22, 6, 14), (0, 1, 0)),),
}


def formed(points: np.ndarray, plan: HeadPlan) -> np.ndarray:
    """(V, 3) displacement in mm of points given on the mean head; exactly mirror-symmetric."""
    side, folded = np.sign(points[:, :1]), np.c_[np.abs(points[:, 0]), points[:, 1:]]
    total = np.zeros_like(points)
    for parameter, pushes in FORMS.items():
        amount = getattr(plan, parameter)
        for centre, spread, push in pushes if amount else ():
            weight = amount * np.exp(-(((folded - centre) / np.array(spread, float)) ** 2).sum(1) / 2)
            total += weight[:, None] * np.array(push)
    total[:, :1] *= side
    return total
