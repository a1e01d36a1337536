"""Meshes as files: Wavefront OBJ, NumPy archives, the starter head's and FLAME's own. Nothing in them is run. NumPy only."""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...array_archive import ArchiveError, array_names, read_arrays
from ...errors import InputError
from ..flame import NEEDED, FlameError, load_flame
from ..starter_head import HeadError, load_starter_head

MOST_BYTES = 512 << 20
MOST_VERTICES = 3_000_000
ARRAYS = ("vertices", "faces", "colours")


@dataclass(frozen=True)
class MeshFile:
    """vertices: (V, 3) float64 in the file's unit and axes. faces: (F, 3) int64 triangles. colours: (V, 3) linear RGB or None."""

    vertices: np.ndarray
    faces: np.ndarray
    colours: np.ndarray | None = None


def load_mesh(path: str | os.PathLike[str]) -> MeshFile:
    """Read a mesh: `.obj`, `.npz` with `vertices` and `faces` (and `colours`), a starter head's `.npz`, a FLAME file.

    Raises InputError with one sentence.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no mesh file '{path}'.")
    if path.stat().st_size > MOST_BYTES:
        raise InputError(f"'{path.name}' is larger than {MOST_BYTES >> 20} MiB, which is too large for a head.")
    if path.suffix.lower() == ".obj":
        return parse_obj(path.read_text(encoding="utf-8", errors="replace"), path.name)
    names = _names(path) if zipfile.is_zipfile(path) else set()
    if "face_vertices" in names:
        return _starter(path)
    if {"vertices", "faces"} <= names and not set(NEEDED) <= names:
        return _archive(path)
    try:
        flame = load_flame(path)
    except FlameError as error:
        raise InputError(f"'{path.name}' is neither an OBJ file, nor a mesh's .npz, nor a FLAME file: {error}") from None
    return MeshFile(flame.template, flame.faces)


def parse_obj(text: str, name: str = "the file") -> MeshFile:
    """The vertices and faces of an OBJ; polygons become fans of triangles, colours after the places are sRGB, the rest is left
    aside. Raises InputError."""
    places: list[list[float]] = []
    triangles: list[tuple[int, int, int]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        word, *values = line.split("#", 1)[0].split() or [""]
        try:
            if word == "v":
                places.append(_place(values))
            elif word == "f":
                corners = [_corner(v, len(places)) for v in values]
                if len(corners) < 3:
                    raise ValueError
                triangles += [(corners[0], b, c) for b, c in zip(corners[1:], corners[2:])]
        except (ValueError, OverflowError):
            raise InputError(f"Line {number} of '{name}' is no {'vertex' if word == 'v' else 'face'} of an OBJ file.") from None
        if max(len(places), len(triangles) // 2) > MOST_VERTICES:
            raise InputError(f"'{name}' has more than {MOST_VERTICES} vertices, which is too many for a head.")
    if not places or not triangles:
        raise InputError(f"'{name}' has no faces: it is no OBJ file of a mesh.")
    faces = np.array(triangles, np.int64)
    if faces.max() >= len(places):
        raise InputError(f"'{name}' has faces of vertices that it does not have.")
    coloured = all(len(p) == 6 for p in places)
    table = np.array([p if coloured else p[:3] for p in places], np.float64)
    return MeshFile(table[:, :3], faces, _linear(table[:, 3:]) if coloured else None)


def _place(values: list[str]) -> list[float]:
    """x y z, x y z w, or x y z r g b as numbers. Raises ValueError."""
    numbers = [float(v) for v in values]
    if len(numbers) not in (3, 4, 6) or not np.isfinite(numbers).all() or max(map(abs, numbers)) > 1e15:
        raise ValueError
    return numbers if len(numbers) == 6 else numbers[:3]


def _corner(value: str, known: int) -> int:
    """`7`, `7/1`, `7//3`, `7/1/3`, or counted back from the last vertex so far: `-1`. Raises ValueError."""
    number = int(value.partition("/")[0])
    index = number - 1 if number > 0 else known + number
    if number == 0 or not 0 <= index < MOST_VERTICES:
        raise ValueError
    return index


def _linear(srgb: np.ndarray) -> np.ndarray:
    srgb = np.clip(srgb, 0, 1)
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def _names(path: Path) -> set[str]:
    """The arrays of an archive. Raises InputError."""
    try:
        return array_names(path)
    except ArchiveError as error:
        raise InputError(f"'{path.name}' {error}.") from error


def _starter(path: Path) -> MeshFile:
    try:
        head = load_starter_head(path)
    except HeadError as error:
        raise InputError(str(error)) from None
    return MeshFile(head.vertices.astype(np.float64), fans(head.face_sizes, head.face_vertices), head.vertex_colors)


def fans(sizes: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """(T, 3) int64 triangles of polygons: sizes (F,) and corners (sum of sizes,), each polygon a fan about its first corner."""
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    count = np.asarray(sizes, np.int64) - 2
    start = np.repeat(starts, count)
    step = np.arange(len(start)) - np.repeat(np.cumsum(count) - count, count)
    return np.asarray(corners, np.int64)[np.stack([start, start + step + 1, start + step + 2], axis=1)]


def _archive(path: Path) -> MeshFile:
    try:
        arrays = read_arrays(path, ARRAYS, MOST_VERTICES)
        vertices, faces = arrays["vertices"].astype(np.float64), arrays["faces"]
        colours = arrays["colours"].astype(np.float64) if "colours" in arrays else None
    except ValueError as error:  # ArchiveError, or arrays of no numbers
        raise InputError(f"'{path.name}' is damaged or no mesh.") from error
    return MeshFile(vertices, faces, colours)
