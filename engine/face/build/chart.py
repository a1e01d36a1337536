"""The chart: every point of the head's surface has a direction seen from inside the skull; the surface is a smooth function of it.

Spreading the landmarks' directions (smoothing on a neighbour graph that does not cross the closed mouth or the eyes) opens mouth
and eyes into lenses and unfolds the nose, so that lips which touch in space lie far apart in the chart. The surface itself is a
cubic radial-basis spline from direction to position through landmarks and a few control points of skull, jaw and neck.
"""

from __future__ import annotations

import numpy as np
from scipy.interpolate import RBFInterpolator
from scipy.spatial import cKDTree

from .geometry import FLIP, smoothstep, unit
from .landmarks import EYE_RINGS, LIP_RINGS, OUTLINE, Landmarks

CENTRE = np.array([0.0, -20.0, -60.0])
ROUNDS, NEIGHBOURS = 40, 8
LOOSENESS = (
    0.6  # how far landmarks outside mouth, eyes and nose follow their neighbours instead of keeping their direction
)
SMOOTHING_LANDMARK, SMOOTHING_CONTROL = 2e-5, 2e-4
SKULL_CENTRE, SKULL_AXES, SKULL_SQUARENESS = np.array([0.0, 20.0, -81.0]), np.array([74.5, 92.5, 96.0]), 2.22
JAW_POINTS = (  # menton, cervical point, jaw's underside and angle, mastoid, temple; one side
    (0, -115.5, -12), (0, -116, -38), (17, -112.5, -13), (32, -104, -22), (20, -113, -36), (42, -93.5, -42),
    (49.5, -80, -59), (51, -70, -72), (56, -52, -84), (63, -30, -92), (68, -20, -76), (69.5, -5, -70),
    (36, -98, -60), (60, -48, -66), (55.5, -62, -54), (70.5, 12, -75),
)  # fmt: skip
NECK_HEIGHTS = (-72, -100, -128, -155, -182, -210)


class Surface:
    """The head's smooth surface without openings."""

    def __init__(self, landmarks: Landmarks) -> None:
        """Spread the landmarks' directions and fit the spline."""
        self.landmark_directions = spread_directions(landmarks)
        controls = control_points(landmarks.points)
        self._spline = RBFInterpolator(
            np.vstack([self.landmark_directions, unit(controls - CENTRE)]),
            np.vstack([landmarks.points, controls]),
            kernel="cubic",
            degree=1,
            smoothing=np.r_[
                np.full(len(landmarks.points), SMOOTHING_LANDMARK), np.full(len(controls), SMOOTHING_CONTROL)
            ],
        )

    def lift(self, directions: np.ndarray) -> np.ndarray:
        """(N, 3) directions -> (N, 3) points in mm."""
        return self._spline(unit(directions))


def spread_directions(landmarks: Landmarks) -> np.ndarray:
    """(468, 3) unit directions from CENTRE, relaxed so that mouth and eyes open and the nose unfolds."""
    p = landmarks.points
    average, crowded = _neighbour_average(landmarks)
    x, y, z = np.abs(p[:, 0]), p[:, 1], p[:, 2]
    crowded |= (x < 22) & (y > -55) & (y < 0) & (z > 10)  # the nose
    loose = np.where(crowded, 1.0, LOOSENESS)[:, None]
    loose[OUTLINE] = 0
    start = unit(p - CENTRE)
    d = start.copy()
    for _ in range(ROUNDS):
        d = unit(0.5 * d + 0.5 * unit(loose * unit(average @ d) + (1 - loose) * start))
    return unit((d + d[landmarks.mirror] * FLIP) / 2)


def _neighbour_average(landmarks: Landmarks) -> tuple[np.ndarray, np.ndarray]:
    """(468, 468) row-stochastic matrix: along and across the rings of mouth and eyes, elsewhere the nearest in space;
    and (468,) which landmarks lie on the rings.

    Landmarks on inner rings get no other neighbours: those in space may lie across the closed mouth or on the wrong ring.
    """
    p, count = landmarks.points, len(landmarks.points)
    families = (LIP_RINGS, EYE_RINGS, [landmarks.left(r) for r in EYE_RINGS])
    link = np.zeros((count, count), bool)
    structured = np.zeros(count, bool)
    for family in families:
        for ring in family:
            link[ring, np.roll(ring, -1)] = True
        for inner, outer in zip(family[:-1], family[1:]):
            link[inner, outer] = True
            structured[inner] = True
    for i, near in enumerate(cKDTree(p).query(p, k=40)[1][:, 1:]):
        if not structured[i]:
            link[i, near[~structured[near]][:NEIGHBOURS]] = True
    link |= link.T
    return link / link.sum(1, keepdims=True), structured


def control_points(landmark_points: np.ndarray) -> np.ndarray:
    """(N, 3) points of skull, jaw, mastoid and neck, both sides."""
    half = np.vstack([_skull(landmark_points), [[0, 113, -80]], np.array(JAW_POINTS, float), _neck()])
    middle = np.abs(half[:, 0]) < 0.5
    half[middle, 0] = 0
    return np.vstack([half, half[~middle] * FLIP])


def _skull(landmark_points: np.ndarray) -> np.ndarray:
    """Points of a rounded box where the landmarks do not reach: crown, back, sides above the ears."""
    count = 420
    i = np.arange(count) + 0.5
    polar, turn = np.arccos(1 - 2 * i / count), np.pi * (1 + 5**0.5) * i  # Fibonacci sphere
    d = np.stack([np.cos(turn) * np.sin(polar), np.cos(polar), np.sin(turn) * np.sin(polar)], 1)
    d = d[d[:, 0] > 0]
    near, reach = np.zeros(len(d)), np.full(len(d), 300.0)
    for _ in range(40):  # bisection: the skull is star-shaped
        middle = (near + reach) / 2
        outside = _skull_level(CENTRE + d * middle[:, None]) > 1
        near, reach = np.where(outside, near, middle), np.where(outside, middle, reach)
    hit = CENTRE + d * near[:, None]
    y, z = hit[:, 1], hit[:, 2]
    far = cKDTree(unit(landmark_points - CENTRE)).query(d)[0] > 0.24
    return hit[far & ((y > -12) | ((z < -130) & (y > -35))) & ~((z > -60) & (y < 10))]


def _skull_level(points: np.ndarray) -> np.ndarray:
    """(N,) below 1 inside the skull: an ellipsoid squared off a little, narrower at the forehead than at the parietal bones."""
    q = np.abs((points - SKULL_CENTRE) / SKULL_AXES)
    q[:, 0] /= 1 - 0.1 * smoothstep(-75, 0, points[:, 2]) - 0.06 * smoothstep(-120, -170, points[:, 2])
    return (q**SKULL_SQUARENESS).sum(1)


def _neck() -> np.ndarray:
    """Half rings of a tube that leans forward going up and widens towards the shoulders."""
    points = []
    for y in NECK_HEIGHTS:
        down = (y + 60) / -125
        middle, radius = -88 - 26 * down, 50.0 + 5.0 * down
        for turn in np.linspace(0, np.pi, 9):  # from the front to the nape
            front = np.cos(turn)
            if y > -120 and front > (-0.55 if y > -90 else 0.0):
                continue  # the jaw is there
            points.append(
                [radius * np.sin(turn), y, middle + radius * 1.05 * front + (2 if y == -128 and front > 0.8 else 0)]
            )
    return np.array(points)
