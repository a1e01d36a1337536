"""Where the landmarks of a face lie on any mesh that looks like one: FaceMesh's 468 points and iBUG's 68.

The mesh is drawn from several sides, a detector finds the face in each picture, every point it finds is cast back on to the
mesh, and the places from all sides are averaged so that a wrong one does not count. Which way the mesh faces, and its unit,
are found first. NumPy only; the detector (MediaPipe FaceMesh unless another is given) runs in a process of its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ...errors import InputError
from .mean_face import (
    CHEEKS,
    IBUG68,
    INNER,
    LOWER_CONTACT,
    LOWER_LIP,
    NOSE,
    POINTS,
    UPPER_CONTACT,
    UPPER_LIP,
    Similarity,
    fit_similarity,
    mean_face,
)
from .places import closest_places, components, nearer_to, welded
from .rasteriser import Camera, barycentric, look_at, render, vertex_normals, visible_triangles
from .views import search_cameras, whole

Detector = Callable[[np.ndarray], list[np.ndarray]]  # (H, W, 3) uint8 RGB -> faces, each (468 or more, 2) pixels
SEARCH_SIZE, SIZE = 320, 512  # pixels of a picture's side: when the face is looked for, when its points are measured
DISTANCE, FILLED = 0.65, 0.26  # m from the camera to the face, and what the picture's side spans there
AIM = np.array([0.0, -0.035, 0.0])  # m from the middle between the irises: what the camera looks at
VIEWS = ((0, 0), (18, 0), (-18, 0), (35, 0), (-35, 0), (52, 0), (-52, 0), (0, 15), (0, -15))  # yaw, pitch; degrees
SKIN_VIEWS = ((0, 0), (45, 0), (-45, 0), (0, 35), (0, -35))  # from which the skin's triangles are seen on which points may lie
AROUND = (0, 90, 180, 270)  # degrees of yaw from which a second face is looked for
FEWEST_VIEWS = 3
LIKENESS = 0.008  # m: points of a face lie no farther (median) from where an average face has them
LEAST_NOSE = 0.008  # m: and a nose stands out so far from the cheeks
AGREEMENT = 0.006  # m: and no farther (median) from each other in different pictures
APART = 0.09  # m between the middles of two faces
OUTLIER = 0.006  # m: a point, or a ray, so far off counts half
PRIOR = 0.03  # how much an average face counts beside one ray: what the rays leave open, such as the depth of an outline
INSIDE = np.array([0.0, -0.02, -0.06])  # m: a point inside the skull from which the face is seen all around
MOST = 0.8  # share of a face's points that must lie on the mesh
MISSED = 4  # pixels beside the mesh that a point may lie
ROUNDS, ON_SKIN = 15, (5, 8, 11)  # of the least squares, and those before which the skin's plane is taken anew
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
    """One face in one picture: places (468, 3) on the mesh, whether there is one (468,), and the triangle of each (468,)."""

    places: np.ndarray
    known: np.ndarray
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
        for frame in _candidates(mesh, detect):
            frame = _close_up(mesh, detect, frame)
            seen = _look_from(mesh, detect, frame, VIEWS) if frame is not None else []
            if len(seen) >= FEWEST_VIEWS:
                _refuse_a_second_face(mesh, detect, frame)
                return _averaged(mesh, frame, seen)
    raise EmbeddingError("No face was found in the mesh from any side.")


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
    from ...detection import face_mesh

    with face_mesh() as detect:
        yield detect


def _candidates(mesh: _Mesh, detect: Detector) -> Iterator[Similarity]:
    """From the average face to the mesh, roughly: the ways to hold the mesh in which a face is seen."""
    used = mesh.vertices[np.unique(mesh.faces)]
    for camera in search_cameras(used, SEARCH_SIZE):
        for frame, _ in _faces(mesh, detect, camera, turns=4):
            if frame.rotation[:, 2] @ camera.axes[2] > 0.5:
                yield frame


def _camera(frame: Similarity, yaw: float, pitch: float, size: int = SIZE) -> Camera:
    """A portrait of the face from so many degrees to its left and above."""
    a, b = np.radians([yaw, pitch])
    back = frame.rotation @ [np.sin(a) * np.cos(b), np.sin(b), np.cos(a) * np.cos(b)]
    target = frame.shift + frame.scale * frame.rotation @ AIM
    return look_at(target, back, frame.rotation[:, 1], frame.scale * DISTANCE, size * DISTANCE / FILLED, size)


def _faces(mesh: _Mesh, detect: Detector, camera: Camera, turns: int = 1) -> list[tuple[Similarity, _Seen]]:
    """What looks like a face, and where, in one picture, which is turned by so many right angles until one is seen."""
    picture = render(mesh.vertices, mesh.faces, camera, mesh.normals, mesh.colours)
    found: list[tuple[Similarity, _Seen]] = []
    for turn in range(turns):
        for points in detect(np.ascontiguousarray(np.rot90(picture.image, turn))):
            pixels = np.asarray(points, float)[:POINTS]
            for _ in range(turn):
                pixels = np.stack([camera.size - pixels[:, 1], pixels[:, 0]], axis=1)
            seen = _cast(mesh, camera, picture.triangle, pixels)
            if seen.known[INNER].mean() > MOST:
                frame = _fitted(seen.places, seen.known)
                if _like_a_face(frame, seen.places):
                    found.append((frame, seen))
        if found:
            break
    return found


def _like_a_face(frame: Similarity, places: np.ndarray) -> bool:
    own = (places - frame.shift) @ frame.rotation / frame.scale
    off = np.linalg.norm(own - mean_face(), axis=1)[INNER]
    return bool(np.median(off) < LIKENESS and own[NOSE, 2].mean() - own[CHEEKS, 2].mean() > LEAST_NOSE)


def _fitted(places: np.ndarray, known: np.ndarray) -> Similarity:
    """From the average face to places (468, 3) where known (468,); those far off, and the outline, count little."""
    weights = np.zeros(POINTS)
    weights[INNER] = known[INNER]
    frame = fit_similarity(mean_face(), places, weights)
    for _ in range(3):
        wrong = np.linalg.norm(frame.scale * mean_face() @ frame.rotation.T + frame.shift - places, axis=1)
        frame = fit_similarity(mean_face(), places, weights / (1 + (wrong / (OUTLIER * frame.scale)) ** 2))
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
    return _Seen(places, known, hit, camera)


def _close_up(mesh: _Mesh, detect: Detector, frame: Similarity) -> Similarity | None:
    """The frame from a portrait that is taken with it; None where the portrait shows no face."""
    for _ in range(2):
        found = _faces(mesh, detect, _camera(frame, 0, 0))
        if not found:
            return None
        frame = min((f for f, _ in found), key=lambda f: float(np.linalg.norm(f.shift - frame.shift)))
    return frame


def _refuse_a_second_face(mesh: _Mesh, detect: Detector, frame: Similarity) -> None:
    used = mesh.vertices[np.unique(mesh.faces)]
    for yaw in AROUND:
        a = np.radians(yaw)
        camera = whole(used, frame.rotation @ [np.sin(a), 0, np.cos(a)], frame.rotation[:, 1], SEARCH_SIZE)
        for other, _ in _faces(mesh, detect, camera):
            if np.linalg.norm(other.shift - frame.shift) <= APART * frame.scale:
                continue
            near = _close_up(mesh, detect, other)  # the back of a head, too, now and then looks like a face from afar
            if near is not None and len(_look_from(mesh, detect, near, VIEWS)) >= FEWEST_VIEWS:
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
    skin = _skin(mesh, frame, np.concatenate([s.triangles for s in seen]))
    triangles, shares, spread = _meeting(mesh, frame, skin, seen)
    places = (mesh.vertices[triangles] * shares[..., None]).sum(axis=1)
    frame = _fitted(places, np.ones(POINTS))
    if np.median(spread[INNER]) > AGREEMENT or not _like_a_face(frame, places):
        raise EmbeddingError("What looks like a face from one side does not from another: this is no face.")
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


def _meeting(mesh: _Mesh, frame: Similarity, skin: np.ndarray, seen: list[_Seen]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(468, 3) vertices and (468, 3) shares of the places on the skin that are nearest to where the rays of all pictures
    meet, and (468,) m by how much (root mean square) the rays pass them.

    Least squares over the distances to the rays and to the skin's tangent plane, reweighted so that a ray that passes far
    away counts little; rays of pictures in which that side of the face is turned away count little from the beginning.
    """
    expected = frame.scale * mean_face() @ frame.rotation.T + frame.shift
    outward = (mean_face() - INSIDE) @ frame.rotation.T
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    cameras = np.stack([s.camera.place for s in seen])
    rays = np.stack([s.places for s in seen]) - cameras[:, None]
    rays /= np.maximum(np.linalg.norm(rays, axis=2, keepdims=True), 1e-30)
    back = cameras[:, None] - expected
    facing = np.clip((outward * back).sum(axis=2) / np.linalg.norm(back, axis=2), 0, 1)
    base = (facing + 1e-6) * np.stack([s.known for s in seen]) + 1e-9
    across = np.eye(3) - rays[..., :, None] * rays[..., None, :]
    trust, point, plane = base, expected, None
    for turn in range(ROUNDS):
        total = trust.sum(axis=0)[:, None]
        gram = (trust[..., None, None] * across).sum(axis=0) + PRIOR * total[..., None] * np.eye(3)
        right = (trust[..., None] * np.einsum("vnij,vj->vni", across, cameras)).sum(axis=0) + PRIOR * total * expected
        if turn in ON_SKIN:
            triangles, shares = _on_skin(mesh, frame, skin, point)
            normal = (mesh.normals[triangles] * shares[..., None]).sum(axis=1)
            plane = normal, (mesh.vertices[triangles] * shares[..., None]).sum(axis=1)
        if plane is not None:
            normal, place = plane
            gram += total[..., None] * normal[:, :, None] * normal[:, None, :]
            right += total * normal * (normal * place).sum(axis=1, keepdims=True)
        point = np.linalg.solve(gram, right[..., None])[..., 0]
        off = np.linalg.norm(np.einsum("vnij,vnj->vni", across, point - cameras[:, None]), axis=2)
        trust = base / (1 + (off / (OUTLIER * frame.scale)) ** 2)
    spread = np.sqrt((trust * off**2).sum(axis=0) / trust.sum(axis=0)) / frame.scale
    return *_on_skin(mesh, frame, skin, point), spread


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
