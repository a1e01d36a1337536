"""Where the short hair of the starter head begins: a curve over the side view, softened."""

from __future__ import annotations

import numpy as np

from .geometry import smoothstep

# z (forward) against the height of the hairline, from the nape over the ear and the temple to the forehead, mm
HAIRLINE_Z = (-150, -132, -120, -110, -102, -90, -80, -74, -68, -60, -50, -40, -24, -8, 8)
HAIRLINE_Y = (-56, -54, -46, -14, 4, 8, 8, -2, 0, 14, 34, 48, 58, 62, 63)
FADE = 22.0


def hair_cover(points: np.ndarray) -> np.ndarray:
    """(N, 3) points in mm -> (N,) share of hair, 0 on the face to 1 on the scalp."""
    x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
    line = np.interp(z, HAIRLINE_Z, HAIRLINE_Y) + 2.5 * np.cos(x / 11.0) * (z > -30)
    return smoothstep(-0.35 * FADE, 0.65 * FADE, y - line)
