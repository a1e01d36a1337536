"""Correctives of the lids: a blink runs round the eyeball, and ends shut wherever the lids were before."""

from __future__ import annotations

import numpy as np

from .shapes_common import Sculptor, Shapes
from .shapes_eyes import lid_handles

# What a blink undoes as it closes: all of the shape, or (those that move more than lids) its part on the lids.
LID_SHAPES = ("eyeLookDownLeft", "eyeLookUpLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeWideLeft")
CHEEK_SHAPES = ("eyeSquintLeft", "cheekSquintLeft")
LID_RINGS = 3
REACH = 9.0  # mm around the lids within which a cheek's motion fades into a lid that stays


def eye_correctives(s: Sculptor, shapes: Shapes) -> Shapes:
    """The left eye's."""
    left = {"eyeBlinkLeft*1-eyeBlinkLeft": _arc(s, shapes["eyeBlinkLeft"])}
    left |= {f"eyeBlinkLeft*{name}": -shapes[name] for name in LID_SHAPES}
    left |= {f"eyeBlinkLeft*{name}": _lids_stay(s, shapes[name]) for name in CHEEK_SHAPES}
    return left


def _arc(s: Sculptor, blink: np.ndarray) -> np.ndarray:
    """Half-way a straight line cuts through the eyeball; the product w (1 - w) is a quarter there."""
    half = lid_handles(s, 1.0, 1.0, closing=True, share=0.5)
    return 4 * s.shape({v: d - 0.5 * blink[v] for v, d in half.items()}, 16)


def _lids_stay(s: Sculptor, shape: np.ndarray) -> np.ndarray:
    rings = (*s.mesh.loops["eyeLeft"][:LID_RINGS], *s.mesh.loops["eyeLeft_in"])
    return s.shape({int(v): -shape[v] for ring in rings for v in ring}, REACH)
