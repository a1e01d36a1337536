"""Cheeks and nose: cheekPuff, cheekSquint, noseSneer."""

from __future__ import annotations

import numpy as np

from .shapes_common import Sculptor, Shapes
from .shapes_eyes import lid_handles
from .shapes_mouth import bell

NOSE_SIDE = ([(7, -3, 20), (14, -7, 12), (20, -12, 7)], [(9, -13, 22), (15, -17, 14), (20, -22, 9)])


def cheek_shapes(s: Sculptor) -> Shapes:
    """The shapes of cheeks and nose."""
    return {"cheekPuff": _puff(s), **s.two_sided("cheekSquint", _squint(s)), **s.two_sided("noseSneer", _sneer(s))}


def _puff(s: Sculptor) -> np.ndarray:
    handles = s.both(
        s.pushes(
            ((41, -62, -2), (6, 0, 8)),
            ((49, -58, -14), (9, 0, 4)),
            ((42, -76, -8), (7, -1, 5)),
            ((37, -50, 4), (3, 0.5, 5.5)),
        )
    )
    for row in (0, 2, 4):
        for k, v in enumerate(s.outer[row].tolist()):
            handles[v] = np.array([0, 0, 1.2 * (1 - s.across[k] ** 2)])
    return s.symmetric(s.shape(handles, 34, s.eye_region))


def _squint(s: Sculptor) -> np.ndarray:
    cheek = s.pushes(((36, -24, 4), (0, 4.5, 2.0)), ((46, -28, -2), (-0.5, 4.2, 2.2)), ((28, -30, 8), (0, 3.6, 1.2)))
    return s.shape(lid_handles(s, -0.3, 1.3) | cheek, 28)


def _sneer(s: Sculptor) -> np.ndarray:
    handles = s.pushes(
        ((17, -37, 20), (1.2, 5.4, -0.4)), ((12, -27, 22), (0, 3.8, 0.6)), ((9, -14, 20), (-0.4, 2.0, 0.9)),
        ((22, -45, 13), (0.7, 4.6, 1.2)),
    )  # fmt: skip
    for k in range(s.spokes):
        if s.upper[k]:
            handles[int(s.outer[0][k])] = np.array([0, 1.4, 0]) * bell(s.across[k], -0.55)
            handles[int(s.outer[4][k])] = np.array([0, 3.9, 0.4]) * bell(s.across[k], -0.55)
        else:
            handles[int(s.outer[0][k])] = np.zeros(3)
    for v in s.mesh.loops["nostrilLeft"][0].tolist():
        handles[v] = np.array([0.4, 2.8, -0.3])
    shape = s.shape(handles, 24, s.eye_region)
    return s.wrinkled(s.fold(shape, [(19, -33, 18), (22, -40, 14), (26, -48, 11)], 1.8, 1.3), NOSE_SIDE, 1.0, 2.2)
