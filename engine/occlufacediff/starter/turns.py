"""Rotations and angles over time, some of them unknown. NumPy only."""

from __future__ import annotations

import numpy as np


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


def filled(values: np.ndarray, known: np.ndarray, filler: np.ndarray) -> np.ndarray:
    """(T, C) values where known (T,), else the filler, moved so that it joins what is known on both sides."""
    if not known.any():
        return filler
    frames = np.arange(len(values))
    at = np.flatnonzero(known)
    offset = values[at] - filler[at]
    moved = np.stack([np.interp(frames, at, column) for column in offset.T], axis=1)
    return np.where(known[:, None], values, filler + moved)
