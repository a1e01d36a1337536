"""2-D face landmarks on their way to the denoiser: gaps filled, 25 frames per second, cropped and normalised. NumPy only.

Landmarks are MediaPipe FaceMesh's, in pixels, x to the right and y down; 468 of them, or 478 with the irises.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

FPS = 25.0
CROP = 224  # pixels
MARGIN = 1.1 * 1.35  # of the mean of the face's width and height
LANDMARKS = 468
# Fewer visible points, or points closer together on the mean face, cannot tell where the rest of the face is.
FEW = 30
CLOSE = 25.0  # mm
LONG_GAP = 0.2  # s
MEAN_FACE = Path(__file__).resolve().parent.parent / "assets" / "starter_head" / "mean_face.csv"


@dataclass(frozen=True)
class Crop:
    """The square that becomes the 224 x 224 crop: centre (2,) and side, both in pixels."""

    centre: np.ndarray
    size: int

    @property
    def matrix(self) -> np.ndarray:
        """(3, 3) from image to crop pixels: the square's corners go to 0 and 223."""
        scale = (CROP - 1) / self.size
        offset = -scale * (self.centre - self.size / 2)
        return np.array([[scale, 0, offset[0]], [0, scale, offset[1]], [0, 0, 1]])

    def apply(self, points: np.ndarray) -> np.ndarray:
        """(..., 2) image pixels to crop pixels."""
        matrix = self.matrix
        return points * matrix[0, 0] + matrix[:2, 2]


def crop_of(points: np.ndarray) -> Crop:
    """The reference's crop from all points of a face (P, 2): the middle of their box, 1.485 times its mean side."""
    low, high = points.min(axis=0), points.max(axis=0)
    return Crop((low + high) / 2, max(1, int((high - low).mean() * MARGIN)))


def normalise(points: np.ndarray, crop: Crop) -> np.ndarray:
    """(..., 2) image pixels to about -1..1 in the crop. The reference divides by 224 although the crop ends at 223."""
    return crop.apply(points) / CROP * 2 - 1


def crop_pixels(normalised: np.ndarray) -> np.ndarray:
    """(..., 2) normalised landmarks to integer crop pixels, cut towards zero: up to a pixel outside still counts as 0.

    float32 stays float32, since the reference compares in it.
    """
    half = CROP / 2
    return np.trunc(normalised * np.asarray(half, normalised.dtype) + np.asarray(half, normalised.dtype)).astype(np.int64)


def fill_gaps(points: np.ndarray, detected: np.ndarray) -> np.ndarray:
    """(N, P, 2) with frames that were not detected filled linearly between neighbours, at the ends with the nearest one.

    detected: (N,) bool. Raises ValueError when no frame was.
    """
    frames = np.arange(len(points))
    return at_times(points[detected], frames[detected], frames)


def at_times(points: np.ndarray, times: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Points (N, P, 2) known at ascending `times` (N,), linearly interpolated to `wanted` (M,): (M, P, 2); ends are held.

    Raises ValueError without any frame.
    """
    if len(points) == 0:
        raise ValueError("no frame has landmarks")
    before, after, share = _neighbours(times, wanted)
    ahead = share.reshape(-1, *[1] * (points.ndim - 1))
    # A neighbour that has no share must not count, not even one that is no number.
    step = np.where(ahead > 0, points[after] - points[before], 0.0)
    return points[before] + ahead * step


def visible_at_times(visible: np.ndarray, times: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Visibility (N, P) bool at `wanted` (M, P): where both frames that a point is interpolated from show it."""
    before, after, share = _neighbours(times, wanted)
    needs_before, needs_after = (share < 1)[:, None], (share > 0)[:, None]
    return (visible[before] | ~needs_before) & (visible[after] | ~needs_after)


def frame_times(seconds: float, fps: float = FPS) -> np.ndarray:
    """Times (M,) in seconds of the frames of a clip: k / fps, M = ceil(seconds * fps) and at least one."""
    count = max(1, int(np.ceil(seconds * fps - 1e-6)))
    return np.arange(count) / fps


def normalised_visible(points: np.ndarray, visible: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, P >= 468, 2) px and visibility (N, P) to (N, 468, 2) float32 normalised per frame and (N, 468) bool.

    The crop is the reference's where everything is visible. Hidden points must not move it, so they are replaced by those
    of the mean face laid over the visible ones. A frame with too few visible points takes its crop from its neighbours in
    time; when no frame has enough, nothing counts as visible. Hidden points become 0, whatever they were.
    """
    points, visible = points[:, :LANDMARKS].astype(np.float64), visible[:, :LANDMARKS].astype(bool)
    boxes = np.full((len(points), 3), np.nan)
    for i, (own, seen) in enumerate(zip(points, visible)):
        whole = own if seen.all() else _completed(own, seen)
        if whole is not None:
            crop = crop_of(whole)
            boxes[i] = (*crop.centre, crop.size)
    known = np.isfinite(boxes[:, 0])
    if not known.any():
        return np.zeros((len(points), LANDMARKS, 2), np.float32), np.zeros_like(visible)
    boxes = at_times(boxes[known], np.flatnonzero(known), np.arange(len(boxes)))
    out = np.stack([normalise(own, Crop(box[:2], max(1, int(box[2])))) for own, box in zip(points, boxes)])
    return np.where(visible[..., None], out, 0.0).astype(np.float32), visible


def prepare(
    points: np.ndarray, times: np.ndarray, detected: np.ndarray, visible: np.ndarray, seconds: float
) -> tuple[np.ndarray, np.ndarray]:
    """A video's detections to what the denoiser takes: (M, 468, 2) float32 and (M, 468) bool at 25 frames per second.

    points (N, P >= 468, 2) px, at ascending `times` (N,) s, whatever the video's rate; detected (N,) bool; visible (N, P).
    Short gaps in the detection are interpolated as in the reference; further than LONG_GAP from any detection nothing is
    visible, so that a face that left the picture is not made up. Raises ValueError when no frame was detected.
    """
    return normalised_visible(*resampled(points, times, detected, visible, seconds))


def resampled(
    points: np.ndarray, times: np.ndarray, detected: np.ndarray, visible: np.ndarray, seconds: float
) -> tuple[np.ndarray, np.ndarray]:
    """Arguments as in `prepare`: points (M, P, 2) px and visibility (M, P) at 25 frames per second."""
    known, wanted = times[detected], frame_times(seconds)
    shown = visible_at_times(visible[detected], known, wanted)
    shown &= (np.abs(wanted[:, None] - known[None]).min(axis=1) <= LONG_GAP)[:, None]
    return at_times(points[detected], known, wanted), shown


def warp(image: np.ndarray, crop: Crop, pixels: np.ndarray | None = None) -> np.ndarray:
    """The crop of an image (H, W, C) with values 0..1: (224, 224, C), bicubic (Keys 1981, a = -1/2), black outside.

    pixels: only these rows and columns, (K,) int.
    """
    pixels = np.arange(CROP) if pixels is None else pixels
    scale, (x0, y0) = crop.matrix[0, 0], crop.matrix[:2, 2]
    rows = _cubic_weights((pixels - y0) / scale, image.shape[0])
    columns = _cubic_weights((pixels - x0) / scale, image.shape[1])
    warped = np.einsum("yh,hwc,xw->yxc", rows, image, columns, optimize=True)
    return np.clip(warped, image.min(), image.max())


def _cubic_weights(places: np.ndarray, size: int) -> np.ndarray:
    """(K, size) weights of `size` samples for values at `places` (K,)."""
    t = np.abs(places[:, None] - np.arange(size))
    near = 1.5 * t**3 - 2.5 * t**2 + 1
    far = -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))


def _neighbours(times: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each wanted time the known ones around it, and how far it is from the first to the second, 0..1."""
    times = np.asarray(times, np.float64)
    wanted = np.clip(np.asarray(wanted, np.float64), times[0], times[-1])
    before = np.clip(np.searchsorted(times, wanted, side="right") - 1, 0, len(times) - 1)
    after = np.minimum(before + 1, len(times) - 1)
    gap = times[after] - times[before]
    share = np.where(gap > 0, (wanted - times[before]) / np.where(gap > 0, gap, 1), 0.0)
    return before, after, share


@lru_cache(maxsize=1)
def mean_face() -> np.ndarray:
    """(468, 3) average face, millimetres: x to the subject's left, y up, z forward."""
    lines = MEAN_FACE.read_text(encoding="utf-8").splitlines()
    rows = [line.split(",") for line in lines if line[:1].isdigit()]
    return np.array([[float(v) for v in row[1:4]] for row in rows])


def _completed(points: np.ndarray, seen: np.ndarray) -> np.ndarray | None:
    """(468, 2): visible points as they are, hidden ones from the mean face; None where too few are visible.

    The image of a rigid face far from the camera is a linear map of its three coordinates, so that is what is fitted.
    """
    face = mean_face()
    if seen.sum() < FEW or np.ptp(face[seen, :2], axis=0).min() < CLOSE:
        return None
    columns = np.column_stack([face, np.ones(LANDMARKS)])
    fit = np.linalg.lstsq(columns[seen], points[seen], rcond=None)[0]
    return np.where(seen[:, None], points, columns @ fit)
