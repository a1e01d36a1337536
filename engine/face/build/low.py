"""The low version of a head: every second spoke, fewer rings and hairs, sparser points between; no vertex of its own.

As it takes a part of the full head's vertices and lays larger faces over them, all that vertices carry (shapes, colours, skin
weights, UVs) carries over.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from .accessories import EYE_RINGS_AT, EYE_SEGMENTS, IRIS, Part
from .geometry import Face
from .mesh import Mesh, orient
from .sampling import NECK_END, edge_length
from .topology import Skin, skin_faces, strip

# feature -> which of its loops stay, from the opening outwards, and inwards
OUTER = {"mouth": (0, 2, 4, 6, 8), "eye": (0, 2, 4, 6), "nostril": (0, 1), "ear": (0, 1)}
INNER = {"mouth": (1, 3, 5, 7), "eye": (0, 2), "nostril": (1,), "ear": (1, 2, 4, 7, 10, 12)}
SPARSER = 1.75  # distance between points, in those of the full head
LONGEST = 30.0  # mm: the midline's points are further apart only across an opening
SEED = 7
EYE_RINGS_KEPT = (0, 2, 4, 6, 8, 9)
TEETH_ROWS, TEETH_ROWS_KEPT = 7, (0, 1, 4, 6)
TONGUE_SPOKES, TONGUE_RINGS = 12, 11
# of the hairs of each kind: how many vertices one has, and which stay
HAIRS = {"brow": (3, 1), "lashes": (5, 1)}


def low_faces(skin: Skin, mesh: Mesh) -> tuple[list[Face], list[str]]:
    """Faces of the connected mesh over the full mesh's vertices, and the material each is built with."""
    outer = {name: [loop[::2] for loop in _kept(loops, OUTER, name)] for name, loops in skin.rings.items()}
    kept, middle = _kept_skin(skin, outer)
    place = np.full(len(skin.points), -1)
    place[kept] = np.arange(len(kept))
    rings = {name: [place[loop] for loop in loops] for name, loops in outer.items()}
    made = skin_faces(skin.directions[kept], skin.points[kept], rings, place[skin.mirror[kept]], place[middle], LONGEST)
    faces: list[Face] = [tuple(int(kept[v]) for v in f) for f in made]
    materials = ["skin"] * len(faces)
    for name in skin.rings:
        before = outer[name][0]
        for k, loop in zip(INNER[_feature(name)], _kept(mesh.loops[name + "_in"], INNER, name)):
            quads = strip(before, loop[::2])
            faces += quads
            materials += ["skin" if name != "mouth" else "lips" if k < 3 else "mouth"] * len(quads)
            before = loop[::2]
        if name in mesh.centres:
            fan = [(int(a), int(b), mesh.centres[name]) for a, b in zip(before, np.roll(before, -1))]
            faces += fan
            materials += ["mouth" if name == "mouth" else "skin"] * len(fan)
    return orient(faces), materials


def _feature(name: str) -> str:
    return name.removesuffix("Left").removesuffix("Right")


def _kept(loops: list[np.ndarray], which: dict[str, tuple[int, ...]], name: str) -> list[np.ndarray]:
    return [loops[k] for k in which[_feature(name)]]


def _kept_skin(skin: Skin, outer: dict[str, list[np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Vertices of the outer skin that stay, and those of them between features on the midline, in order around it."""
    p = skin.points
    free = skin.ring_of < 0
    on_middle = np.flatnonzero(free & (skin.mirror == np.arange(len(p))))
    d = skin.directions[on_middle]
    on_middle = on_middle[np.argsort(np.arctan2(d[:, 1], d[:, 2]) % (2 * np.pi))]
    rim = p[:, 1] < NECK_END + 1
    at_rim = rim[on_middle]
    middle = on_middle[at_rim | (np.arange(len(on_middle)) % 2 == 0)]
    left_rim = np.flatnonzero(free & rim & (p[:, 0] > 1e-6))
    left_rim = left_rim[np.argsort(p[left_rim, 2])][1::2]
    chosen = np.concatenate([*(loop for loops in outer.values() for loop in loops), middle, left_rim])
    size = edge_length(p) * 0.84 * SPARSER
    near = cKDTree(p)
    alive = free & ~rim & (p[:, 0] > 0.3 * size)
    for v in chosen:
        alive[near.query_ball_point(p[v], 0.75 * size[v])] = False
    sides = list(left_rim)
    for v in np.random.default_rng(SEED).permutation(np.flatnonzero(alive)):
        if alive[v]:
            sides.append(v)
            alive[near.query_ball_point(p[v], size[v])] = False
    rings = np.concatenate([loop for loops in outer.values() for loop in loops])
    return np.concatenate([rings, middle, np.array(sides), skin.mirror[np.array(sides)]]), middle


def low_part(part: Part) -> tuple[list[Face], list[str]]:
    """The same of a loose piece; combed hair is left out, the scalp below has its colour."""
    if part.name == "hair":
        return [], []
    for kind, (corners, every) in HAIRS.items():
        if part.name.startswith(kind):
            stay = [i for i, f in enumerate(part.faces) if f[0] // corners % every == 0]
            return [part.faces[i] for i in stay], [part.materials[i] for i in stay]
    if part.name.startswith("eye"):
        return _low_eye(part)
    if part.name == "tongue":
        return _grid(part, np.arange(0, TONGUE_RINGS, 2), np.arange(0, TONGUE_SPOKES, 2), TONGUE_SPOKES, True)
    columns = len(part.points) // TEETH_ROWS
    middles = np.r_[0, np.arange(1, columns, 3), columns - 1]
    return _grid(part, middles, np.array(TEETH_ROWS_KEPT), TEETH_ROWS, False)


def _grid(part: Part, lines: np.ndarray, places: np.ndarray, width: int, closed: bool) -> tuple[list[Face], list[str]]:
    """Faces over some lines of a piece made of lines of `width` points; a closed one has a tip."""
    faces: list[Face] = []
    materials = []
    steps = list(zip(places, np.r_[places[1:], places[:1]] if closed else places[1:]))
    flip = -1 if part.name == "lowerTeeth" else 1
    for a, b in zip(lines[:-1], lines[1:]):
        for row, (r, s) in enumerate(steps):
            quad = (a * width + r, a * width + s, b * width + s, b * width + r)
            faces.append(tuple(int(v) for v in quad[::flip]))
            materials.append("tongue" if closed else "gums" if row in (0, len(steps) - 1) else "teeth")
    if closed:
        tip = len(part.points) - 1
        faces += [(tip, int(s), int(r)) for r, s in steps]
        materials += ["tongue"] * len(steps)
    return faces, materials


def _low_eye(part: Part) -> tuple[list[Face], list[str]]:
    turn = np.arange(0, EYE_SEGMENTS, 2)
    rings = [1 + k * EYE_SEGMENTS + turn for k in EYE_RINGS_KEPT]
    last = len(part.points) - 1
    mirrored = part.faces[0][1] > part.faces[0][2]
    faces: list[Face] = [(0, int(a), int(b)) for a, b in zip(rings[0], np.roll(rings[0], -1))]
    materials = ["pupil"] * len(turn)
    for inner, outer, ring in zip(rings[:-1], rings[1:], EYE_RINGS_KEPT[1:]):
        faces += [(f[0], f[3], f[2], f[1]) for f in strip(inner, outer)]
        materials += ["iris" if EYE_RINGS_AT[ring] < IRIS + 1 else "eye_white"] * len(turn)
    faces += [(last, int(b), int(a)) for a, b in zip(rings[-1], np.roll(rings[-1], -1))]
    materials += ["eye_white"] * len(turn)
    return ([f[::-1] for f in faces] if mirrored else faces), materials
