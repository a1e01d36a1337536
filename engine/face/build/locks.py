"""Hair: overlapping locks, combed over the scalp. Each follows the skull from its root to its tip, thick in the middle.

The locks of all heads have the same vertices and faces; a plan's `Hair` says where they grow, which way they lie, how long and
how thick they are.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from .accessories import Part
from .chart import CENTRE
from .geometry import FLIP, Face, smoothstep, unit
from .hair import hair_cover
from .mesh import Mesh
from .plan import Hair, HeadPlan

LOCKS = 240  # each side
ROWS = (0.3, 0.68)  # where along a lock its two points across lie; root and tip are one point each
TWIST = 0.35  # rad: how far locks are turned about their length, about as often to either side
STEPS = 12  # of the walk along a lock
SEED = 5
EAR, EAR_REACH = np.array([76.0, -16.0, -92.0]), np.array([40.0, 35.0, 27.0])  # no lock goes there


def hair_locks(mesh: Mesh, plan: HeadPlan) -> Part:
    """The locks of both sides; exact mirror images."""
    hair = plan.hair_style
    random = np.random.default_rng(SEED)
    scalp = Scalp(mesh)
    roots = _roots(scalp, hair, random)
    paths, normals = _walk(scalp, roots, hair, random)
    across = unit(np.cross(normals, unit(np.gradient(paths, axis=1))))
    share = np.linspace(0, 1, STEPS)
    thick = _thickness(roots, hair) * random.uniform(0.6, 1.2, LOCKS)
    tip = hair.tip * (0.25 + 0.75 * smoothstep(0.05, 0.75, roots[:, 1]))
    body = np.stack([np.interp(share, [0, 0.3, 0.68, 1], [0.0, 0.8, 1.0, t]) for t in tip])
    lifted = paths + normals * (thick[:, None] * body - 0.8 * (share < 0.05))[..., None]
    width = hair.width * random.uniform(0.8, 1.25, LOCKS)
    twist = random.normal(0, TWIST, LOCKS)[:, None, None]
    across = across * np.cos(twist) + normals * np.sin(twist)
    points = [lifted[:, :1]]
    for at, taper in zip(ROWS, (1.0, 0.8)):
        i = round(at * (STEPS - 1))
        side = across[:, i] * (width * taper / 2)[:, None]
        points.append(np.stack([lifted[:, i] - side, lifted[:, i] + side], 1))
    points = np.concatenate([*points, lifted[:, -1:]], 1)  # (LOCKS, 6, 3)
    count = points.shape[1]
    blade = ((0, 1, 2), (1, 3, 4, 2), (3, 5, 4))
    faces: list[Face] = [tuple(count * lock + v for v in f) for lock in range(LOCKS) for f in blade]
    tone = np.repeat(random.uniform(0.72, 1.3, LOCKS), count)
    along = np.tile([0, *np.repeat(ROWS, 2), 1.0], LOCKS)
    left = points.reshape(-1, 3)
    both = np.vstack([left, left * FLIP])
    faces += [tuple(v + len(left) for v in f[::-1]) for f in faces]
    return Part("hair", both, faces, ["hair"] * len(faces), tags={"tone": np.r_[tone, tone], "along": np.r_[along, along]})


class Scalp:
    """The skin seen from inside: from a direction to the place there, on this head and on the mean one, and the normal."""

    def __init__(self, mesh: Mesh) -> None:
        self._tree = cKDTree(mesh.directions)
        skin = slice(0, mesh.skin_count)
        self._places, self._mean, self._normals = mesh.points[skin], mesh.reference[skin], mesh.normals()[skin]

    def at(self, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(N, 3) directions -> (N, 3) places, places on the mean head, normals."""
        distance, near = self._tree.query(directions, k=6)
        weight = 1 / (distance**2 + 1e-4)[..., None]
        weight /= weight.sum(1, keepdims=True)
        places, mean, normals = ((a[near] * weight).sum(1) for a in (self._places, self._mean, self._normals))
        return places, mean, unit(normals)


def _roots(scalp: Scalp, hair: Hair, random: np.random.Generator) -> np.ndarray:
    """(LOCKS, 3) directions of the left half, evenly spread where hair grows."""
    count = 10_000
    i = np.arange(count) + 0.5
    polar, turn = np.arccos(1 - 2 * i / count), np.pi * (1 + 5**0.5) * i
    d = np.stack([np.cos(turn) * np.sin(polar), np.cos(polar), np.sin(turn) * np.sin(polar)], 1)
    d = d[(d[:, 0] > 0.012) & (d[:, 1] > -0.6)]
    place = scalp.at(d)[1]
    grows = hair_cover(place, hair) > hair.least_cover
    d, place = d[grows], place[grows]
    ways = _directions(d, np.full(len(d), 1.2 * hair.length), np.zeros((len(d), 1)), hair)
    passed = scalp.at(np.concatenate(ways))[1].reshape(STEPS, -1, 3)
    clear = (np.linalg.norm((passed - EAR) / EAR_REACH, axis=2) > 1).all(0)
    d, place = d[clear], place[clear]
    spacing = 1.0 / np.sqrt(_density(place))
    chosen = [int(place[:, 1].argmax())]
    nearest = np.full(len(d), np.inf)
    while len(chosen) < LOCKS:  # farthest point next
        nearest = np.minimum(nearest, np.linalg.norm(place - place[chosen[-1]], axis=1) / spacing)
        chosen.append(int((nearest * random.uniform(0.9, 1.0, len(d))).argmax()))
    return d[chosen]


def _density(place: np.ndarray) -> np.ndarray:
    """(N,) more locks where they are seen first: along the forehead and the temples."""
    return 1 + 1.2 * smoothstep(-60, 0, place[:, 2])


def _thickness(directions: np.ndarray, hair: Hair) -> np.ndarray:
    top = smoothstep(0.05, 0.75, directions[:, 1])
    front = smoothstep(0.1, 0.75, directions[:, 2]) * top
    return hair.side_thickness + (hair.top_thickness - hair.side_thickness) * top + hair.quiff * front


def _walk(scalp: Scalp, d: np.ndarray, hair: Hair, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Places and normals (LOCKS, STEPS, 3) along each lock, on the skin below it."""
    length = hair.length * random.uniform(0.8, 1.2, len(d))
    sway = random.normal(0, hair.disorder, (len(d), 1))
    places, _, normals = scalp.at(np.concatenate(_directions(d, length, sway, hair)))
    shape = (STEPS, len(length), 3)
    return places.reshape(shape).transpose(1, 0, 2), normals.reshape(shape).transpose(1, 0, 2)


def _directions(d: np.ndarray, length: np.ndarray, sway: np.ndarray, hair: Hair) -> list[np.ndarray]:
    directions = [d]
    for _ in range(STEPS - 1):
        flow = _flow(d, hair)
        flow = unit(flow - (flow * d).sum(1, keepdims=True) * d)
        flow = unit(flow + sway * np.cross(d, flow))
        d = unit(d + flow * (length / (STEPS - 1) / 118.0)[:, None])
        d[:, 0] = np.maximum(d[:, 0], 0.004)
        directions.append(d)
    return directions


def _flow(d: np.ndarray, hair: Hair) -> np.ndarray:
    """(N, 3) which way the hair lies at each direction."""
    aim = (np.array(hair.towards) - CENTRE) / 110.0 - d
    down = np.array([0.0, -1.0, -0.25])
    side = 1 - smoothstep(0.15, 0.6, d[:, 1])
    pull = hair.gravity * side[:, None]
    part = np.array([1.0, 0, 0]) * hair.parting
    return unit(aim) * (1 - pull) + down * pull + part * smoothstep(0.2, 0.8, d[:, 1])[:, None]
