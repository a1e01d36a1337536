"""Films for tests, written byte by byte as uncompressed AVI (RIFF, Microsoft 1992), for Blender's Python has no encoder."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

RATE = 16_000  # Hz of the sound


def write_film(path: Path, frames: np.ndarray, fps: float, sound: np.ndarray | None = None) -> Path:
    """frames (N, H, W, 3) uint8 RGB, W a multiple of 4; sound (S,) int16 at RATE."""
    count, height, width, _ = frames.shape
    size = height * width * 3
    pictures = np.ascontiguousarray(frames[:, ::-1, :, ::-1])  # bottom row first, blue first
    head = struct.pack("<4s4sIHHIIIIIIIIhhhh", b"vids", b"DIB ", 0, 0, 0, 0, 1000, round(fps * 1000), 0, count, size, 0, 0,
                       0, 0, width, height)  # fmt: skip
    form = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, size, 0, 0, 0, 0)
    streams = _list(b"strl", _chunk(b"strh", head) + _chunk(b"strf", form))
    if sound is not None:
        head = struct.pack("<4s4sIHHIIIIIIIIhhhh", b"auds", bytes(4), 0, 0, 0, 0, 2, RATE * 2, 0, len(sound), RATE * 2, 0, 2,
                           0, 0, 0, 0)  # fmt: skip
        form = struct.pack("<HHIIHHH", 1, 1, RATE, RATE * 2, 2, 16, 0)
        streams += _list(b"strl", _chunk(b"strh", head) + _chunk(b"strf", form))
    main = struct.pack("<14I", round(1e6 / fps), 0, 0, 0x10, count, 0, 1 + (sound is not None), size, width, height, 0, 0, 0, 0)
    body, index = b"", b""
    for i in range(count):
        parts = [(b"00db", pictures[i].tobytes())]
        if sound is not None:
            begin, end = (round(n * RATE / fps) for n in (i, i + 1))
            parts.append((b"01wb", sound[begin:end].astype("<i2").tobytes()))
        for name, data in parts:
            index += struct.pack("<4sIII", name, 0x10, 4 + len(body), len(data))
            body += _chunk(name, data)
    riff = _list(b"hdrl", _chunk(b"avih", main) + streams) + _list(b"movi", body) + _chunk(b"idx1", index)
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(riff)) + b"AVI " + riff)
    return path


def numbered(path: Path, count: int = 50, fps: float = 25.0, sound: np.ndarray | None = None) -> Path:
    """A film of 64 x 36 whose frame i is grey of 5 i."""
    frames = np.zeros((count, 36, 64, 3), np.uint8)
    frames[:] = 5 * np.arange(count)[:, None, None, None]
    return write_film(path, frames, fps, sound)


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def _list(name: bytes, data: bytes) -> bytes:
    return _chunk(b"LIST", name + data)
