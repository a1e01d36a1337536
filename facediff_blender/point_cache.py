"""Moving vertices as a PC2 file and the Mesh Cache modifier that plays it: exact, and as large as it sounds."""

from __future__ import annotations

import os
import secrets
import struct
from collections.abc import Iterable
from pathlib import Path

import bpy
import numpy as np

MODIFIER = "FaceDiff Cache"
HEADER = "<12siiffi"  # signature, version, points, start, frames between samples, samples
PC2_VERSION = 1


def write_pc2(path: Path, points: int, samples: int, blocks: Iterable[np.ndarray]) -> None:
    """A PC2 file of `samples` frames of (points, 3) float32, from blocks (n, points, 3). It appears whole or not at all.

    Raises OSError.
    """
    partial = path.parent / f".{path.stem}-{secrets.token_hex(8)}.part"
    try:
        with open(partial, "xb") as out:
            out.write(struct.pack(HEADER, b"POINTCACHE2\0", PC2_VERSION, points, 0.0, 1.0, samples))
            for block in blocks:
                out.write(np.ascontiguousarray(block, "<f4").tobytes())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def attach(obj: bpy.types.Object, path: str, frame_start: int) -> bpy.types.Modifier:
    """Let the object's cache modifier, made where there is none, play the file from this scene frame on.

    It stands after the last armature, which it overrules, and before what smooths or thickens the mesh.
    """
    cache = obj.modifiers.get(MODIFIER)
    if cache is None:
        rigs = [number for number, modifier in enumerate(obj.modifiers) if modifier.type == "ARMATURE"]
        cache = obj.modifiers.new(MODIFIER, "MESH_CACHE")
        obj.modifiers.move(len(obj.modifiers) - 1, rigs[-1] + 1 if rigs else 0)
    cache.cache_format, cache.filepath = "PC2", path
    cache.deform_mode, cache.interpolation = "OVERWRITE", "LINEAR"
    cache.forward_axis, cache.up_axis = "POS_Y", "POS_Z"  # the mesh's own axes
    cache.time_mode, cache.play_mode = "FRAME", "SCENE"
    cache.frame_start, cache.frame_scale = float(frame_start), 1.0
    cache.show_viewport = cache.show_render = True
    return cache


def mute(obj: bpy.types.Object) -> None:
    """Let an earlier take's cache rest, so that shape keys show."""
    if (cache := obj.modifiers.get(MODIFIER)) is not None:
        cache.show_viewport = cache.show_render = False
