"""Lips that close and lids that close, exactly, on a mesh that shapes were carried over to.

All shapes are linear, so what holds at weight 1 holds in proportion below it: mouthClose is made from this mesh's own jawOpen such
that at equal weights both edges of the lips come to one line; eyeBlink brings both edges of the lids to one line.
"""

from __future__ import annotations

import numpy as np

from ..registration.surface import Neighbours, Surface, smooth_field, triangle_normals
from .openings import Opening

MEETING = 0.5  # where closed lips meet: this share of the way from where the starter's mouthClose leaves the upper to the lower
CLOSING_LINE = 0.12  # where lids meet: this share of the aperture above the lower lid
RADIUS = {"mouth": 0.030, "right eye": 0.013, "left eye": 0.013}  # m along the surface that a correction reaches
CLEARANCE = 0.0006  # m between a lid that moved and its eyeball
TOUCH = 0.00005  # m of crossing that is let be
BLINKS = {"right eye": "eyeBlinkRight", "left eye": "eyeBlinkLeft"}
HELD = 1e4
# of the ball's radius: what lies nearer to its centre, and no farther behind it, may come to cover the ball
AROUND, LIDS_FRONT = 2.5, 0.3
OUTWARD = 0.2  # least cosine between a lid's outer skin and the way out of the eyeball
PUSHES = 40
# barycentric places over a triangle: corners, sides, between
SPREAD = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 1, 1], [1, 0, 1], [1, 1, 1], [4, 1, 1], [1, 4, 1], [1, 1, 4],
                   [3, 1, 0], [1, 3, 0], [0, 3, 1], [0, 1, 3], [3, 0, 1], [1, 0, 3]], float)  # fmt: skip
SPREAD /= SPREAD.sum(1, keepdims=True)
DAMPING = 0.01  # of what vertices move beyond what their neighbours along the edge do


def lip_values(opening: Opening, names: list[str], points: np.ndarray, shapes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices of both lips' edges (N,) and what every shape must be there, (K, N, 3), from what shapes (K, V, 3) are.

    mouthClose seals; where another shape makes the lips cross more than at rest, each gives way by half.
    """
    ids, count = np.concatenate([opening.vertices, opening.behind]), len(opening.vertices)
    values = shapes[:, ids].astype(float)
    for k in range(len(names)):
        if names[k] != "mouthClose":
            values[k, :count] += _uncrossed(opening, points, shapes[k])
    close = names.index("mouthClose")
    places = values[names.index("jawOpen"), :count] + values[close, :count]
    if opening.apart:
        places = places + points[opening.vertices]
    values[close] += _met(opening, places, MEETING)
    return ids, values


def lid_values(
    opening: Opening, names: list[str], points: np.ndarray, shapes: np.ndarray, ball: tuple[np.ndarray, float] | None
) -> tuple[np.ndarray, np.ndarray]:
    """As `lip_values`, for the lids: the blink closes, nothing else crosses. ball: centre and radius of the eyeball (m)."""
    ids, count = np.concatenate([opening.vertices, opening.behind]), len(opening.vertices)
    values = shapes[:, ids].astype(float)
    for k, name in enumerate(names):
        if name == BLINKS[opening.name]:
            values[k] = _met(opening, points[opening.vertices], 1 - CLOSING_LINE, ball)
        else:
            values[k, :count] += _uncrossed(opening, points, shapes[k])
    return ids, values


def shut_again(
    opening: Opening, names: list[str], points: np.ndarray, shapes: np.ndarray, ball: tuple[np.ndarray, float]
) -> tuple[np.ndarray, np.ndarray]:
    """As `lid_values`, where the lids of a blink have been pushed off the ball and apart: they meet nearer to the one that lies
    farther off it."""
    ids, count = np.concatenate([opening.vertices, opening.behind]), len(opening.vertices)
    values = shapes[:, ids].astype(float)
    blink = names.index(BLINKS[opening.name])
    places = points + shapes[blink]
    off = [np.linalg.norm(edge.along(places) - ball[0], axis=1) - ball[1] for edge in (opening.upper, opening.lower)]
    above, below = (np.maximum(o, TOUCH) ** 2 for o in off)
    share = (below / (above + below))[:, None]
    values[blink] += _met(opening, points[opening.vertices] + values[blink, :count], share, ball)
    return ids, values


def _met(
    opening: Opening, places: np.ndarray, share: float | np.ndarray, ball: tuple[np.ndarray, float] | None = None
) -> np.ndarray:
    """(N + M, 3) how the edges' vertices, now at `places` (N, 3), and the M behind them must move for the two lines to become
    one, `share` of the way from the upper to the lower. Vertices do not lie opposite each other, so a small system is solved."""
    local = np.zeros(opening.vertices.max() + 1, np.int64)
    ids = opening.vertices
    local[ids] = np.arange(len(ids))
    rows = np.arange(len(opening.stations))
    lines = []
    for edge in (opening.upper, opening.lower):
        line = np.zeros((len(rows), len(ids)))
        np.add.at(line, (rows, local[edge.a]), 1 - edge.t)
        np.add.at(line, (rows, local[edge.b]), edge.t)
        lines.append(line)
    upper, lower = (line @ places for line in lines)
    meeting = _outside(upper + share * (lower - upper), ball)
    meeting[[0, -1]] = (upper[[0, -1]] + lower[[0, -1]]) / 2
    wanted = np.concatenate([meeting - upper, meeting - lower])
    first = opening.at_vertices(meeting - upper, meeting - lower)
    system = np.concatenate(lines)
    damped = system.T @ system + DAMPING * np.eye(len(ids))
    moved = first + np.linalg.solve(damped, system.T @ (wanted - system @ first))
    return np.concatenate([moved, opening.at_behind(*(line @ moved for line in lines))])


def _uncrossed(opening: Opening, points: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """(N, 3) what the edges' vertices must move in addition so that the edges cross no more than at rest."""
    up = opening.frame.axes[1]
    shape = shape.astype(float)
    rest = (opening.upper.along(points) - opening.lower.along(points)) @ up
    gap = rest + (opening.upper.along(shape) - opening.lower.along(shape)) @ up
    short = np.maximum(np.minimum(rest, 0) - gap - TOUCH, 0)[:, None] * up
    return opening.at_vertices(short / 2, -short / 2)


def _outside(points: np.ndarray, ball: tuple[np.ndarray, float] | None) -> np.ndarray:
    if ball is None:
        return points
    centre, radius = ball
    away = points - centre
    length = np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-9)
    return centre + away * np.maximum(radius + CLEARANCE, length) / length


def bent_to(
    surface: Surface, neighbours: Neighbours, shapes: np.ndarray, ids: np.ndarray, values: np.ndarray, radius: float
) -> np.ndarray:
    """Shapes (K, V, 3) that are `values` (K, N, 3) at the vertices `ids`, changed as smoothly as can be within `radius` (m)
    along the surface, and not at all beyond."""
    changes = values - shapes[:, ids]
    touched = np.flatnonzero(np.abs(changes).max(axis=(1, 2)) > 1e-7)
    if not len(touched):
        return shapes
    start = np.full(len(surface.points), np.inf)
    start[ids] = 0.0
    near = np.isfinite(neighbours.ways(surface.points, start, radius))
    part = np.flatnonzero(neighbours.spread(near, 2))
    local = np.full(len(surface.points), -1)
    local[part] = np.arange(len(part))
    small = neighbours.among(part)
    wanted = np.zeros((len(part), 3 * len(touched)))
    wanted[local[ids]] = changes[touched].transpose(1, 0, 2).reshape(len(ids), -1)
    trust = np.where(near[part], 0.0, HELD)
    trust[local[ids]] = HELD
    field = smooth_field(small, wanted, trust, 1.0, rounds=500, tolerance=1e-5)
    field[local[ids]] = wanted[local[ids]]
    changed = shapes.copy()
    changed[np.ix_(touched, part)] += field.reshape(len(part), len(touched), 3).transpose(1, 0, 2).astype(shapes.dtype)
    return changed


def kept_off(
    surface: Surface,
    shapes: np.ndarray,
    names: list[str],
    opening: Opening,
    ball: tuple[np.ndarray, float],
    readiness: np.ndarray,
) -> np.ndarray:
    """Shapes whose lids do not enter the eyeball, neither with their vertices nor, on coarse meshes, with the triangles between:
    what rests outside ends outside, and a blink ends outside wherever it rests. Each place that is too deep is pushed out by its
    triangle's corners, over and over (as in Mueller et al., "Position based dynamics", 2007).

    readiness: (V,) of the vertices to be moved, up to 1.
    """
    centre, radius = ball
    triangles = surface.triangles
    triangles = triangles[surface.points[triangles, 2].min(1) > centre[2] - LIDS_FRONT * radius]
    # The lining of the lids may lie in the ball, where nobody sees it; pushed out, it would come through the skin.
    normals, away = triangle_normals(surface.points, triangles), surface.points[triangles].mean(1) - centre
    length = np.linalg.norm(away, axis=1)
    skin = (normals * away).sum(1) > OUTWARD * np.linalg.norm(normals, axis=1) * length
    triangles = triangles[skin & (length < AROUND * radius)]
    if not len(triangles):
        return shapes
    rest = np.linalg.norm(_samples(surface.points, triangles) - centre, axis=-1)
    shapes = shapes.copy()
    for k, name in enumerate(names):
        if not name.startswith("eye") or not np.abs(shapes[k, triangles]).max() > TOUCH:
            continue
        blink = name == BLINKS[opening.name]
        least = np.full_like(rest, radius + CLEARANCE) if blink else np.minimum(radius + CLEARANCE / 2, rest)
        shapes[k] += _pushed_out(surface.points + shapes[k], triangles, centre, least, readiness)
    return shapes


def _samples(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(T, S, 3) places all over each triangle."""
    return np.einsum("sk,tkc->tsc", SPREAD, points[triangles])


def _pushed_out(
    posed: np.ndarray, triangles: np.ndarray, centre: np.ndarray, least: np.ndarray, readiness: np.ndarray
) -> np.ndarray:
    """(V, 3) how vertices at `posed` (V, 3) must move for the triangles' places to lie `least` (T, S) m from the centre."""
    start = posed
    posed = posed.copy()
    ready = readiness[triangles]
    for _ in range(PUSHES):
        away = _samples(posed, triangles) - centre
        length = np.linalg.norm(away, axis=-1)
        short = np.where(away[..., 2] > 0, least - length, 0)
        deepest = short.argmax(1)
        rows = np.flatnonzero(short[np.arange(len(short)), deepest] > TOUCH)
        if not len(rows):
            break
        which = deepest[rows]
        share = SPREAD[which] * ready[rows]
        power = np.maximum((SPREAD[which] * share).sum(1), 1e-3)
        push = away[rows, which] * (short[rows, which] / np.maximum(length[rows, which], 1e-9) / power)[:, None]
        moves = share[..., None] * push[:, None]
        total, count = np.zeros_like(posed), np.zeros(len(posed))
        np.add.at(total, triangles[rows], moves)
        np.add.at(count, triangles[rows], SPREAD[which] > 0)
        posed += total / np.maximum(count, 1)[:, None]
    return posed - start
