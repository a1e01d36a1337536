"""From the model's frame rate to the user's, without losing what lasts one frame. NumPy only."""

from __future__ import annotations

import numpy as np


def values_at(values: np.ndarray, rate: float, fps: float, frames: int) -> np.ndarray:
    """(T, C) at `rate` Hz to (frames, C) at `fps`, linear between frames; frame i is at i / fps seconds."""
    return _between(values, np.minimum(np.arange(frames) * (rate / fps), len(values) - 1)).astype(np.float32)


def contacts_at(contacts: np.ndarray, rate: float, fps: float, frames: int) -> np.ndarray:
    """The same for contacts, each output frame taking the greatest value within half a frame of it: a closure that
    peaks between two output frames still happens. Exact for the linear interpolation (its maxima lie on model frames)."""
    if abs(rate - fps) < 1e-9:
        return values_at(contacts, rate, fps, frames)
    last = len(contacts) - 1
    middle = np.arange(frames) * (rate / fps)
    low, high = (np.clip(middle + side * 0.5 * rate / fps, 0, last) for side in (-1, 1))
    greatest = np.maximum(_between(contacts, low), _between(contacts, high))
    for offset in range(int(rate / fps) + 1):
        knot = np.ceil(low).astype(int) + offset
        inside = (knot <= high)[:, None]
        greatest = np.where(inside, np.maximum(greatest, contacts[np.minimum(knot, last)]), greatest)
    return greatest.astype(np.float32)


def _between(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    low = np.minimum(at.astype(int), max(len(values) - 2, 0))
    high = np.minimum(low + 1, len(values) - 1)
    part = (at - low)[:, None]
    return values[low] * (1 - part) + values[high] * part
