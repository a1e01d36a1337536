"""Lids and brows: eyeBlink, eyeSquint, eyeWide, eyeLook* (lids only; the eyeballs turn by their joints), brow*."""

from __future__ import annotations

import numpy as np

from .landmarks import BROW_LOWER, BROW_UPPER, EYE, EYE_RADIUS
from .shapes_common import Sculptor, Shapes

FOREHEAD = (  # lines that raised brows fold into it
    [(-27, 34, 8), (-14, 35.5, 14), (0, 34, 15.5), (14, 35.5, 14), (27, 34, 8)],
    [(-25, 46, 6), (-14, 47.5, 11), (0, 46, 12.5), (14, 47.5, 11), (25, 46, 6)],
)
CLOSING_LINE = 0.12  # share of the aperture above the lower lid where the lids meet
OVERLAP = 0.22  # mm that each shut lid goes beyond the line
LID_CLEARANCE = 1.05  # mm between eyeball and skin; the cornea rises 0.42
CLOSING_FALLOFF = (1, 0.97, 0.82, 0.55, 0.3, 0.12)
MOVING_FALLOFF = (1, 0.95, 0.8, 0.6, 0.35, 0.15)


def eye_shapes(s: Sculptor) -> Shapes:
    """All shapes of lids and brows."""
    shapes: Shapes = {}

    def lids(name: str, handles: dict[int, np.ndarray], radius: float = 16) -> None:
        shapes.update(s.two_sided(name, s.shape(handles, radius)))

    lids("eyeBlink", lid_handles(s, 1.0, 1.0, closing=True))
    lids("eyeWide", lid_handles(s, 2.6, -0.5))
    lids("eyeLookDown", lid_handles(s, -4.6, -0.9))
    lids("eyeLookUp", lid_handles(s, 1.7, 0.7))
    for name, sideways in (("eyeLookIn", -0.45), ("eyeLookOut", 0.45)):
        handles = lid_handles(s, -0.3, 0.1)
        corners = {int(v) for v in s.mesh.loops["eyeLeft"][0][[0, inner_corner(s)]]}
        lids(name, {v: d + [0.0 if v in corners else sideways, 0, 0] for v, d in handles.items()}, 14)
    squint = lid_handles(s, -1.4, 1.9)
    squint |= s.pushes(((31, -18, 4), (0, 2.2, 0.8)), ((43, -16, -1), (-0.4, 2.2, 0.8)), ((50, -4, -10), (-1, 0.3, 0)))
    lids("eyeSquint", squint, 20)
    shapes.update(_brow_shapes(s))
    return shapes


def inner_corner(s: Sculptor) -> int:
    """Index of the inner corner on a lid loop that starts at the outer one."""
    return len(s.mesh.loops["eyeLeft"][0]) // 2


def lid_handles(
    s: Sculptor, upper: float, lower: float, closing: bool = False, share: float = 1.0
) -> dict[int, np.ndarray]:
    """Handles that turn the left lids over the eyeball, about its transverse axis.

    closing: `upper` and `lower` are shares of the way to the closing line. Otherwise they are mm upwards at the widest place.
    share: of the angle that this takes.
    """
    p = s.mesh.points
    rings, inner = s.mesh.loops["eyeLeft"], s.mesh.loops["eyeLeft_in"]
    margin = p[rings[0]]
    angle = share * _lid_angles(margin, upper, lower, closing)
    falloff = CLOSING_FALLOFF if closing else MOVING_FALLOFF
    handles: dict[int, np.ndarray] = {}
    # The lids' corners stay, the skin around them gives way, and the lids' inner sides gather there.
    k = np.arange(len(angle))
    off_corner = np.minimum(1, (len(k) // 4 - np.abs(k % (len(k) // 2) - len(k) // 4)) / 1.5)
    loops = [(ring, w * _evened(angle, 2 * n), LID_CLEARANCE) for n, (ring, w) in enumerate(zip(rings, falloff))]
    gathered, told = _evened(angle * off_corner, 6), off_corner > 0
    loops += [(ring[told], w * gathered[told], 0.1) for ring, w in zip(inner, (1, 1, 0.9))]
    for loop, turn, clearance in loops:
        q = p[loop] - EYE
        c, sn = np.cos(turn), np.sin(turn)
        turned = np.stack([q[:, 0], q[:, 1] * c + q[:, 2] * sn, -q[:, 1] * sn + q[:, 2] * c], 1)
        radius, least = np.linalg.norm(turned, axis=1), EYE_RADIUS + clearance
        low = (radius < least) & (turned[:, 2] > -2) & (np.linalg.norm(q, axis=1) >= min(least, EYE_RADIUS + 0.75))
        turned[low] *= (least / radius[low])[:, None]
        handles.update(zip(loop.tolist(), turned - q))
    return handles


def _lid_angles(margin: np.ndarray, upper: float, lower: float, closing: bool) -> np.ndarray:
    """(N,) how far each margin vertex turns upwards about the eyeball's transverse axis, rad."""
    count = len(margin)
    inner, outer = int(np.argmin(np.abs(margin[:, 0]))), int(np.argmax(np.abs(margin[:, 0])))
    a, b = sorted((inner, outer))
    halves = [np.arange(a + 1, b), np.r_[np.arange(b + 1, count), np.arange(0, a)]]
    top, bottom = sorted(halves, key=lambda half: -margin[half, 1].mean())

    def height(half: np.ndarray, x: np.ndarray) -> np.ndarray:
        ids = np.r_[half, inner, outer]
        ids = ids[np.argsort(margin[ids, 0])]
        return np.interp(x, margin[ids, 0], margin[ids, 1])

    angle = np.zeros(count)
    for half, amount in ((top, upper), (bottom, lower)):
        x, y, z = margin[half].T
        floor, gap = height(bottom, x), height(top, x) - height(bottom, x)
        if closing:  # a little beyond the line, so that no straight edge leaves a slit
            beyond = OVERLAP * np.sqrt(gap / max(gap.max(), 1e-6)) * (1 if half is bottom else -1)
            target = y + amount * (floor + CLOSING_LINE * gap + beyond - y)
        else:
            target = y + amount * gap / max(gap.max(), 1e-6)
        radius = np.hypot(y - EYE[1], z - EYE[2])
        angle[half] = np.arcsin(np.clip((target - EYE[1]) / radius, -0.98, 0.98)) - np.arctan2(y - EYE[1], z - EYE[2])
    return angle


def _evened(values: np.ndarray, rounds: int) -> np.ndarray:
    for _ in range(rounds):
        values = 0.5 * values + 0.25 * (np.roll(values, 1) + np.roll(values, -1))
    return values


def _brow_shapes(s: Sculptor) -> Shapes:
    """Values run from the temple to the nose, mm."""
    upper = [s.landmark(i) for i in s.landmarks.left(list(BROW_UPPER))]
    lower = [s.landmark(i) for i in s.landmarks.left(list(BROW_LOWER))]

    def brow(up: list[float], forward: list[float], inward: list[float]) -> dict[int, np.ndarray]:
        handles = {}
        for k, (a, b) in enumerate(zip(upper, lower)):
            handles[a] = np.array([-inward[k], up[k], forward[k]])
            handles[b] = 0.9 * handles[a]
        return handles

    shapes: Shapes = {}
    down = brow([-1.5, -3, -4.5, -5.5, -6], [0, 0.2, 0.5, 0.9, 1.2], [0.3, 0.6, 1.2, 2, 2.4])
    shapes.update(s.two_sided("browDown", s.shape(down, 30, s.eye_region)))
    outer = brow([7, 8.5, 7.5, 3, 0.5], [-0.8] * 5, [0] * 5)
    shapes.update(s.two_sided("browOuterUp", s.shape(outer, 34, s.eye_region)))
    inner = s.both(brow([0, 0.6, 3.0, 6.5, 8], [-0.6] * 5, [0, 0, 0.2, 0.5, 0.7]))
    inner |= s.pushes(((0, 18, 16), (0, 6.5, -0.6)))
    raised = s.symmetric(s.shape(inner, 34, s.eye_region))
    shapes["browInnerUp"] = s.symmetric(s.wrinkled(raised, FOREHEAD, 1.1))
    return shapes
