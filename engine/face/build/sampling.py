"""Even points between the features: a relaxed Poisson sampling, measured in millimetres, and a chain along the midline."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.spatial import Delaunay, cKDTree

from .chart import Surface
from .geometry import FLIP, in_polygon, unit
from .hair import hair_cover
from .plan import Hair

NECK_END = -192.0
HAIRLINE_EDGE = 7.0
CANDIDATES, SEED, RELAXATIONS = 90_000, 3, 5
# (centre, radius, edge length) in mm where edges are shorter than on the open face; x is mirrored
FINE = (
    ((0, -38, 25), 20, 2.9), ((10, -40, 22), 16, 2.7), ((0, -70, 18), 30, 3.4), ((31, 0, -3), 26, 3.7),
    ((74, -14, -86), 30, 5.0), ((50, -84, -58), 30, 6.0), ((26, -112, -30), 24, 6.0),
)  # fmt: skip
NECK_VIEW = unit(np.array([0.0, -110.0, -41.0]))


def edge_length(points: np.ndarray) -> np.ndarray:
    """(N,) wanted distance between neighbouring vertices at (N, 3) points."""
    x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
    face = np.clip((z + 60) / 55, 0, 1) * np.clip((75 - y) / 40, 0, 1) * np.clip((y + 135) / 25, 0, 1)
    size = 10.5 - 6.1 * face
    for centre, radius, fine in FINE:
        w = np.clip(1 - np.linalg.norm(np.c_[x, y, z] - centre, axis=1) / radius, 0, 1) ** 0.7
        size = size * (1 - w) + np.minimum(size, fine) * w
    cover = hair_cover(points, Hair())
    return np.where((cover > 0.01) & (cover < 0.99), np.minimum(size, HAIRLINE_EDGE), size)


def in_plane(directions: np.ndarray) -> np.ndarray:
    """(N, 3) directions -> (N, 2) stereographic plane; the neck's direction goes to infinity."""
    x_axis = np.array([1.0, 0, 0])
    flat = np.stack([directions @ x_axis, directions @ np.cross(NECK_VIEW, x_axis)], -1)
    return flat / np.maximum(1 - directions @ NECK_VIEW, 1e-6)[..., None]


class Samples:
    """A dense cloud of directions (half the head) with their places, for choosing vertices and for the way back to directions."""

    def __init__(self, surface: Surface) -> None:
        i = np.arange(CANDIDATES) + 0.5
        polar, turn = np.arccos(1 - 2 * i / CANDIDATES), np.pi * (1 + 5**0.5) * i
        d = np.stack([np.cos(turn) * np.sin(polar), np.sin(turn) * np.sin(polar), np.cos(polar)], 1)
        d = d[d[:, 0] > -0.02]
        front = d[(d[:, 2] > 0.2) & (np.abs(d[:, 1]) < 0.9)]
        self.random = np.random.default_rng(SEED)
        d = unit(np.vstack([d, front + self.random.normal(0, 0.006, front.shape)]))
        p = surface.lift(d)
        keep = p[:, 1] > NECK_END - 4
        self.directions, self.points = d[keep], p[keep]
        self.tree = cKDTree(self.points)

    def direction_at(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) points near the surface -> their directions."""
        distance, i = self.tree.query(points, k=6)
        return unit((self.directions[i] / ((distance + 0.2) ** 2)[..., None]).sum(-2))


def points_between(
    surface: Surface, samples: Samples, directions: np.ndarray, rings: dict[str, list[np.ndarray]]
) -> tuple[np.ndarray, np.ndarray]:
    """Directions on the midline and on the left half, evenly spread outside the features."""
    features = surface.lift(directions)
    outlines = [in_plane(directions[loops[-1]]) for loops in rings.values()]

    def inside(d: np.ndarray) -> np.ndarray:
        flat = in_plane(d)
        return np.any([in_polygon(flat, o) for o in outlines], axis=0)

    middle = _midline(surface, inside, features[np.concatenate(rings["mouth"])])
    middle_points = surface.lift(middle)
    half_turn = np.linspace(0, np.pi, 25)[1:-1]
    rim = samples.direction_at(
        np.stack([55.5 * np.sin(half_turn), np.full(23, NECK_END), -112 + 58 * np.cos(half_turn)], 1)
    )
    rim_points = surface.lift(rim)
    forbidden = inside(samples.directions)
    alive = ~forbidden & (samples.directions[:, 0] > 0.004)
    left = features[features[:, 0] > -3]
    for points, share in ((left, 0.8), (middle_points, 0.82), (rim_points, 0.8)):
        for near in samples.tree.query_ball_point(points, edge_length(points) * share):
            alive[near] = False
    spacing = edge_length(samples.points) * 0.84
    chosen = []
    for i in samples.random.permutation(np.flatnonzero(alive)):
        if alive[i]:
            chosen.append(i)
            alive[samples.tree.query_ball_point(samples.points[i], spacing[i])] = False
    allowed = ~forbidden & (samples.directions[:, 0] >= 0.012)
    chosen = _relax(np.array(chosen), samples, allowed, directions, middle, rim, surface)
    return middle, np.vstack([samples.directions[chosen], rim])


def _midline(surface: Surface, inside: Callable[[np.ndarray], np.ndarray], mouth_points: np.ndarray) -> np.ndarray:
    turn = np.linspace(0, 2 * np.pi, 6000)
    d = np.stack([0 * turn, np.sin(turn), np.cos(turn)], 1)
    p = surface.lift(d)
    usable = ~inside(d) & (p[:, 1] > NECK_END)
    size = edge_length(p)
    at_end = [int(np.argmin(np.abs(p[:, 1] - NECK_END) + 1e3 * ((p[:, 2] > -110) != front))) for front in (True, False)]
    for end in at_end:
        usable &= np.linalg.norm(p - p[end], axis=1) >= 0.6 * size
    mouth_points = mouth_points[np.abs(mouth_points[:, 0]) < 0.6]
    usable &= np.linalg.norm(p[:, None] - mouth_points[None], axis=2).min(1) >= 0.75 * size
    chosen: list[int] = []
    for i in np.flatnonzero(usable):
        if not chosen or np.linalg.norm(p[i] - p[chosen[-1]]) >= 0.9 * size[i]:
            chosen.append(int(i))
    return d[sorted(chosen + at_end)]


def _relax(
    chosen: np.ndarray,
    samples: Samples,
    allowed: np.ndarray,
    directions: np.ndarray,
    middle: np.ndarray,
    rim: np.ndarray,
    surface: Surface,
) -> np.ndarray:
    """Move each chosen sample towards its neighbours' mean, staying on samples."""
    first = len(directions) + len(middle)
    for _ in range(RELAXATIONS):
        half = np.vstack([samples.directions[chosen], rim])
        d = np.vstack([directions, middle, half, half * FLIP])
        p = surface.lift(d)
        total, count = np.zeros_like(p), np.zeros(len(p))
        t = Delaunay(in_plane(d)).simplices
        for a, b in ((0, 1), (1, 2), (2, 0)):
            for i, j in ((a, b), (b, a)):
                np.add.at(total, t[:, i], p[t[:, j]])
                np.add.at(count, t[:, i], 1)
        own = slice(first, first + len(chosen))
        wanted = 0.3 * p[own] + 0.7 * total[own] / count[own, None]
        options = samples.tree.query(wanted, k=8)[1]
        good = allowed[options]
        chosen = np.where(good.any(1), options[np.arange(len(chosen)), good.argmax(1)], chosen)
    return np.unique(chosen)
