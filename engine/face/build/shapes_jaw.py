"""The jaw: one weight field for everything that hangs on it, and mouthClose, which undoes the opening at the lips alone."""

from __future__ import annotations

import numpy as np

from .geometry import FLIP, smoothstep
from .shapes_common import Sculptor, Shapes

HINGE = np.array([0.0, -22.0, -66.0])  # midway between the jaw's joints
OPENING, SLIDE = np.radians(17.5), np.array([0.0, -1.5, 3.0])
FORWARD = np.array([0.0, 0.0, 6.0])
SIDEWAYS, SIDE_SLIDE = np.radians(4.5), np.array([2.0, 0.0, 0.0])
SLIDING = (0.58, 0.74)  # share of its sideways motion on the middle of upper and lower lip
# mm that the lips' inner side and the fold behind it stay forward of closed lips that are drawn back: they slide over the teeth
INNER_FORWARD = (1.0, 2.6, 4.2)
CORNER = 0.42  # share of the jaw's motion at the corners of the mouth; also where closed lips meet on an open jaw


def opened(points: np.ndarray) -> np.ndarray:
    """Displacement of (N, 3) points fixed to the jaw when it opens fully."""
    q = points - HINGE
    c, s = np.cos(OPENING), np.sin(OPENING)
    return np.stack([q[:, 0], q[:, 1] * c - q[:, 2] * s, q[:, 1] * s + q[:, 2] * c], 1) + HINGE + SLIDE - points


def swung(points: np.ndarray, side: int) -> np.ndarray:
    """Displacement of (N, 3) points fixed to the jaw when it goes to the subject's left (side 1) or right (-1)."""
    q = points - HINGE
    c, s = np.cos(SIDEWAYS), side * np.sin(SIDEWAYS)
    return (
        np.stack([q[:, 0] * c + q[:, 2] * s, q[:, 1], -q[:, 0] * s + q[:, 2] * c], 1)
        + HINGE
        + side * SIDE_SLIDE
        - points
    )


def jaw_shapes(s: Sculptor) -> Shapes:
    """jawOpen, jawForward, jawLeft, jawRight, mouthClose."""
    weight = _jaw_weight(s, 0.0, 1.0)[:, None]
    p = s.mesh.points
    left = _slid(s, _jaw_weight(s, *SLIDING)[:, None] * swung(p, 1))
    shapes = {
        "jawOpen": s.symmetric(weight * opened(p)),
        "jawForward": s.symmetric(weight * FORWARD),
        "jawLeft": left,
        "jawRight": left[s.mesh.mirror] * FLIP,
    }
    shapes["mouthClose"] = _mouth_close(s, shapes["jawOpen"])
    return shapes


def _slid(s: Sculptor, sideways: np.ndarray) -> np.ndarray:
    """Let the lower lip run along the upper where it slides sideways, that neither cuts into the other."""
    upper = np.r_[s.half : s.spokes, 0]
    place, moved = s.mesh.points[s.outer[0]], s.mesh.points[s.outer[0]] + sideways[s.outer[0]]
    order = upper[np.argsort(moved[upper, 0])]

    def over(x: np.ndarray, points: np.ndarray, rank: np.ndarray) -> np.ndarray:
        return np.stack([np.interp(x, points[rank, 0], points[rank, k]) for k in (1, 2)], 1)

    lower = np.arange(1, s.half)
    rest = upper[np.argsort(place[upper, 0])]
    wanted = place[lower, 1:] - over(place[lower, 0], place, rest) + over(moved[lower, 0], moved, order)
    extra = wanted - moved[lower, 1:]
    handles: dict[int, np.ndarray] = {}
    for row, loop in enumerate((*s.outer[:5], *s.inner[:4])):
        for k in range(s.spokes):
            handles[int(loop[k])] = np.zeros(3)
        for k, (y, z) in zip(lower.tolist(), extra):
            handles[int(loop[k])] = np.array([0, y, z]) * (1.0, 1.0, 0.9, 0.7, 0.5, 1.0, 0.9, 0.7, 0.5)[row]
    return sideways + s.shape(handles, 12)


def _jaw_weight(s: Sculptor, upper_lip: float, lower_lip: float) -> np.ndarray:
    """(V,) 1 on the chin, as given on the middle of the lips, 0 on the skull and the neck."""
    p = s.mesh.reference
    known: dict[int, float] = {}
    for v, (_, y, z) in enumerate(p[: s.mesh.skin_count]):
        if -113 < y < -82 and z > -6:
            known[v] = 1.0
        if y > -40 or (z < -78 and y > -200) or y < -150 or (z < -45 and y < -118):
            known[v] = 0.0
    across = np.minimum(np.abs(s.across), 1)
    lower = CORNER + (lower_lip - CORNER) * (1 - across**3)
    upper = upper_lip + (CORNER - upper_lip) * smoothstep(0.55, 1, across)
    for row, loop in enumerate(s.outer):
        for k, v in enumerate(loop.tolist()):
            if s.lower[k]:
                known[v] = lower[k]
            elif s.upper[k]:
                if row < 8:
                    known[v] = upper[k] * (1 if row < 5 else 0.8)
            elif row < 5:
                known[v] = CORNER
            else:
                known.pop(v, None)
    for loop in s.inner[:6]:
        known.update(zip(loop.tolist(), (known[v] for v in s.outer[0].tolist())))
    for place, value in (((50, -77, -54), 0.72), ((44, -90, -40), 0.93), ((36, -101, -24), 1.0), ((44, -66, -14), 0.52)):
        v = s.at(place)
        known[v] = known[int(s.mesh.mirror[v])] = value
    nothing = np.zeros(len(p), bool)
    weight = s.field.solve({v: np.array([w]) for v, w in known.items()}, nothing, bounded=True)[:, 0]
    weight = np.clip(weight, 0, 1)
    return (weight + weight[s.mesh.mirror]) / 2


def _mouth_close(s: Sculptor, jaw_open: np.ndarray) -> np.ndarray:
    """What seals the lips on an open jaw: at equal weights both lips hang on the jaw by the same share, at any weight, as both
    are linear."""
    handles: dict[int, np.ndarray] = {}
    sealed = CORNER * opened(s.mesh.points) - jaw_open
    for k in range(s.spokes):
        middle = 1 - s.across[k] ** 2
        for row, loop in enumerate((*s.outer[:5], *s.inner[:3])):
            v = int(loop[k])
            if row == 0 or k not in (0, s.half):
                before_teeth = INNER_FORWARD[row - 5] * middle if row > 4 else 0.0
                handles[v] = sealed[v] + [0, 0, before_teeth]
    return s.symmetric(s.shape(handles, 38))
