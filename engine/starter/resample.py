"""From the model's frame rate to the user's, without losing what lasts one frame. NumPy only."""

from __future__ import annotations

import numpy as np


def values_at(values: np.ndarray, rate: float, fps: float, frames: int) -> np.ndarray:
    """(T, C) at `rate` Hz to (frames, C) at `fps`, linear between frames; frame i is at i / fps seconds."""
    return _between(values, np.minimum(np.arange(frames) * (rate / fps), len(values) - 1)).astype(np.float32)


def contacts_at(contacts: np.ndarray, rate: float, fps: float, frames: int) -> np.ndarray:
    """The same for contacts, but every peak also reaches the output frame nearest to it: a closure that peaks between two
    output frames still happens, and none becomes longer."""
    out = values_at(contacts, rate, fps, frames)
    for column in range(contacts.shape[1]):
        peaks, heights = _peaks(contacts[:, column])
        nearest = np.minimum(np.round(peaks * (fps / rate)).astype(int), frames - 1)
        np.maximum.at(out[:, column], nearest, heights)
    return out


def _peaks(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The middles, in frames, and the heights of the local maxima above 0 of (T,); a plateau is one maximum."""
    edges = np.flatnonzero(np.diff(values, prepend=-np.inf, append=-np.inf))  # where runs of equal values begin, and the end
    heights = values[edges[:-1]]
    risen = np.diff(heights, prepend=-np.inf) > 0
    falls = np.diff(heights, append=-np.inf) < 0
    top = risen & falls & (heights > 0)
    return (edges[:-1][top] + edges[1:][top] - 1) / 2, heights[top]


def _between(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    low = np.minimum(at.astype(int), max(len(values) - 2, 0))
    high = np.minimum(low + 1, len(values) - 1)
    part = (at - low)[:, None]
    return values[low] * (1 - part) + values[high] * part
