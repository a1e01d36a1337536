"""All 52 blendshapes, on the skin and on the loose pieces."""

from __future__ import annotations

import numpy as np

from ..arkit import ARKIT_52
from .accessories import Part
from .geometry import smoothstep
from .landmarks import EYE
from .shapes_cheeks import cheek_shapes
from .shapes_common import Sculptor, Shapes
from .shapes_eyes import eye_shapes
from .shapes_jaw import FORWARD, jaw_shapes, opened, swung
from .shapes_mouth import mouth_shapes


def skin_shapes(s: Sculptor) -> Shapes:
    """ARKit name -> (V, 3) displacement of the connected mesh in mm. tongueOut moves none of it."""
    made = {**eye_shapes(s), **jaw_shapes(s), **mouth_shapes(s), **cheek_shapes(s)}
    made["tongueOut"] = np.zeros_like(s.mesh.points)
    return {name: made[name] for name in ARKIT_52}


def part_shapes(part: Part, skin: Shapes) -> Shapes:
    """The same for one loose piece: teeth and tongue hang on the jaw, brows and lashes on the skin, eyeballs on nothing."""
    still = {name: np.zeros_like(part.points) for name in ARKIT_52}
    if part.name in ("lowerTeeth", "tongue"):
        p = part.points
        still |= {
            "jawOpen": opened(p), "jawForward": p * 0 + FORWARD, "jawLeft": swung(p, 1), "jawRight": swung(p, -1),
        }  # fmt: skip
    if part.name == "tongue":
        still["tongueOut"] = _tongue_out(part.points)
    if part.anchors is None:
        return still
    return {n: carried_by_skin(part, u) for n, u in skin.items()}


def carried_by_skin(part: Part, skin: np.ndarray) -> np.ndarray:
    """Displacement of a piece that hangs on the skin where the skin's is (V, 3). The piece must have anchors."""
    assert part.anchors is not None and part.weights is not None
    moved = (skin[part.anchors] * part.weights[..., None]).sum(1)
    return _turned_with_lid(part, moved) if part.name.startswith("lashes") else moved


def _tongue_out(p: np.ndarray) -> np.ndarray:
    share, tip = smoothstep(-40, 6, p[:, 2]), smoothstep(-10, 8, p[:, 2])
    return np.stack([-0.15 * share * p[:, 0], 3 * share - 9 * tip, 34 * share], 1)


def _turned_with_lid(part: Part, moved: np.ndarray) -> np.ndarray:
    """Lashes turn about their root by the angle their root turns about the eyeball's transverse axis."""
    centre = EYE * [np.sign(part.points[0, 0]), 1, 1]
    before, after = part.roots - centre, part.roots + moved - centre
    angle = np.arctan2(after[:, 1], after[:, 2]) - np.arctan2(before[:, 1], before[:, 2])
    c, s = np.cos(angle), np.sin(angle)
    arm = part.points - part.roots
    turned = np.stack([arm[:, 0], arm[:, 1] * c + arm[:, 2] * s, -arm[:, 1] * s + arm[:, 2] * c], 1)
    return moved + turned - arm
