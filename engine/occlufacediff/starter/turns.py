"""Rotations and angles over time, some of them unknown. NumPy and SciPy."""

from __future__ import annotations

import numpy as np
from scipy.signal import savgol_filter

WINDOW = 7  # frames


def axis_angle(rotation: np.ndarray) -> np.ndarray:
    """(T, 3, 3) rotations by less than half a turn to (T, 3) axis-angle in rad."""
    skew = np.stack(
        [
            rotation[:, 2, 1] - rotation[:, 1, 2],
            rotation[:, 0, 2] - rotation[:, 2, 0],
            rotation[:, 1, 0] - rotation[:, 0, 1],
        ],
        axis=1,
    )
    sine = np.linalg.norm(skew, axis=1) / 2
    angle = np.arctan2(sine, (np.trace(rotation, axis1=1, axis2=2) - 1) / 2)
    return skew / 2 * np.where(sine > 1e-9, angle / np.maximum(sine, 1e-9), 1.0)[:, None]


def steadied(values: np.ndarray) -> np.ndarray:
    """(T, C) values without a detector's trembling: a parabola through WINDOW frames about each (Savitzky & Golay 1964),
    which is not late and keeps the height of a nod. Clips shorter than that stay as they are."""
    return values if len(values) < WINDOW else savgol_filter(values, WINDOW, 2, axis=0)


def filled(values: np.ndarray, known: np.ndarray, filler: np.ndarray) -> np.ndarray:
    """(T, C) values where known (T,), else the filler, moved so that it joins what is known on both sides."""
    if not known.any():
        return filler
    frames = np.arange(len(values))
    at = np.flatnonzero(known)
    offset = values[at] - filler[at]
    moved = np.stack([np.interp(frames, at, column) for column in offset.T], axis=1)
    return np.where(known[:, None], values, filler + moved)
