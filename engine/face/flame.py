"""FLAME (Li et al., SIGGRAPH Asia 2017): loading the file a user has, and posing it with NumPy.

The file is never shipped with this project. `FlameModel` is the one description that this module (for Blender) and
`flame_torch.py` (for training) share. Linear blend skinning with pose correctives as in SMPL (Loper et al. 2015).
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..array_archive import ArchiveError, read_arrays
from .array_pickle import ArrayPickleError, load_array_pickle

JOINTS = ("global", "neck", "jaw", "left_eye", "right_eye")
JAW = JOINTS.index("jaw")
# Columns of the shape basis: identity, then expression. 2019 to 2023 files have 400, the first release 150.
SPLITS = {400: 300, 150: 100}
NEEDED = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f")
ROOT_PARENT = 2**32 - 1
LONGEST = 10_000_000  # an axis of any array of the file
POSE_CHUNK = 64  # frames posed at once: bounds memory to tens of MB


class FlameError(ValueError):
    """Not a FLAME file; the message is one sentence for the user."""


@dataclass(frozen=True)
class FlameModel:
    """A FLAME-format model, lengths in metres.

    template (V, 3); shape_basis (V, 3, S) and expression_basis (V, 3, E); pose_basis (V, 3, 9 (J - 1)); regressor (J, V);
    skin (V, J), rows sum to 1; parents (J,) int, -1 for the root; faces (F, 3) int. Floats are float64 as in the files.
    """

    template: np.ndarray
    shape_basis: np.ndarray
    expression_basis: np.ndarray
    pose_basis: np.ndarray
    regressor: np.ndarray
    skin: np.ndarray
    parents: np.ndarray
    faces: np.ndarray

    @property
    def joints(self) -> int:
        """Number of joints J."""
        return len(self.parents)


def load_flame(path: str | os.PathLike[str]) -> FlameModel:
    """Read a FLAME 2019, 2020, 2023 or 2023 Open file: `.pkl` (chumpy and scipy are not needed) or `.npz`.

    No code in the file is run. Raises FlameError with one sentence when it is missing, damaged or something else.
    """
    path = Path(path)
    if not path.is_file():
        raise FlameError(f"There is no FLAME file '{path}'.")
    try:
        content = read_arrays(path, NEEDED, LONGEST) if zipfile.is_zipfile(path) else load_array_pickle(path)
    except ArrayPickleError as error:
        raise FlameError(str(error)) from None
    except ArchiveError as error:
        raise FlameError(f"'{path.name}' is not a FLAME file: it {error}.") from None
    except Exception as error:  # a damaged pickle may make NumPy's constructors raise anything
        raise FlameError(f"'{path.name}' is damaged or not a FLAME file.") from error
    if not isinstance(content, Mapping):
        raise FlameError(f"'{path.name}' is not a FLAME file.")
    return flame_from_arrays(content, path.name)


def flame_from_arrays(content: Mapping[str, Any], name: str = "the model") -> FlameModel:
    """The model from the arrays of a FLAME file, by the file's names. Raises FlameError."""
    missing = [n for n in NEEDED if n not in content]
    if missing:
        raise FlameError(f"'{name}' is not a FLAME file: it has no {', '.join(missing)}.")
    try:
        arrays = {n: np.asarray(content[n], np.int64 if n in ("f", "kintree_table") else np.float64) for n in NEEDED}
    except (ValueError, TypeError) as error:
        raise FlameError(f"'{name}' is not a FLAME file: it holds something other than numbers.") from error
    if any(a.ndim == 0 for a in arrays.values()):
        raise FlameError(f"'{name}' is not a FLAME file: it holds a number where an array belongs.")
    vertices, joints = len(arrays["v_template"]), arrays["weights"].shape[-1]
    shape_columns = arrays["shapedirs"].shape[-1]
    fits = {
        "v_template": (vertices, 3),
        "shapedirs": (vertices, 3, shape_columns),
        "posedirs": (vertices, 3, 9 * (joints - 1)),
        "J_regressor": (joints, vertices),
        "weights": (vertices, joints),
        "kintree_table": (2, joints),
        "f": (len(arrays["f"]), 3),
    }
    wrong = [f"{n} {arrays[n].shape}" for n, shape in fits.items() if arrays[n].shape != shape]
    if wrong or shape_columns not in SPLITS or joints <= JAW:
        raise FlameError(f"'{name}' is not a FLAME file: {', '.join(wrong) or 'its bases or joints'} do not fit.")
    parents = arrays["kintree_table"][0]
    parents = np.where((parents == ROOT_PARENT) | (parents < 0), -1, parents)
    finite = all(np.isfinite(a).all() for a in arrays.values())
    if not finite or parents[0] != -1 or (parents[1:] >= np.arange(1, joints)).any() or (parents[1:] < 0).any():
        raise FlameError(f"'{name}' is not a FLAME file: its joints or numbers make no sense.")
    faces = arrays["f"]
    if faces.size and not (faces.min() >= 0 and faces.max() < vertices):
        raise FlameError(f"'{name}' is not a FLAME file: its faces name vertices it does not have.")
    split = SPLITS[shape_columns]
    return FlameModel(
        template=arrays["v_template"],
        shape_basis=arrays["shapedirs"][:, :, :split],
        expression_basis=arrays["shapedirs"][:, :, split:],
        pose_basis=arrays["posedirs"],
        regressor=arrays["J_regressor"],
        skin=arrays["weights"],
        parents=parents,
        faces=faces,
    )


def pose_flame(
    model: FlameModel,
    expression: np.ndarray,
    rotations: Mapping[str, np.ndarray] | None = None,
    betas: np.ndarray | None = None,
) -> np.ndarray:
    """(T, V, 3) float32 vertices in metres.

    expression: (T, e), e <= E, the rest zero. rotations: axis-angle (T, 3) rad by name of JOINTS. betas: (s,), s <= S.
    """
    expression = np.asarray(expression, np.float64)
    frames = len(expression)
    pose = np.zeros((frames, model.joints, 3))
    for name, value in (rotations or {}).items():
        pose[:, JOINTS.index(name)] = value
    rest = model.template
    if betas is not None:
        rest = rest + model.shape_basis[:, :, : len(betas)] @ np.asarray(betas, np.float64)
    out = np.empty((frames, len(rest), 3), np.float32)
    for start in range(0, frames, POSE_CHUNK):
        part = slice(start, start + POSE_CHUNK)
        out[part] = _pose_chunk(model, rest, expression[part], pose[part])
    return out


def rotation_matrices(axis_angle: np.ndarray) -> np.ndarray:
    """(..., 3) rad to (..., 3, 3) by Rodrigues' formula."""
    angle = np.linalg.norm(axis_angle, axis=-1, keepdims=True)
    axis = axis_angle / np.maximum(angle, 1e-12)
    x, y, z = np.moveaxis(axis, -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*axis.shape[:-1], 3, 3)
    angle = angle[..., None]
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)


def joint_transforms(matrices: np.ndarray, joints: np.ndarray, parents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """World rotations (T, J, 3, 3) and the offsets (T, J, 3) that a skinned vertex at rest position x gets: R x + offset.

    matrices: (T, J, 3, 3) local; joints: (T, J, 3) rest positions; parents: (J,).
    """
    world = [matrices[:, 0]]
    place = [joints[:, 0]]
    for j in range(1, len(parents)):
        p = parents[j]
        world.append(world[p] @ matrices[:, j])
        place.append(place[p] + (world[p] @ (joints[:, j] - joints[:, p])[..., None])[..., 0])
    turned, placed = np.stack(world, 1), np.stack(place, 1)
    return turned, placed - (turned @ joints[..., None])[..., 0]


def _pose_chunk(model: FlameModel, rest: np.ndarray, expression: np.ndarray, pose: np.ndarray) -> np.ndarray:
    shaped = rest + np.einsum("vce,te->tvc", model.expression_basis[:, :, : expression.shape[1]], expression, optimize=True)
    joints = model.regressor @ shaped
    matrices = rotation_matrices(pose)
    feature = (matrices[:, 1:] - np.eye(3)).reshape(len(pose), -1)
    shaped = shaped + (feature @ model.pose_basis.reshape(-1, feature.shape[1]).T).reshape(shaped.shape)
    turned, offset = joint_transforms(matrices, joints, model.parents)
    blended = np.einsum("vj,tjab->tvab", model.skin, turned, optimize=True)
    return (blended @ shaped[..., None])[..., 0] + np.einsum("vj,tja->tva", model.skin, offset, optimize=True)
