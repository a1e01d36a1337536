"""Reads WAV files without a library, block by block. NumPy and the standard library only.

Blender's own Python has no decoder, and both engines must hear the same samples: the noise of a performance is seeded
by them. So WAV files are read here everywhere; other kinds of sound need the full engine's decoders.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from .errors import InputError

BLOCK = 1 << 18  # samples of all channels read at a time
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE  # of the fmt chunk (Microsoft, mmreg.h)
MAX_CHUNKS = 10_000  # before the samples; real files have a few dozen
STREAMED = (0, 0xFFFFFFFF)  # lengths of a data chunk that was written before its end was known
KINDS = {(PCM, 8): "u1", (PCM, 16): "<i2", (PCM, 24): "u1", (PCM, 32): "<i4", (FLOAT, 32): "<f4", (FLOAT, 64): "<f8"}


class Header(NamedTuple):
    """What stands before the samples. length: bytes of sound that the file really holds."""

    code: int
    channels: int
    rate: int
    bits: int
    begin: int
    length: int


def is_wav(path: Path) -> bool:
    """Whether the file begins as a RIFF/WAVE file does. Raises OSError."""
    with open(path, "rb") as stream:
        start = stream.read(12)
    return len(start) == 12 and start[:4] == b"RIFF" and start[8:] == b"WAVE"


def read_header(path: Path) -> Header:
    """The format and place of the samples. Raises InputError when the file is cut off or damaged, OSError when it cannot be read.

    A player would play what is left of a cut-off file; an animator would get half a performance.
    """
    name, size = path.name, path.stat().st_size
    code = channels = rate = bits = 0
    with open(path, "rb") as stream:
        stream.seek(12)
        for _ in range(MAX_CHUNKS):
            chunk = stream.read(8)
            if len(chunk) != 8:
                raise InputError(f"The sound file '{name}' is cut off: it has no sound in it.")
            kind, length = struct.unpack("<4sI", chunk)
            if kind == b"data":
                begin = stream.tell()
                if length not in STREAMED and begin + length > size + 1:
                    raise InputError(f"The sound file '{name}' is cut off: part of its sound is missing.")
                held = size - begin if length in STREAMED else min(length, size - begin)
                return Header(code, channels, rate, bits, begin, held)
            after = stream.tell() + length + (length & 1)
            if kind == b"fmt " and length >= 16:
                fields = stream.read(min(length, 40))
                if len(fields) >= 16:
                    code, channels, rate, _, _, bits = struct.unpack("<HHIIHH", fields[:16])
                if code == EXTENSIBLE and len(fields) >= 26:
                    (code,) = struct.unpack("<H", fields[24:26])
            stream.seek(after)
    raise InputError(f"The sound file '{name}' is damaged: there are more than {MAX_CHUNKS} chunks before its sound.")


def is_plain(header: Header) -> bool:
    """Whether `read_samples` can decode it: PCM of 8 to 32 bits, or floating point."""
    return (header.code, header.bits) in KINDS and header.channels > 0 and header.rate > 0


def read_samples(path: Path, header: Header) -> np.ndarray:
    """(S,) float32: the mean of all channels, full scale 1. Raises OSError."""
    frame = header.channels * header.bits // 8
    frames = header.length // frame
    out = np.empty(frames, np.float32)
    block = max(1, BLOCK // header.channels)
    with open(path, "rb") as stream:
        stream.seek(header.begin)
        for start in range(0, frames, block):
            count = min(block, frames - start)
            out[start : start + count] = _decode(_exactly(stream, count * frame), header).mean(axis=1)
    return out


def _exactly(stream: BinaryIO, count: int) -> bytes:
    data = stream.read(count)
    if len(data) != count:
        raise OSError("the file became shorter while it was read")
    return data


def _decode(data: bytes, header: Header) -> np.ndarray:
    """One block as (frames, channels) float32."""
    raw = np.frombuffer(data, KINDS[header.code, header.bits])
    if header.code == FLOAT:
        with np.errstate(over="ignore"):  # what no float32 can hold becomes infinite, which `load_audio` refuses
            values = raw.astype(np.float32)
    elif header.bits == 8:
        values = (raw.astype(np.float32) - 128) / 128
    elif header.bits == 24:
        wide = np.zeros((len(raw) // 3, 4), np.uint8)
        wide[:, 1:] = raw.reshape(-1, 3)  # the upper three bytes of an int32
        values = wide.view("<i4")[:, 0].astype(np.float32) / np.float32(1 << 31)
    else:
        values = raw.astype(np.float32) / np.float32(1 << (header.bits - 1))
    return values.reshape(-1, header.channels)
