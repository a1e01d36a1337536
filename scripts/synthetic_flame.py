"""A FLAME-format head made up from a head of our own, for tests and measurements: FLAME itself is licensed and not here.

Nothing of it comes from FLAME or from scans. The skin gets another topology (edges split and collapsed at random, vertices slid
and shuffled), the person another face (a smooth random warp), and the model its own bases: identity by random smooth fields,
expression by the principal components of made-up performances of shapes that differ from the starter's by smooth random
factors, with everyday noise on top. What the shapes truly are on the new mesh comes back along, so that whoever guesses them
from the file alone can be judged. NumPy only; runs in Blender too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

SPLIT, COLLAPSED, SLID = 0.10, 0.14, 0.2  # shares of edges, of vertices, and of an edge's length
WARP = ((0.045, 0.0024), (0.028, 0.0014))  # m: width and size of the bumps that make another person
SHAPE_NOISE = 0.3  # by how much, smoothly over the face, shapes differ from the starter's
SCANS, COMPONENTS, IDENTITIES = 320, 100, 300
SCAN_NOISE = 0.0006  # m
JAW_ANGLE = 0.36  # rad that jawOpen at 1 turns the jaw
CORRECTIVE = 0.0015  # m per unit of a joint's rotation matrix
REGRESSED = 60  # vertices that a joint is the mean of


@dataclass(frozen=True)
class SyntheticFlame:
    """arrays: as a FLAME file names them. shapes: (52, V, 3) m, what ARKit's shapes truly are on this mesh, in the order of
    the head's. points468, points68: (N, 3) m, where the landmarks truly are."""

    arrays: dict[str, np.ndarray]
    shapes: np.ndarray
    points468: np.ndarray
    points68: np.ndarray


def synthetic_flame(head: Any, points468: np.ndarray, seed: int = 0) -> SyntheticFlame:
    """head: a HeadModel; points468: (468, 3) m, FaceMesh's points on it. Takes a few seconds."""
    rng = np.random.default_rng(seed)
    triangles = _triangles(head.face_sizes, head.face_vertices)
    part = _parts(triangles, len(head.vertices))
    skin = part == np.bincount(part[triangles[:, 0]]).argmax()
    eyes = [_eyeball(head.skin[eye], part, triangles) & ~skin for eye in ("left_eye", "right_eye")]
    origins, shares, faces = _remeshed(head.vertices.astype(float), triangles[skin[triangles].all(axis=1)], rng)
    for eye in eyes:
        own = np.flatnonzero(eye)
        number = np.full(len(head.vertices), -1)
        number[own] = np.arange(len(own)) + len(origins)
        balls = triangles[eye[triangles].all(axis=1)]
        origins = np.concatenate([origins, np.repeat(own[:, None], origins.shape[1], axis=1)])
        shares = np.concatenate([shares, np.eye(1, shares.shape[1]).repeat(len(own), axis=0)])
        faces = np.concatenate([faces, number[balls]])
    order = rng.permutation(len(origins))
    origins, shares, faces = origins[order], shares[order], np.argsort(order)[faces]

    def carried(values: np.ndarray) -> np.ndarray:
        """(V, ...) on the starter to (V', ...) on the new mesh."""
        return np.einsum("vk,vk...->v...", shares, values[origins], optimize=True)

    warp = _person(rng)
    plain = carried(head.vertices.astype(float))
    template = warp(plain)
    deltas = carried(np.moveaxis(head.blendshapes.astype(float), 0, 1))
    shapes = np.stack([warp(plain + deltas[:, k]) - template for k in range(deltas.shape[1])])
    own = [head.joints[name] for name in ("neck", "jaw", "left_eye", "right_eye")]
    joints = warp(np.stack([own[0] - [0, 0.06, 0], *own]))
    skinning = _skinning(head, carried, shapes, template, joints)
    names = list(head.blendshape_names)
    expression = _expressions(template, shapes, skinning, joints, names, rng)
    identity = np.stack([_smooth_field(template, rng, 0.03 + 0.05 * rng.random(), 6) for _ in range(IDENTITIES)], axis=2)
    identity *= 0.002 / np.sqrt(np.arange(1, IDENTITIES + 1))
    correctives = np.stack([_smooth_field(template, rng, 0.04, 3, CORRECTIVE) for _ in range(36)], axis=2)
    near_mouth = np.exp(-(((template - joints[2] - [0, -0.03, 0.06]) / 0.05) ** 2).sum(axis=1))
    arrays = {
        "v_template": template,
        "shapedirs": np.concatenate([identity, expression], axis=2),
        "posedirs": correctives * near_mouth[:, None, None],
        "J_regressor": np.stack([_regressor(template, joint) for joint in joints]),
        "weights": skinning,
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], range(5)], np.uint32),
        "f": faces.astype(np.uint32),
    }
    places = (head.vertices[head.landmark_triangles] * head.landmark_barycentric[..., None]).sum(axis=1)
    return SyntheticFlame(arrays, shapes, warp(points468), warp(places.astype(float)))


def _triangles(sizes: np.ndarray, corners: np.ndarray) -> np.ndarray:
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    return np.array([[corners[s], corners[s + k], corners[s + k + 1]] for s, n in zip(starts, sizes) for k in range(1, n - 1)])


def _parts(triangles: np.ndarray, count: int) -> np.ndarray:
    """(V,) the smallest vertex of the connected part that each belongs to."""
    label = np.arange(count)
    while True:
        low = label[triangles].min(axis=1)
        new = label.copy()
        for corner in range(3):
            np.minimum.at(new, triangles[:, corner], low)
        if (new == label).all():
            return label
        label = new[new]


def _eyeball(weights: np.ndarray, part: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(V,) bool: the largest part that the eye's joint carries as a whole."""
    numbers = [n for n in np.unique(part[triangles]) if weights[part == n].min() > 0.9]
    return part == max(numbers, key=lambda n: int((part == n).sum()))


def _remeshed(points: np.ndarray, faces: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Another triangulation of the same surface: each new vertex as (V', 4) old ones and their (V', 4) shares."""
    origins = [{int(v): 1.0} for v in range(len(points))]
    triangles = {i: tuple(map(int, f)) for i, f in enumerate(faces)}
    around: dict[int, set[int]] = {}
    for i, face in triangles.items():
        for v in face:
            around.setdefault(v, set()).add(i)

    def put(i: int, face: tuple[int, ...] | None) -> None:
        for v in triangles.pop(i, ()):
            around[v].discard(i)
        if face is not None:
            triangles[i] = face
            for v in face:
                around.setdefault(v, set()).add(i)

    def ring(v: int) -> set[int]:
        return {u for i in around[v] for u in triangles[i]} - {v}

    def inside(v: int) -> bool:
        return all(len(around[v] & around[u]) == 2 for u in ring(v))

    places = [*points]
    edges = np.unique(np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1), axis=0)
    touched: set[int] = set()
    for a, b in edges[rng.permutation(len(edges))[: int(2 * SPLIT * len(edges))]].tolist():
        both = around[a] & around[b]
        if len(both) != 2 or both & touched or len(touched) > 2 * SPLIT * len(edges):
            continue
        t, new = rng.uniform(0.35, 0.65), len(places)
        places.append((1 - t) * points[a] + t * points[b])
        origins.append({a: 1 - t, b: t})
        for i in list(both):
            face = triangles[i]
            put(i, tuple(new if v == b else v for v in face))
            put(len(faces) + 2 * new + (i == max(both)), tuple(new if v == a else v for v in face))
            touched |= {i, len(faces) + 2 * new + (i == max(both))}
    busy: set[int] = set()
    removed = 0
    for v in rng.permutation(len(points)).tolist():
        if removed > COLLAPSED * len(points):
            break
        if v not in around or v in busy or not around[v] or not inside(v) or any(not inside(u) for u in ring(v)):
            continue
        for u in sorted(ring(v), key=lambda u: float(np.linalg.norm(places[u] - places[v])))[:2]:
            others = [i for i in around[v] if u not in triangles[i]]
            moved = [tuple(u if w == v else w for w in triangles[i]) for i in others]
            if len(ring(v) & ring(u)) == 2 and all(_alike(places, triangles[i], m) for i, m in zip(others, moved)):
                busy |= ring(v) | {v}
                for i in list(around[v] & around[u]):
                    put(i, None)
                for i, face in zip(others, moved):
                    put(i, face)
                removed += 1
                break
    kept = sorted(v for v in around if around[v])
    slid = [dict(origins[v]) for v in kept]
    for row, v in enumerate(kept):
        if v < len(points) and inside(v) and (near := sorted(ring(v))):
            share, u = rng.uniform(0, SLID), near[int(rng.integers(len(near)))]
            slid[row] = {v: 1 - share}
            for w, part in origins[u].items():
                slid[row][w] = slid[row].get(w, 0.0) + share * part
    number = {v: row for row, v in enumerate(kept)}
    ids, shares = np.zeros((len(kept), 4), int), np.zeros((len(kept), 4))
    for row, mixture in enumerate(slid):
        ids[row, : len(mixture)], shares[row, : len(mixture)] = list(mixture), list(mixture.values())
    return ids, shares, np.array([[number[v] for v in face] for face in triangles.values()])


def _alike(places: list[np.ndarray], before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    normals = [np.cross(places[b] - places[a], places[c] - places[a]) for a, b, c in (before, after)]
    sizes = [np.linalg.norm(n) for n in normals]
    return bool(min(sizes) > 1e-9 and normals[0] @ normals[1] > 0.7 * sizes[0] * sizes[1])


def _person(rng: np.random.Generator) -> Any:
    """A smooth map of the face into another person's: proportions, and bumps that are nearly alike on both sides."""
    stretch = 1 + rng.uniform(-0.05, 0.05, 3)
    bumps = []
    for width, size in WARP:
        for _ in range(9):
            centre = rng.uniform([0.0, -0.12, -0.06], [0.06, 0.06, 0.03])
            push = rng.normal(0, size, 3)
            for side in (1.0, -1.0):
                bumps.append((centre * [side, 1, 1], push * [side, 1, 1] * rng.uniform(0.85, 1.15), width))

    def warp(points: np.ndarray) -> np.ndarray:
        moved = points * stretch
        for centre, push, width in bumps:
            moved = moved + np.exp(-((points - centre) ** 2).sum(axis=-1, keepdims=True) / (2 * width**2)) * push
        return moved

    return warp


def _smooth_field(points: np.ndarray, rng: np.random.Generator, width: float, bumps: int, size: float = 1.0) -> np.ndarray:
    """(V, 3) a random smooth field over the face, alike on both sides or opposite."""
    field = np.zeros_like(points)
    for _ in range(bumps):
        centre = rng.uniform([-0.07, -0.12, -0.05], [0.07, 0.06, 0.03])
        push = rng.normal(0, size, 3)
        field += np.exp(-((points - centre) ** 2).sum(axis=1, keepdims=True) / (2 * width**2)) * push
    return field


def _skinning(head: Any, carried: Any, shapes: np.ndarray, template: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """(V, 5): the jaw carries what jawOpen moves, by how far it moves of what a turn about the jaw's joint would move it."""
    names = list(head.blendshape_names)
    opened = shapes[names.index("jawOpen")]
    turned = _turned(template, joints[2], np.array([JAW_ANGLE, 0, 0])) - template
    share = (opened * turned).sum(axis=1) / np.maximum((turned**2).sum(axis=1), 1e-10)
    above = carried(head.skin["head"].astype(float))
    eyes = np.stack([carried(head.skin[eye].astype(float)) for eye in ("left_eye", "right_eye")], axis=1)
    jaw = np.clip(share, 0, 1) * (1 - eyes.sum(axis=1)) * above
    rest = above * (1 - eyes.sum(axis=1)) - jaw
    weights = np.concatenate([np.stack([1 - above, rest, jaw], axis=1), eyes * above[:, None]], axis=1)
    return np.clip(weights, 0, 1) / np.clip(weights, 0, 1).sum(axis=1, keepdims=True)


def _turned(points: np.ndarray, joint: np.ndarray, vector: np.ndarray) -> np.ndarray:
    angle = np.linalg.norm(vector)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return (points - joint) @ (np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross).T + joint


def _expressions(
    template: np.ndarray,
    shapes: np.ndarray,
    skinning: np.ndarray,
    joints: np.ndarray,
    names: list[str],
    rng: np.random.Generator,
) -> np.ndarray:
    """(V, 3, COMPONENTS): principal components of made-up scans, in standard deviations, the jaw's turn taken out of them."""
    own = shapes.copy()
    jaw = skinning[:, 2:3] * (_turned(template, joints[2], np.array([JAW_ANGLE, 0, 0])) - template)
    own[names.index("jawOpen")] -= jaw
    for k in range(len(own)):
        own[k] *= 1 + SHAPE_NOISE * _smooth_field(template, rng, 0.03, 5)[:, :1]
    weights = rng.beta(0.5, 1.5, (SCANS, len(own))) * (rng.random((SCANS, len(own))) < 0.3)
    scans = (weights @ own.reshape(len(own), -1)).reshape(SCANS, *template.shape)
    face = np.exp(-((template - [0, -0.03, 0.0]) ** 2).sum(axis=1, keepdims=True) / (2 * 0.07**2))
    for scan in scans:
        scan += SCAN_NOISE * face * _smooth_field(template, rng, 0.02, 8)
    flat = (scans - scans.mean(axis=0)).reshape(SCANS, -1)
    values, vectors = np.linalg.eigh(flat @ flat.T / SCANS)
    order = np.argsort(values)[::-1][:COMPONENTS]
    return (flat.T @ vectors[:, order] / np.sqrt(SCANS)).reshape(*template.shape, COMPONENTS)


def _regressor(template: np.ndarray, joint: np.ndarray) -> np.ndarray:
    """(V,) the smallest weights of the nearest vertices whose sum is 1 and whose mean is the joint."""
    near = np.argsort(((template - joint) ** 2).sum(axis=1))[:REGRESSED]
    system = np.concatenate([template[near].T - joint[:, None], np.ones((1, len(near)))])
    row = np.zeros(len(template))
    row[near] = np.linalg.pinv(system) @ [0, 0, 0, 1]
    return row
