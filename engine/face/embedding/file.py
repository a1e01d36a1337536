"""Landmarks of a mesh as a JSON file, and the command that makes it: where 468 and 68 points of a face lie on any head."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import time
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from .landmarks import EmbeddingError, Landmarks, embed_landmarks
from .mean_face import IBUG68, INNER, POINTS
from .mesh import load_mesh

FORMAT, VERSION = "facediff_landmarks", 1
MOST_BYTES = 4 << 20
VECTORS = ("forward", "up", "left", "centre")


def to_json(found: Landmarks, vertices: int, source: str = "") -> str:
    """The landmarks as text; `vertices`: of the mesh that they lie on, `source`: its name."""
    return json.dumps(
        {
            "format": FORMAT,
            "version": VERSION,
            "mesh": source,
            "vertices": vertices,
            "residual_mm": round(found.residual_mm, 4),
            "views": found.views,
            "metres_per_unit": found.metres_per_unit,
            **{name: getattr(found, name).tolist() for name in VECTORS},
            "triangles468": found.triangles468.tolist(),
            "weights468": np.round(found.weights468, 6).tolist(),
            "triangles68": found.triangles68.tolist(),
            "weights68": np.round(found.weights68, 6).tolist(),
            "spread_mm": np.round(found.spread_mm, 4).tolist(),
        }
    )


def from_json(text: str, vertices: int, name: str = "The file") -> Landmarks:
    """Landmarks of a mesh of so many vertices. Raises EmbeddingError with one sentence."""
    try:
        data: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise EmbeddingError(f"'{name}' is not JSON.") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT or data.get("version") != VERSION:
        raise EmbeddingError(f"'{name}' holds no landmarks of a mesh.")
    if data.get("vertices") != vertices:
        raise EmbeddingError(f"'{name}' is of a mesh with {data.get('vertices')} vertices, but this one has {vertices}.")
    try:
        triangles = _numbers(data["triangles468"], (POINTS, 3)).astype(np.int64)
        weights = _numbers(data["weights468"], (POINTS, 3))
        spread = _numbers(data["spread_mm"], (POINTS,))
        vectors = {vector: _numbers(data[vector], (3,)) for vector in VECTORS}
        unit, residual, views = (float(data[n]) for n in ("metres_per_unit", "residual_mm", "views"))
        if triangles.min() < 0 or triangles.max() >= vertices or np.abs(weights.sum(axis=1) - 1).max() > 1e-3 or not unit > 0:
            raise ValueError
    except (KeyError, ValueError, TypeError, OverflowError):
        raise EmbeddingError(f"'{name}' is incomplete or damaged.") from None
    weights = weights / weights.sum(axis=1, keepdims=True)
    return Landmarks(
        triangles468=triangles, weights468=weights, triangles68=triangles[IBUG68], weights68=weights[IBUG68],
        spread_mm=spread, residual_mm=residual, metres_per_unit=unit, views=int(views), **vectors,
    )  # fmt: skip


def _numbers(value: Any, shape: tuple[int, ...]) -> np.ndarray:
    array = np.array(value, dtype=np.float64)
    if array.shape != shape or not np.isfinite(array).all():
        raise ValueError
    return array


def save_whole(path: Path, data: bytes) -> None:
    """Write a file so that it appears under its name complete or not at all. Raises OSError."""
    partial = path.parent / f".landmarks-{secrets.token_hex(8)}.part"
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `landmarks`."""
    parser.add_argument("mesh", type=Path, help="a head: .obj, .npz with vertices and faces, or a FLAME file")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the JSON file to write")


def run(options: argparse.Namespace) -> int:
    """Find the landmarks and write them; exit status 0. Raises InputError, and then nothing is written."""
    if not options.out.parent.is_dir():
        raise InputError(f"There is no folder '{options.out.parent}' to write '{options.out.name}' into.")
    mesh = load_mesh(options.mesh)
    started = time.monotonic()
    found = embed_landmarks(mesh.vertices, mesh.faces, mesh.colours)
    save_whole(options.out, to_json(found, len(mesh.vertices), options.mesh.name).encode())
    print(f"{options.out}: 468 and 68 points on {len(mesh.vertices)} vertices in {time.monotonic() - started:.1f} s")
    inner = found.spread_mm[INNER].mean()
    print(f"  pictures disagree by {found.residual_mm:.2f} mm on average ({inner:.2f} without the outline), {found.views} pictures")
    told = {n: "(" + ", ".join(f"{x:.2f}" for x in getattr(found, n) + 0.0) + ")" for n in ("forward", "up")}
    print(f"  looks along {told['forward']}, up is {told['up']}, its unit is {found.metres_per_unit:.4g} m")
    return 0
