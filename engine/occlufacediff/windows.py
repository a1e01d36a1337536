"""Clips of any length in windows of 64 frames, as the reference cuts them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

WINDOW = 64  # frames


@dataclass(frozen=True)
class Cut:
    """frames: (W, 64) source frame of every place of every window; window, place: (N,) which of them each frame is taken
    from."""

    frames: np.ndarray
    window: np.ndarray
    place: np.ndarray


def cut(total: int, size: int = WINDOW) -> Cut:
    """Windows side by side; the last ends with the clip, and of it only what the others left is taken.

    A clip shorter than a window has its first frame repeated before it.
    """
    if total < 1:
        raise ValueError("a clip has at least one frame")
    whole = total // size
    starts = [i * size for i in range(whole)] + ([total - size] if total % size else [])
    frames = np.maximum(np.array(starts)[:, None] + np.arange(size), 0)
    window = np.minimum(np.arange(total) // size, len(starts) - 1)
    place = np.arange(total) - np.array(starts)[window]
    return Cut(frames, window, place)
