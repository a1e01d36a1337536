"""Where the landmarks of a face lie on any mesh that looks like one: FaceMesh's 468 points and iBUG's 68.

The mesh is drawn from several sides, a detector finds the face in each picture, every point it finds is cast back on to the
mesh, and the places from all sides are averaged so that a wrong one does not count. Which way the mesh faces, and its unit,
are found first. NumPy only; the detector (MediaPipe FaceMesh unless another is given) runs in a process of its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..errors import InputError
from .embedding_face import (
    IBUG68,
    INNER,
    LOWER_CONTACT,
    LOWER_LIP,
    POINTS,
    UPPER_CONTACT,
    UPPER_LIP,
    Similarity,
    fit_similarity,
    mean_face,
)
from .embedding_places import closest_places, components, nearer_to, welded
from .embedding_views import directions
from .rasteriser import Camera, barycentric, look_at, render, vertex_normals, visible_triangles

Detector = Callable[[np.ndarray], list[np.ndarray]]  # (H, W, 3) uint8 RGB -> faces, each (468 or more, 2) pixels
SEARCH_SIZE, SIZE = 320, 512  # pixels of a picture's side: when the face is looked for, when its points are measured
SEARCH_DISTANCE, SEARCH_FILLED = 5.0, 2.1  # in radii of the mesh: the camera's distance, what the picture's side spans there
DISTANCE, FILLED = 0.65, 0.26  # m from the camera to the face, and what the picture's side spans there
AIM = np.array([0.0, -0.035, 0.0])  # m from the middle between the irises: what the camera looks at
VIEWS = ((0, 0), (18, 0), (-18, 0), (35, 0), (-35, 0), (52, 0), (-52, 0), (0, 15), (0, -15))  # yaw, pitch; degrees
SKIN_VIEWS = ((0, 0), (45, 0), (-45, 0), (0, 35), (0, -35))  # from which the skin's triangles are seen on which points may lie
AROUND = (0, 90, 180, 270)  # degrees of yaw from which a second face is looked for
FEWEST_VIEWS = 3
LIKENESS = 0.010  # m: points of a face lie no farther (root mean square) from where an average face has them
AGREEMENT = 0.006  # m: and no farther (median) from each other in different pictures
APART = 0.09  # m between the middles of two faces
OUTLIER = 0.006  # m: a point so far off counts half in a fit
STRAY = 0.015  # m from where an average face has it: a place so far off counts half in the average over pictures
INSIDE = np.array([0.0, -0.02, -0.06])  # m: a point inside the skull from which the face is seen all around
MISSED = 4  # pixels beside the mesh that a point may lie
ROUNDS = 12  # of the median of places
MOUTH_RADIUS = 0.06  # m around the mouth in which the lips are told apart


class EmbeddingError(InputError):
    """The mesh has no landmarks to be found; the message is one sentence for the user."""


@dataclass(frozen=True)
class Landmarks:
    """Landmarks of a face as places on its mesh.

    triangles468: (468, 3) int vertex numbers, weights468: (468, 3) barycentric, rows sum to 1; in FaceMesh's order.
    triangles68, weights68: the same for iBUG's 68 (Sagonas et al. 2013). spread_mm: (468,) how far (root mean square) the
    pictures disagree about each point; residual_mm: its mean. metres_per_unit: size of the mesh's unit, taking the pupils
    to be 63 mm apart. forward, up, left: (3,) unit vectors in the mesh's axes, the face's own. centre: (3,) midway between
    the eyes, in the mesh's unit. views: in how many pictures, of VIEWS, the face was found.
    """

    triangles468: np.ndarray
    weights468: np.ndarray
    triangles68: np.ndarray
    weights68: np.ndarray
    spread_mm: np.ndarray
    residual_mm: float
    metres_per_unit: float
    forward: np.ndarray
    up: np.ndarray
    left: np.ndarray
    centre: np.ndarray
    views: int

    def points468(self, vertices: np.ndarray) -> np.ndarray:
        """(..., 468, 3): the places on vertices (..., V, 3), in their unit."""
        return (vertices[..., self.triangles468, :] * self.weights468[..., None]).sum(axis=-2)

    def points68(self, vertices: np.ndarray) -> np.ndarray:
        """(..., 68, 3), as `points468`."""
        return (vertices[..., self.triangles68, :] * self.weights68[..., None]).sum(axis=-2)


@dataclass(frozen=True)
class _Mesh:
    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray
    colours: np.ndarray | None


@dataclass(frozen=True)
class _Seen:
    """One face in one picture: places (468, 3) on the mesh, how much each counts (468,), and the triangle of each (468,)."""

    places: np.ndarray
    weights: np.ndarray
    triangles: np.ndarray
    camera: Camera


def embed_landmarks(
    vertices: np.ndarray, faces: np.ndarray, colours: np.ndarray | None = None, detector: Detector | None = None
) -> Landmarks:
    """Find the landmarks of a mesh that looks like a face.

    vertices: (V, 3), any unit and any axes. faces: (F, 3) int triangles. colours: (V, 3) linear RGB 0..1, where there are
    any. detector: finds faces in a picture; None starts MediaPipe. A few seconds for 20 000 vertices.
    Raises EmbeddingError: no face, two faces, no mesh; InputError where the detector is not installed.
    """
    mesh = _checked(vertices, faces, colours)
    with _detector(detector) as detect:
        frame = _close_up(mesh, detect, _search(mesh, detect))
        _refuse_a_second_face(mesh, detect, frame)
        seen = _look_from(mesh, detect, frame, VIEWS)
    if len(seen) < FEWEST_VIEWS:
        raise EmbeddingError(f"A face was found from {len(seen)} of {len(VIEWS)} sides only, which is too few to trust.")
    return _averaged(mesh, frame, seen)


def _checked(vertices: np.ndarray, faces: np.ndarray, colours: np.ndarray | None) -> _Mesh:
    vertices, faces = np.asarray(vertices, np.float64), np.asarray(faces)
    if vertices.ndim != 2 or vertices.shape[1:] != (3,) or faces.ndim != 2 or faces.shape[1:] != (3,) or not len(faces):
        raise EmbeddingError("The mesh has no triangles to look at.")
    if not np.isfinite(vertices).all() or not np.issubdtype(faces.dtype, np.integer):
        raise EmbeddingError("The mesh has vertices that are not numbers.")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise EmbeddingError("The mesh has triangles of vertices that it does not have.")
    if not np.ptp(vertices[faces.ravel()], axis=0).max() > 0:
        raise EmbeddingError("All vertices of the mesh lie in one place.")
    if colours is not None and np.shape(colours) != vertices.shape:
        raise EmbeddingError(f"The mesh has {len(vertices)} vertices but {len(colours)} colours.")
    faces = faces.astype(np.int64)
    return _Mesh(vertices, faces, vertex_normals(vertices, faces), None if colours is None else np.asarray(colours, float))


@contextlib.contextmanager
def _detector(given: Detector | None) -> Iterator[Detector]:
    if given is not None:
        yield given
        return
    from ..detection import face_mesh

    with face_mesh() as detect:
        yield detect


def _search(mesh: _Mesh, detect: Detector) -> Similarity:
    """From the average face to the mesh, roughly: the first way to hold the mesh in which a face is seen."""
    for back, up in directions(mesh.vertices[np.unique(mesh.faces)]):
        for frame, _ in _faces(mesh, detect, _whole(mesh, back, up)):
            if frame.rotation[:, 2] @ back > 0.5:
                return frame
    raise EmbeddingError("No face was found in the mesh from any side.")


def _whole(mesh: _Mesh, back: np.ndarray, up: np.ndarray) -> Camera:
    used = mesh.vertices[np.unique(mesh.faces)]
    middle = (used.min(axis=0) + used.max(axis=0)) / 2
    radius = float(np.linalg.norm(used - middle, axis=1).max())
    focal = SEARCH_SIZE * SEARCH_DISTANCE / SEARCH_FILLED
    return look_at(middle, back, up, SEARCH_DISTANCE * radius, focal, SEARCH_SIZE)


def _camera(frame: Similarity, yaw: float, pitch: float, size: int = SIZE) -> Camera:
    """A portrait of the face from so many degrees to its left and above."""
    a, b = np.radians([yaw, pitch])
    back = frame.rotation @ [np.sin(a) * np.cos(b), np.sin(b), np.cos(a) * np.cos(b)]
    target = frame.shift + frame.scale * frame.rotation @ AIM
    return look_at(target, back, frame.rotation[:, 1], frame.scale * DISTANCE, size * DISTANCE / FILLED, size)


def _faces(mesh: _Mesh, detect: Detector, camera: Camera) -> list[tuple[Similarity, _Seen]]:
    """What looks like a face, and where, in one picture."""
    picture = render(mesh.vertices, mesh.faces, camera, mesh.normals, mesh.colours)
    found = []
    for points in detect(picture.image):
        seen = _cast(mesh, camera, picture.triangle, np.asarray(points, float)[:POINTS])
        if seen.weights[INNER].sum() > 0.1 * len(INNER):
            frame = _fitted(seen)
            if frame.error < LIKENESS * frame.scale:
                found.append((frame, seen))
    return found


def _fitted(seen: _Seen) -> Similarity:
    """From the average face to what was seen; points far off count little."""
    weights = np.zeros(POINTS)
    weights[INNER] = seen.weights[INNER] + 1e-6
    frame = fit_similarity(mean_face(), seen.places, weights)
    for _ in range(3):
        wrong = np.linalg.norm(frame.scale * mean_face() @ frame.rotation.T + frame.shift - seen.places, axis=1)
        trusted = weights / (1 + (wrong / (OUTLIER * frame.scale)) ** 2)
        frame = fit_similarity(mean_face(), seen.places, trusted)
    return frame


def _cast(mesh: _Mesh, camera: Camera, shown: np.ndarray, pixels: np.ndarray) -> _Seen:
    """The places that (468, 2) pixels show; what lies beside the mesh gets its nearest pixel, or counts nothing."""
    size = len(shown)
    near = np.stack(np.meshgrid(*[np.arange(-MISSED, MISSED + 1)] * 2), axis=-1).reshape(-1, 2)
    near = near[np.argsort((near**2).sum(axis=1), kind="stable")]
    column, row = np.floor(pixels).astype(int).T
    columns, rows = column[:, None] + near[:, 0], row[:, None] + near[:, 1]
    inside = (columns >= 0) & (columns < size) & (rows >= 0) & (rows < size)
    there = np.where(inside, shown[np.clip(rows, 0, size - 1), np.clip(columns, 0, size - 1)], -1)
    first = (there >= 0).argmax(axis=1)
    hit = there[np.arange(len(pixels)), first]
    known = hit >= 0
    hit = np.where(known, hit, 0)
    share = barycentric(mesh.vertices, mesh.faces, camera, pixels, hit)[..., None]
    places = (mesh.vertices[mesh.faces[hit]] * share).sum(axis=1)
    normal = (mesh.normals[mesh.faces[hit]] * share).sum(axis=1)
    ray = camera.place - places
    facing = np.abs((normal * ray).sum(axis=1)) / np.maximum(np.linalg.norm(ray, axis=1), 1e-30)
    return _Seen(places, np.where(known & (first == 0), facing**2, 1e-3 * known), hit, camera)


def _close_up(mesh: _Mesh, detect: Detector, frame: Similarity) -> Similarity:
    """The frame from a portrait that is taken with it."""
    for _ in range(2):
        found = _faces(mesh, detect, _camera(frame, 0, 0))
        if not found:
            return frame
        frame = min((f for f, _ in found), key=lambda f: float(np.linalg.norm(f.shift - frame.shift)))
    return frame


def _refuse_a_second_face(mesh: _Mesh, detect: Detector, frame: Similarity) -> None:
    for yaw in AROUND:
        a = np.radians(yaw)
        camera = _whole(mesh, frame.rotation @ [np.sin(a), 0, np.cos(a)], frame.rotation[:, 1])
        for other, _ in _faces(mesh, detect, camera):
            if np.linalg.norm(other.shift - frame.shift) > APART * frame.scale:
                raise EmbeddingError("There are two faces in the mesh: give one at a time.")


def _look_from(mesh: _Mesh, detect: Detector, frame: Similarity, views: tuple[tuple[int, int], ...]) -> list[_Seen]:
    seen = []
    for yaw, pitch in views:
        found = _faces(mesh, detect, _camera(frame, yaw, pitch))
        near = [(float(np.linalg.norm(f.shift - frame.shift)), s) for f, s in found]
        near = [pair for pair in near if pair[0] < APART * frame.scale]
        if near:
            seen.append(min(near, key=lambda pair: pair[0])[1])
    return seen


def _averaged(mesh: _Mesh, frame: Similarity, seen: list[_Seen]) -> Landmarks:
    places, weights = np.stack([s.places for s in seen]), np.stack([_trust(s, frame) for s in seen])
    middle = _median(places, weights, 1e-3 * frame.scale)
    off = ((places - middle) ** 2).sum(axis=2)
    spread = np.sqrt((weights * off).sum(axis=0) / weights.sum(axis=0)) / frame.scale
    if np.median(spread[INNER]) > AGREEMENT:
        raise EmbeddingError("What looks like a face from one side does not from another: this is no face.")
    frame = _fitted(replace(seen[0], places=middle, weights=weights.mean(axis=0)))
    skin = _skin(mesh, frame, np.concatenate([s.triangles for s in seen]))
    triangles, shares = _on_skin(mesh, frame, skin, middle)
    return Landmarks(
        triangles468=triangles,
        weights468=shares,
        triangles68=triangles[IBUG68],
        weights68=shares[IBUG68],
        spread_mm=1000 * spread,
        residual_mm=float(1000 * spread.mean()),
        metres_per_unit=1 / frame.scale,
        left=frame.rotation[:, 0],
        up=frame.rotation[:, 1],
        forward=frame.rotation[:, 2],
        centre=frame.shift,
        views=len(seen),
    )


def _trust(seen: _Seen, frame: Similarity) -> np.ndarray:
    """(468,) how much each place of a picture counts: little on the side of the face that is turned away, where the detector
    guesses, and where the place is far from where an average face has it, such as an ear behind the outline."""
    expected = frame.scale * mean_face() @ frame.rotation.T + frame.shift
    outward = (mean_face() - INSIDE) @ frame.rotation.T
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    ray = seen.camera.place - expected
    facing = np.clip((outward * ray).sum(axis=1) / np.linalg.norm(ray, axis=1), 0, 1)
    stray = np.linalg.norm(seen.places - expected, axis=1) / (STRAY * frame.scale)
    return seen.weights * facing**3 / (1 + stray**2) ** 2 + 1e-9


def _median(places: np.ndarray, weights: np.ndarray, least: float) -> np.ndarray:
    """(468, 3): of places (N, 468, 3) by weights (N, 468) the geometric median (Weiszfeld 1937)."""
    middle = (places * weights[..., None]).sum(axis=0) / weights.sum(axis=0)[:, None]
    for _ in range(ROUNDS):
        share = weights / np.maximum(np.linalg.norm(places - middle, axis=2), least)
        middle = (places * share[..., None]).sum(axis=0) / share.sum(axis=0)[:, None]
    return middle


def _skin(mesh: _Mesh, frame: Similarity, hit: np.ndarray) -> np.ndarray:
    """(N,) the triangles on which landmarks may lie: of the part of the mesh that shows most of them, what can be seen
    of it from in front when eyeballs, lashes and hair are taken away."""
    same = welded(mesh.vertices)
    part = components(same[mesh.faces], int(same.max()) + 1)
    numbers, counts = np.unique(part[hit], return_counts=True)
    skin = np.flatnonzero(part == numbers[counts.argmax()])
    seen = [visible_triangles(mesh.vertices, mesh.faces[skin], _camera(frame, *view))[0] for view in SKIN_VIEWS]
    shown = np.unique(np.stack(seen))
    return skin[shown[shown >= 0]]


def _on_skin(mesh: _Mesh, frame: Similarity, skin: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(468, 3) vertices and (468, 3) shares of the places on the triangles `skin` nearest to the points; of lips on their
    own side of the mouth, where the mesh has one."""
    faces = mesh.faces[skin]
    triangle, share, _ = closest_places(points, mesh.vertices, faces)
    mouth = points[np.r_[UPPER_CONTACT, LOWER_CONTACT]].mean(axis=0)
    around = np.linalg.norm(mesh.vertices[mesh.faces].mean(axis=1) - mouth, axis=1) < MOUTH_RADIUS * frame.scale
    lips = np.intersect1d(skin, np.flatnonzero(around))
    upper_seeds, lower_seeds = (np.unique(faces[triangle[ids]]) for ids in ([0, 37, 267, 39, 269], [17, 84, 314, 181, 405]))
    if len(lips):
        above = nearer_to(mesh.vertices, mesh.faces[lips], upper_seeds, lower_seeds)
        for ids, own in ((np.r_[UPPER_CONTACT, UPPER_LIP], above), (np.r_[LOWER_CONTACT, LOWER_LIP], ~above)):
            if own.any():
                found, share[ids], _ = closest_places(points[ids], mesh.vertices, mesh.faces[lips[own]])
                triangle[ids] = np.searchsorted(skin, lips[own][found])
    return faces[triangle], share
