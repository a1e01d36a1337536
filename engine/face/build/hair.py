"""Where the hair begins: a curve over the side view, softened."""

from __future__ import annotations

import numpy as np

from .geometry import smoothstep
from .plan import Hair

# z (forward) against the height of the hairline, from the nape over the ear and the temple to the forehead, mm
HAIRLINE_Z = (-150, -132, -120, -110, -102, -90, -80, -74, -68, -60, -50, -40, -24, -8, 8)
HAIRLINE_Y = (-56, -54, -46, -14, 4, 8, 8, -8, -6, 16, 35, 48, 58, 63, 64)
FADE = 20.0


def hair_cover(points: np.ndarray, hair: Hair) -> np.ndarray:
    """(N, 3) points in mm on the mean head -> (N,) share of hair, 0 on the face to 1 on the scalp."""
    x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
    line = np.interp(z, HAIRLINE_Z, HAIRLINE_Y) + 2.5 * np.cos(x / 11.0) * (z > -30)
    line = line + hair.receding * smoothstep(-110, -20, z)
    cover = smoothstep(-0.35 * FADE, 0.65 * FADE, y - line)
    bald = 1 - smoothstep(0.85, 1.15, x / hair.bald_half_width) if hair.bald_half_width else 0.0
    return cover * (1 - bald * smoothstep(30, 45, y))
