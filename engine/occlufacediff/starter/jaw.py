"""When something hides the mouth: how the jaw moves, from the video's own pixels beside it. NumPy and SciPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from ...video import WHOLE, Span, read_frames
from ..mask_pictures import seen_in_picture
from ..occlusion import look_up
from .automatic import bare_skin, colours_around, colours_at, skin_of
from .pipeline import POINTS, mouth_hidden, observe
from .skin import Covered, follow_jaw, laid_out

NEAR = 0.06  # of the face's width: so near to a hidden point a place counts as covered
SURE = 0.03  # weight: the deviation to which jawOpen must be known to count
MOSTLY = 0.5  # share of the frames with a hidden mouth: known in fewer, it is the neck or a collar that is seen; of the
# hidden points: with more of the skin's colour, a hand hides them


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

    def covered(frame: int, image: np.ndarray, pixels: np.ndarray) -> np.ndarray:
        path = pictures[frame if len(pictures) > 1 else 0]
        if path not in kept:
            kept.clear()
            kept[path] = seen_in_picture(path)
        scaled = np.floor(pixels * (np.array(kept[path].shape[::-1]) / image.shape[1::-1])).astype(np.int64)
        return ~look_up(kept[path][None], scaled.reshape(1, -1, 2))[0].reshape(pixels.shape[:-1])

    return covered


def covered_by_sight(video: Path, points: np.ndarray, detected: np.ndarray, visible: np.ndarray, span: Span = WHOLE) -> Covered:
    """By whatever hides points (N, >= 468, 2) that are not visible (N, >= 468): what is not of the skin's colour, and, where
    the hidden points are of that colour too, as under a hand, what is nearest to one of them or near it."""
    points, bare = points[:, :POINTS], bare_skin()
    seen = visible[:, :POINTS] & detected[:, None]
    shown = [
        colours_at(frame.image, own)[bare][see[bare]]
        for frame, own, see, there in zip(read_frames(video, span), points, seen, detected, strict=True)
        if there
    ]
    skin = skin_of(np.concatenate(shown))

    def covered(frame: int, image: np.ndarray, pixels: np.ndarray) -> np.ndarray:
        own, see = points[frame], seen[frame]
        if see.all() or not detected[frame]:
            return np.zeros(pixels.shape[:-1], bool)
        width = float(np.linalg.norm(own[454] - own[234]))
        alike, odd = ~see, np.zeros(pixels.shape[:-1], bool)
        if skin is not None:
            alike = alike & ~skin.unlike(colours_at(image, own))
            odd = skin.unlike(colours_around(image, pixels.reshape(-1, 2), width)).reshape(odd.shape)
        if alike.sum() < MOSTLY * (~see).sum():  # at its rims only
            return odd
        nearest = alike[cKDTree(own).query(pixels)[1]]
        return odd | nearest | (cKDTree(own[alike]).query(pixels)[0] < NEAR * width)

    return covered
