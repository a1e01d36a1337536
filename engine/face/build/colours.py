"""Vertex colours (linear RGB) and the looks of the materials."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .accessories import IRIS, PUPIL, Part
from .geometry import smoothstep
from .hair import hair_cover
from .mesh import Mesh

SKIN, LIP, MOUTH, HAIR = (0.545, 0.295, 0.20), (0.43, 0.15, 0.125), (0.30, 0.08, 0.075), (0.042, 0.026, 0.017)
EYE_WHITE, IRIS_COLOUR, PUPIL_COLOUR = (0.72, 0.68, 0.64), (0.11, 0.17, 0.20), (0.004, 0.004, 0.005)
TOOTH, GUM, TONGUE = (0.70, 0.63, 0.52), (0.42, 0.12, 0.11), (0.42, 0.13, 0.12)
REDDER, DARKER = (0.60, 0.25, 0.18), (0.36, 0.18, 0.13)
# name -> base colour, roughness, subsurface weight, coat weight
MATERIALS = {
    "skin": (SKIN, 0.52, 0.12, 0.0),
    "lips": (LIP, 0.36, 0.12, 0.0),
    "mouth": (MOUTH, 0.35, 0.1, 0.0),
    "eye_white": (EYE_WHITE, 0.15, 0.05, 0.6),
    "iris": (IRIS_COLOUR, 0.25, 0.0, 1.0),
    "pupil": (PUPIL_COLOUR, 0.05, 0.0, 1.0),
    "teeth": (TOOTH, 0.22, 0.1, 0.3),
    "gums": (GUM, 0.3, 0.1, 0.2),
    "tongue": (TONGUE, 0.38, 0.1, 0.0),
    "hair": (HAIR, 0.6, 0.1, 0.0),
}
# (centre, spread per axis, colour, strength): soft patches of the skin; x is mirrored
PATCHES = (
    ((40, -38, 0), (14, 12, 16), REDDER, 0.40), ((0, -35, 38), (11, 9, 9), REDDER, 0.40),
    ((76, 0, -92), (14, 30, 20), REDDER, 0.45),
    ((0, -104, 14), (14, 9, 12), REDDER, 0.18), ((30, -9, 0), (12, 4.5, 8), DARKER, 0.22), ((31, 8, 0), (14, 4, 10), DARKER, 0.28),
    ((0, 40, 8), (40, 20, 30), (0.62, 0.39, 0.29), 0.35), ((0, -125, -40), (60, 18, 50), DARKER, 0.18),
    ((27, -70, 7), (2.2, 1.6, 4), DARKER, 0.35), ((0, -85.5, 16), (9, 2.2, 5), DARKER, 0.20),
)  # fmt: skip


def skin_colours(mesh: Mesh, browed: np.ndarray) -> np.ndarray:
    """(V, 3) colours of the connected mesh. browed: (V,) how much brow hair lies over each vertex."""
    p = mesh.points
    colour = np.tile(SKIN, (len(p), 1))

    def blend(ids: np.ndarray | slice, other: tuple[float, float, float], share: np.ndarray | float) -> None:
        share = np.broadcast_to(share, colour[ids].shape[:1])[:, None]
        colour[ids] = colour[ids] * (1 - share) + np.array(other) * share

    folded = np.c_[np.abs(p[:, 0]), p[:, 1:]]
    for centre, spread, other, strength in PATCHES:
        blend(slice(None), other, strength * np.exp(-(((folded - centre) / np.array(spread, float)) ** 2).sum(1) / 2))
    blend(slice(None), HAIR, 0.6 * browed)
    ears = np.concatenate(
        [np.r_[np.concatenate(mesh.loops[f"ear{s}_in"]), mesh.centres["ear" + s]] for s in ("Left", "Right")]
    )
    cover = hair_cover(p)
    cover[ears] = 0
    blend(slice(None), HAIR, 0.95 * cover)
    lips = mesh.loops["mouth"]
    for row, share in enumerate((1.0, 1.0, 1.0, 0.85, 0.30)):
        blend(lips[row], LIP, share)
    for row, loop in enumerate(mesh.loops["mouth_in"]):
        blend(loop, LIP if row < 2 else MOUTH, 1.0)
    blend(lips[0], MOUTH, 0.35)
    blend(np.array([mesh.centres["mouth"]]), MOUTH, 1.0)
    for side in ("Left", "Right"):
        _eye_and_nostril(mesh, side, blend)
        for loop, share in zip(mesh.loops[f"ear{side}_in"][-2:], (0.35, 0.7)):
            blend(loop, DARKER, share)
        blend(np.array([mesh.centres["ear" + side]]), DARKER, 0.9)
    return colour


def _eye_and_nostril(mesh: Mesh, side: str, blend: Callable[..., None]) -> None:
    margin = mesh.loops["eye" + side][0]
    height = mesh.points[margin, 1]
    blend(margin, (0.16, 0.07, 0.055), 0.25 + 0.6 * smoothstep(-1.5, 2.0, height))
    blend(mesh.loops["eye" + side][1], DARKER, 0.25)
    inner = mesh.loops[f"eye{side}_in"]
    blend(inner[0], (0.50, 0.22, 0.18), 1.0)
    for loop in inner[1:]:
        blend(loop, (0.48, 0.20, 0.17), 1.0)
    blend(mesh.loops["nostril" + side][0], DARKER, 0.6)
    for loop, share in zip(mesh.loops[f"nostril{side}_in"], (0.75, 0.95, 1.0)):
        blend(loop, (0.05, 0.02, 0.015), share)
    blend(np.array([mesh.centres["nostril" + side]]), (0.03, 0.01, 0.01), 1.0)


def part_colours(part: Part) -> np.ndarray:
    """(V, 3) colours of one loose piece."""
    count = len(part.points)
    if part.name.startswith("eye"):
        return _eye_colours(part.tags["degrees"])
    if part.name.endswith("Teeth"):
        colour = np.tile(TOOTH, (count, 1))
        colour[part.tags["gap"]] *= 0.62
        colour[part.tags["gum"]] = GUM
        return colour
    if part.name.startswith(("brow", "lashes")):
        tip = (np.arange(count) % 3 == 2)[:, None]
        dark = np.array((0.016, 0.010, 0.008))
        return (
            np.where(tip, (0.05, 0.03, 0.02), dark)
            if part.name.startswith("lashes")
            else np.where(tip, (0.11, 0.065, 0.045), HAIR)
        )
    return np.tile(TONGUE, (count, 1))


def _eye_colours(degrees: np.ndarray) -> np.ndarray:
    colour = np.tile(EYE_WHITE, (len(degrees), 1))
    iris = np.array(IRIS_COLOUR)
    colour[degrees > 60] = (0.62, 0.46, 0.42)
    colour[degrees < IRIS + 8] = (0.62, 0.60, 0.58)
    colour[degrees < IRIS + 1] = iris * 0.25
    colour[degrees < IRIS - 1] = iris * 0.8
    colour[degrees < 20] = iris * 1.5
    colour[degrees < PUPIL + 3] = iris * 0.9
    colour[degrees <= PUPIL] = PUPIL_COLOUR
    return colour


def face_material(mesh: Mesh) -> list[str]:
    """Material name per face of the connected mesh: lips by ring, hair by cover, the rest as built."""
    on_lips = np.zeros(len(mesh.points), bool)
    on_lips[np.concatenate(mesh.loops["mouth"][:4])] = True
    cover = hair_cover(mesh.points)
    names = []
    for face, name in zip(mesh.faces, mesh.materials):
        ids = list(face)
        if name == "skin" and on_lips[ids].all():
            name = "lips"
        elif name == "skin" and max(ids) < mesh.skin_count and cover[ids].mean() > 0.5:
            name = "hair"
        names.append(name)
    return names
