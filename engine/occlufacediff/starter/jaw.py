"""When something hides the mouth: how the jaw moves, from the video's own pixels beside it. NumPy and SciPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from ...video import WHOLE, Span, read_frames
from ..mask_pictures import seen_in_picture
from ..occlusion import look_up
from .pipeline import POINTS, mouth_hidden, observe
from .skin import Covered, follow_jaw, laid_out

NEAR = 0.06  # of the face's width: so near to a hidden point a place counts as covered
SURE = 0.03  # weight: the deviation to which jawOpen must be known to count
MOSTLY = 0.5  # share of the frames with a hidden mouth: known in fewer, it is the neck or a collar that is seen


def jaw_beside(
    video: Path, points: np.ndarray, detected: np.ndarray, visible: np.ndarray, covered: Covered,
    done: Callable[[float], None], span: Span = WHOLE,
) -> np.ndarray | None:  # fmt: skip
    """(N, 2) weights jawOpen and jawLeft less jawRight, less their medians over the clip, not a number where unknown; None
    where no frame's mouth is hidden, or too little skin is in sight beside what hides it.

    points (N, 478, 2) px, detected (N,), visible (N, 478): of the video's frames in that span. `done(time)` may raise to
    stop. Neither hidden points nor covered pixels have an influence.
    """
    visible = visible[:, :POINTS] & detected[:, None]
    hidden = mouth_hidden(visible) & detected
    if not hidden.any():
        return None
    observed = observe(np.where(visible[..., None], points[:, :POINTS], 0.0) * [1, -1], visible)
    if observed is None:
        return None
    pictures = []
    for i, frame in enumerate(read_frames(video, span)):
        pictures.append(laid_out(frame.image, observed.pose, i, covered))
        done(frame.time)
    brightness, counts = (np.stack(column) for column in zip(*pictures, strict=True))
    weights, unsure = follow_jaw(brightness, counts & observed.pose.known[:, None, None])
    sure = unsure < SURE
    return np.where(sure[:, None], weights, np.nan) if sure[hidden].mean() > MOSTLY else None


def covered_in_pictures(pictures: Sequence[Path]) -> Covered:
    """By mask pictures, one for all frames or one for each."""
    kept: dict[Path, np.ndarray] = {}

    def covered(frame: int, pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        path = pictures[frame if len(pictures) > 1 else 0]
        if path not in kept:
            kept.clear()
            kept[path] = seen_in_picture(path)
        scaled = np.floor(pixels * (np.array(kept[path].shape[::-1]) / size)).astype(np.int64)
        return ~look_up(kept[path][None], scaled.reshape(1, -1, 2))[0].reshape(pixels.shape[:-1])

    return covered


def covered_beside_points(points: np.ndarray, visible: np.ndarray) -> Covered:
    """By whatever hides points (N, >= 468, 2): what is nearest to, or near, one that is not visible (N, >= 468)."""

    def covered(frame: int, pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        own, seen = points[frame, :POINTS], visible[frame, :POINTS]
        if seen.all() or not np.isfinite(own).all():
            return np.zeros(pixels.shape[:-1], bool)
        away = cKDTree(own[~seen]).query(pixels)[0]
        nearest = seen[cKDTree(own).query(pixels)[1]]
        return ~nearest | (away < NEAR * np.linalg.norm(own[454] - own[234]))

    return covered
