"""Correctives: what the sum of blendshapes gets wrong, added as far as the product of their weights says.

A corrective is named after the product: `eyeBlinkLeft*eyeWideLeft`; `eyeBlinkLeft*1-eyeBlinkLeft` for what happens half-way;
`jawOpen-mouthClose*mouthPucker`, that lips which an open jaw leaves shut stay shut.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..arkit import mirrored
from ..starter_head import corrective_factors
from .accessories import Part
from .correctives_eyes import eye_correctives
from .correctives_mouth import mouth_correctives
from .geometry import FLIP
from .shapes import carried_by_skin
from .shapes_common import Sculptor, Shapes


def skin_correctives(s: Sculptor, shapes: Shapes) -> Shapes:
    """Name -> (V, 3) displacement of the connected mesh in mm where the product of the weights is 1."""
    made = {**mouth_correctives(s, shapes), **eye_correctives(s, shapes)}
    mirrors = {other_side(name): u[s.mesh.mirror] * FLIP for name, u in made.items()}
    return made | {name: u for name, u in mirrors.items() if name not in made}


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
    fading = {less for more, less in factors if not more}
    return {more: 0.5 if more in fading else 1.0 for more, _ in factors if more}


def product_at(name: str, weights: Mapping[str, float]) -> float:
    """The corrective's own weight where blendshapes have these weights, all others 0."""
    product = 1.0
    for more, less in corrective_factors(name):
        product *= max(weights.get(more, 0.0 if more else 1.0) - weights.get(less, 0.0), 0.0)
    return product


def other_side(name: str) -> str:
    """The name of a corrective's mirror image."""
    return "*".join("-".join(map(mirrored, factor.split("-"))) for factor in name.split("*"))
