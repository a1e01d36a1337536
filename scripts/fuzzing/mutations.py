"""Damage: valid bytes in, damaged bytes out, by a random generator alone, so that a seed repeats every input."""

from __future__ import annotations

import copy
import io
import json
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

Rng = np.random.Generator

INTERESTING = (0, 1, 2, 7, 127, 128, 255, 256, 32767, 65535, 65536, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 40,
               (1 << 63) - 1, (1 << 64) - 1)  # fmt: skip
JSON_LIES: tuple[Any, ...] = (
    None, True, -1, 0, 1, 0.5, 3, 1 << 20, 1 << 31, 1 << 62, 1 << 200, -1e308, float("nan"), float("inf"), "", "x", "\x00",
    "../../etc", "a\nb", "\ud800", [], {}, [[]], [1 << 40] * 3, ["a"] * 9, {"a": {"b": []}},
)  # fmt: skip
TEXT_LIES = (b"NaN", b"-Infinity", b"1e999", b"-1", b"9" * 30, b"9" * 5000, b"[" * 900, b"[" * 200_000, b'{"a":' * 5000, b"null",
             b'"\\ud800"', b"\xff\xfe", b"\x00", b"%s%n", b"\r\n\r\n", b"0x41", b"1_000")  # fmt: skip
NPY_LIES = ("(-1,)", "(1099511627776,)", "(4294967296, 4294967296)", "()", "(0, 52)", "(1, 1, 1, 1)", "(5,) * 99", "('a',)", "None")
DTYPE_LIES = ("|O", "<f8", "<f2", "<c16", "<U1000000", "|V9", "<M8[s]", "<i8", "|b1", "|S4", "nonsense", ">f4", "<u9")


def pick(rng: Rng, choices: Sequence[Any]) -> Any:
    """One of the choices, as it is."""
    return choices[int(rng.integers(len(choices)))]


def damage_bytes(data: bytes, rng: Rng, others: Sequence[bytes]) -> bytes:
    """One to four of: flipped bits, a lie in a number, a cut, an insertion, a repetition, a part of another file."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        if not out:
            return bytes(out)
        # Headers stand at either end, where a random place in a large file would seldom be.
        reach = len(out) if rng.random() < 0.4 else min(len(out), 512)
        at = int(rng.integers(reach))
        at = len(out) - 1 - at if rng.random() < 0.2 else at
        kind = int(rng.integers(9))
        if kind <= 2:
            for place in rng.integers(at, min(len(out), at + 64), int(rng.integers(1, 9))):
                out[place] ^= 1 << int(rng.integers(8))
        elif kind <= 4:
            width = pick(rng, (1, 2, 4, 8))
            value = pick(rng, INTERESTING) & ((1 << 8 * width) - 1)
            out[at : at + width] = value.to_bytes(width, pick(rng, ("little", "little", "big")))
        elif kind == 5:
            del out[at : at + int(rng.integers(1, 1 + max(1, len(out) // pick(rng, (2, 50)))))]
        elif kind == 6:
            del out[max(1, at) :]
        elif kind == 7:
            part = bytes(out[at : at + int(rng.integers(1, 4096))])
            out[at:at] = part * int(rng.integers(1, 20)) if rng.random() < 0.7 else rng.bytes(100)
        else:
            other = pick(rng, others)
            start = int(rng.integers(len(other)))
            out[at:at] = other[start : start + int(rng.integers(1, 2048))]
    return bytes(out)


def damage_text(data: bytes, rng: Rng, others: Sequence[bytes]) -> bytes:
    """Numbers and words replaced by lies; sometimes plain damage."""
    if rng.random() < 0.3:
        return damage_bytes(data, rng, others)
    for _ in range(int(rng.integers(1, 4))):
        words = [m.span() for m in re.finditer(rb"-?[0-9][0-9.e+-]*|[A-Za-z_]+", data[:200_000])]
        start, end = pick(rng, words) if words else (0, 0)
        data = data[:start] + pick(rng, TEXT_LIES) + data[end:]
    return data


def damage_json(data: bytes, rng: Rng, others: Sequence[bytes]) -> bytes:
    """A JSON object with one to three of its values replaced, removed or renamed; sometimes damage to its text."""
    if rng.random() < 0.3:
        return damage_text(data, rng, others)
    content = json.loads(data)
    for _ in range(int(rng.integers(1, 4))):
        place = content
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = pick(rng, keys)
            if isinstance(place[key], (dict, list)) and place[key] and rng.random() < 0.8:
                place = place[key]
                continue
            if rng.random() < 0.15:
                del place[key]
            elif isinstance(place, dict) and rng.random() < 0.1:
                place[str(pick(rng, JSON_LIES))] = place.pop(key)
            else:
                place[key] = copy.deepcopy(pick(rng, JSON_LIES))
            break
    return json.dumps(content).encode()


def damage_safetensors(data: bytes, rng: Rng, others: Sequence[bytes]) -> bytes:
    """Lies in the header, whose length is made right again; numbers that are not finite; plain damage."""
    if rng.random() < 0.3:
        return damage_bytes(data, rng, others)
    length = int.from_bytes(data[:8], "little")
    header, body = data[8 : 8 + length], bytearray(data[8 + length :])
    if rng.random() < 0.3 and len(body) >= 4:
        at = int(rng.integers(len(body) // 4)) * 4
        body[at : at + 4] = pick(rng, (b"\0\0\xc0\x7f", b"\0\0\x80\x7f", b"\xff\xff\x7f\x7f"))
    else:
        header = damage_json(header, rng, [header])
    return struct.pack("<Q", len(header)) + header + bytes(body)


def damage_npy(data: bytes, rng: Rng, others: Sequence[bytes]) -> bytes:
    """A NumPy array's bytes with lies about shape, type or order, or numbers that are not finite."""
    kind = int(rng.integers(5))
    if kind == 0 or not data.startswith(b"\x93NUMPY"):
        return damage_bytes(data, rng, others)
    if kind == 1:
        out = bytearray(data)
        at = max(0, len(out) - 4 * int(rng.integers(1, 50)))
        out[at : at + 4] = pick(rng, (b"\0\0\xc0\x7f", b"\0\0\x80\x7f", b"\xff\xff\x7f\x7f"))
        return bytes(out)
    length = int.from_bytes(data[8:10], "little")
    header, body = data[10 : 10 + length].decode("latin1"), data[10 + length :]
    if kind == 2:
        header = re.sub(r"\([^)]*\)", pick(rng, NPY_LIES), header, count=1)
    elif kind == 3:
        header = re.sub(r"'descr': '[^']*'", f"'descr': '{pick(rng, DTYPE_LIES)}'", header, count=1)
    else:
        header = pick(rng, ("{}", "[]", "(" * 300, "-" * 3000 + "1", "{'descr': ", header.replace("False", "True"), "'" * 7,
                            "{'descr': [('a', '<f4'), ('b', '|O')], 'fortran_order': False, 'shape': (3,)}"))  # fmt: skip
    text = header.rstrip("\n").encode("latin1")
    return data[:8] + struct.pack("<H", len(text) + 1) + text + b"\n" + body


def damage_zip(data: bytes, rng: Rng, others: Sequence[bytes]) -> bytes:
    """A member damaged, renamed, doubled or left out, with right checksums around it; or damage to the container."""
    if rng.random() < 0.3:
        return damage_bytes(data, rng, others)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(i.filename, archive.read(i)) for i in archive.infolist()]
    at = int(rng.integers(len(members)))
    name, content = members[at]
    kind = int(rng.integers(8))
    if kind == 0:
        members.pop(at)
    elif kind == 1:
        members.append((name, content[: len(content) // 2]))
    elif kind == 2:
        names = ("vertices.npy", "../../x.npy", "a" * 300 + ".npy", "weights", "expression.npy", "fps.npy")
        members[at] = (pick(rng, names), content)
    elif kind == 3:
        members[at] = (name, pick(rng, members)[1])
    else:
        damage = damage_npy if content.startswith(b"\x93NUMPY") else damage_bytes
        members[at] = (name, damage(content, rng, [c for _, c in members if c] or [b"\0"]))
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", pick(rng, (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        warnings.simplefilter("ignore")  # of a name twice
        for member, content in members:
            archive.writestr(zipfile.ZipInfo(member), content)
    return out.getvalue()


def npy_of_zeros(shape: tuple[int, ...], descr: str = "<f4") -> bytes:
    """The header of a `.npy` file of this shape."""
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": descr, "fortran_order": False, "shape": shape})
    return out.getvalue()


def zip_bomb(name: str, head: bytes, zeros: int, rest: dict[str, bytes]) -> bytes:
    """A zip whose member `name` inflates to `head` and so many zero bytes; `rest`: its other members."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        with archive.open(name, "w", force_zip64=True) as member:
            member.write(head)
            block = bytes(1 << 24)
            for start in range(0, zeros, len(block)):
                member.write(block[: zeros - start])
        for other, content in rest.items():
            archive.writestr(other, content)
    return out.getvalue()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG file (ISO/IEC 15948) with its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
