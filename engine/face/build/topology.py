"""The skin's mesh: structured rings around mouth, eyes, nostrils and ears, even points between them, quads where they fit.

Everything happens in the chart (see `chart`): rings are splines through landmarks' directions, the points between them a Poisson
sampling measured in millimetres, and the triangulation takes place in the chart's stereographic plane seen from the neck.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.spatial import Delaunay, cKDTree

from .chart import Surface
from .delaunay import constrained_delaunay
from .geometry import FLIP, Face, closed_curve, edges, in_polygon, unit
from .hair import hair_cover
from .landmarks import EYE_RINGS, LIP_RINGS, Landmarks

MOUTH_SPOKES, EYE_SPOKES, NOSTRIL_SPOKES, EAR_SPOKES = 40, 32, 12, 28
NOSTRIL = np.array([8.0, -41.8, 27.5])
EAR_ROOT = np.array([71.0, -13.0, -87.0])
NECK_END = -178.0
HAIRLINE_EDGE = 7.0
CANDIDATES, SEED, RELAXATIONS = 90_000, 3, 5
# (centre, radius, edge length) in mm where edges are shorter than on the open face; x is mirrored
FINE = (
    ((0, -38, 25), 20, 2.9), ((10, -40, 22), 16, 2.7), ((0, -70, 18), 30, 3.4), ((31, 0, -3), 26, 3.7),
    ((74, -14, -86), 30, 5.0),
)  # fmt: skip
NECK_VIEW = unit(np.array([0.0, -110.0, -41.0]))


@dataclass
class Skin:
    """directions, points: (V, 3); faces counter-clockwise seen from outside; mirror: (V,); rings: name -> list of vertex loops.

    ring_of: (V,) the index of the feature a vertex belongs to, -1 between features.
    """

    directions: np.ndarray
    points: np.ndarray
    faces: list[Face]
    mirror: np.ndarray
    rings: dict[str, list[np.ndarray]]
    ring_of: np.ndarray


def build_skin(surface: Surface, landmarks: Landmarks) -> Skin:
    """Mesh of the outer skin with holes at mouth, eyes, nostrils, ears and the neck's end."""
    samples = _Samples(surface)
    directions, rings = _feature_rings(surface, landmarks, samples)
    middle, side = _between(surface, samples, directions, rings)
    points2 = np.vstack([directions, middle, side, side * FLIP])
    first_middle, first_side = len(directions), len(directions) + len(middle)
    mirror = _mirror_map(len(points2), rings, first_side, len(side))
    points = surface.lift(points2)
    points = (points + points[mirror] * FLIP) / 2
    faces = _faces(points2, points, rings, mirror, np.arange(first_middle, first_side))
    ring_of = np.full(len(points2), -1)
    for k, loops in enumerate(rings.values()):
        ring_of[np.concatenate(loops)] = k
    return Skin(points2, points, faces, mirror, rings, ring_of)


def edge_length(points: np.ndarray) -> np.ndarray:
    """(N,) wanted distance between neighbouring vertices at (N, 3) points."""
    x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
    face = np.clip((z + 60) / 55, 0, 1) * np.clip((75 - y) / 40, 0, 1) * np.clip((y + 135) / 25, 0, 1)
    size = 10.5 - 6.1 * face
    for centre, radius, fine in FINE:
        w = np.clip(1 - np.linalg.norm(np.c_[x, y, z] - centre, axis=1) / radius, 0, 1) ** 0.7
        size = size * (1 - w) + np.minimum(size, fine) * w
    cover = hair_cover(points)
    return np.where((cover > 0.01) & (cover < 0.99), np.minimum(size, HAIRLINE_EDGE), size)


def in_plane(directions: np.ndarray) -> np.ndarray:
    """(N, 3) directions -> (N, 2) stereographic plane; the neck's direction goes to infinity."""
    x_axis = np.array([1.0, 0, 0])
    flat = np.stack([directions @ x_axis, directions @ np.cross(NECK_VIEW, x_axis)], -1)
    return flat / np.maximum(1 - directions @ NECK_VIEW, 1e-6)[..., None]


class _Samples:
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


def _feature_rings(
    surface: Surface, landmarks: Landmarks, samples: _Samples
) -> tuple[np.ndarray, dict[str, list[np.ndarray]]]:
    chart = surface.landmark_directions
    loops: dict[str, list[np.ndarray]] = {"mouth": _mouth_loops(chart)}
    eye = _eye_loops(chart, landmarks)
    along, across = unit(np.array([-0.35, -0.15, 1.0])), unit(np.array([1.0, -0.2, 0.35]))
    back, up = unit(np.array([-0.25, 0, -1.0])), unit(np.array([0, 1.0, -0.14]))

    def ellipse(centre: np.ndarray, u: np.ndarray, v: np.ndarray, a: float, b: float, n: int) -> np.ndarray:
        t = np.arange(n) / n * 2 * np.pi
        return samples.direction_at(centre + np.outer(np.cos(t) * a, u) + np.outer(np.sin(t) * b, v))

    nostril = [ellipse(NOSTRIL, along, across, a, b, NOSTRIL_SPOKES) for a, b in ((5.4, 3.0), (6.9, 4.3))]
    ear = [ellipse(EAR_ROOT, back, up, a, b, EAR_SPOKES) for a, b in ((8.5, 25.0), (12.5, 29.5))]
    for name, half in (("eye", eye), ("nostril", nostril), ("ear", ear)):
        loops[name + "Left"], loops[name + "Right"] = half, [loop * FLIP for loop in half]
    rings, directions = {}, []
    for name, family in loops.items():
        rings[name] = []
        for loop in family:
            rings[name].append(np.arange(len(directions), len(directions) + len(loop)))
            directions.extend(loop)
    return np.array(directions), rings


def _mouth_loops(chart: np.ndarray) -> list[np.ndarray]:
    keys = [unit(closed_curve(chart[r], MOUTH_SPOKES)) for r in LIP_RINGS]
    down = np.sin(
        np.arange(MOUTH_SPOKES) / MOUTH_SPOKES * 2 * np.pi
    )  # 1 at the chin's side, -1 below the nose: no room there
    keys.append(_relaxed(unit(keys[4] + (0.37 + 0.18 * down)[:, None] * (keys[4] - keys[3])), 2))
    keys[4] = _relaxed(keys[4], 1)
    return _between_loops(keys, (0, 0.6, 1.3, 2.2, 3, 3.5, 4, 4.5, 5))


def _eye_loops(chart: np.ndarray, landmarks: Landmarks) -> list[np.ndarray]:
    keys = [unit(closed_curve(chart[landmarks.left(r)], EYE_SPOKES)) for r in EYE_RINGS]
    keys[2] = _relaxed(keys[2], 1)
    keys[3] = _relaxed(unit(keys[2] + 0.55 * (keys[3] - keys[2])), 2)
    return _between_loops(keys, (0, 0.5, 1, 1.5, 2, 2.5, 3))


def _between_loops(keys: list[np.ndarray], positions: tuple[float, ...]) -> list[np.ndarray]:
    loops = []
    for position in positions:
        k = min(int(position), len(keys) - 2)
        loops.append(unit(keys[k] + (position - k) * (keys[k + 1] - keys[k])))
    return loops


def _relaxed(loop: np.ndarray, rounds: int) -> np.ndarray:
    for _ in range(rounds):
        loop = unit(0.5 * loop + 0.25 * np.roll(loop, 1, 0) + 0.25 * np.roll(loop, -1, 0))
    return loop


def _between(
    surface: Surface, samples: _Samples, directions: np.ndarray, rings: dict[str, list[np.ndarray]]
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
    samples: _Samples,
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


def _mirror_map(count: int, rings: dict[str, list[np.ndarray]], first_side: int, sides: int) -> np.ndarray:
    mirror = np.arange(count)
    mirror[first_side : first_side + sides] = np.arange(first_side + sides, first_side + 2 * sides)
    mirror[first_side + sides :] = np.arange(first_side, first_side + sides)
    for loop in rings["mouth"]:
        mirror[loop] = loop[(len(loop) // 2 - np.arange(len(loop))) % len(loop)]
    for name in ("eye", "nostril", "ear"):
        for left, right in zip(rings[name + "Left"], rings[name + "Right"]):
            mirror[left], mirror[right] = right, left
    return mirror


def _faces(
    d: np.ndarray, p: np.ndarray, rings: dict[str, list[np.ndarray]], mirror: np.ndarray, middle: np.ndarray
) -> list[Face]:
    constraints = [e for loops in rings.values() for e in edges(loops[-1].tolist())]
    gaps = np.linalg.norm(np.diff(p[middle], axis=0), axis=1)
    constraints += [(int(middle[i]), int(middle[i + 1])) for i in range(len(gaps)) if gaps[i] < 14]
    outer = rings["mouth"][-1]
    for spoke in (len(outer) // 4, 3 * len(outer) // 4):
        nearest = middle[np.argmin(np.linalg.norm(p[middle] - p[outer[spoke]], axis=1))]
        constraints.append((int(outer[spoke]), int(nearest)))
    flat = in_plane(d)
    triangles = constrained_delaunay(flat * 100, constraints)
    # The test for "inside an opening" must be made in the plane: a curved triangle's centroid in space may lie elsewhere.
    centroid = flat[triangles].mean(1)
    drop = (p[triangles, 1] < NECK_END + 1.5).all(1)
    for loops in rings.values():
        drop |= in_polygon(centroid, flat[loops[-1]])
    triangles = triangles[~drop]
    x = p[triangles][:, :, 0]
    straddling = (x.min(1) < -0.3) & (x.max(1) > 0.3)
    if straddling.any():
        raise ValueError(
            f"{straddling.sum()} triangles cross the midline near {p[triangles[straddling]].mean(1).round()[0]}"
        )
    half = triangles[x.mean(1) > 1e-6]
    pairs, rest = _paired(half, p)
    faces = [tuple(f) for f in (*pairs, *rest)]
    faces += [tuple(mirror[list(f)][::-1].tolist()) for f in faces]
    for loops in rings.values():
        for inner, outward in zip(loops[:-1], loops[1:]):
            faces += strip(inner, outward)
    return [_outward(f, d) for f in faces]


def strip(a: np.ndarray, b: np.ndarray) -> list[Face]:
    """Quads between two loops of equal length."""
    n = len(a)
    return [(int(a[i]), int(a[(i + 1) % n]), int(b[(i + 1) % n]), int(b[i])) for i in range(n)]


def _outward(face: Face, d: np.ndarray) -> Face:
    p = d[list(face)]
    normal = np.cross(p[1] - p[0], p[2] - p[0]) if len(face) == 3 else np.cross(p[2] - p[0], p[3] - p[1])
    return tuple(int(i) for i in (face if normal @ p.mean(0) > 0 else face[::-1]))


def _paired(triangles: np.ndarray, p: np.ndarray) -> tuple[list[list[int]], list[list[int]]]:
    """Join triangles to quads, best first, where corners are near square and the pair is nearly flat."""
    by_edge: dict[frozenset[int], list[int]] = {}
    for i, t in enumerate(triangles.tolist()):
        for e in edges(t):
            by_edge.setdefault(frozenset(e), []).append(i)
    ranked = []
    for e, pair in by_edge.items():
        if len(pair) != 2:
            continue
        t, u = (triangles[i].tolist() for i in pair)
        tip = next(v for v in t if v not in e)
        k = t.index(tip)
        quad = [tip, t[(k + 1) % 3], next(v for v in u if v not in e), t[(k + 2) % 3]]
        side = np.roll(p[quad], -1, 0) - p[quad]
        length = np.linalg.norm(side, axis=1)
        direction = side / length[:, None]
        skew = np.abs((direction * np.roll(direction, 1, 0)).sum(1)).max()
        n1, n2 = unit(np.cross(side[0], side[1])), unit(np.cross(side[2], side[3]))
        if skew <= 0.72 and n1 @ n2 >= 0.9:
            ranked.append((skew + 0.4 * (length.max() / length.min() - 1) + 2 * (1 - n1 @ n2), *pair, quad))
    used: set[int] = set()
    quads = []
    for _, a, b, quad in sorted(ranked, key=lambda r: r[:3]):
        if a not in used and b not in used:
            used |= {a, b}
            quads.append(quad)
    return quads, [triangles[i].tolist() for i in range(len(triangles)) if i not in used]
