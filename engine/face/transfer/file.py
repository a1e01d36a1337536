"""The files on the way to a transfer and back: a mesh with points, and the shapes that it was given. NumPy only.

Both are `.npz` without pickles. A mesh: `vertices` (V, 3), `face_sizes` (F,), `face_vertices` (sum of sizes,), `point_names` (N,),
`points` (N, 3). Shapes: `names` (K,), `starts` (K + 1,), `moved` and `deltas`: shape k moves the vertices
moved[starts[k]:starts[k + 1]] by deltas (.., 3) in the mesh's unit; `count` vertices in all; `notes`: sentences.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...array_archive import ArchiveError, read_arrays
from ...errors import InputError

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class MeshFile:
    """A mesh at rest with the points that a person or a detector has put on it, none where they are still to be found."""

    vertices: np.ndarray
    face_sizes: np.ndarray
    face_vertices: np.ndarray
    points: dict[str, np.ndarray] = field(default_factory=dict)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it whole or not at all. Raises OSError."""
        names = list(self.points)
        places = np.array([self.points[n] for n in names], np.float64).reshape(-1, 3)
        arrays = {
            "vertices": np.asarray(self.vertices, np.float32),
            "face_sizes": np.asarray(self.face_sizes, np.int32),
            "face_vertices": np.asarray(self.face_vertices, np.int32),
            "point_names": np.array(names, dtype=str),
            "points": places,
        }
        _write(path, arrays)


@dataclass(frozen=True)
class PointsFile:
    """Points that were found on a mesh: name -> (3,) in the mesh's unit and axes. notes: sentences on how."""

    points: dict[str, np.ndarray]
    notes: list[str] = field(default_factory=list)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it whole or not at all. Raises OSError."""
        places = np.array(list(self.points.values()), np.float64).reshape(-1, 3)
        names, notes = np.array(list(self.points), dtype=str), np.array(self.notes, dtype=str)
        _write(path, {"point_names": names, "points": places, "notes": notes})


@dataclass(frozen=True)
class ShapesFile:
    """Shapes for a mesh: names K, deltas (K, V, 3) float32 in the mesh's unit, notes: sentences for the user."""

    names: tuple[str, ...]
    deltas: np.ndarray
    notes: list[str] = field(default_factory=list)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it whole or not at all. Raises OSError."""
        moved = [np.flatnonzero(np.abs(d).max(axis=1) > 0) for d in self.deltas]
        arrays = {
            "names": np.array(self.names, dtype=str),
            "starts": np.cumsum([0, *map(len, moved)]),
            "moved": np.concatenate(moved).astype(np.int32) if moved else np.zeros(0, np.int32),
            "deltas": np.concatenate([d[ids] for d, ids in zip(self.deltas, moved)]).astype(np.float32),
            "count": np.array(self.deltas.shape[1]),
            "notes": np.array(self.notes, dtype=str),
        }
        _write(path, arrays)


def load_mesh(path: str | os.PathLike[str]) -> MeshFile:
    """Read a mesh from `.npz`, or from Wavefront `.obj` (vertices and faces only). Raises InputError."""
    path = Path(path)
    if path.suffix.lower() == ".obj":
        return _read_obj(path)
    a = _read(path, "mesh", ("vertices", "face_sizes", "face_vertices"))
    names = a.get("point_names", np.zeros(0, str)).tolist()
    places = a.get("points", np.zeros((0, 3)))
    vertices, sizes, corners = a["vertices"], a["face_sizes"], a["face_vertices"]
    fits = vertices.ndim == 2 and vertices.shape[1] == 3 and sizes.ndim == corners.ndim == 1 and places.shape == (len(names), 3)
    if not fits or sizes.dtype.kind not in "iu" or corners.dtype.kind not in "iu" or sizes.sum() != len(corners):
        raise InputError(f"The mesh file '{path.name}' is damaged: its arrays do not fit together.")
    return MeshFile(vertices, sizes, corners, {str(n): p.astype(float) for n, p in zip(names, places)})


def load_points(path: str | os.PathLike[str]) -> PointsFile:
    """Read points. Raises InputError."""
    path = Path(path)
    a = _read(path, "points", ("point_names", "points"))
    names, places = a["point_names"].tolist(), a["points"]
    if places.shape != (len(names), 3) or not np.isfinite(places).all():
        raise InputError(f"The points file '{path.name}' is damaged: its arrays do not fit together.")
    return PointsFile({str(n): p.astype(float) for n, p in zip(names, places)}, _texts(a))


def load_shapes(path: str | os.PathLike[str]) -> ShapesFile:
    """Read shapes. Raises InputError."""
    path = Path(path)
    a = _read(path, "shapes", ("names", "starts", "moved", "deltas", "count"))
    names, starts, moved, deltas = a["names"].tolist(), a["starts"], a["moved"], a["deltas"]
    count = int(a["count"])
    fits = starts.shape == (len(names) + 1,) and deltas.shape == (len(moved), 3) and (np.diff(starts) >= 0).all()
    fits = fits and starts[0] == 0 and starts[-1] == len(moved)
    if not fits or (len(moved) and (moved.min() < 0 or moved.max() >= count)) or not np.isfinite(deltas).all():
        raise InputError(f"The shapes file '{path.name}' is damaged: its arrays do not fit together.")
    whole = np.zeros((len(names), count, 3), np.float32)
    for k in range(len(names)):
        rows = slice(int(starts[k]), int(starts[k + 1]))
        whole[k, moved[rows]] = deltas[rows]
    return ShapesFile(tuple(map(str, names)), whole, _texts(a))


def _texts(a: Mapping[str, np.ndarray]) -> list[str]:
    return [str(n) for n in a["notes"].tolist()] if "notes" in a else []


def _read(path: Path, what: str, needed: tuple[str, ...]) -> Arrays:
    try:
        arrays = read_arrays(path)
    except FileNotFoundError as error:
        raise InputError(f"There is no file '{path.name}'.") from error
    except OSError as error:
        raise InputError(f"The {what} file '{path.name}' cannot be read ({error.strerror}).") from error
    except ArchiveError as error:
        raise InputError(f"The {what} file '{path.name}' cannot be read: it {error}.") from error
    missing = [name for name in needed if name not in arrays]
    if missing:
        raise InputError(f"The {what} file '{path.name}' has no '{missing[0]}'.")
    return arrays


def _write(path: str | os.PathLike[str], arrays: dict[str, Any]) -> None:
    path = Path(path)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(partial, "wb") as stream:
            np.savez(stream, **arrays)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _read_obj(path: Path) -> MeshFile:
    vertices: list[list[float]] = []
    faces: list[list[int]] = []
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            for line in stream:
                word, _, rest = line.partition(" ")
                if word == "v":
                    vertices.append([float(x) for x in rest.split()[:3]])
                elif word == "f":
                    corner = [int(part.split("/")[0]) for part in rest.split()]
                    faces.append([c - 1 if c > 0 else len(vertices) + c for c in corner])
    except OSError as error:
        raise InputError(f"The mesh file '{path.name}' cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise InputError(f"The mesh file '{path.name}' is not a Wavefront file.") from error
    if not vertices or not faces or any(len(v) != 3 for v in vertices):
        raise InputError(f"The mesh file '{path.name}' has no faces.")
    sizes = np.array([len(f) for f in faces])
    return MeshFile(np.array(vertices), sizes, np.concatenate([np.array(f) for f in faces]))
