"""Correctives of the lids."""

from __future__ import annotations

from .shapes_common import Sculptor, Shapes


def eye_correctives(s: Sculptor, shapes: Shapes) -> Shapes:
    """None yet."""
    return {}
