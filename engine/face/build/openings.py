"""What lies behind the skin's openings: the lips' inner side, the mouth's bag, the lids' margins and inner sides, the nostrils."""

from __future__ import annotations

import numpy as np

from .geometry import unit
from .landmarks import EYE, EYE_RADIUS
from .mesh import Mesh

# depth behind the contact line, half height, width against the lips; wide enough from 10 mm on to hold the dental arch
BAG = (
    (2.2, 0.0, 0.99), (4.2, 0.9, 0.98), (6.0, 4.5, 1.02), (7.4, 15.5, 1.2),
    (15, 20.5, 1.45), (28, 22, 1.58), (42, 20, 1.52), (54, 15, 1.15),
)  # fmt: skip
BAG_MIDDLE = -69.0
SLIT_BEND = 0.25  # mm: the closed lips meet along a bent surface, so that no ray of light gets through to the teeth
NOSTRIL_TUBE = ((0.9, 0.86), (3.0, 0.74), (7.5, 0.6))  # depth, width


def add_openings(mesh: Mesh) -> None:
    """Continue the skin into mouth, lids and nostrils."""
    _mouth_bag(mesh)
    for side, name in ((1, "eyeLeft"), (-1, "eyeRight")):
        mesh.extend(name, _lid_rings(mesh.points[mesh.loops[name][0]], side), ["skin"] * 3)
    for side, name in ((1, "nostrilLeft"), (-1, "nostrilRight")):
        rim = mesh.points[mesh.loops[name][0]]
        inward = unit(np.array([-0.12 * side, 0.75, -0.65]))
        centre = rim.mean(0)
        rings = [centre + (rim - centre) * width + inward * depth for depth, width in NOSTRIL_TUBE]
        mesh.extend(name, rings, ["skin"] * 3)
        mesh.cap(name, centre + inward * 8.5, "skin")
    for family in ("eye", "nostril"):
        for left, right in zip(mesh.loops[family + "Left_in"], mesh.loops[family + "Right_in"]):
            mesh.pair(left, right)
    _pair_centres(mesh, "nostril")


def _pair_centres(mesh: Mesh, family: str) -> None:
    left, right = mesh.centres[family + "Left"], mesh.centres[family + "Right"]
    mesh.mirror[left], mesh.mirror[right] = right, left


def _mouth_bag(mesh: Mesh) -> None:
    contact = mesh.loops["mouth"][0]
    p = mesh.points[contact]
    spokes = len(contact)
    k = np.arange(spokes)
    direction = np.where(k > spokes // 2, 1.0, -1.0)
    direction[[0, spokes // 2]] = 0
    lens = np.sqrt(np.clip(1 - (p[:, 0] / np.abs(p[:, 0]).max()) ** 2, 0, 1))
    rings = []
    for depth, height, width in BAG:
        q = p * [width, 1, 1]
        if depth < 8:
            q[:, 1] += direction * height * lens - (SLIT_BEND * lens if not rings else 0)
            q[:, 2] -= depth * (0.35 + 0.65 * lens)
        else:
            q[:, 1] = 0.3 * q[:, 1] + 0.7 * BAG_MIDDLE + direction * height * lens**0.8
            q[:, 2] = np.minimum(q[:, 2] - depth, p[:, 2] - depth * (0.5 + 0.5 * lens))
        rings.append(q)
    mesh.extend("mouth", rings, ["lips"] * 3 + ["mouth"] * (len(BAG) - 3))
    mesh.cap("mouth", rings[-1].mean(0) * [0, 1, 1] - [0, 0, 2], "mouth")
    for loop in mesh.loops["mouth_in"]:
        mesh.mirror[loop] = loop[(spokes // 2 - k) % spokes]


def _lid_rings(margin: np.ndarray, side: int) -> list[np.ndarray]:
    """Three loops: the lid's inner edge and two that slide back over the eyeball; at the inner corner they bend on to the ball."""
    centre = EYE * [side, 1, 1]
    away = margin - centre
    radius = np.linalg.norm(away, axis=1, keepdims=True)
    off = np.clip((radius - (EYE_RADIUS + 1.3)) / 1.2, 0, 1)  # 1 where the margin stands off the ball
    middle = margin.mean(0)
    inner = (centre + away / radius * (EYE_RADIUS + 0.12)) * (1 - off)
    inner += (margin - [0, 0, 0.6] - unit(margin - middle) * 0.5) * off
    outward = unit((margin - middle) * [1, 1, 0])
    onto, behind = unit(margin - outward * 2.6 - centre), unit(margin + outward * 2.5 - centre)
    rings = [inner]
    for reach, corner in ((3.2, onto * (EYE_RADIUS + 0.25)), (7.0, behind * (EYE_RADIUS - 1.2))):
        slid = unit(inner + outward * reach - centre) * (EYE_RADIUS + 0.10)
        rings.append(centre + slid * (1 - off) + corner * off)
    return rings
