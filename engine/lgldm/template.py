"""The neutral face that decoded displacements are added to: from a NumPy file, VOCASET's or BIWI's templates, or FLAME."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..array_archive import read_header
from ..errors import InputError
from ..face.array_pickle import ArrayPickleError, load_array_pickle
from ..face.flame import FlameError, load_flame, pose_flame


def load_template(path: Path, subject: str | None = None) -> np.ndarray:
    """(3 V,) float32, metres (or the dataset's unit). Raises InputError.

    `.npy`: vertices of any shape that flattens to 3 V. `.pkl`: a dictionary of subjects' (V, 3) vertices (templates.pkl;
    `subject` picks one, the first by name otherwise), or a FLAME file, as may be `.npz`.
    """
    if not path.is_file():
        raise InputError(f"There is no file '{path}'.")
    try:
        if path.suffix == ".npy":
            vertices = _of_array(path)
        elif path.suffix == ".npz":
            vertices = _of_flame(path)
        else:
            content = load_array_pickle(path)
            if not isinstance(content, Mapping):
                raise InputError(f"'{path.name}' holds no neutral faces.")
            vertices = _of_flame(path) if "v_template" in content else _of_subject(content, subject, path.name)
        vertices = np.asarray(vertices, np.float32).reshape(-1)
    except (ArrayPickleError, FlameError) as error:
        raise InputError(str(error)) from None
    except InputError:
        raise
    except Exception as error:  # numpy raises almost anything over a damaged file
        raise InputError(f"'{path.name}' is damaged or holds no vertices.") from error
    if vertices.size == 0 or vertices.size % 3 or not np.isfinite(vertices).all():
        raise InputError(f"'{path.name}' holds no vertices: its numbers do not come in threes.")
    return vertices


def _of_array(path: Path) -> np.ndarray:
    with open(path, "rb") as stream:
        shape, _, dtype = read_header(stream)
        if int(np.prod(shape, dtype=object)) * dtype.itemsize > path.stat().st_size:
            raise InputError(f"'{path.name}' is cut off: it claims an array of shape {shape}.")
        stream.seek(0)
        return np.load(stream, allow_pickle=False)


def _of_flame(path: Path) -> np.ndarray:
    return pose_flame(load_flame(path), np.zeros((1, 1)))[0]


def _of_subject(content: Mapping[str, np.ndarray], subject: str | None, name: str) -> np.ndarray:
    subjects = sorted(str(k) for k in content)
    chosen = subject or (subjects[0] if subjects else "")
    if chosen not in content:
        raise InputError(f"'{name}' has no subject '{chosen}'; it has {', '.join(subjects) or 'none'}.")
    return content[chosen]
