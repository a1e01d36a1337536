"""Reads safetensors files: weights by name, nothing that could run. NumPy and the standard library only.

The format (huggingface/safetensors, README "Format"): 8 bytes little-endian header length N, N bytes of JSON
{name: {"dtype", "shape", "data_offsets"}}, then the tensors' bytes, little-endian, row-major, without holes.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from .errors import InputError

MAX_HEADER = 16 << 20  # bytes; a name and a shape take about a hundred
MAX_FILE = 4 << 30  # bytes
NUMBERS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def read_tensors(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Every tensor of the file as float32 by its name, whatever floating-point type it is stored in.

    Raises InputError (one sentence) when the file is missing, damaged, larger than MAX_FILE, or holds other numbers or
    numbers that are not finite. Allocates nothing that the file does not really hold.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > MAX_FILE:
            raise InputError(f"The weights '{path.name}' are larger than {MAX_FILE >> 30} GiB.")
        with open(path, "rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= min(MAX_HEADER, size - 8):
                raise ValueError("header length")
            header = json.loads(stream.read(length).decode("utf-8"), object_pairs_hook=_without_repetition)
            data = stream.read()
        return _tensors(header, data)
    except OSError as error:
        raise InputError(f"The weights '{path}' cannot be read ({error.strerror or type(error).__name__}).") from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"The weights '{path.name}' are damaged, or are no safetensors file ({str(error)[:120]}).") from error


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) != len(pairs):
        raise ValueError("a name twice")
    return entries


def _tensors(header: dict[str, Any], data: bytes) -> dict[str, np.ndarray]:
    header.pop("__metadata__", None)
    tensors, spans = {}, []
    for name, entry in header.items():
        kind, shape, (begin, end) = NUMBERS[entry["dtype"]], entry["shape"], entry["data_offsets"]
        if not all(type(n) is int and n >= 0 for n in (*shape, begin, end)):
            raise ValueError(f"the shape of {name!r}")
        if not begin <= end <= len(data) or end - begin != math.prod(shape) * np.dtype(kind).itemsize:
            raise ValueError(f"the size of {name!r}")
        spans.append((begin, end))
        values = np.frombuffer(data, kind, count=math.prod(shape), offset=begin)
        if entry["dtype"] == "BF16":  # the upper half of a float32
            values = (values.astype(np.uint32) << 16).view(np.float32)
        tensors[name] = values.reshape(shape).astype(np.float32)  # a copy that may be written to
        if not np.isfinite(tensors[name]).all():
            raise ValueError(f"{name!r} holds numbers that are not finite")
    spans.sort()
    if [begin for begin, _ in spans] + [len(data)] != [0] + [end for _, end in spans]:
        raise ValueError("holes or overlaps")
    return tensors
