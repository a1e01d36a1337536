"""The jaw under something that hides the mouth, told from the skin that is left in sight. NumPy and SciPy.

A detector that cannot see a mouth makes up all of the lower face, the chin beside the obstacle as well. So the chin's
own texture is followed instead: every frame is laid out in the head's axes, and the starter head's jaw shapes are moved
until it looks like the clip's median (Lucas & Kanade 1981, robustly weighted). Nothing covered is looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator
from scipy.ndimage import binary_erosion, gaussian_filter, map_coordinates

from .points import face_points, shape
from .pose import Pose

STEP = 1.3  # mm between texels
ACROSS, ABOVE, BELOW = 44.0, -62.0, -124.0  # mm: the part of the lower face that is laid out, in head axes
COARSE, FINE = (3.0, 4), (1.0, 6)  # blur in texels, and rounds with it
MARGIN = 2  # texels around what is covered that do not count, at least
THIRD = np.array([-1, 0, 1]) / 3
FEW = 100  # texels: fewer tell nothing
LEAST_NOISE = 3.0  # of 255: what two pictures of the same skin differ by at least
MOST = 0.2  # change per round, in weights

Covered = Callable[[int, np.ndarray, np.ndarray], np.ndarray]
"""Of a frame's number, its image (h, w, 3) uint8, and pixels (..., 2), y down: (...) bool, where something is before the skin."""


@dataclass(frozen=True)
class Layout:
    """The laid-out lower face. places: (H, W, 3) mm; fields: (2, H, W, 2) texels right and down that jawOpen, and jawLeft
    less jawRight, move it."""

    places: np.ndarray
    fields: np.ndarray


@lru_cache(maxsize=1)
def layout() -> Layout:
    """Of the starter head; beyond its outline as at the nearest point."""
    points = face_points()
    x, y = np.meshgrid(np.arange(-ACROSS, ACROSS + STEP, STEP), np.arange(ABOVE, BELOW - STEP, -STEP))
    flat = points.rest[:, :2]
    down, sideways = jaw_basis()
    values = np.column_stack([points.rest[:, 2], down[:, :2], sideways[:, :2]])
    inside, beyond = LinearNDInterpolator(flat, values)(x, y), NearestNDInterpolator(flat, values)(x, y)
    z, *moves = np.moveaxis(np.where(np.isnan(inside), beyond, inside), -1, 0)
    fields = np.stack([np.stack([moves[k], -moves[k + 1]], axis=-1) for k in (0, 2)]) / STEP
    return Layout(np.stack([x, y, z], axis=-1), fields)


@lru_cache(maxsize=1)
def jaw_basis() -> np.ndarray:
    """(2, 468, 3) mm that FaceMesh's points move with jawOpen, and with jawLeft less jawRight."""
    opened, left, right = (face_points().basis[shape(name)] for name in ("jawOpen", "jawLeft", "jawRight"))
    return np.stack([opened, (left - right) / 2])


def laid_out(image: np.ndarray, pose: Pose, frame: int, covered: Covered) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) brightness 0..255 of an image (h, w, 3) uint8 on the layout, 0 where it does not count, and (H, W) bool where
    it does."""
    scale = float(pose.scale[frame])
    pixels = (layout().places @ pose.rotation[frame, :2].T * scale + pose.shift[frame]) * [1, -1]
    size = np.array(image.shape[1::-1])
    inside = ((pixels >= 1) & (pixels <= size - 2)).all(axis=-1)
    margin = max(MARGIN, int(np.ceil(0.5 + 1.5 / (STEP * scale))))  # so that no covered pixel is read
    bare = inside & ~covered(frame, image, pixels)
    counts = binary_erosion(bare, np.ones((3, 3)), iterations=margin, border_value=1)
    low = np.clip(np.floor(pixels.min(axis=(0, 1))).astype(int) - 2, 0, size - 1)
    high = np.clip(np.ceil(pixels.max(axis=(0, 1))).astype(int) + 3, low + 1, size)
    part = image[low[1] : high[1], low[0] : high[0]].mean(axis=-1, dtype=np.float32)
    own = (pixels - low)[counts]
    around = [own + (dx, dy) for dx in THIRD * STEP * scale for dy in THIRD * STEP * scale]
    brightness = np.zeros(counts.shape)
    brightness[counts] = np.mean([map_coordinates(part, at.T[::-1], order=1, mode="nearest") for at in around], axis=0)
    return brightness, counts


def follow_jaw(brightness: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far the jaw is open, and to the left, less what it is in the clip's median: (T, 2) weights, and (T,) the
    deviation with which the first is known, infinite where too little is in sight. brightness, counts: (T, H, W)."""
    fields = layout().fields
    moved, unsure = np.zeros((len(brightness), len(fields))), np.full(len(brightness), np.inf)
    model = None
    for blur, rounds in (COARSE, FINE):
        soft = _blurred(brightness, counts, blur)
        for _ in range(rounds):
            shown = [_moved_back(*own) for own in zip(soft, counts, moved, strict=True)]
            if model is None:
                model = soft[counts.sum(axis=(1, 2)).argmax()]
            for i, (picture, use) in enumerate(shown):
                step, unsure[i] = _step(picture, use, model, fields, blur)
                moved[i] -= np.clip(step, -MOST, MOST)
            model = _median(shown)
    return moved - np.median(moved, axis=0), unsure


def _blurred(brightness: np.ndarray, counts: np.ndarray, blur: float) -> np.ndarray:
    """Blurred over what counts alone."""
    soft = [gaussian_filter(np.where(use, own, 0), blur) for own, use in zip(brightness, counts, strict=True)]
    share = [gaussian_filter(use.astype(np.float32), blur) for use in counts]
    return np.array(soft) / np.maximum(share, 1e-3)


def _moved_back(picture: np.ndarray, counts: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    across, down = np.moveaxis(np.tensordot(weights, layout().fields, 1), -1, 0)
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]]
    at = (rows + down, columns + across)
    use = map_coordinates(counts.astype(np.float32), at, order=1, mode="constant") > 0.99
    return map_coordinates(picture, at, order=1, mode="nearest"), use


def _step(
    picture: np.ndarray, use: np.ndarray, model: np.ndarray, fields: np.ndarray, blur: float
) -> tuple[np.ndarray, float]:
    """(2,) by how much the weights are too high, and the deviation of the first."""
    use = use & np.isfinite(model)
    if use.sum() < FEW:
        return np.zeros(len(fields)), np.inf
    down, across = np.gradient(picture)
    slopes = across[use] * fields[:, use, 0] + down[use] * fields[:, use, 1]
    wrong = picture[use] - model[use]
    wrong = wrong - np.median(wrong)  # a shadow over everything
    noise = 1.5 * np.median(np.abs(wrong)) + LEAST_NOISE
    weighted = slopes / (1 + (wrong / noise) ** 2)
    gram = weighted @ slopes.T + np.eye(len(fields))
    alike = max(1.0, 4 * np.pi * blur**2)  # neighbouring texels say the same
    return np.linalg.solve(gram, weighted @ wrong), float(noise * np.sqrt(alike * np.linalg.inv(gram)[0, 0]))


def _median(shown: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """(H, W) of all pictures where they count; not a number where none does."""
    stacked = np.ma.masked_array([own for own, _ in shown], [~use for _, use in shown])
    return np.ma.median(stacked, axis=0).filled(np.nan)
