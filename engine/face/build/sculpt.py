"""Fairing of the skin and the small forms the landmarks do not carry: philtrum, nasolabial fold, lid crease, jaw's edge, neck."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .geometry import FLIP, distance_to_curve, neighbours, open_curve, smoothstep, symmetrised, unit, vertex_normals
from .hair import hair_cover
from .landmarks import EYE, EYE_RADIUS, LID_LINE
from .mesh import boundary_edges
from .sampling import NECK_END
from .topology import Skin

FAIRING_ROUNDS = 7
HAIR_THICKNESS = 2.4
Curve = Sequence[Sequence[float]]
# (points, sigma, height along the normal, mirrored); nothing narrower than sigma 2 survives edges of 3 mm
STROKES: tuple[tuple[Curve, float, float], ...] = (
    ([(0, -47.5, 24), (0, -53, 24), (0, -58.5, 25)], 2.6, -0.9),  # philtrum
    ([(4.0, -48, 24), (4.6, -54, 24), (5.4, -59.5, 25)], 1.8, 0.6),  # its columns
    ([(20.5, -33, 14), (26, -42, 14), (31, -54, 11), (34, -65, 5)], 3.6, -1.0),  # nasolabial fold
    ([(15.0, -27.5, 22), (18.6, -33, 18), (19.3, -39, 15.5), (17, -44, 17.5)], 2.0, -1.2),  # crease of the nose wing
    ([(60, -42, -88), (44, -85, -66), (22, -140, -52), (10, -172, -55)], 7, 2.8),  # sternomastoid
    ([(45, -28, 2), (58, -26, -12), (66, -22, -38)], 9, 1.8),  # cheekbone
    ([(42, -62, -2), (50, -55, -18)], 10, -1.6),  # hollow of the cheek
    ([(14, 16, 12), (28, 21, 8), (42, 17, -1)], 5.5, 1.4),  # brow ridge
    ([(50, -74, -58), (43, -91, -40), (26, -107, -14)], 6.0, 1.8),  # edge of the jaw
    ([(0, -111, -2), (0, -104, 14)], 7, 1.0),  # chin
    ([(0, -86, 17), (9, -87, 15)], 3.2, -0.8),  # fold above the chin
    ([(0, -20, 34), (0, -8, 24), (0, 2, 16)], 2.6, 0.7),  # bridge of the nose
    ([(7.5, -20, 27), (9, -8, 17)], 4.0, -0.6),  # its flanks
    ([(12, 7, 9), (14, 1, 5)], 3.2, -1.0),  # hollow between bridge and eye
    ([(10, -34.5, 31), (8.5, -30.5, 34)], 2.6, -1.1),  # beside the tip
    ([(22, -9, 2), (31, -13, 3), (40, -12, -1)], 3.2, -0.5),  # below the lower lid
)
DABS: tuple[tuple[Sequence[float], float, float], ...] = (
    ((15.0, -38, 23.5), 4.0, 1.3),  # nose wing
    ((0, -32.5, 39.5), 3.6, 0.4),  # tip
    ((0, -139, -46), 9, 2.0),  # larynx
    ((27, -69, 8), 3.0, 0.5),  # knot beside the corner of the mouth
)


def sculpt(skin: Skin) -> np.ndarray:
    """(V, 3) points of the skin after fairing, sculpting, lids and lips; exactly symmetric."""
    points = _faired(skin)
    normals = vertex_normals(points, skin.faces)
    points = points + normals * (_heights(points) + HAIR_THICKNESS * hair_cover(points))[:, None]
    _lid_crease(points, normals, skin)
    _smooth_lid_margins(points, skin)
    end = np.unique([v for e in boundary_edges(skin.faces) for v in e])
    points[end[points[end, 1] < -150], 1] = NECK_END
    _clear_eyeballs(points)
    points = symmetrised(points, skin.mirror)
    _fill_lips(points, skin.rings["mouth"])
    points = symmetrised(points, skin.mirror)
    _close_lips(points, skin.rings["mouth"][0])
    return symmetrised(points, skin.mirror)


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
    near = neighbours(len(skin.points), skin.faces)
    counts = np.array([len(n) for n in near])
    rows, columns = np.repeat(np.arange(len(near)), counts), np.concatenate(near)
    p = skin.points
    for _ in range(FAIRING_ROUNDS):
        for step in (1.0, -0.9):
            mean = np.zeros_like(p)
            np.add.at(mean, rows, p[columns])
            p = p + step * strength[:, None] * (mean / counts[:, None] - p)
    return p


def _heights(points: np.ndarray) -> np.ndarray:
    """(V,) mm to raise along the normal."""
    height = np.zeros(len(points))
    sides = (np.ones(3), FLIP)
    for curve, sigma, amount in STROKES:
        line = open_curve(curve, 24)
        for side in sides if np.abs(line[:, 0]).max() > 1e-9 else sides[:1]:
            height += amount * np.exp(-(distance_to_curve(points, line * side) ** 2) / (2 * sigma**2))
    for centre, sigma, amount in DABS:
        for side in sides if centre[0] else sides[:1]:
            height += amount * np.exp(-((points - np.array(centre) * side) ** 2).sum(1) / (2 * sigma**2))
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
