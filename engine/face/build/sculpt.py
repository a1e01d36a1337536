"""Fairing of the skin and the small forms the landmarks do not carry: philtrum, nasolabial fold, lid crease, jaw's edge, neck."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .forms import formed
from .geometry import (
    distance_to_curve,
    neighbours,
    open_curve,
    smoothstep,
    symmetrised,
    triangulate,
    unit,
    vertex_normals,
)
from .hair import hair_cover
from .landmarks import EYE, EYE_RADIUS, LID_LINE
from .mesh import boundary_edges
from .plan import HeadPlan
from .sampling import NECK_END
from .topology import Skin

FAIRING_ROUNDS = 7
HAIR_THICKNESS = 1.6
Curve = Sequence[Sequence[float]]
# name -> (points, sigma, height along the normal); x is mirrored; nothing narrower than sigma 2 survives edges of 3 mm
STROKES: dict[str, tuple[Curve, float, float]] = {
    "philtrum": ([(0, -47.5, 24), (0, -53, 24), (0, -57.5, 25)], 2.4, -1.1),
    "philtrum's columns": ([(4.2, -48, 24), (4.8, -54, 24), (5.4, -58.0, 25)], 2.0, 0.55),
    "nasolabial fold": ([(20.5, -34, 15), (26, -42, 14), (31, -53, 11), (35, -63, 5)], 3.0, -1.2),
    "beside the fold": ([(28, -34, 12), (33, -42, 10), (38, -53, 5)], 6.0, 0.9),
    "nose wing's crease": ([(14.6, -27, 22), (18.4, -32, 18), (19.8, -38, 15), (17.4, -43.5, 17)], 2.0, -1.9),
    "sternomastoid": ([(61, -46, -90), (52, -85, -82), (33, -130, -64), (14, -176, -54)], 6.5, 3.4),
    "before the sternomastoid": ([(40, -112, -62), (26, -140, -50), (20, -160, -50)], 7.0, -2.4),
    "behind the sternomastoid": ([(54, -120, -96), (46, -150, -82), (40, -176, -74)], 8.0, -2.0),
    "cheekbone": ([(40, -24, 5), (50, -23, -5), (60, -21, -20), (67, -19, -42)], 7.5, 2.0),
    "hollow of the cheek": ([(44, -54, -2), (52, -46, -22), (56, -44, -40)], 10, -1.7),
    "masseter": ([(54, -48, -48), (53, -72, -54)], 9, 0.6),
    "temple": ([(58, 22, -14), (64, 6, -34)], 10, -1.3),
    "brow ridge": ([(10, 14, 15), (18, 17, 12), (30, 20, 8), (42, 16, -1)], 5.0, 1.5),
    "below the brow": ([(16, 9, 8), (24, 12, 6)], 4.0, -0.8),
    "edge of the jaw": ([(55, -71, -64), (51, -84, -50), (42, -96, -33), (27, -107, -12), (12, -112, 3)], 5.0, 1.8),
    "below the jaw": ([(50, -86, -68), (38, -104, -46), (20, -116, -26)], 8.0, -1.5),
    "chin": ([(0, -111, 2), (0, -103, 15)], 6.5, 1.3),
    "chin's sides": ([(18, -100, 10), (21, -107, 2)], 6, -0.7),
    "fold above the chin": ([(0, -87, 18), (9, -87.5, 16), (15, -85, 13)], 3.6, -1.5),
    "bridge of the nose": ([(0, -22, 34), (0, -10, 26), (0, 2, 17)], 2.5, 1.1),
    "root of the nose": ([(0, 2, 16), (0, 6, 15)], 5.0, -0.6),
    "nose's flanks": ([(8.5, -24, 27), (8.5, -12, 20), (9.5, -4, 15)], 3.4, -1.0),
    "beside the nose": ([(12, 7, 9), (13.5, 0, 7)], 3.2, -1.1),
    "above the tip": ([(0, -25, 37), (4, -25.5, 35)], 3.0, -0.7),
    "beside the tip": ([(11.0, -37.5, 29), (9.8, -32.5, 31.5), (8.2, -28.5, 33)], 2.8, -1.3),
    "below the lower lid": ([(20, -8.5, 3), (27, -13, 4), (36, -15, 2), (43, -12, -3)], 3.0, -0.8),
    "fold beside the mouth": ([(28, -74, 8), (27, -84, 8), (24, -92, 9)], 3.4, -0.4),
}
# the same, absent unless a plan names them
WRINKLES: dict[str, tuple[Curve, float, float]] = {
    "wrinkle of the forehead": ([(0, 37, 15), (20, 39, 12), (38, 36, 2)], 2.6, -1.0),
    "second wrinkle of the forehead": ([(0, 49, 11), (20, 51, 8), (34, 48, 0)], 2.6, -1.0),
    "frown": ([(6.5, 12, 18), (7.5, 22, 17)], 2.4, -1.0),
    "outer wrinkle of the eye": ([(50, 0, -9), (58, -4, -15)], 2.4, -1.0),
    "fold from the mouth to the chin": ([(29, -73, 7), (29, -84, 7), (26, -95, 8)], 2.8, -1.0),
    "fold below the chin": ([(0, -124, -30), (24, -116, -34), (40, -100, -48)], 4.5, -1.0),
}
DABS: dict[str, tuple[Sequence[float], float, float]] = {
    "nose wing": ((15.4, -38.5, 23), 3.6, 1.5),
    "tip": ((0, -32.0, 40), 4.0, 0.5),
    "larynx": ((0, -141, -46), 8, 3.2),
    "knot beside the mouth": ((28, -70, 8), 3.2, 0.8),
    "mouth's corner": ((24.2, -69.5, 11), 2.2, -0.7),
    "pit above the breastbone": ((0, -183, -56), 9, -3.5),
}


def sculpt(skin: Skin, plan: HeadPlan) -> np.ndarray:
    """(V, 3) points of the skin after fairing, the plan's forms, sculpting, lids and lips; exactly symmetric."""
    mean = _faired(skin)
    points = _keep_lids_round(mean, mean + formed(mean, plan), skin)
    normals = vertex_normals(points, skin.faces)
    points = points + normals * (_heights(mean, plan) + HAIR_THICKNESS * hair_cover(mean, plan.hair_style))[:, None]
    _lid_crease(points, normals, skin)
    _smooth_lid_margins(points, skin)
    _widen_neck(points)
    end = np.unique([v for e in boundary_edges(skin.faces) for v in e])
    points[end[points[end, 1] < -150], 1] = NECK_END
    _clear_eyeballs(points)
    points = symmetrised(points, skin.mirror)
    _fill_lips(points, skin.rings["mouth"])
    points = symmetrised(points, skin.mirror)
    _close_lips(points, skin.rings["mouth"][0])
    return symmetrised(points, skin.mirror)


def _keep_lids_round(before: np.ndarray, after: np.ndarray, skin: Skin) -> np.ndarray:
    """Whatever moved the lids, they stay as far from the eyeball as they were."""
    points = after.copy()
    for side, name in ((1, "eyeLeft"), (-1, "eyeRight")):
        centre = EYE * [side, 1, 1]
        for loop in skin.rings[name][:3]:
            radius = np.linalg.norm(before[loop] - centre, axis=1, keepdims=True)
            points[loop] = centre + unit(after[loop] - centre) * radius
    return points


def _widen_neck(points: np.ndarray) -> None:
    """The neck spreads into the slope of the shoulders: trapezius to the sides, collar bones in front."""
    x, y, z = points.T
    down = smoothstep(-128, NECK_END, y)
    middle = -100.0
    front = smoothstep(-110, -60, z)
    x *= 1 + (0.62 - 0.22 * front) * down**1.6
    back = z < middle
    z += np.where(back, 0.16, 0.05) * (z - middle) * down**1.4


def _faired(skin: Skin) -> np.ndarray:
    """Taubin's two-step smoothing ("Curve and surface smoothing without shrinkage", 1995), weaker on features."""
    strength = np.where(skin.ring_of < 0, 0.55, 0.12)
    for loops in skin.rings.values():
        strength[loops[0]] = 0
    for name, rows in (("eyeLeft", (0.25, 0.4, 0.5, 0.5)), ("mouth", (0.3, 0.45, 0.5))):
        for other in {name, name.replace("Left", "Right")}:
            for loop, s in zip(skin.rings[other][-len(rows) :], rows):
                strength[loop] = s
    x, y, z = np.abs(skin.points[:, 0]), skin.points[:, 1], skin.points[:, 2]
    strength[(x < 24) & (y < -22) & (y > -50) & (z > 8)] *= 0.35  # keep the nose's tip and wings
    strength[y < NECK_END + 4] = 0
    near = neighbours(len(skin.points), triangulate(skin.faces).tolist())
    counts = np.array([len(n) for n in near])
    rows, columns = np.repeat(np.arange(len(near)), counts), np.concatenate(near)
    p = skin.points
    for _ in range(FAIRING_ROUNDS):
        for step in (1.0, -0.9):
            mean = np.zeros_like(p)
            np.add.at(mean, rows, p[columns])
            p = p + step * strength[:, None] * (mean / counts[:, None] - p)
    return p


def _heights(points: np.ndarray, plan: HeadPlan) -> np.ndarray:
    """(V,) mm to raise along the normal; points on the mean head."""
    height = np.zeros(len(points))
    folded = np.c_[np.abs(points[:, 0]), points[:, 1:]]
    for usual, strokes in ((1.0, STROKES), (0.0, WRINKLES)):
        for name, (curve, sigma, amount) in strokes.items():
            if amount := amount * plan.relief.get(name, usual):
                height += amount * np.exp(-(distance_to_curve(folded, open_curve(curve, 24)) ** 2) / (2 * sigma**2))
    for name, (centre, sigma, amount) in DABS.items():
        amount *= plan.relief.get(name, 1.0)
        height += amount * np.exp(-((folded - np.array(centre)) ** 2).sum(1) / (2 * sigma**2))
    return height


def _lid_crease(points: np.ndarray, normals: np.ndarray, skin: Skin) -> None:
    for side, name in ((1, "eyeLeft"), (-1, "eyeRight")):
        for row, height in ((1, 0.35), (2, -0.6), (3, -1.1), (4, 0.5)):
            loop = skin.rings[name][row]
            upper = np.clip((points[loop, 1] - LID_LINE - 1.0) / 4, 0, 1)
            upper *= np.clip((15 - np.abs(points[loop, 0] - side * EYE[0])) / 6, 0, 1)
            points[loop] += normals[loop] * (height * upper)[:, None]


def _smooth_lid_margins(points: np.ndarray, skin: Skin) -> None:
    for name in ("eyeLeft", "eyeRight"):
        loop = skin.rings[name][0]
        corners = [0, len(loop) // 2]
        for _ in range(3):
            p = points[loop]
            smooth = 0.5 * p + 0.25 * np.roll(p, 1, 0) + 0.25 * np.roll(p, -1, 0)
            smooth[corners] = p[corners]
            points[loop] = smooth


def _clear_eyeballs(points: np.ndarray) -> None:
    """Nothing may come closer to an eyeball than 1 mm: a linear blink cuts the arc and would pierce it."""
    for side in (1, -1):
        centre = EYE * [side, 1, 1]
        away = points - centre
        radius = np.linalg.norm(away, axis=1)
        close = (radius < EYE_RADIUS + 1.0) & (away[:, 2] > -4)
        points[close] = centre + unit(away[close]) * (EYE_RADIUS + 1.0)


def _fill_lips(points: np.ndarray, rings: list[np.ndarray]) -> None:
    spokes = len(rings[0])
    k = np.arange(spokes)
    lower = k <= spokes // 2
    full = np.abs(np.sin(2 * np.pi * k / spokes)) ** 0.6
    tubercle = np.exp(-(((k - 0.75 * spokes) / 1.6) ** 2))  # the upper lip's middle
    pillows = np.exp(-(((k - 0.19 * spokes) / 2.2) ** 2)) + np.exp(
        -(((k - 0.31 * spokes) / 2.2) ** 2)
    )  # the lower's halves
    for row, forward in ((1, 1.0), (2, 1.35), (3, 0.75), (4, 0.1)):
        points[rings[row], 2] += forward * (full * np.where(lower, 1.0, 0.75) + 0.25 * tubercle + 0.3 * pillows)
        points[rings[row], 1] += np.where(lower, -0.2, 0.12) * full - 0.5 * tubercle * (row == 1)


def _close_lips(points: np.ndarray, contact: np.ndarray) -> None:
    """Lay the two lips' contact lines on one another, 0.06 mm apart; after every smoothing, which would part them."""
    spokes = len(contact)
    k = np.arange(1, spokes // 2)
    lower, upper = contact[k], contact[spokes - k]
    middle = (points[lower] + points[upper]) / 2 + [0, 0, 0.3]
    bow = smoothstep(0, 1, np.sin(np.pi * k / (spokes // 2)))
    middle[:, 1] -= 0.5 * bow * np.exp(-(((k - spokes / 4) / 3.0) ** 2))
    points[lower], points[upper] = middle - [0, 0.03, 0], middle + [0, 0.03, 0]
