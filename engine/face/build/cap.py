"""Hair: one closed cap of combed strands that run from the whorl to the hairline, with furrows between them.

The caps of all heads have the same vertices and faces; a plan's `Hair` says where the whorl lies, how thick the hair is there and
at the front, and how deep its furrows are. What is finer than a strand of a few millimetres is left to the material.
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

SPOKES = 26  # from the whorl to the hairline, on one half of the head, the midline's included
ROWS = (0.10, 0.22, 0.36, 0.51, 0.65, 0.77, 0.86, 0.93, 0.975, 1.0)  # shares of the way to the hairline
SEED = 5
RAGGED = 0.022  # rad that strands reach beyond the furrows between them
LEAST_COVER = 0.95  # the cap ends where the hair covers less
EAR, EAR_REACH = np.array([76.0, -16.0, -92.0]), np.array([40.0, 36.0, 27.0])  # no hair goes there
SUNK = 1.2  # mm: how deep below the scalp its edge lies
FARTHEST, STEPS = 2.75, 140  # rad from the whorl within which the hairline is sought, and in how many steps
STEEPEST = 0.45  # rad that a spoke may be longer than the next


def hair_cap(mesh: Mesh, plan: HeadPlan) -> Part:
    """The cap over both halves; an exact mirror image of itself."""
    hair = plan.hair_style
    random = np.random.default_rng(SEED)
    scalp = Scalp(mesh)
    whorl = unit(np.array(hair.whorl) - CENTRE)
    turn = np.linspace(0, np.pi, SPOKES)
    ridge = _ridges(random)
    reach = _hairline(scalp, whorl, turn, hair) + RAGGED * (ridge - 0.6)
    share = np.array(ROWS)
    directions = _along(whorl, turn[:, None], reach[:, None] * share)  # (SPOKES, rows, 3)
    directions = np.concatenate([whorl[None], directions.reshape(-1, 3)])
    place, _, normal = scalp.at(directions)
    share = np.r_[0.0, np.tile(share, SPOKES)]
    furrow = np.r_[0.5, np.repeat(1 - ridge, len(ROWS))] * smoothstep(0, 0.35, share)
    height = _thickness(directions, hair) * (1 - smoothstep(0.85, 1.0, share) ** 1.5)
    height -= furrow * np.minimum(hair.furrow, 0.45 * height) + SUNK * (share == 1)
    points = place + normal * height[:, None]
    points[np.r_[0, _spoke(0), _spoke(SPOKES - 1)], 0] = 0
    strand = np.r_[0, np.repeat(np.arange(SPOKES), len(ROWS))]
    tone = 1.15 - 0.62 * furrow * min(1.0, hair.furrow / 1.2) ** 2 + random.normal(0, 0.03, SPOKES)[strand]
    return _both_halves(points, tone, share)


def _spoke(k: int) -> np.ndarray:
    """The vertices of one spoke, from the whorl outwards, which itself is vertex 0."""
    return 1 + k * len(ROWS) + np.arange(len(ROWS))


def _both_halves(points: np.ndarray, tone: np.ndarray, share: np.ndarray) -> Part:
    inner = np.concatenate([_spoke(k) for k in range(1, SPOKES - 1)])  # those off the midline have a twin
    twin = np.arange(len(points))
    twin[inner] = len(points) + np.arange(len(inner))
    faces: list[Face] = []
    for k in range(SPOKES - 1):
        a, b = _spoke(k).tolist(), _spoke(k + 1).tolist()
        half = [(0, a[0], b[0]), *((a[r], a[r + 1], b[r + 1], b[r]) for r in range(len(ROWS) - 1))]
        faces += half
        faces += [tuple(int(twin[v]) for v in f[::-1]) for f in half]
    both = np.vstack([points, points[inner] * FLIP])
    around = np.r_[0.0, np.repeat(np.linspace(0, 1, SPOKES), len(ROWS))]
    tags = {
        "tone": np.r_[tone, tone[inner]], "along": np.r_[share, share[inner]],
        "around": np.r_[around, -around[inner]],
    }  # fmt: skip
    return Part("hair", both, faces, ["hair"] * len(faces), tags=tags)


def _ridges(random: np.random.Generator) -> np.ndarray:
    """(SPOKES,) 1 on a strand's ridge, 0 in a furrow; strands are of two spokes, here and there of three."""
    level = [0.7]
    while len(level) < SPOKES:
        level += [0.0, 1.0] if random.random() < 0.6 else [0.0, 0.9, 0.75]
    return np.array(level[:SPOKES])


def _along(whorl: np.ndarray, turn: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Directions at an angle (rad) from the whorl; turn 0: up and over the crown, pi: down the nape."""
    up = unit(np.array([0, 1.0, 0]) - whorl[1] * whorl)
    side = np.array([1.0, 0, 0])
    way = np.cos(turn)[..., None] * up + np.sin(turn)[..., None] * side
    return np.cos(angle)[..., None] * whorl + np.sin(angle)[..., None] * way


def _hairline(scalp: Scalp, whorl: np.ndarray, turn: np.ndarray, hair: Hair) -> np.ndarray:
    """(SPOKES,) rad from the whorl to where the hair first ends."""
    angle = np.linspace(0.02, FARTHEST, STEPS)
    directions = _along(whorl, turn[:, None], np.broadcast_to(angle, (len(turn), STEPS)))
    place = scalp.at(directions.reshape(-1, 3))[1]
    grows = (hair_cover(place, hair) > LEAST_COVER) & (np.linalg.norm((place - EAR) / EAR_REACH, axis=1) > 1)
    ended = ~grows.reshape(len(turn), STEPS)
    reach = angle[np.where(ended.any(1), ended.argmax(1), STEPS - 1)]
    for _ in range(len(reach)):
        reach[1:] = np.minimum(reach[1:], reach[:-1] + STEEPEST)
        reach[:-1] = np.minimum(reach[:-1], reach[1:] + STEEPEST)
    return reach


def _thickness(directions: np.ndarray, hair: Hair) -> np.ndarray:
    """(N,) mm of hair above the scalp."""
    top = smoothstep(0.05, 0.75, directions[:, 1])
    front = smoothstep(0.1, 0.75, directions[:, 2]) * top
    return hair.side_thickness + (hair.top_thickness - hair.side_thickness) * top + hair.quiff * front


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
