"""Vertex colours (linear RGB) and the looks of the materials."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .accessories import IRIS, PUPIL, Part
from .geometry import smoothstep
from .hair import hair_cover
from .mesh import Mesh
from .plan import HeadPlan

MOUTH, EYE_WHITE, PUPIL_COLOUR = (0.30, 0.08, 0.075), (0.62, 0.585, 0.55), (0.004, 0.004, 0.005)
TOOTH, GUM, TONGUE = (0.70, 0.63, 0.52), (0.42, 0.12, 0.11), (0.42, 0.13, 0.12)
LASH = (0.014, 0.009, 0.007)
# (centre, spread per axis, the plan's colour, strength): soft patches of the skin on the mean head; x is mirrored
PATCHES = (
    ((41, -36, 0), (14, 11, 16), "flush", 0.55), ((0, -35, 38), (13, 9, 9), "flush", 0.55),
    ((16, -38, 22), (5, 5, 6), "flush", 0.4),
    ((78, 0, -94), (14, 34, 22), "flush", 0.55), ((0, -104, 14), (13, 9, 12), "flush", 0.35),
    ((0, -56, 22), (16, 6, 8), "shade", 0.10),
    ((27, -12, 2), (11, 4.5, 8), "shade", 0.30), ((31, 9, 0), (14, 4, 10), "shade", 0.30), ((14, 2, 4), (4, 6, 6), "shade", 0.25),
    ((0, 38, 8), (38, 18, 30), "light", 0.45), ((0, -12, 28), (4, 14, 10), "light", 0.30), ((40, -24, 4), (9, 6, 9), "light", 0.18),
    ((0, -128, -40), (60, 20, 50), "shade", 0.22), ((50, -60, -30), (16, 20, 24), "shade", 0.08),
    ((27.5, -70, 7), (2.2, 1.6, 4), "shade", 0.40), ((0, -86, 16), (10, 2.4, 5), "shade", 0.25),
    ((20, -43, 14), (3, 5, 5), "shade", 0.30),
)  # fmt: skip
# (centre, spread per axis, how much): where skin is oilier than elsewhere, and drier; x is mirrored
OILY = (
    ((0, 38, 12), (26, 16, 24), 0.28), ((0, -20, 32), (9, 20, 14), 0.32), ((14, -38, 24), (6, 6, 8), 0.22),
    ((0, -104, 15), (11, 9, 12), 0.18), ((31, 10, 2), (13, 4, 9), 0.22), ((42, -22, 5), (11, 7, 12), 0.14),
    ((50, -55, -12), (18, 18, 24), -0.14), ((0, -140, -50), (60, 26, 60), -0.10),
)  # fmt: skip
# the same for the shadow of a shaved beard
BEARD = (((0, -100, 5), (34, 15, 40)), ((46, -82, -36), (15, 20, 26)), ((0, -53, 20), (20, 3.6, 14)), ((24, -70, 8), (6, 10, 10)))


def materials(plan: HeadPlan) -> dict[str, tuple]:
    """Name -> base colour, roughness, subsurface weight, coat weight."""
    return {
        "skin": (plan.skin, 0.56, 0.12, 0.0),
        "lips": (plan.lip, 0.36, 0.12, 0.0),
        "mouth": (MOUTH, 0.35, 0.1, 0.0),
        "eye_white": (EYE_WHITE, 0.15, 0.05, 0.6),
        "iris": (plan.iris, 0.25, 0.0, 1.0),
        "pupil": (PUPIL_COLOUR, 0.05, 0.0, 1.0),
        "teeth": (TOOTH, 0.22, 0.1, 0.3),
        "gums": (GUM, 0.3, 0.1, 0.2),
        "tongue": (TONGUE, 0.38, 0.1, 0.0),
        "hair": (plan.hair, 0.6, 0.0, 0.0),
    }


def skin_colours(mesh: Mesh, browed: np.ndarray, plan: HeadPlan) -> np.ndarray:
    """(V, 3) colours of the connected mesh. browed: (V,) how much brow hair lies over each vertex."""
    p = mesh.reference
    colour = np.tile(plan.skin, (len(p), 1))
    darkest = np.array(plan.shade) * 0.35

    def blend(ids: np.ndarray | slice, other: Sequence[float] | np.ndarray, share: np.ndarray | float) -> None:
        share = np.broadcast_to(share, colour[ids].shape[:1])[:, None]
        colour[ids] = colour[ids] * (1 - share) + np.array(other) * share

    folded = np.c_[np.abs(p[:, 0]), p[:, 1:]]

    def patch(centre: tuple[float, ...], spread: tuple[float, ...]) -> np.ndarray:
        return np.exp(-(((folded - centre) / np.array(spread, float)) ** 2).sum(1) / 2)

    for centre, spread, other, strength in PATCHES:
        blend(slice(None), getattr(plan, other), strength * patch(centre, spread))
    for centre, spread in BEARD if plan.beard else ():
        blend(slice(None), (0.22, 0.19, 0.18), 0.55 * plan.beard * patch(centre, spread))
    colour *= 1 + plan.mottle * _mottle(folded)[:, None] * [0.7, 1.0, 1.1]
    blend(slice(None), plan.brow, 0.7 * np.minimum(plan.brow_thickness, 1.1) * browed)
    ears = np.concatenate(
        [np.r_[np.concatenate(mesh.loops[f"ear{s}_in"]), mesh.centres["ear" + s]] for s in ("Left", "Right")]
    )
    cover = hair_cover(p, plan.hair_style)
    cover[ears] = 0
    blend(slice(None), plan.hair, 0.92 * cover)
    lips = mesh.loops["mouth"]
    for row, share in enumerate((1.0, 1.0, 1.0, 0.85, 0.25)):
        blend(lips[row], plan.lip, share)
    for row, loop in enumerate(mesh.loops["mouth_in"]):
        blend(loop, np.array(plan.lip if row < 2 else MOUTH) * (0.35, 0.5, 0.7, 1)[min(row, 3)], 1.0)
    blend(lips[0], np.array(plan.lip) * 0.35, 0.6)
    blend(np.array([mesh.centres["mouth"]]), MOUTH, 1.0)
    for side in ("Left", "Right"):
        _eye_and_nostril(mesh, side, plan, blend)
        for loop, share in zip(mesh.loops[f"ear{side}_in"][-3:], (0.2, 0.45, 0.7)):
            blend(loop, darkest, share)
        blend(np.array([mesh.centres["ear" + side]]), darkest, 0.9)
    return np.clip(colour, 0, 1)


def _mottle(p: np.ndarray) -> np.ndarray:
    """(N,) unevenness of skin, about -0.1..0.1: waves of three sizes that never line up."""
    total = np.zeros(len(p))
    for size, amount in ((31.0, 0.030), (13.0, 0.030), (6.1, 0.035)):
        q = p * (2 * np.pi / size)
        along = q[:, 1] * 0.9 + q[:, 2] * 0.8 + 1.3 * np.sin(q[:, 0] * 0.7)
        total += amount * np.sin(q[:, 0] * 1.1 + 1.7 * np.sin(q[:, 1] * 0.6)) * np.sin(along)
    return total


def _eye_and_nostril(mesh: Mesh, side: str, plan: HeadPlan, blend: Callable[..., None]) -> None:
    margin = mesh.loops["eye" + side][0]
    height = mesh.points[margin, 1]
    blend(margin, np.array(plan.shade) * 0.4, 0.30 + 0.6 * smoothstep(-1.5, 2.0, height))
    blend(mesh.loops["eye" + side][1], plan.shade, 0.3)
    inner = mesh.loops[f"eye{side}_in"]
    blend(inner[0], (0.50, 0.22, 0.18), 1.0)
    for loop in inner[1:]:
        blend(loop, (0.48, 0.20, 0.17), 1.0)
    blend(mesh.loops["nostril" + side][0], plan.shade, 0.6)
    for loop, share in zip(mesh.loops[f"nostril{side}_in"], (0.75, 0.95, 1.0)):
        blend(loop, (0.05, 0.02, 0.015), share)
    blend(np.array([mesh.centres["nostril" + side]]), (0.03, 0.01, 0.01), 1.0)


def gloss(mesh: Mesh) -> np.ndarray:
    """(V,) of the connected mesh, how oily or wet it is: 0 dry skin, 1 wet."""
    folded = np.c_[np.abs(mesh.reference[:, 0]), mesh.reference[:, 1:]]
    shine = np.full(len(folded), 0.18)
    for centre, spread, amount in OILY:
        shine += amount * np.exp(-(((folded - centre) / np.array(spread, float)) ** 2).sum(1) / 2)
    for row, share in enumerate((0.85, 0.75, 0.7, 0.6)):
        shine[mesh.loops["mouth"][row]] = share
    for name, wet in (("mouth_in", 0.9), ("eyeLeft_in", 1.0), ("eyeRight_in", 1.0)):
        shine[np.concatenate(mesh.loops[name])] = wet
    for name in ("eyeLeft", "eyeRight"):
        shine[mesh.loops[name][0]] = 0.9  # the line of tears along the lid's margin
        shine[mesh.loops[name][1]] = 0.4
    return np.clip(shine, 0, 1)


def part_colours(part: Part, plan: HeadPlan) -> np.ndarray:
    """(V, 3) colours of one loose piece."""
    count = len(part.points)
    if part.name.startswith("eye"):
        return _eye_colours(part.tags["degrees"], np.array(plan.iris))
    if part.name.endswith("Teeth"):
        colour = np.tile(TOOTH, (count, 1))
        colour[part.tags["gap"]] *= 0.62
        colour[part.tags["gum"]] = GUM
        return colour
    if part.name == "hair":
        tone = part.tags["tone"] * np.interp(part.tags["along"], [0, 0.35, 1], [0.85, 1.0, 0.9])
        return np.clip(np.outer(tone, plan.hair), 0, 1)
    if part.name.startswith("brow"):
        return np.where((np.arange(count) % 3 == 2)[:, None], np.array(plan.brow) * 1.8, plan.brow)
    return np.tile(LASH if part.name.startswith("lashes") else TONGUE, (count, 1))


def _eye_colours(degrees: np.ndarray, iris: np.ndarray) -> np.ndarray:
    colour = np.tile(EYE_WHITE, (len(degrees), 1))
    spokes = 1 + 0.22 * np.sin(2.399 * np.arange(len(degrees)) ** 1.5)  # an iris is streaked
    colour[degrees > 60] = (0.54, 0.40, 0.36)
    colour[degrees < IRIS + 8] = (0.56, 0.525, 0.50)
    colour[degrees < IRIS + 1] = iris * 0.18
    colour[degrees < IRIS - 1] = iris * 0.75
    ring = (degrees < 22) & (degrees > PUPIL)
    colour[ring] = iris * 1.35 * spokes[ring, None]
    colour[degrees < PUPIL + 3] = iris * 0.7
    colour[degrees <= PUPIL] = PUPIL_COLOUR
    return np.clip(colour, 0, 1)


def face_material(mesh: Mesh, plan: HeadPlan, shorn: bool = False) -> list[str]:
    """Material name per face of the connected mesh: lips by ring, the rest as built; hair by cover where all hair is `shorn`."""
    on_lips = np.zeros(len(mesh.points), bool)
    on_lips[np.concatenate(mesh.loops["mouth"][:4])] = True
    cover = hair_cover(mesh.reference, plan.hair_style)
    names = []
    for face, name in zip(mesh.faces, mesh.materials):
        ids = list(face)
        if name == "skin" and on_lips[ids].all():
            name = "lips"
        elif shorn and name == "skin" and max(ids) < mesh.skin_count and cover[ids].mean() > 0.5:
            name = "hair"
        names.append(name)
    return names
