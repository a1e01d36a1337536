"""The mouth's shapes. In shapes that keep the lips closed both contact lines move alike, as a function of the place across alone.

Displacements in mm at weight 1 are authored from FACS practice; Apple publishes none.
"""

from __future__ import annotations

import numpy as np

from .geometry import smoothstep
from .shapes_common import LIP_ROWS, Sculptor, Shapes

NASOLABIAL = [(20, -35, 16), (26, -43, 12), (31, -53, 10), (33.5, -61, 6)]


def to_corner(across: float, start: float) -> float:
    """0 right of `start` (across the mouth) rising to 1 at the left corner."""
    return float(smoothstep(start, 1, across)) ** 1.15


def bell(across: float, start: float = -0.45) -> float:
    """A bump over the left half of a lip; with its mirror image about as high all along the lip's middle."""
    return float(smoothstep(start, start + 0.9, across) * (1 - smoothstep(0.45, 1.0, across) * 0.9))


def mouth_shapes(s: Sculptor) -> Shapes:
    """Every mouth* shape but mouthClose."""
    return {**_corner_shapes(s), **_lip_shapes(s), **_round_shapes(s), **_pressed_shapes(s)}


def _corner_shapes(s: Sculptor) -> Shapes:
    still = s.eye_region
    shapes: Shapes = {}

    def smile(x: float, part: str, row: int) -> np.ndarray:
        middle = (1 - abs(x)) ** 0.5 * float(smoothstep(-0.5, 0.5, x)) if part != "corner" else 0.0
        return to_corner(x, -0.45) * np.array([6.5, 8.0, -4.5]) + np.array([0, -0.6, -0.8]) * middle

    handles = s.lips(smile, LIP_ROWS) | s.pushes(
        ((40, -34, 4), (2.2, 4.2, 2.2)), ((30, -42, 8), (3.0, 4.6, 0.8)), ((46, -52, -6), (3.0, 3.2, 0.6)),
        ((31, -14, 2), (0, 1.3, 0.6)),
    )  # fmt: skip
    shapes.update(s.two_sided("mouthSmile", s.fold(s.shape(handles, 34, still), NASOLABIAL, 1.7, 2.0)))

    def corners(
        name: str, start: float, power: float, move: tuple[float, float, float], radius: float, *pushes
    ) -> None:
        lips = s.lips(lambda x, part, row: to_corner(x, start) ** power * np.array(move), LIP_ROWS)
        shapes.update(s.two_sided(name, s.shape(lips | s.pushes(*pushes), radius, still)))

    corners("mouthFrown", -0.2, 1.0, (1.0, -7.0, -1.5), 30, ((26, -84, 6), (0.5, -3.5, 0)))
    corners("mouthDimple", 0.0, 1.2, (4.5, 0.6, -3.5), 24)
    corners("mouthStretch", -0.3, 1.0, (8.0, -3.0, -4.0), 32, ((30, -85, 2), (3, -2.5, -1)))
    sideways = s.lips(lambda x, part, row: (8.5, 0.8 * x, -1.5 * x))
    left = s.shape(sideways, 34, still)
    shapes.update(s.two_sided("mouth", left))
    return shapes


def _lip_shapes(s: Sculptor) -> Shapes:
    still = s.eye_region

    def lower_down(x: float, part: str, row: int) -> np.ndarray:
        return np.array([0.8, -7.0, -0.4]) * bell(x) * (1 if row <= 2 else 1.12) if part == "lower" else np.zeros(3)

    def upper_up(x: float, part: str, row: int) -> np.ndarray:
        return np.array([0.6, 6.5, -0.6]) * bell(x) * (1 if row <= 2 else 0.9) if part == "upper" else np.zeros(3)

    lower = s.shape(s.lips(lower_down) | s.pushes(((14, -92, 14), (0, -3, 0))), 26, still)
    pushes = s.pushes(((19, -50, 17), (0.6, 3.8, 0.6)), ((24, -44, 11), (0.8, 3.2, 1.0)))
    upper = s.fold(s.shape(s.lips(upper_up) | pushes, 28, still), NASOLABIAL[:3], 1.0, 1.0)
    return {**s.two_sided("mouthLowerDown", lower), **s.two_sided("mouthUpperUp", upper)}


def _round_shapes(s: Sculptor) -> Shapes:
    def rounded(inward: float, forward: float, parting: float, thickening: float):
        def move(x: float, part: str, row: int) -> np.ndarray:
            middle, out = 1 - x * x, max(row, 0)
            push = forward * (0.55 + 0.45 * middle) * (1.0 if out <= 2 else 0.85 if out == 3 else 0.62)
            push += forward * 0.25 * max(abs(x) - 0.8, 0) / 0.2
            up = {"upper": 1, "lower": -1, "corner": 0}[part] * (parting * middle + thickening * middle * out / 4)
            return np.array([-inward * x, up, push])

        return move

    still = s.eye_region
    cheeks = s.both(s.pushes(((42, -62, -2), (-2.5, 0, -2))))
    return {
        "mouthPucker": s.symmetric(s.shape(s.lips(rounded(10.5, 7.0, 0.0, 1.6)) | cheeks, 32, still)),
        "mouthFunnel": s.symmetric(s.shape(s.lips(rounded(8.0, 7.0, 4.6, 1.0)), 32, still)),
    }


def _pressed_shapes(s: Sculptor) -> Shapes:
    still = s.eye_region

    def roll(lip: str):
        over, back = (0.2, 1.0, 2.6, 4.3, 4.2), (4.2, 4.6, 4.2, 3.0, 1.4)

        def move(x: float, part: str, row: int) -> np.ndarray | None:
            if part != lip:
                return np.zeros(3) if part == "corner" or row <= 0 else None
            middle, out = (1 - x * x) ** 1.3, max(row, 0)
            up = 0.0 if row < 0 else (1 if lip == "lower" else -1) * middle * over[out]
            if lip == "lower" and row <= 0:
                up = -0.45 * middle  # it slides back under the upper lip, which curves down towards the teeth
            return np.array([0, up, -middle * back[out]])

        return move

    def shrug_lower(x: float, part: str, row: int) -> tuple[float, float, float]:
        m = (1 - abs(x) ** 2.5) ** 1.4
        if part == "corner":
            return (0, 0.3, 0)
        if part == "lower":
            return (0, 4.2 * m, (2.6 if row > 0 else 1.9) * m)
        return (0, 4.2 * m, (1.6 if row > 0 else 1.9) * m) if row <= 2 else (0, 3.0 * m, 1.2 * m)

    def shrug_upper(x: float, part: str, row: int) -> tuple[float, float, float]:
        m = (1 - abs(x) ** 2.5) ** 1.4
        return (0, 4.0 * m, 1.8 * m) if part != "lower" or row <= 0 else (0, 3.0 * m, 1.2 * m)

    def press(x: float, part: str, row: int) -> tuple[float, float, float]:
        m = to_corner(x, -0.35)
        if row <= 0 or part == "corner":
            return (0, 0, -1.4 * m)
        up = (1 if part == "lower" else -1) * m * (1 - abs(x) ** 4) * (0, 0.9, 2.0, 2.9, 2.5)[row]
        return (0, up, -m * (0, 1.9, 2.1, 1.8, 1.2)[row])

    chin = s.pushes(((0, -100, 17), (0, 5.5, 1.0))) | s.both(s.pushes(((12, -98, 14), (0, 4.5, 0.5))))
    return {
        "mouthRollLower": s.symmetric(s.shape(s.lips(roll("lower")), 20, still)),
        "mouthRollUpper": s.symmetric(s.shape(s.lips(roll("upper")), 20, still)),
        "mouthShrugLower": s.symmetric(s.shape(s.lips(shrug_lower) | chin, 30, still)),
        "mouthShrugUpper": s.symmetric(s.shape(s.lips(shrug_upper), 26, still)),
        **s.two_sided("mouthPress", s.shape(s.lips(press), 20, still)),
    }
