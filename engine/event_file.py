"""Scalars for TensorBoard without its package: TFRecords of protocol-buffer events, which is all its log files are.

The record format is TensorFlow's (length, masked CRC-32C of it, data, masked CRC-32C of that); the messages are
tensorflow.Event with fields 1 wall_time, 2 step, 3 file_version, 5 summary, and Summary.Value with 1 tag, 2 simple_value.
"""

from __future__ import annotations

import struct
import time
from functools import lru_cache
from pathlib import Path


class EventFile:
    """Appends to one file in a folder; a resumed run opens another one and TensorBoard shows both as one curve."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"events.out.tfevents.{time.time_ns()}"
        self._write(_double(1, time.time()) + _bytes(3, b"brain.Event:2"))

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Add values by tag at a step."""
        summary = b"".join(_bytes(1, _bytes(1, tag.encode()) + _float(2, value)) for tag, value in values.items())
        self._write(_double(1, time.time()) + _varint_field(2, step) + _bytes(5, summary))

    def _write(self, data: bytes) -> None:
        length = struct.pack("<Q", len(data))
        with open(self.path, "ab") as stream:
            stream.write(length + struct.pack("<I", masked_crc(length)) + data + struct.pack("<I", masked_crc(data)))


def masked_crc(data: bytes) -> int:
    """CRC-32C (Castagnoli), rotated and offset as in TensorFlow's records."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _table()[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@lru_cache(maxsize=1)
def _table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def _varint_field(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _double(number: int, value: float) -> bytes:
    return _varint(number << 3 | 1) + struct.pack("<d", value)


def _float(number: int, value: float) -> bytes:
    return _varint(number << 3 | 5) + struct.pack("<f", value)


def _bytes(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value
