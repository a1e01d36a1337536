"""How the head is held in every frame, from the visible points alone, and how this face differs from ours. NumPy only.

The camera is far enough away that a head's depth does not matter (weak perspective): pixels = scale * (R x)[:2] + shift,
with y up. What a near camera adds is the same in every frame and becomes part of the person.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...face.starter_head import rotation_matrices
from .canonical import enough
from .points import FacePoints, shape

TURNS = 6  # Gauss-Newton steps
DEPTH_PULL, FLAT_PULL = 0.1, 0.001  # how little of the person's depth, and of the rest, the mean frame is asked to explain
CLOSED_SHARE, OPEN_SHARE = 0.25, 0.5  # of the frames: lips nearest each other, lids furthest apart
LIPS_APART = 2.0  # mm: a mouth never closer than this was open all the time
SPEECH_MOVES, LIDS_MOVE = 1.0, 0.5  # mm: more makes a point part of the mouth, of the eyes
INNER_LIPS = ((82, 81, 80, 13, 312, 311, 310), (87, 178, 88, 14, 317, 402, 318))  # above and below
LIDS = ((159, 145), (386, 374))


@dataclass(frozen=True)
class Pose:
    """scale: (T,) pixels per mm; rotation: (T, 3, 3) head to camera axes; shift: (T, 2) pixels; known: (T,) bool. What is
    not known is held from the frames around it."""

    scale: np.ndarray
    rotation: np.ndarray
    shift: np.ndarray
    known: np.ndarray

    def flatten(self, points: np.ndarray) -> np.ndarray:
        """(T, P, 3) mm in head axes to (T, P, 2) mm in the picture, y up."""
        return points @ self.rotation[:, :2].transpose(0, 2, 1)

    def in_mm(self, pixels: np.ndarray) -> np.ndarray:
        """(T, P, 2) pixels, y up, to mm in the picture about the head's origin."""
        return (pixels - self.shift[:, None]) / self.scale[:, None, None]

    def upright(self, flat: np.ndarray) -> np.ndarray:
        """(T, P, 2) mm in the picture to the shortest (T, P, 3) mm in head axes that look so."""
        return flat @ self.rotation[:, :2]


def fit_pose(pixels: np.ndarray, shaped: np.ndarray, weight: np.ndarray, known: np.ndarray) -> Pose:
    """pixels (T, P, 2), y up; shaped (T, P, 3) mm; weight (T, P) >= 0, 0 for hidden; known (T,) bool, at least one True.

    A linear camera is fitted first, its nearest rotation is the start of Gauss-Newton on the reprojection.
    """
    use = np.flatnonzero(known)
    w = weight[use] / weight[use].sum(axis=1, keepdims=True)
    seen = np.where(w[..., None] > 0, pixels[use], 0.0)
    x_mean = np.einsum("tp,tpi->ti", w, shaped[use])
    y_mean = np.einsum("tp,tpi->ti", w, seen)
    x, y = shaped[use] - x_mean[:, None], seen - y_mean[:, None]
    weighted = x * w[..., None]
    gram = weighted.transpose(0, 2, 1) @ x + 1e-3 * np.eye(3)
    camera = np.linalg.solve(gram, weighted.transpose(0, 2, 1) @ y).transpose(0, 2, 1)
    left, _, right = np.linalg.svd(camera, full_matrices=False)
    rotation = _completed(left @ right)
    for _ in range(TURNS):
        turned = x @ rotation.transpose(0, 2, 1)
        flat = turned[..., :2]
        scale = np.einsum("tp,tpi,tpi->t", w, flat, y) / np.einsum("tp,tpi,tpi->t", w, flat, flat)
        wrong = y / scale[:, None, None] - flat
        zero = np.zeros_like(turned[..., 0])
        across = np.stack([zero, turned[..., 2], -turned[..., 1]], axis=-1)
        up = np.stack([-turned[..., 2], zero, turned[..., 0]], axis=-1)
        gram = sum(np.einsum("tp,tpi,tpj->tij", w, j, j) for j in (across, up))
        right_side = sum(np.einsum("tp,tpi,tp->ti", w, j, wrong[..., k]) for k, j in enumerate((across, up)))
        turn = np.linalg.solve(gram + 1e-6 * np.eye(3), right_side[..., None])[..., 0]
        rotation = rotation_matrices(turn) @ rotation
    shift = y_mean - scale[:, None] * np.einsum("tij,tj->ti", rotation[:, :2], x_mean)
    return _held(Pose(scale, rotation, shift, known), use)


def _completed(two_rows: np.ndarray) -> np.ndarray:
    """(T, 2, 3) orthonormal rows to (T, 3, 3) rotations."""
    third = np.cross(two_rows[:, 0], two_rows[:, 1])
    return np.concatenate([two_rows, third[:, None]], axis=1)


def _held(pose: Pose, use: np.ndarray) -> Pose:
    """A pose of the frames `use` for all frames: each from the nearest one."""
    frames = np.arange(len(pose.known))
    nearest = np.abs(frames[:, None] - use[None]).argmin(axis=1)
    return Pose(pose.scale[nearest], pose.rotation[nearest], pose.shift[nearest], pose.known)


def known_frames(visible: np.ndarray, points: FacePoints) -> np.ndarray:
    """(T,) bool: enough of the 468 points are visible (T, 468) to tell how the head is held."""
    return enough(visible, points.rest)


def at_rest(pose: Pose, flat: np.ndarray, visible: np.ndarray, moved: np.ndarray, points: FacePoints) -> np.ndarray:
    """(468, 3) mm: how the person's face at rest differs from ours, from what is visible; 0 for points never seen.

    flat: (T, 468, 2) mm in the picture. moved: (T, 468, 3) mm of expression already explained. Points of the mouth are
    taken from the frames whose lips are nearest each other, points of the eyes from those whose lids are furthest apart.
    """
    rest = resting_frames(flat, visible & pose.known[:, None], points)
    camera = pose.rotation[:, :2]
    gram = np.einsum("tp,tij,tik->pjk", rest, camera, camera, optimize=True)
    wrong = np.where(rest[..., None], flat - pose.flatten(points.rest + moved), 0.0)
    right = np.einsum("tij,tpi->pj", camera, wrong, optimize=True)
    count = np.maximum(rest.sum(axis=0), 1)[:, None, None]
    pull = np.diag([FLAT_PULL, FLAT_PULL, DEPTH_PULL])
    return np.linalg.solve(gram + count * pull, right[..., None])[..., 0]


def resting_frames(flat: np.ndarray, visible: np.ndarray, points: FacePoints) -> np.ndarray:
    """(T, 468) bool: where each visible point shows the face at rest."""
    rest = visible.copy()
    gap = lips_apart(flat, visible)
    lips = np.isfinite(gap)
    if lips.any():
        closed = lips & (gap <= np.quantile(gap[lips], CLOSED_SHARE))
        rest[:, _moved_by(points, ("jawOpen", "mouthPucker"), SPEECH_MOVES)] &= closed[:, None]
    for (upper, lower), name in zip(LIDS, ("eyeBlinkRight", "eyeBlinkLeft"), strict=True):
        lids = visible[:, [upper, lower]].all(axis=1)
        if lids.any():
            apart = np.linalg.norm(flat[:, upper] - flat[:, lower], axis=-1)
            rest[:, _moved_by(points, (name,), LIDS_MOVE)] &= (lids & (apart >= np.quantile(apart[lids], OPEN_SHARE)))[:, None]
    return rest


def open_throughout(flat: np.ndarray, visible: np.ndarray) -> float:
    """How much jawOpen is in every frame, 0..1: lips that never come together are no one's face at rest."""
    gap = lips_apart(flat, visible)
    gap = gap[np.isfinite(gap)]
    return float(np.clip((np.quantile(gap, CLOSED_SHARE / 2) - LIPS_APART) / 25.0, 0, 1)) if len(gap) else 0.0


def lips_apart(flat: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """(T,) mm between the inner lips, the mean over the pairs that are visible; not a number where none is."""
    upper, lower = (list(row) for row in INNER_LIPS)
    both = visible[:, upper] & visible[:, lower]
    apart = np.linalg.norm(flat[:, upper] - flat[:, lower], axis=-1)
    return np.where(both.any(axis=1), (apart * both).sum(axis=1) / np.maximum(both.sum(axis=1), 1), np.nan)


def _moved_by(points: FacePoints, names: tuple[str, ...], more: float) -> np.ndarray:
    return (np.linalg.norm(points.basis[[shape(n) for n in names]], axis=2) > more).any(axis=0)
