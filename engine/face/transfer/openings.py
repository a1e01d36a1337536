"""Mouth and eyes of a mesh: which vertices belong to the upper and to the lower lip or lid, and where the two meet.

All in the starter head's frame: m, +x the subject's left, +y up, +z forward. Points of a face are numbered as FaceMesh's 468.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..registration.closest import CANDIDATES, TriangleIndex
from ..registration.surface import Neighbours, Surface

# name -> the rim where the two meet and a ring on the skin about it. Each begins at one corner and goes round by the lower side.
RINGS = {
    "mouth": (
        (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191),
        (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185),
    ),
    "right eye": (
        (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
        (130, 25, 110, 24, 23, 22, 26, 112, 243, 190, 56, 28, 27, 29, 30, 247),
    ),
    "left eye": (
        (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466),
        (359, 255, 339, 254, 253, 252, 256, 341, 463, 414, 286, 258, 257, 259, 260, 467),
    ),
}  # fmt: skip
SIDES = {("mouth", True): 1, ("mouth", False): 2, ("right eye", True): 3, ("right eye", False): 4,
         ("left eye", True): 5, ("left eye", False): 6}  # fmt: skip
REACH = {"mouth": 0.045, "right eye": 0.018, "left eye": 0.018}  # m along the surface that a lip or lid goes
# m from the rim as drawn within which the mesh's own is looked for: across, behind, before; and of what joins two sides, behind
ZONE = {
    "mouth": (0.007, 0.004, 0.006, 0.003),
    "right eye": (0.005, 0.003, 0.005, 0.0025),
    "left eye": (0.005, 0.003, 0.005, 0.0025),
}
CREST = 0.0004  # m: what lies this near the outermost line is part of the edge
CORNER, CORNER_DEPTH = 0.75, 0.0005  # the sides join in a corner no nearer to the middle and (m) no deeper than this
CLEAR = 0.002  # m between the rims as drawn from which on a vertex in between surely belongs to the nearer one
SEALED = 0.6  # sides that join nearer than this to the middle are not apart
NARROWING = 0.75  # share by which the zone behind the rim is less deep at the corners, where the inner side is near
# m behind an edge to which its inner side goes along with it, and how steeply that may lead away; the same before it
INSIDE, RIM = (0.0045, 1.0), (0.003, 0.35)
# m that an edge must reach farther for each m that it lies behind another, to be the outermost: on fine meshes, and on coarse ones
FRONT = {"mouth": (0.6, 1.3), "right eye": (0.6, 1.0), "left eye": (0.6, 1.0)}
COARSE = (0.003, 0.005)  # m between vertices about the opening
SHUT = 0.10  # an eye whose aperture is less than this share of its width is closed at rest
STATIONS = 49
SEEDS = 21
LONGEST = 1.25  # times half the width: how far from the middle an opening may end


@dataclass(frozen=True)
class Frame:
    """origin: midway between the corners; axes: rows x (to the subject's left corner), y, z; half: half the width."""

    origin: np.ndarray
    axes: np.ndarray
    half: float

    def of(self, points: np.ndarray) -> np.ndarray:
        """(N, 3): places in the frame, x as a share of half the width (-1 and 1 at the corners), y and z in m."""
        local = (points - self.origin) @ self.axes.T
        local[:, 0] /= self.half
        return local


@dataclass(frozen=True)
class Edge:
    """The line where a lip or lid ends, at stations along the opening: at station i it lies on the mesh's edge from vertex a[i] to
    b[i], a share of t[i] from a. vertices, across: what lies on the line or beside it, and their stations' places."""

    a: np.ndarray
    b: np.ndarray
    t: np.ndarray
    vertices: np.ndarray
    across: np.ndarray

    def along(self, values: np.ndarray) -> np.ndarray:
        """(stations, C) of values (V, C)."""
        return values[self.a] * (1 - self.t[:, None]) + values[self.b] * self.t[:, None]


@dataclass(frozen=True)
class Opening:
    """Where a pair of lips or lids meets, at stations (N,) from -1 to 1 between the two ends that the mesh itself has.

    apart: whether the two are cut apart (otherwise the mesh goes on between them). wide: whether there is any width at rest;
    always so for mouths. behind_across: the places of `behind`.
    """

    name: str
    frame: Frame
    stations: np.ndarray
    upper: Edge
    lower: Edge
    apart: bool
    wide: bool
    behind_upper: np.ndarray
    behind_lower: np.ndarray
    behind_across: np.ndarray

    @property
    def behind(self) -> np.ndarray:
        """Vertices of the rims' thickness and inner sides next to the edges, which go along with them; the upper one's first."""
        return np.concatenate([self.behind_upper, self.behind_lower])

    def at_behind(self, upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
        """As `at_vertices`, for `behind`."""
        count = len(self.behind_upper)
        above = _between(self.behind_across[:count], self.stations, upper)
        return np.concatenate([above, _between(self.behind_across[count:], self.stations, lower)])

    @property
    def vertices(self) -> np.ndarray:
        """Of both edges, the upper one's first."""
        return np.concatenate([self.upper.vertices, self.lower.vertices])

    @property
    def is_upper(self) -> np.ndarray:
        """For each of `vertices`."""
        return np.arange(len(self.vertices)) < len(self.upper.vertices)

    @property
    def pinned(self) -> np.ndarray:
        """The vertices that the two lines themselves run over."""
        return np.unique(np.concatenate([v for e in (self.upper, self.lower) for v in (e.a, e.b)]))

    def at_vertices(self, upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
        """(N, C) for `vertices` what (stations, C) values of the upper and of the lower line say there."""
        rows = [_between(e.across, self.stations, v) for e, v in ((self.upper, upper), (self.lower, lower))]
        return np.concatenate(rows)


def _between(at: np.ndarray, stations: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.stack([np.interp(at, stations, column) for column in values.T], 1)


def frame_of(name: str, points: np.ndarray) -> Frame:
    """The opening's frame from (468, 3) points. The face looks roughly along +z."""
    rim = RINGS[name][0]
    right, left = sorted((points[rim[0]], points[rim[len(rim) // 2]]), key=lambda p: p[0])
    x = (left - right) / max(np.linalg.norm(left - right), 1e-9)
    z = np.array([0.0, 0.0, 1.0]) - x[2] * x
    z /= max(np.linalg.norm(z), 1e-9)
    return Frame((right + left) / 2, np.stack([x, np.cross(z, x), z]), max(np.linalg.norm(left - right) / 2, 1e-6))


def _half_of(ring: tuple[int, ...], upper: bool) -> list[int]:
    """Numbers from corner to corner along the ring's upper or lower side."""
    middle = len(ring) // 2
    return [ring[0], *ring[:middle:-1], ring[middle]] if upper else list(ring[: middle + 1])


def sides_of(surface: Surface, neighbours: Neighbours, points: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """(V,) side of every vertex: 0 none, or of SIDES.

    An upper lip is what lies nearer, along the surface, to the ring about the mouth above than to it below; so a closed mouth's
    two lips are told apart, and the mouth's inside too. points: (468, 3) on the surface; skin: (V,) where to look.
    """
    sides = np.zeros(len(surface.points), np.int64)
    for name, (_, ring) in RINGS.items():
        frame = frame_of(name, points)
        near = skin & (np.linalg.norm(surface.points - frame.origin, axis=1) < frame.half + 1.5 * REACH[name])
        reached = []
        for upper in (True, False):
            line = points[_half_of(ring, upper)]
            at = np.linspace(0.7, len(line) - 1.7, SEEDS)
            seeds = _between(at, np.arange(len(line)), line)
            reached.append(neighbours.ways(surface.points, _start(surface, near, seeds), REACH[name]))
        upper_way, lower_way = (np.where(near, r, np.inf) for r in reached)
        sides[(upper_way < lower_way) & np.isfinite(upper_way)] = SIDES[name, True]
        sides[(lower_way < upper_way) & np.isfinite(lower_way)] = SIDES[name, False]
    return sides


def _start(surface: Surface, near: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """(V,) ways begin at the corners of the triangles that the seeds lie on."""
    start = np.full(len(surface.points), np.inf)
    rows = np.flatnonzero(near[surface.triangles].all(1))
    if len(rows) >= CANDIDATES:
        found = TriangleIndex(surface.points, surface.triangles[rows]).nearest(seeds)
        corners = surface.triangles[rows[found.triangle]]
        away = np.linalg.norm(surface.points[corners] - seeds[:, None], axis=2)
        np.minimum.at(start, corners, away)
    return start


def find_opening(
    name: str, surface: Surface, edges: np.ndarray, sides: np.ndarray, points: np.ndarray
) -> Opening | None:
    """The lines where a mouth's or an eye's two sides end, or None where the mesh has too few vertices there to tell.

    edges: (E, 2). points: (468, 3), as drawn on to this surface.
    """
    frame = frame_of(name, points)
    local = frame.of(surface.points)
    rim = RINGS[name][0]
    across, behind, before, joined_behind = ZONE[name]
    near = np.linalg.norm(local * [frame.half, 1, 1], axis=1) < 1.5 * frame.half + across
    close = edges[near[edges].all(1)]
    if len(close) < 4:
        return None
    grain = float(np.median(np.linalg.norm(surface.points[close[:, 0]] - surface.points[close[:, 1]], axis=1)))
    grain = min(grain, frame.half)  # on a coarse mesh the rim as drawn and the mesh's own lie farther apart
    zones, lines, heights = {}, {}, {}
    for upper in (True, False):
        line = frame.of(points[_half_of(rim, upper)])
        line = line[np.argsort(line[:, 0])]
        y, z = (np.interp(local[:, 0], line[:, 0], line[:, k]) for k in (1, 2))
        deep = behind * (1 - NARROWING * np.minimum(local[:, 0] ** 2, 1)) + 0.2 * grain
        zone = (np.abs(local[:, 1] - y) < across + 0.5 * grain) & (local[:, 2] - z > -deep)
        zone &= (local[:, 2] - z < before + 0.5 * grain) & (np.abs(local[:, 0]) < LONGEST + grain / frame.half)
        zones[upper] = zone & (sides == SIDES[name, upper])
        lines[upper], heights[upper] = line, y
    # What lies nearer to the other side's rim than to its own has been told apart wrongly, as behind the corners it may be.
    middle, clear = (heights[True] + heights[False]) / 2, heights[True] - heights[False] > CLEAR
    zones[True] &= ~(clear & (local[:, 1] < middle))
    zones[False] &= ~(clear & (local[:, 1] > middle))
    whole = {upper: sides == SIDES[name, upper] for upper in (True, False)}
    apart = _apart(local, edges, whole, lines, across + grain, joined_behind)
    corners = _corners(local, edges, zones, lines, 0.2 * grain) if apart else (None, None)
    ends = [-1.0, 1.0]
    for k, corner in enumerate(corners):
        if corner is not None:
            ends[k] = float(local[corner, 0])
            zones[True][corner] = zones[False][corner] = True
    stations = ends[0] + (ends[1] - ends[0]) * (1 - np.cos(np.linspace(0, np.pi, STATIONS))) / 2
    front = float(np.interp(grain, COARSE, FRONT[name]))
    upper_edge, lower_edge = (
        _outermost(local, edges, zones[upper], stations, upper, lines[upper], front) for upper in (True, False)
    )
    if upper_edge is None or lower_edge is None:
        return None
    own = ~np.isin(lower_edge.vertices, upper_edge.vertices)
    lower_edge = replace(lower_edge, vertices=lower_edge.vertices[own], across=lower_edge.across[own])
    gap = (upper_edge.along(local) - lower_edge.along(local))[:, 1]
    wide = name == "mouth" or bool(gap.max() > SHUT * 2 * frame.half)
    along: list[np.ndarray] = []
    for is_upper, edge in ((True, upper_edge), (False, lower_edge)):
        line = edge.along(local)
        y, z = (np.interp(local[:, 0], stations, line[:, k]) for k in (1, 2))
        own_side = (sides == SIDES[name, is_upper]) & (np.abs(local[:, 1] - y) < across)
        depth = z - local[:, 2]
        between = (local[:, 0] > stations[0]) & (local[:, 0] < stations[-1])
        ids = np.flatnonzero(own_side & between & (depth < INSIDE[0]) & (depth > -RIM[0]))
        ids = ids[~np.isin(ids, upper_edge.vertices) & ~np.isin(ids, lower_edge.vertices)]
        high, depth = (local[ids, 1] - y[ids]) * (1 if is_upper else -1), depth[ids]
        along.append(ids[high < np.where(depth > 0, INSIDE[1] * depth, -RIM[1] * depth) + CREST])
    across_behind = local[np.concatenate(along), 0]
    return Opening(name, frame, stations, upper_edge, lower_edge, apart, wide, along[0], along[1], across_behind)


def _joins(
    local: np.ndarray, edges: np.ndarray, of: dict[bool, np.ndarray], lines: dict[bool, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mesh's edges between the two sides (N, 2), their middles (N, 3) and how far in front of the rims these lie (N,)."""
    up, down = of[True], of[False]
    joins = edges[(up[edges[:, 0]] & down[edges[:, 1]]) | (down[edges[:, 0]] & up[edges[:, 1]])]
    middle = (local[joins[:, 0]] + local[joins[:, 1]]) / 2
    before = np.minimum(*(middle[:, 2] - np.interp(middle[:, 0], line[:, 0], line[:, 2]) for line in lines.values()))
    return joins, middle, before


def _apart(
    local: np.ndarray,
    edges: np.ndarray,
    of: dict[bool, np.ndarray],
    lines: dict[bool, np.ndarray],
    across: float,
    behind: float,
) -> bool:
    """Whether the mesh does not go on from one side to the other near the middle of the opening and its front."""
    joins, middle, before = _joins(local, edges, of, lines)
    high, low = (np.interp(middle[:, 0], lines[upper][:, 0], lines[upper][:, 1]) for upper in (True, False))
    near = (middle[:, 1] < high + across) & (middle[:, 1] > low - across) & (before > -behind)
    return not bool((near & (np.abs(local[joins, 0]).max(1) < SEALED)).any())


def _corners(
    local: np.ndarray, edges: np.ndarray, zones: dict[bool, np.ndarray], lines: dict[bool, np.ndarray], slack: float
) -> tuple[int | None, int | None]:
    """The vertices where the opening ends on the right and on the left: of the innermost edges of the mesh that join the two
    sides there."""
    joins, middle, before = _joins(local, edges, zones, lines)
    outer = np.abs(local[joins, 0]).max(1)
    found: list[int | None] = []
    for sign in (-1, 1):
        rows = np.flatnonzero((before > -CORNER_DEPTH - slack) & (outer > CORNER) & (np.sign(middle[:, 0]) == sign))
        if len(rows):
            join = joins[rows[outer[rows].argmin()]]
            found.append(int(join[np.abs(local[join, 0]).argmax()]))
        else:
            found.append(None)
    return found[0], found[1]


def _outermost(
    local: np.ndarray, edges: np.ndarray, zone: np.ndarray, stations: np.ndarray, upper: bool, rim: np.ndarray, front: float
) -> Edge | None:
    """The lowest line of the upper side (highest of the lower) along the mesh's own edges, station by station."""
    own = edges[zone[edges].all(1)]
    own = np.where((local[own[:, 0], 0] <= local[own[:, 1], 0])[:, None], own, own[:, ::-1])
    if len(own) < 3:
        return None
    start, end = local[own[:, 0], 0], local[own[:, 1], 0]
    sign = 1.0 if upper else -1.0
    # Just past the ends the nearest station within has to do.
    at = np.clip(stations, start.min() + 1e-6, end.max() - 1e-6)
    crosses = (start <= at[:, None]) & (at[:, None] <= end) & (end - start > 1e-9)
    share = np.where(crosses, (at[:, None] - start) / np.maximum(end - start, 1e-9), 0)
    behind = np.maximum(np.interp(local[:, 0], rim[:, 0], rim[:, 2]) - local[:, 2], 0)
    high = sign * local[:, 1] + front * behind
    y = high[own[:, 0]] + share * (high[own[:, 1]] - high[own[:, 0]])
    which = np.where(crosses, y, np.inf).argmin(1)
    rows = np.arange(len(at))
    good = crosses[rows, which]
    if good.sum() < 3:
        return None
    nearest = np.abs(at[:, None] - at[good]).argmin(1)
    which = which[np.flatnonzero(good)[nearest]]
    share = np.clip((at - start[which]) / np.maximum(end[which] - start[which], 1e-9), 0, 1)
    a, b = own[which, 0], own[which, 1]
    line = local[a] * (1 - share[:, None]) + local[b] * share[:, None]
    ids = np.flatnonzero(zone & (local[:, 0] >= stations[0]) & (local[:, 0] <= stations[-1]))
    off = sign * (local[ids, 1] - np.interp(local[ids, 0], stations, line[:, 1]))
    deep = np.abs(local[ids, 2] - np.interp(local[ids, 0], stations, line[:, 2]))
    ids = np.union1d(ids[(off < CREST) & (deep < 2 * CREST)], np.concatenate([a, b]))
    return Edge(a, b, share, ids, np.clip(local[ids, 0], stations[0], stations[-1]))
