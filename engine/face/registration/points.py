"""The points on a face that a person can place: their names, where the starter head has them, and a first guess.

A guess is only where to begin dragging from; where the full engine is, MediaPipe finds the points (embedding/).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...errors import InputError
from ..starter_head import HeadModel
from .closest import TriangleIndex
from .surface import Surface, edges_of, islands_of, triangle_normals, vertex_normals

# name -> the iBUG landmarks whose mean it is. Right and left are the subject's.
POINTS: dict[str, tuple[int, ...]] = {
    "brow outer R": (17,), "brow middle R": (19,), "brow inner R": (21,),
    "brow inner L": (22,), "brow middle L": (24,), "brow outer L": (26,),
    "eye outer R": (36,), "lid upper R": (37, 38), "eye inner R": (39,), "lid lower R": (40, 41),
    "eye inner L": (42,), "lid upper L": (43, 44), "eye outer L": (45,), "lid lower L": (46, 47),
    "nose bridge": (27,), "nose tip": (30,), "nose base": (33,), "nostril R": (31,), "nostril L": (35,),
    "mouth corner R": (48,), "mouth corner L": (54,),
    "lip upper outer": (51,), "lip lower outer": (57,), "lip upper inner": (62,), "lip lower inner": (66,),
    "chin": (8,), "jaw R": (4,), "jaw L": (12,), "cheek R": (1,), "cheek L": (15,),
}  # fmt: skip
ESSENTIAL = tuple(n for n in POINTS if n.split()[0] in ("eye", "lid", "mouth", "lip", "chin"))
LARGEST_MISFIT = 0.30  # root mean square of the points' distances from a face's, as a share of the face's size


def starter_points(head: HeadModel) -> np.ndarray:
    """(len(POINTS), 3) m: the points on the starter head."""
    corners = head.vertices.astype(float)[head.landmark_triangles]
    return points_of_68((corners * head.landmark_barycentric[..., None]).sum(1))


def points_of_68(landmarks: np.ndarray) -> np.ndarray:
    """(len(POINTS), 3) from iBUG's (68, 3)."""
    return np.stack([landmarks[list(ids)].mean(0) for ids in POINTS.values()])


def checked_points(points: Mapping[str, np.ndarray], name: str) -> tuple[list[str], np.ndarray]:
    """Names, in the order of POINTS, and (N, 3) places. Raises InputError where essential ones are missing or not finite."""
    missing = [n for n in ESSENTIAL if n not in points]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(f"The point '{missing[0]}'{more} of '{name}' is missing: find the points again.")
    names = [n for n in POINTS if n in points]
    places = np.array([np.asarray(points[n], float) for n in names])
    if places.shape != (len(names), 3) or not np.isfinite(places).all():
        raise InputError(f"The points of '{name}' are not places in space: find the points again.")
    return names, places


def similarity(source: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Scale s, rotation R (3, 3) and shift t such that s R source + t is nearest to target, both (N, 3)
    (Umeyama, "Least-squares estimation of transformation parameters between two point patterns", 1991)."""
    a, b = source - source.mean(0), target - target.mean(0)
    u, values, vt = np.linalg.svd(b.T @ a)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt)) or 1.0])
    rotation = (u * sign) @ vt
    scale = float((values * sign).sum() / max((a * a).sum(), 1e-30))
    return scale, rotation, target.mean(0) - scale * rotation @ source.mean(0)


def guessed_points(head: HeadModel, surface: Surface) -> dict[str, np.ndarray]:
    """A first guess on a mesh whose face looks along +z with +y up: name -> (3,) place on the mesh, in its unit.

    Eyeballs that are pieces of their own say where the face is; without them its tip of the nose and its top do.
    Raises InputError when there is nothing to put points on.
    """
    if len(surface.triangles) == 0:
        raise InputError("The mesh has no faces, so there is nothing to put points on.")
    starter = starter_points(head)
    names = list(POINTS)
    edges, _ = edges_of(surface.triangles)
    label = islands_of(len(surface.points), edges)
    used = np.unique(surface.triangles)
    sizes = np.bincount(label[used], minlength=len(surface.points))
    skin = label == sizes.argmax()
    scale, shift = _placed(head, surface, skin, label, used)
    on_skin = surface.triangles[skin[surface.triangles].all(1)]
    flat = triangle_normals(surface.points, on_skin)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-30)
    index = TriangleIndex(surface.points, on_skin, flat)
    normals = _starter_normals(head, starter)
    guess = starter * scale + shift
    size = 0.1 * scale
    for _ in range(4):  # the face's own proportions, one axis at a time, without turning it
        places = _on(index, surface.points, on_skin, guess, normals, size)
        for axis in range(3):
            a = guess[:, axis] - guess[:, axis].mean()
            stretch = np.clip((a * (places[:, axis] - places[:, axis].mean())).sum() / max((a * a).sum(), 1e-30), 0.9, 1.1)
            guess[:, axis] = a * stretch + guess[:, axis].mean()
        guess[:, 2] += np.median(places[:, 2] - guess[:, 2])
    places = _on(index, surface.points, on_skin, guess, normals, size)
    return dict(zip(names, places))


def _on(
    index: TriangleIndex, points: np.ndarray, triangles: np.ndarray, at: np.ndarray, normals: np.ndarray, bend: float
) -> np.ndarray:
    found = index.nearest(at, normals, bend)
    return (points[triangles[found.triangle]] * found.weights[..., None]).sum(1)


def _starter_normals(head: HeadModel, points: np.ndarray) -> np.ndarray:
    """(N, 3) which way the starter's face looks at the points: outwards from inside its head."""
    out = points - np.array([0.0, -0.03, -0.09])
    return out / np.linalg.norm(out, axis=1, keepdims=True)


def _placed(
    head: HeadModel, surface: Surface, skin: np.ndarray, label: np.ndarray, used: np.ndarray
) -> tuple[float, np.ndarray]:
    """Scale and shift that lay the starter head roughly on the mesh."""
    balls = eyeballs(surface, label, used)
    eyes = [head.joints[name].astype(float) for name in ("right_eye", "left_eye")]
    if balls is not None:
        apart = np.linalg.norm(balls[1] - balls[0])
        scale = float(apart / np.linalg.norm(eyes[1] - eyes[0]))
        return scale, balls.mean(0) - scale * (eyes[0] + eyes[1]) / 2
    p = surface.points[skin]
    tip = starter_points(head)[list(POINTS).index("nose tip")]
    top = float(head.vertices[:, 1].max())
    middle = (p[:, 0].min() + p[:, 0].max()) / 2
    width = np.ptp(p[:, 0])
    central = p[np.abs(p[:, 0] - middle) < 0.1 * width]
    upper = central[central[:, 1] > p[:, 1].max() - 0.75 * max(width, np.ptp(p[:, 2])) * 1.5]
    upper = upper if len(upper) else p
    nose = upper[upper[:, 2].argmax()]
    scale = float(max(p[:, 1].max() - nose[1], 0.2 * np.ptp(p[:, 1]), 1e-9) / (top - tip[1]))
    return scale, np.array([middle, nose[1], nose[2]]) - scale * tip


def eyeballs(surface: Surface, label: np.ndarray, used: np.ndarray) -> np.ndarray | None:
    """(2, 3) centres of the right and the left eyeball, right first, where two pieces of the mesh are balls of one size
    side by side; otherwise None. label: (V,) of `islands_of`; used: the vertices that faces use."""
    found = []
    for island in np.unique(label[used]):
        p = surface.points[used[label[used] == island]]
        ball = fitted_ball(p) if 12 <= len(p) <= 20_000 else None
        if ball is not None:
            found.append(ball)
    best = None
    for i, (a, r) in enumerate(found):
        for b, s in found[i + 1 :]:
            apart = np.linalg.norm(a - b)
            level = np.abs(a - b)[1:].max() / max(apart, 1e-30)
            if level < 0.25 and 0.8 < r / s < 1.25 and 1.6 < apart / max(r, s) < 9 and (best is None or r > best[0]):
                best = (r, np.stack(sorted((a, b), key=lambda c: c[0])))
    return best[1] if best is not None else None


def fitted_ball(points: np.ndarray) -> tuple[np.ndarray, float] | None:
    """Centre and radius of the ball that (N, 3) points lie on; None when they lie on none (over 12 % off, or too flat a cap)."""
    middle = points.mean(0)
    q = points - middle
    system = np.c_[2 * q, np.ones(len(q))]
    solution, _, rank, _ = np.linalg.lstsq(system, (q * q).sum(1), rcond=1e-9)
    if rank < 4:
        return None
    radius = float(np.sqrt(max(solution[3] + solution[:3] @ solution[:3], 0)))
    centre = middle + solution[:3]
    away = np.linalg.norm(points - centre, axis=1)
    spread = np.ptp(points, axis=0)
    if radius <= 0 or np.abs(away - radius).mean() > 0.12 * radius or spread.max() > 2.6 * radius:
        return None
    return (centre, radius) if np.sort(spread)[1] > 1.0 * radius else None


def outward(surface: Surface) -> np.ndarray:
    """(V, 3) unit normals, all turned about when the surface is inside out (its enclosed volume is negative)."""
    normals = vertex_normals(surface.points, surface.triangles)
    return normals if encloses(surface) else -normals


def encloses(surface: Surface) -> bool:
    """Whether most of the surface looks away from its middle."""
    p = surface.points - surface.points[np.unique(surface.triangles)].mean(0)
    flat = triangle_normals(surface.points, surface.triangles)
    return bool((p[surface.triangles].mean(1) * flat).sum() >= 0)
