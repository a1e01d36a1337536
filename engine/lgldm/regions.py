"""Which vertices a metric looks at: index sets from files, or FLAME's own masks.

A region file is a `.npy` of integers or a text of integers separated by commas or white space: vertex numbers of the mesh.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..face.array_pickle import ArrayPickleError, load_array_pickle

# What each metric needs, and the masks of FLAME_masks.pkl that stand for it.
REGIONS = {"lip": "LVE", "face": "FVE", "emotion": "EME", "upper": "FDD"}
FLAME_MASKS = {
    "lip": ("lips",),
    "face": ("face",),
    "emotion": ("eye_region", "forehead", "nose"),
    "upper": ("eye_region", "forehead"),
}


def load_region(path: Path, vertices: int) -> np.ndarray:
    """(N,) int64, sorted and unique. Raises InputError."""
    try:
        if path.suffix == ".npy":
            numbers = np.load(path, allow_pickle=False)
            if numbers.dtype.kind not in "iu":
                raise ValueError("no integers")
        else:
            numbers = np.array([int(w) for w in path.read_text(encoding="utf-8").replace(",", " ").split()], np.int64)
    except FileNotFoundError:
        raise InputError(f"There is no region file '{path}'.") from None
    except (OSError, ValueError, EOFError, OverflowError) as error:
        raise InputError(f"'{path.name}' is not a region: it must hold vertex numbers, as .npy or as text.") from error
    return _checked(numbers, vertices, path.name)


def flame_regions(path: Path, vertices: int) -> dict[str, np.ndarray]:
    """All regions from the FLAME_masks.pkl that FLAME's authors publish. Raises InputError."""
    try:
        masks = load_array_pickle(path) if path.is_file() else None
    except ArrayPickleError as error:
        raise InputError(str(error)) from None
    if not isinstance(masks, Mapping) or any(n not in masks for names in FLAME_MASKS.values() for n in names):
        raise InputError(f"'{path}' is not FLAME's file of vertex masks.")
    return {
        region: _checked(np.concatenate([np.asarray(masks[n]).reshape(-1) for n in names]), vertices, path.name)
        for region, names in FLAME_MASKS.items()
    }


def _checked(numbers: np.ndarray, vertices: int, name: str) -> np.ndarray:
    numbers = np.unique(numbers.astype(np.int64))
    if not numbers.size or numbers[0] < 0 or numbers[-1] >= vertices:
        raise InputError(f"'{name}' does not fit: its vertex numbers must lie between 0 and {vertices - 1}.")
    return numbers
