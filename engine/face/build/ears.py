"""The ears: rings that rise from the head, turn over the rim and sink into the concha; the front third hangs on the cheek."""

from __future__ import annotations

import numpy as np

from .geometry import FLIP, closed_curve, neighbours, unit
from .mesh import Mesh

# outline seen from the side: (towards the back, up) in mm, from the tragus up and round
OUTLINE = (
    (-8.5, -2), (-7.5, 9), (-4, 20), (3, 28.5), (12, 31.5), (20, 27), (23.5, 17), (23.5, 5), (20.5, -6), (16, -16), (12.5, -24.5),
    (6, -30), (-2, -29.5), (-7.5, -23), (-9, -11),
)  # fmt: skip
OPENING = np.radians(28)  # angle between the ear and the head
ROOT = np.array([69.5, -13.0, -87.0])
MIDDLE = np.array([2.0, -4.0])


def add_ears(mesh: Mesh) -> None:
    """Continue both ear roots into ears and relax them a little."""
    left = mesh.points[mesh.loops["earLeft"][0]]
    rings, concha = _rings(left)
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
        mesh.points[ids] += 0.35 * (mean - mesh.points[ids])


def _outline(count: int) -> np.ndarray:
    """(count, 2) points of the outline at even angles about its middle."""
    flat = np.c_[np.array(OUTLINE, float), np.zeros(len(OUTLINE))]
    curve = closed_curve(flat, 2000)[:, :2]
    angle = np.arctan2(curve[:, 1] / 31, (curve[:, 0] - 7) / 17)
    turn = np.arange(count) / count * 2 * np.pi
    return curve[[int(np.argmin(np.abs(np.angle(np.exp(1j * (angle - t)))))) for t in turn]]


def _rings(foot: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Rings of the left ear from its root outwards over the rim and into the concha, and the concha's deepest point."""
    outline = _outline(len(foot))
    back = np.array([np.sin(OPENING), 0, -np.cos(OPENING)])
    up = unit(np.array([0.05, 1, -0.16]))
    out = unit(np.cross(up, back))
    out *= np.sign(out[0])
    a, b = outline.T
    front = np.clip((1.5 - a) / 7, 0, 1) * np.clip((26 - b) / 8, 0, 1)  # where the ear is attached
    lobe = np.clip((-12 - b) / 10, 0, 1)
    tragus = np.exp(-(((b + 4) / 6) ** 2)) * front
    hang, free = front[:, None], 1 - front[:, None]

    def place(flat: np.ndarray, height: np.ndarray) -> np.ndarray:
        base = ROOT + out * 4.0 + [0, 0, 4.0]
        return base + np.outer(flat[:, 0] + 4, back) + np.outer(flat[:, 1], up) + np.outer(height, out)

    def ring(scale: float, rim: float, on_lobe: float, at_front: float) -> np.ndarray:
        height = (rim * (1 - lobe) + on_lobe * lobe) * (1 - front) + at_front * front
        return place(MIDDLE + (outline - MIDDLE) * scale, height)

    edge = ring(1.0, -0.8, -1.0, -1.5) * free
    edge += (foot + out * 0.8 + back * 0.6 + np.outer(tragus, out * 1.8 + back * 1.6)) * hang
    stem = (0.55 * foot + 0.45 * edge - np.outer((1 - front) * 2.0, out)) * free + (0.6 * foot + 0.4 * edge) * hang
    under = ring(0.97, -3.0, -2.2, -2.2) * free + (0.3 * foot + 0.7 * edge) * hang

    def inner(scale: float, rim: float, on_lobe: float, rise: float, behind: float) -> np.ndarray:
        at_front = edge + np.outer(front, out * rise + back * behind) + np.outer(tragus, out * 1.0 + back * 1.9)
        return ring(scale, rim, on_lobe, 0) * free + at_front * hang

    rings = [
        stem, under, edge,
        inner(0.955, 1.4, 0.2, 0.6, 0.6), inner(0.88, 1.8, 0.5, 0.7, 1.4),  # helix
        inner(0.81, -1.3, 0.5, 0.4, 2.0), inner(0.73, -2.9, 0.3, -0.4, 2.4),  # scapha
        inner(0.61, 1.0, 0.1, -2.0, 2.8), inner(0.51, 1.0, -0.4, -4.5, 3.2),  # antihelix
        ring(0.42, -5.0, -2.0, -6.0), ring(0.26, -8.0, -6.0, -8.0),  # concha
    ]  # fmt: skip
    return rings, ring(0.0, -9.0, -9.0, -10.0)[0]
