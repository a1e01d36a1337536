"""What a NumPy archive (`.npz`) says of its arrays, before any of them is read: a small file from a stranger may claim, or
inflate to, more than the computer has. NumPy and the standard library only.
"""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

MAX_MEMBERS = 1000
# What compressed members may inflate to, whatever the size of the file, and else how many times its size.
INFLATED, RATIO = 256 << 20, 20


LONGEST = 1 << 31  # of an axis, where a reader knows no smaller bound


class ArchiveError(ValueError):
    """The archive is damaged or claims too much; the message is a part of a sentence: "is ...", "claims ..." or "holds ...". """


def read_arrays(path: Path, wanted: Collection[str] | None = None, longest: int = LONGEST) -> dict[str, np.ndarray]:
    """The arrays of a `.npz`, of the names `wanted` those that are there, or all; nothing is unpickled. Raises OSError where
    the file cannot be opened, and ArchiveError for whatever is wrong with what it holds.
    """
    with _opened(path) as archive:
        names = [n for n in _names(archive) if wanted is None or n in wanted]
        check_archive(archive, path.stat().st_size, names, longest)
        return {name: _member(archive, f"{name}.npy") for name in names}


def array_names(path: Path) -> set[str]:
    """What the arrays of a `.npz` are called. Raises as `read_arrays` does."""
    with _opened(path) as archive:
        return set(_names(archive))


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive; whatever is raised over its content becomes an ArchiveError."""
    with open(path, "rb") as stream:
        try:
            with zipfile.ZipFile(stream) as archive:
                yield archive
        except (ArchiveError, MemoryError):
            raise
        except Exception as error:  # zlib, zipfile and numpy have no common error for damage
            raise ArchiveError("is damaged or no archive of arrays") from error


def _names(archive: zipfile.ZipFile) -> list[str]:
    return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]


def _member(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(name) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


def check_archive(archive: zipfile.ZipFile, file_bytes: int, wanted: Collection[str], longest: int) -> None:
    """Raise ArchiveError when the arrays of the names `wanted` are larger than what is there, or inflate beyond measure,
    or an axis is longer than `longest`. Damage raises whatever it raises: zlib, zipfile and numpy have no common error.
    """
    members = [m for m in archive.infolist() if m.filename.removesuffix(".npy") in wanted]
    if len(archive.infolist()) > MAX_MEMBERS:
        raise ArchiveError(f"holds {len(archive.infolist())} arrays")
    inflated = sum(m.file_size for m in members if m.compress_type != zipfile.ZIP_STORED)
    if inflated > max(INFLATED, RATIO * file_bytes):
        raise ArchiveError(f"claims to hold {inflated >> 20} MiB in {file_bytes >> 10} KiB, which is too large to be honest")
    for member in members:
        with archive.open(member) as stream:
            shape, _, dtype = read_header(stream)
        claimed = int(np.prod(shape, dtype=object)) * dtype.itemsize
        if any(n < 0 or n > longest for n in shape) or claimed > member.file_size:
            raise ArchiveError(f"claims an array of shape {shape}, which is too large for what it holds")


def read_header(stream: Any) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether in Fortran's order, and type of a `.npy` stream, which stands behind its header afterwards."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return read(stream)
