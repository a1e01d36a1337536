"""Correctives of the mouth."""

from __future__ import annotations

from .shapes_common import Sculptor, Shapes


def mouth_correctives(s: Sculptor, shapes: Shapes) -> Shapes:
    """None yet."""
    return {"jawOpen*mouthPucker": shapes["jawOpen"] * 0}
