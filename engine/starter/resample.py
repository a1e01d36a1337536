"""From the model's frame rate to the user's, without losing what lasts one frame. NumPy only."""

from __future__ import annotations

import numpy as np


def values_at(values: np.ndarray, rate: float, fps: float, frames: int) -> np.ndarray:
    """(T, C) at `rate` Hz to (frames, C) at `fps`, linear between frames; frame i is at i / fps seconds."""
    at = np.minimum(np.arange(frames) * (rate / fps), len(values) - 1)
    low = np.minimum(at.astype(int), max(len(values) - 2, 0))
    high = np.minimum(low + 1, len(values) - 1)
    part = (at - low)[:, None]
    return (values[low] * (1 - part) + values[high] * part).astype(np.float32)


def contacts_at(contacts: np.ndarray, rate: float, fps: float, frames: int) -> np.ndarray:
    """The same for contacts, each output frame taking the greatest value within half a frame of it (either rate's frame,
    whichever is shorter): a closure that peaks between two output frames still happens."""
    plain = values_at(contacts, rate, fps, frames)
    if abs(rate - fps) < 1e-9:
        return plain
    reach = 0.5 / fps
    for offset in np.linspace(-reach, reach, 9):
        at = np.clip((np.arange(frames) / fps + offset) * rate, 0, len(contacts) - 1)
        low = np.minimum(at.astype(int), max(len(contacts) - 2, 0))
        high = np.minimum(low + 1, len(contacts) - 1)
        part = (at - low)[:, None]
        plain = np.maximum(plain, contacts[low] * (1 - part) + contacts[high] * part)
    return plain
