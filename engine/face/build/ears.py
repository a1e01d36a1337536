"""The ears: rings that rise from the head, turn over the rim and sink into the concha; the front third hangs on the cheek.

The relief between the rim and the ear's canal (helix with its root, scapha, antihelix with both crura, triangular fossa,
concha, tragus, notch, antitragus, lobe) is a height over the ear's own plane.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .geometry import FLIP, closed_curve, distance_to_curve, neighbours, open_curve, smoothstep, unit
from .mesh import Mesh

# outline seen from the side: (towards the back, up) in mm, from the tragus up and round
OUTLINE = (
    (-8.5, -2), (-8.0, 9), (-5, 20), (2, 28.5), (11, 31.5), (19.5, 28), (23.5, 19), (23.3, 7), (20.5, -5), (16, -15), (12.5, -23),
    (7, -29.5), (-0.5, -30.5), (-6.5, -25), (-9, -11),
)  # fmt: skip
OPENING = np.radians(27)  # angle between the ear and the head
ROOT = np.array([69.5, -13.0, -87.0])
MIDDLE = np.array([4.0, -4.0])
SCALES = (0.965, 0.92, 0.86, 0.79, 0.71, 0.62, 0.53, 0.44, 0.34, 0.22)  # the rings inside the rim
# (points, sigma, height): ridges and grooves over the ear's plane
RELIEF: tuple[tuple[Sequence[Sequence[float]], float, float], ...] = (
    ([(4, 1), (-2, 2), (-6.5, 6), (-6, 15), (-2, 23), (4, 28), (11, 29.5), (18, 26), (21.5, 17), (21, 7), (18.5, -4), (14.5, -13)],
     2.0, 3.6),  # helix and its root
    ([(-1, 17), (6, 24), (13, 24), (17.5, 15), (17, 6), (14.5, -4), (11, -13)], 1.9, -2.2),  # scapha
    ([(3, -17), (8.5, -13), (12, -6), (13.5, 2), (12.5, 9), (10, 15), (6, 21)], 2.4, 3.4),  # antihelix and its upper crus
    ([(12.5, 8), (7, 11), (1, 13)], 1.9, 2.6),  # its lower crus
    ([(5.5, 16), (1, 19)], 2.0, -1.4),  # triangular fossa
    ([(4, 6), (8, 3)], 2.8, -6.0),  # concha above the helix's root
    ([(2, -6), (6, -6), (5, -10)], 3.6, -9.5),  # concha
    ([(-8, -1), (-7, -4), (-7, -8)], 2.4, 2.6),  # tragus
    ([(-4, -14), (-1, -17)], 2.0, -3.4),  # notch
    ([(2.5, -17.5), (5, -15)], 2.0, 1.6),  # antitragus
    ([(0, -25), (4, -24)], 4.5, 1.2),  # lobe
)  # fmt: skip


def add_ears(mesh: Mesh, size: float) -> None:
    """Continue both ear roots into ears, `size` times as large as usual, and relax them a little."""
    left = mesh.points[mesh.loops["earLeft"][0]]
    rings, concha = _rings(left, size)
    for name, side in (("earLeft", np.ones(3)), ("earRight", FLIP)):
        mesh.extend(name, [r * side for r in rings], ["skin"] * len(rings))
        mesh.cap(name, concha * side, "skin")
    for a, b in zip(mesh.loops["earLeft_in"], mesh.loops["earRight_in"]):
        mesh.pair(a, b)
    a, b = mesh.centres["earLeft"], mesh.centres["earRight"]
    mesh.mirror[a], mesh.mirror[b] = b, a
    ids = np.concatenate([*mesh.loops["earLeft_in"], *mesh.loops["earRight_in"]])
    near = neighbours(len(mesh.points), mesh.faces)
    for _ in range(2):
        mean = np.array([mesh.points[near[i]].mean(0) for i in ids])
        mesh.points[ids] += 0.2 * (mean - mesh.points[ids])


def _outline(count: int) -> np.ndarray:
    """(count, 2) points of the outline at even angles about its middle."""
    flat = np.c_[np.array(OUTLINE, float), np.zeros(len(OUTLINE))]
    curve = closed_curve(flat, 2000)[:, :2]
    angle = np.arctan2(curve[:, 1] / 31, (curve[:, 0] - 7) / 17)
    turn = np.arange(count) / count * 2 * np.pi
    return curve[[int(np.argmin(np.abs(np.angle(np.exp(1j * (angle - t)))))) for t in turn]]


def _relief(flat: np.ndarray) -> np.ndarray:
    """(N, 2) places in the ear's plane -> (N,) heights above it."""
    p = np.c_[flat, np.zeros(len(flat))]
    height = np.zeros(len(flat))
    for curve, sigma, amount in RELIEF:
        line = open_curve(np.c_[np.array(curve, float), np.zeros(len(curve))], 40)
        height += amount * np.exp(-(distance_to_curve(p, line) ** 2) / (2 * sigma**2))
    return height


def _rings(foot: np.ndarray, size: float) -> tuple[list[np.ndarray], np.ndarray]:
    """Rings of the left ear from its root outwards over the rim and into the concha, and the concha's deepest point."""
    outline = _outline(len(foot))
    back = np.array([np.sin(OPENING), 0, -np.cos(OPENING)])
    up = unit(np.array([0.05, 1, -0.2]))
    out = unit(np.cross(up, back))
    out *= np.sign(out[0])
    root = foot.mean(0) * [0, 1, 1] + [foot[:, 0].mean(), 0, 0]
    base = ROOT + (root - root) + out * 4.0 + [0, 0, 4.0]
    a, b = outline.T
    front = np.clip((1.5 - a) / 7, 0, 1) * np.clip((26 - b) / 8, 0, 1)  # where the ear is attached
    lobe = np.clip((-14 - b) / 10, 0, 1)
    hang, free = front[:, None], 1 - front[:, None]

    def place(flat: np.ndarray, height: np.ndarray) -> np.ndarray:
        along = np.outer(flat[:, 0] + 4, back) + np.outer(flat[:, 1], up)
        return base + size * (along + np.outer(height, out))

    def ring(scale: float, rim: float, on_lobe: float) -> np.ndarray:
        return place(MIDDLE + (outline - MIDDLE) * scale, rim * (1 - lobe) + on_lobe * lobe)

    edge = ring(1.0, 0.4, -0.6) * free + (foot + out * 0.8 + back * 0.6) * hang
    stem = (0.55 * foot + 0.45 * edge - np.outer((1 - front) * 2.5, out)) * free + (0.6 * foot + 0.4 * edge) * hang
    under = ring(0.96, -2.6, -2.4) * free + (0.3 * foot + 0.7 * edge) * hang
    rings = [stem, under, edge]
    for scale in SCALES:
        flat = MIDDLE + (outline - MIDDLE) * scale
        height = _relief(flat)
        own = place(flat, height + 0.4 * (1 - lobe))
        away = smoothstep(1.0, 0.62, scale) * hang
        at_cheek = edge + np.outer(np.maximum(height, 0.2) * 0.8, out) + back * (1 - scale) * 7
        rings.append(own * (free + away) + at_cheek * (hang - away))
    return rings, place(MIDDLE[None], np.array([-10.0]))[0]
