"""A motion at its own frame rate -> the whole frames of the scene. NumPy only.

Between two frames of the motion the face is interpolated. Lip closures are kept: a p, b or m may close the lips for one
frame of a 60 fps motion and would fall between two frames of a 24 fps scene. Each instant at which the gap between the
lips (jawOpen - mouthClose) is smallest therefore goes, whole mouth and all, to the scene frame nearest to it: at
most half a scene frame away in time, and as tightly closed as it was.
"""

from __future__ import annotations

import numpy as np

from ..engine.face.starter_head import rotation_matrices
from ..engine.motion import FaceMotion

MOUTH = ("jaw", "mouth", "tongue")  # channels whose names begin so move together when a closure is kept
CLOSED = 0.15  # a smallest gap below this is a closure (a relaxed open vowel has 0.2 to 0.6)
LOST = 0.005  # so much wider may the gap of the plainly interpolated frame be before the closure counts as lost


def scene_frames(positions: np.ndarray) -> np.ndarray:
    """Whole scene frames, int64, that a motion covers whose samples lie at these (T,) scene frames, ascending."""
    return np.arange(int(np.ceil(positions[0] - 0.5)), int(np.floor(positions[-1] + 0.5)) + 1)


def closures(gap: np.ndarray) -> np.ndarray:
    """Indices of the (T,) gaps that are a local minimum (flat ones included) below CLOSED."""
    before, after = np.r_[np.inf, gap[:-1]], np.r_[gap[1:], np.inf]
    return np.flatnonzero((gap <= before) & (gap <= after) & (gap < CLOSED))


def mouth_times(motion: FaceMotion, positions: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """For each scene frame the (fractional) index of the motion whose mouth it shows. (F,) float64."""
    index = np.interp(frames, positions, np.arange(motion.frames))
    if not {"jawOpen", "mouthClose"} <= set(motion.channels):
        return index
    gap = (motion.channel("jawOpen") - motion.channel("mouthClose")).astype(np.float64)
    found = closures(gap)
    target = np.rint(positions[found]).astype(np.int64) - frames[0]
    found, target = found[(target >= 0) & (target < len(frames))], target[(target >= 0) & (target < len(frames))]
    shown = np.interp(index, np.arange(motion.frames), gap)
    nearness = np.abs(positions[found] - frames[target])
    for k in np.lexsort((-nearness, -gap[found])):  # the tightest last, and of equals the nearest: it wins the frame
        if gap[found[k]] < shown[target[k]] - LOST:
            index[target[k]] = found[k]
    return index


def to_scene(motion: FaceMotion, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The motion on whole scene frames.

    positions: (T,) scene frame (fractional, ascending) of each motion frame.
    Returns frames (F,) int64, weights (F, K) float32, rotation matrices (F, J, 3, 3) float64.
    """
    frames = scene_frames(positions)
    plain = np.interp(frames, positions, np.arange(motion.frames))
    weights = values_at(motion.weights, plain)
    mouth = [k for k, name in enumerate(motion.channels) if name.startswith(MOUTH)]
    weights[:, mouth] = values_at(motion.weights[:, mouth], mouth_times(motion, positions, frames))
    return frames, weights, rotation_matrices(values_at(motion.rotations, plain))


def values_at(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Linear interpolation of (T, ...) at fractional indices (F,) -> (F, ...) float32; whole indices give exact values."""
    low = np.floor(index).astype(np.int64)
    high = np.minimum(low + 1, len(values) - 1)
    part = (index - low).astype(np.float32).reshape(-1, *[1] * (values.ndim - 1))
    return np.where(part == 0, values[low], values[low] * (1 - part) + values[high] * part).astype(np.float32)
