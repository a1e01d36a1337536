"""`Blocks`: frames that are never in memory whole, such as ten minutes of 23370 vertices. NumPy only."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

BLOCK_BYTES = 32 << 20
LOCAL_HEADER = 30  # bytes of a zip member's local header before its name (APPNOTE.TXT 4.3.7)


class Blocks:
    """A (T, ...) float32 array whose frames are read or computed anew whenever they are asked for.

    read(start, stop) gives frames start to stop - 1. Indexing works as on an array, along the frames alone; np.asarray makes
    it whole.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, shape: tuple[int, ...], read: Callable[[int, int], np.ndarray]) -> None:
        self.shape = shape
        self.ndim = len(shape)
        self._read = read

    @property
    def nbytes(self) -> int:
        """What the whole array would need."""
        return 4 * int(np.prod(self.shape, dtype=np.int64))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, frames: Any) -> np.ndarray:
        if isinstance(frames, (int, np.integer)):
            number = range(len(self))[frames]
            return self._read(number, number + 1)[0]
        if isinstance(frames, slice):
            start, stop, step = frames.indices(len(self))
            if step == 1:
                return self._read(start, max(start, stop))
            frames = np.arange(start, stop, step)
        numbers = np.asarray(frames, np.int64)
        out = np.empty((len(numbers), *self.shape[1:]), np.float32)
        for place, number in enumerate(numbers):
            out[place] = self[int(number)]
        return out

    def __iter__(self) -> Iterator[np.ndarray]:
        for block in self.blocks():
            yield from block

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("frames in blocks are not in memory, so they cannot be had without a copy")
        out = np.empty(self.shape, np.float32)
        done = 0
        for block in self.blocks():
            out[done : done + len(block)] = block
            done += len(block)
        return out if dtype is None else out.astype(dtype, copy=False)

    def blocks(self) -> Iterator[np.ndarray]:
        """All frames in order, about BLOCK_BYTES at once."""
        size = max(1, BLOCK_BYTES * len(self) // max(1, self.nbytes))
        for start in range(0, len(self), size):
            yield self._read(start, min(start + size, len(self)))


def write_member(stream: BinaryIO, blocks: Blocks) -> Iterator[np.ndarray]:
    """Write the blocks as a `.npy` into the stream, yielding each before it is written."""
    header = {"descr": "<f4", "fortran_order": False, "shape": blocks.shape}
    np.lib.format.write_array_header_1_0(stream, header)
    for block in blocks.blocks():
        yield block
        stream.write(np.ascontiguousarray(block, "<f4").data)


def stored_member(path: Path, info: zipfile.ZipInfo, shape: tuple[int, ...]) -> Blocks | None:
    """A member of an `.npz` that holds little-endian float32 in C order without compression, read by blocks from the file.

    None where its size says that it holds something else. The blocks raise OSError when the file is gone or cut.
    """
    wanted = 4 * int(np.prod(shape, dtype=object))
    if info.compress_type != zipfile.ZIP_STORED or not wanted < info.file_size <= wanted + 4096:
        return None
    with open(path, "rb") as stream:
        stream.seek(info.header_offset)
        local = stream.read(LOCAL_HEADER)
    names = int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")
    first = info.header_offset + LOCAL_HEADER + names + info.file_size - wanted
    width = int(np.prod(shape[1:], dtype=np.int64))

    def read(start: int, stop: int) -> np.ndarray:
        with open(path, "rb") as stream:
            stream.seek(first + 4 * width * start)
            values = np.fromfile(stream, "<f4", width * (stop - start))
        if values.size != width * (stop - start):
            raise OSError(f"'{path.name}' ends too early")
        return values.astype(np.float32, copy=False).reshape(stop - start, *shape[1:])

    return Blocks(shape, read)
