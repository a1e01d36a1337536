"""Correctives of the mouth: what lips do on a jaw that stands open, by as much as `mouthClose` leaves it open."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .shapes_common import Sculptor, Shapes
from .shapes_mouth import to_corner

OPENING = "jawOpen-mouthClose"
Move = Callable[[float, str, int], tuple[float, float, float]]


def mouth_correctives(s: Sculptor, _shapes: Shapes) -> Shapes:
    """Those of both sides, and the left one of each pair."""

    def made(move: Move) -> np.ndarray:
        return s.shape(s.lips(move), 26, s.eye_region)

    return {
        f"{OPENING}*mouthPucker": s.symmetric(made(_rounded(upper=-2.5, lower=11.0, inward=1.5, forward=1.5))),
        f"{OPENING}*mouthFunnel": s.symmetric(made(_rounded(upper=-3.0, lower=7.5, inward=2.0, forward=1.2))),
        f"{OPENING}*mouthSmileLeft": made(_smiling),
    }


def _rounded(upper: float, lower: float, inward: float, forward: float) -> Move:
    """Rounded lips stay near each other on an open jaw: the lower is drawn up, the corners in."""

    def move(x: float, part: str, row: int) -> tuple[float, float, float]:
        middle = 1 - x * x
        share = (1.0, 1.0, 0.95, 0.8, 0.55)[max(row, 0)]
        up = {"upper": upper, "lower": lower, "corner": 0.0}[part] * middle
        return (-inward * x * share, up * share, forward * middle * share)

    return move


def _smiling(x: float, part: str, row: int) -> tuple[float, float, float]:
    """A smile on an open jaw draws both lips flat over the teeth and its corner further back."""
    side = to_corner(x, -0.6)
    middle = (1 - x * x) * (0.5 + 0.5 * np.tanh(2.5 * x))
    share = (1.0, 1.0, 0.9, 0.7, 0.45)[max(row, 0)]
    up = {"upper": 1.6, "lower": 2.4, "corner": 0.0}[part] * middle
    return (0.8 * side * share, (up + 0.8 * side) * share, (-1.6 * side - 1.0 * middle) * share)
