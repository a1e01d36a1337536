"""Correctives: what the sum of blendshapes gets wrong, added as far as the product of their weights says.

A corrective is named after the product: `jawOpen*mouthPucker`, or `eyeBlinkLeft*1-eyeBlinkLeft` for what happens half-way.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..starter_head import corrective_factors
from .accessories import Part
from .correctives_eyes import eye_correctives
from .correctives_mouth import mouth_correctives
from .shapes import carried_by_skin
from .shapes_common import Sculptor, Shapes


def skin_correctives(s: Sculptor, shapes: Shapes) -> Shapes:
    """Name -> (V, 3) displacement of the connected mesh in mm where the product of the weights is 1."""
    return {**mouth_correctives(s, shapes), **eye_correctives(s, shapes)}


def part_correctives(part: Part, skin: Shapes, correctives: Shapes, moved: Shapes) -> Shapes:
    """The same for one loose piece: the difference between where the skin takes it and what its own `moved` shapes add up to."""
    if part.anchors is None:
        return {name: np.zeros_like(part.points) for name in correctives}
    found: Shapes = {}
    for name, extra in correctives.items():
        at = showing(name)
        share = product_at(name, at)
        whole, own = share * extra, np.zeros_like(part.points)
        for shape, weight in at.items():
            whole, own = whole + weight * skin[shape], own + weight * moved[shape]
        found[name] = (carried_by_skin(part, whole) - own) / share
    return found


def showing(name: str) -> dict[str, float]:
    """The weights at which a corrective shows best: 1 each, or half-way for one that fades again."""
    factors = corrective_factors(name)
    lacking = {shape for shape, complement in factors if complement}
    return {shape: 0.5 if shape in lacking else 1.0 for shape, _ in factors}


def product_at(name: str, weights: Mapping[str, float]) -> float:
    """The corrective's own weight where blendshapes have these weights, all others 0."""
    product = 1.0
    for shape, complement in corrective_factors(name):
        weight = weights.get(shape, 0.0)
        product *= 1 - weight if complement else weight
    return product
