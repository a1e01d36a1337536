"""The starter heads: human heads of our own with ARKit's 52 blendshapes. NumPy only; both sides import it.

Axes everywhere: +x the subject's left, +y up, +z forward (the way the face looks), metres, right-handed, origin midway
between the centres of the eyeballs. `engine/assets/starter_head/NOTES.md` says how the head was made.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..array_archive import ArchiveError, read_arrays
from .arkit import ARKIT_52

FOLDER = Path(__file__).resolve().parent.parent / "assets" / "starter_head"
ASSET = FOLDER / "head.npz"
# name -> who it is, as a menu may say it; the first is the default
HEADS = {
    "robin": "Robin, an adult of about thirty",
    "otto": "Otto, a heavy man of about sixty",
    "amara": "Amara, a young woman",
}
FORMAT = "starter-head/1"
LEVELS = ("full", "low")  # low: about a fifth of the vertices, hair only painted on the scalp, for crowds and games
UV_UNITS = 65535  # the file stores texture coordinates as whole multiples of one part in so many
GLOSS_UNITS = 255  # the same of `gloss`
EYES = ("left_eye", "right_eye")
JOINTS = ("neck", "head", "jaw", *EYES)
BLOCK_BYTES = 64 << 20  # pose_vertices works on this much at a time, so that long clips stay in the cache's reach


class HeadError(ValueError):
    """A head file that cannot be used; the message is one sentence for the user."""


@dataclass(frozen=True)
class MaterialSpec:
    """How one material looks. base_color: linear RGB, each 0..1, to be used where vertex colours are not wanted."""

    name: str
    base_color: tuple[float, float, float]
    roughness: float
    subsurface: float
    coat: float


@dataclass(frozen=True)
class HeadModel:
    """A head at rest and how it can move.

    vertices: (V, 3) float32 m. face_sizes: (F,) int32, face_vertices: (sum of sizes,) int32, counter-clockwise seen from
    outside. material_index: (F,) int32 into `materials`. vertex_colors: (V, 3) float32 linear RGB.
    blendshapes: (K, V, 3) float32 m, displacement at weight 1, in the order of `blendshape_names`.
    joints: name -> (3,) float32 m. skin: joint -> (V,) float32 in 0..1; what the joints leave open stays at rest.
    landmark_triangles: (68, 3) int32 vertices and landmark_barycentric: (68, 3) float32, iBUG 68 points in iBUG's order
    (Sagonas et al., "300 Faces In-The-Wild Challenge", 2013): 0 is on the subject's right, 62/66 are the inner lips' centres.
    uvs: (sum of sizes, 2) float32 in 0..1, one per face corner as in `face_vertices`; None when the head has none.
    correctives: (C, V, 3) float32 m, added on top of the blendshapes, each as far as its name says: `jawOpen*mouthPucker` is
    the product of these two weights, a factor `1-eyeBlinkLeft` is what that weight lacks to 1, `jawOpen-mouthClose` by how
    much one exceeds the other (see `corrective_weights`).
    gloss: (V,) float32 in 0..1, how oily or wet the surface is, from dry skin to the line of tears; None when not known.
    rings: named loops of vertices: `mouth` from the contact line outwards, `mouth_in` from it inwards; likewise `eyeLeft`,
    `eyeLeft_in` and others.
    """

    name: str
    vertices: np.ndarray
    face_sizes: np.ndarray
    face_vertices: np.ndarray
    material_index: np.ndarray
    materials: tuple[MaterialSpec, ...]
    vertex_colors: np.ndarray | None
    blendshape_names: tuple[str, ...]
    blendshapes: np.ndarray
    joints: dict[str, np.ndarray]
    skin: dict[str, np.ndarray]
    landmark_triangles: np.ndarray
    landmark_barycentric: np.ndarray
    uvs: np.ndarray | None = None
    corrective_names: tuple[str, ...] = ()
    correctives: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 3), np.float32))
    rings: dict[str, tuple[np.ndarray, ...]] = field(default_factory=dict)
    gloss: np.ndarray | None = None


def head_path(name: str) -> Path:
    """The file of one of HEADS. Raises KeyError for another name."""
    if name not in HEADS:
        raise KeyError(name)
    return ASSET if name == next(iter(HEADS)) else FOLDER / f"head_{name}.npz"


def load_starter_head(head: str | os.PathLike[str] = ASSET, level: str = "full") -> HeadModel:
    """Read a head: one of HEADS by its name, or a `.npz` by its path; `level` is one of LEVELS. Never unpickles.

    Raises HeadError (one sentence) when it cannot be used, ValueError for another level.
    """
    if level not in LEVELS:
        raise ValueError(f"a head's level is one of {', '.join(LEVELS)}, not '{level}'")
    path = head_path(head) if isinstance(head, str) and head in HEADS else Path(head)
    try:
        a = read_arrays(path)
    except FileNotFoundError as error:
        raise HeadError(
            f"The head file '{path.name}' is missing: reinstall the extension or build it again."
        ) from error
    except OSError as error:
        raise HeadError(f"The head file '{path.name}' cannot be read ({error.strerror}).") from error
    except ArchiveError as error:
        raise HeadError(f"The head file '{path.name}' is not a head: it {error}.") from error
    try:
        if str(a["format"]) != FORMAT:
            raise HeadError(f"The head file '{path.name}' is of format '{a['format']}', but '{FORMAT}' is needed.")
        full = _head_from_arrays(a)
        return full if level == "full" else _lowered(full, a)
    except (KeyError, ValueError, IndexError, TypeError) as error:
        if isinstance(error, HeadError):
            raise
        raise HeadError(f"The head file '{path.name}' is incomplete or damaged ({error}).") from error


def _head_from_arrays(a: dict[str, np.ndarray]) -> HeadModel:
    vertices = a["vertices"].astype(np.float32)
    count = len(vertices)
    names, blendshapes = _unpacked(a, "blendshape_names", "shape", count)
    corrective_names: tuple[str, ...] = ()
    correctives = np.zeros((0, count, 3), np.float32)
    if "corrective_names" in a:
        corrective_names, correctives = _unpacked(a, "corrective_names", "corrective", count)
    head = HeadModel(
        name=str(a["name"]),
        vertices=vertices,
        face_sizes=a["face_sizes"].astype(np.int32),
        face_vertices=a["face_vertices"].astype(np.int32),
        material_index=a["material_index"].astype(np.int32),
        materials=tuple(
            MaterialSpec(str(n), (float(r), float(g), float(b)), float(rough), float(subsurface), float(coat))
            for n, (r, g, b, rough, subsurface, coat) in zip(a["material_names"], a["material_looks"])
        ),
        vertex_colors=a["vertex_colors"].astype(np.float32),
        blendshape_names=names,
        blendshapes=blendshapes,
        joints={str(n): p.astype(np.float32) for n, p in zip(a["joint_names"], a["joint_positions"])},
        skin={str(n): w.astype(np.float32) for n, w in zip(a["skin_names"], a["skin_weights"])},
        landmark_triangles=a["landmark_triangles"].astype(np.int32),
        landmark_barycentric=a["landmark_barycentric"].astype(np.float32),
        uvs=a["uvs"].astype(np.float32) / np.float32(UV_UNITS) if "uvs" in a else None,
        corrective_names=corrective_names,
        correctives=correctives,
        rings=_unpacked_rings(a) if "ring_names" in a else {},
        gloss=a["gloss"].astype(np.float32) / np.float32(GLOSS_UNITS) if "gloss" in a else None,
    )
    _check(head)
    return head


def _unpacked(a: dict[str, np.ndarray], names: str, kind: str, count: int) -> tuple[tuple[str, ...], np.ndarray]:
    starts, moved = a[f"{kind}_starts"], a[f"{kind}_vertices"]
    delta = a[f"{kind}_deltas"] * np.float32(a["shape_unit"])
    shapes = np.zeros((len(a[names]), count, 3), np.float32)
    for k, shape in enumerate(shapes):
        rows = slice(starts[k], starts[k + 1])
        shape[moved[rows]] = delta[rows]
    return tuple(a[names].tolist()), shapes


def _lowered(head: HeadModel, a: dict[str, np.ndarray]) -> HeadModel:
    """The low version: a part of the vertices, larger faces."""
    kept = np.unique(a["low_face_vertices"])
    place = np.zeros(len(head.vertices), np.int32)
    place[kept] = np.arange(len(kept))
    rings = {name: tuple(place[loop[np.isin(loop, kept)]] for loop in loops) for name, loops in head.rings.items()}
    low = replace(
        head,
        vertices=head.vertices[kept],
        face_sizes=a["low_face_sizes"].astype(np.int32),
        face_vertices=place[a["low_face_vertices"]],
        material_index=a["low_material_index"].astype(np.int32),
        vertex_colors=None if head.vertex_colors is None else head.vertex_colors[kept],
        blendshapes=head.blendshapes[:, kept],
        skin={name: weights[kept] for name, weights in head.skin.items()},
        landmark_triangles=place[a["low_landmark_triangles"]],
        landmark_barycentric=a["low_landmark_barycentric"],
        uvs=a["low_uvs"].astype(np.float32) / np.float32(UV_UNITS),
        correctives=head.correctives[:, kept],
        rings={name: tuple(loop for loop in loops if len(loop)) for name, loops in rings.items()},
        gloss=None if head.gloss is None else head.gloss[kept],
    )
    _check(low)
    return low


def _unpacked_rings(a: dict[str, np.ndarray]) -> dict[str, tuple[np.ndarray, ...]]:
    starts = a["ring_starts"]
    rings: dict[str, list[np.ndarray]] = {}
    for k, name in enumerate(a["ring_names"].tolist()):
        rings.setdefault(name, []).append(a["ring_vertices"][starts[k] : starts[k + 1]].astype(np.int32))
    return {name: tuple(loops) for name, loops in rings.items()}


def corrective_factors(name: str) -> tuple[tuple[str, str], ...]:
    """What a corrective's name multiplies: per factor a blendshape ("" stands for 1) and one taken from it ("" for none).

    `jawOpen-mouthClose*mouthPucker` -> (("jawOpen", "mouthClose"), ("mouthPucker", "")). Raises ValueError for another name.
    """
    factors = []
    for part in name.split("*"):
        more, _, less = part.partition("-")
        factors.append(("" if more == "1" else more, less))
    known = all({*factor} <= {"", *ARKIT_52} and any(factor) for factor in factors)
    if len(factors) < 2 or not known:
        raise ValueError(f"'{name}' is no product of blendshapes")
    return tuple(factors)


def corrective_weights(head: HeadModel, weights: np.ndarray) -> np.ndarray:
    """How far each corrective acts: (T, 52) weights -> (T, C) products of its factors.

    Weights count within 0..1, and no factor counts as less than 0.
    """
    column = dict(zip(head.blendshape_names, np.clip(weights, 0, 1).T))
    products = np.ones((len(weights), len(head.corrective_names)), np.float32)
    for k, name in enumerate(head.corrective_names):
        for more, less in corrective_factors(name):
            factor = column.get(more, np.float32(1)) - column.get(less, np.float32(0))
            products[:, k] *= np.maximum(factor, 0)
    return products


def _moving(head: HeadModel, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(T, 52 + C) weights and (52 + C, V, 3) displacements of blendshapes and correctives."""
    if not head.corrective_names:
        return weights, head.blendshapes
    return (
        np.concatenate([weights, corrective_weights(head, weights)], axis=1),
        np.concatenate([head.blendshapes, head.correctives]),
    )


def _check(head: HeadModel) -> None:
    count = len(head.vertices)
    facts = {
        "vertices": head.vertices.shape == (count, 3) and bool(np.isfinite(head.vertices).all()),
        "faces": head.face_sizes.sum() == len(head.face_vertices)
        and 0 <= head.face_vertices.min()
        and head.face_vertices.max() < count,
        "materials": len(head.material_index) == len(head.face_sizes)
        and head.material_index.max() < len(head.materials),
        "blendshapes": head.blendshape_names == ARKIT_52 and bool(np.isfinite(head.blendshapes).all()),
        "correctives": bool(np.isfinite(head.correctives).all()) and all(map(corrective_factors, head.corrective_names)),
        "rings": all(0 <= loop.min() and loop.max() < count for loops in head.rings.values() for loop in loops),
        "joints": set(JOINTS) <= head.joints.keys(),
        "skin": set(head.skin) == {"head", *EYES} and all(w.shape == (count,) for w in head.skin.values()),
        "landmarks": head.landmark_triangles.shape == (68, 3)
        and head.landmark_barycentric.shape == (68, 3)
        and head.landmark_triangles.max() < count,
        "gloss": head.gloss is None or head.gloss.shape == (count,),
        "uvs": head.uvs is None or head.uvs.shape == (len(head.face_vertices), 2),
    }
    wrong = [name for name, right in facts.items() if not right]
    if wrong:
        raise ValueError(f"its {', '.join(wrong)} do not fit")


def rotation_matrices(axis_angle: np.ndarray) -> np.ndarray:
    """(..., 3) axis-angle in rad -> (..., 3, 3) rotation matrices (Rodrigues' formula)."""
    axis_angle = np.asarray(axis_angle, np.float64)
    angle = np.linalg.norm(axis_angle, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(axis_angle, -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*axis_angle.shape[:-1], 3, 3)
    sinc, half = np.sinc(angle / np.pi), np.sinc(angle / (2 * np.pi))  # sin(a)/a and sin(a/2)/(a/2), right at 0 too
    return np.eye(3) + sinc * cross + 0.5 * half**2 * (cross @ cross)


def _checked(
    head: HeadModel, weights: np.ndarray, rotations: Mapping[str, np.ndarray] | None
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    weights = np.asarray(weights, np.float32)
    if weights.ndim != 2 or weights.shape[1] != len(head.blendshape_names):
        raise ValueError(f"weights must be (frames, {len(head.blendshape_names)}), not {weights.shape}")
    moving = {}
    for name, value in (rotations or {}).items():
        value = np.asarray(value)
        if value.shape != (len(weights), 3):
            raise ValueError(f"the rotation of '{name}' must be ({len(weights)}, 3), not {value.shape}")
        if name in head.skin and value.any():
            moving[name] = rotation_matrices(value).astype(np.float32)
    return weights, moving


def pose_vertices(
    head: HeadModel, weights: np.ndarray, rotations: Mapping[str, np.ndarray] | None = None
) -> np.ndarray:
    """Every vertex in every frame.

    weights: (T, 52) in the order of `head.blendshape_names`. rotations: joint -> (T, 3) axis-angle in rad, head-local axes;
    "head", "left_eye" and "right_eye" turn something, others (the jaw moves by jawOpen) are ignored.
    Blendshapes and correctives first, then the eyeballs about their centres, then everything above the neck about the head
    joint, blended linearly by the skin weights. Returns (T, V, 3) float32 in m. Raises ValueError when shapes do not fit.
    """
    weights, moving = _checked(head, weights, rotations)
    count = len(head.vertices)
    weights, shapes = _moving(head, weights)
    basis = shapes.reshape(len(shapes), -1)
    posed = np.empty((len(weights), count, 3), np.float32)
    block = max(1, BLOCK_BYTES // (12 * count))
    for start in range(0, len(weights), block):
        frames = slice(start, start + block)
        np.matmul(weights[frames], basis, out=posed[frames].reshape(-1, 3 * count))
        posed[frames] += head.vertices
        for joint in (*EYES, "head"):
            if joint in moving:
                _turn(posed[frames], moving[joint][frames], head.joints[joint], head.skin[joint])
    return posed


def _turn(posed: np.ndarray, matrices: np.ndarray, centre: np.ndarray, skin: np.ndarray) -> None:
    """Turn (T, V, 3) in place about a centre by (T, 3, 3), as far as the (V,) skin weights say."""
    ids = np.flatnonzero(skin)
    part = posed[:, ids]
    turned = (part - centre) @ matrices.transpose(0, 2, 1) + centre
    posed[:, ids] = part + skin[ids, None] * (turned - part)


def pose_landmarks68(
    head: HeadModel, weights: np.ndarray, rotations: Mapping[str, np.ndarray] | None = None
) -> np.ndarray:
    """The 68 landmarks in every frame: the same motion as `pose_vertices`, for the landmarks alone (one matrix product).

    Arguments as in `pose_vertices`. Returns (T, 68, 3) float32 in m. Eye rotations move no landmark (lids are skin).
    """
    weights, moving = _checked(head, weights, rotations)
    ids, part = head.landmark_triangles, head.landmark_barycentric[..., None]
    turned_part = part * head.skin["head"][ids][..., None]
    rest, rest_turned = ((head.vertices[ids] * p).sum(1) for p in (part, turned_part))
    weights, shapes = _moving(head, weights)
    basis, basis_turned = ((shapes[:, ids] * p).sum(2) for p in (part, turned_part))
    still = (weights @ basis.reshape(len(basis), -1)).reshape(-1, 68, 3) + rest
    if "head" not in moving:
        return still
    share = turned_part.sum(1)
    with_head = (weights @ basis_turned.reshape(len(basis), -1)).reshape(-1, 68, 3) + rest_turned
    centre = head.joints["head"]
    return still - with_head + (with_head - share * centre) @ moving["head"].transpose(0, 2, 1) + share * centre
