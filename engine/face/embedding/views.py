"""Cameras from which a mesh of unknown axes and size may show a face. NumPy only."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .rasteriser import Camera, look_at

# (towards the viewer, up) as signed axes 1, 2, 3: glTF's and FLAME's, Blender's, the same from behind, from the sides.
UPRIGHT = ((3, 2), (-2, 3), (-3, 2), (2, 3), (1, 2), (-1, 2), (1, 3), (-1, 3))
SIDES = ((3, 2), (-2, 3), (-3, 2), (2, 3), (1, 2), (-1, 2))  # each side once
DISTANCE, FILLED = 5.0, 2.1  # in radii of what is looked at: the camera's distance, what the picture's side spans there
HEAD = 0.11  # of a whole figure's height: half of its head's


def whole(points: np.ndarray, back: np.ndarray, up: np.ndarray, size: int) -> Camera:
    """All of the points (N, 3) from the direction `back` (3,), with `up` (3,) upwards; the picture's side has `size` pixels."""
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    return _portrait(middle, float(np.linalg.norm(points - middle, axis=1).max()), back, up, size)


def search_cameras(points: np.ndarray, size: int) -> Iterator[Camera]:
    """The six sides along the mesh's axes (N, 3), along its principal axes, and the upper end of what may be a whole figure."""
    principal = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)[2]
    for axes in (np.eye(3), principal):
        for back, up in SIDES:
            yield whole(points, _signed(axes, back), _signed(axes, up), size)
    low, high = points.min(axis=0), points.max(axis=0)
    for back, up in UPRIGHT:
        towards, upwards = _signed(np.eye(3), back), _signed(np.eye(3), up)
        height = float((high - low) @ upwards)
        middle = (low + high) / 2 + upwards * (0.5 - HEAD) * height
        yield _portrait(middle, HEAD * height, towards, upwards, size)


def _portrait(middle: np.ndarray, radius: float, back: np.ndarray, up: np.ndarray, size: int) -> Camera:
    return look_at(middle, back, up, DISTANCE * radius, size * DISTANCE / FILLED, size)


def _signed(axes: np.ndarray, number: int) -> np.ndarray:
    return np.sign(number) * axes[abs(number) - 1]
