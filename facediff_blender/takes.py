"""What a motion says decides how it is written: ARKit's weights, FLAME's coefficients, or the vertices of a mesh."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ..engine.motion import FaceMotion
from . import flame_head, heads, point_cache
from .bake import BONES, BakeError, Take, bake
from .resample import scene_frames, values_at
from .strips import Timing
from .vertex_keys import MAX_KEYS, TooManyKeys, compress

VERTEX_KEY = "vertices {}.{:03d}"  # number of the take on this mesh, number of the component
BLOCK = 64  # frames of a point cache in memory at once


@dataclass(frozen=True)
class VertexOptions:
    """How moving vertices are written. kind: "KEYS" or "CACHE". tolerance: m, the greatest vertex error of shape keys."""

    kind: str = "KEYS"
    tolerance: float = 1e-4


def write(
    head: bpy.types.Object,
    motion: FaceMotion,
    timing: Timing,
    label: str = "take",
    facts: dict[str, Any] | None = None,
    options: VertexOptions = VertexOptions(),
) -> Take:
    """Write the motion on the head, or on any mesh of the motion's vertex count, as a new action; see `bake.bake`.

    Raises BakeError with one sentence and nothing changed.
    """
    if motion.channels:
        return bake(head, motion, timing, label, facts)
    if motion.expression is not None and flame_head.is_flame(head):
        moved, note = flame_head.expression_motion(head, motion)
        take = bake(head, moved, timing, label, facts, _still_keys(head, moved.channels))
        point_cache.mute(head)
        return replace(take, note=f"{note[:1].upper()}{note[1:]}." if note else "")
    _check_mesh(head, motion)
    if options.kind == "CACHE":
        return _write_cache(head, motion, timing, label, facts)
    return _write_keys(head, motion, timing, label, facts, options.tolerance)


def displacements(mesh: bpy.types.Object, motion: FaceMotion) -> np.ndarray:
    """(T, V, 3) float32 m: the motion's vertices relative to the mesh's rest, in the mesh's own axes.

    A head made here has Blender's axes. Of any other mesh: displacements are taken as they are, and positions in whichever of
    the file's axes (+y up) and Blender's (+z up) they lie nearer to the mesh.
    """
    rest, vertices = heads.rest_of(mesh), _vertices_of(mesh, motion)
    turned = heads.is_head(mesh)
    if str(motion.meta.get("vertices", "")).startswith("displacements"):
        return heads.to_blender(vertices) if turned else vertices
    if not turned:
        mean = vertices.mean(axis=0)
        turned = np.linalg.norm(heads.to_blender(mean) - rest, axis=1).mean() < np.linalg.norm(mean - rest, axis=1).mean()
    return (heads.to_blender(vertices) if turned else vertices) - rest


def _vertices_of(mesh: bpy.types.Object, motion: FaceMotion) -> np.ndarray:
    if motion.vertices is None:
        raise BakeError(f"The motion has nothing that '{mesh.name}' could show.")
    return motion.vertices


def _check_mesh(mesh: bpy.types.Object, motion: FaceMotion) -> None:
    moved = _vertices_of(mesh, motion).shape[1]
    if (count := len(mesh.data.vertices)) != moved:
        raise BakeError(f"The motion moves {moved} vertices, but '{mesh.name}' has {count}.")
    keys = mesh.data.shape_keys
    if not mesh.data.is_editable or not mesh.is_editable:
        raise BakeError(f"'{mesh.name}' is linked from another file and cannot be animated here.")
    if mesh.mode == "EDIT":
        raise BakeError(f"'{mesh.name}' is in Edit Mode: leave it first.")
    if keys is not None and not keys.use_relative:
        raise BakeError(f"The shape keys of '{mesh.name}' are absolute: make them relative first.")


def _write_keys(
    mesh: bpy.types.Object, motion: FaceMotion, timing: Timing, label: str, facts: dict[str, Any] | None, tolerance: float
) -> Take:
    try:
        found = compress(displacements(mesh, motion), tolerance)
    except TooManyKeys as problem:
        raise BakeError(
            f"{MAX_KEYS} shape keys would leave an error of {1000 * problem.error:.2f} mm, above the tolerance of "
            f"{1000 * tolerance:g} mm: choose Point Cache, or a larger tolerance."
        ) from None
    before = mesh.data.shape_keys
    names = [block.name for block in before.key_blocks] if before is not None else []
    number = 1 + max((int(n.split()[1].split(".")[0]) for n in filter(_is_vertex_key, names)), default=0)
    # A motion that never leaves the rest still needs a key, or it would be no take.
    deltas = found.deltas if len(found.deltas) else np.zeros((1, len(mesh.data.vertices), 3), np.float32)
    weights = found.weights if len(found.deltas) else np.zeros((motion.frames, 1), np.float32)
    channels = tuple(VERTEX_KEY.format(number, n + 1) for n in range(len(deltas)))
    facts = {**(facts or {}), "shape_keys": len(channels), "error_mm": 1000 * found.error}
    made = heads.add_shape_keys(mesh, channels, deltas, lowest=-1.0)
    try:
        moved = FaceMotion(motion.fps, channels, weights, *_rig_at_rest(mesh, motion.frames))
        take = bake(mesh, moved, timing, label, facts, _still_keys(mesh, channels))
    except BaseException:
        for key in made:
            mesh.shape_key_remove(key)
        if before is None:
            mesh.shape_key_clear()
        raise
    point_cache.mute(mesh)
    return replace(take, note=f"{len(channels)} shape keys, greatest vertex error {1000 * found.error:.3f} mm.")


def _write_cache(
    mesh: bpy.types.Object, motion: FaceMotion, timing: Timing, label: str, facts: dict[str, Any] | None
) -> Take:
    if not bpy.data.filepath:
        raise BakeError("Save the file first: a point cache lies in the folder 'facediff' beside it.")
    moved = displacements(mesh, motion)
    rest = heads.rest_of(mesh)
    positions = np.asarray(timing.frame(np.arange(motion.frames) / motion.fps))
    frames = scene_frames(positions)
    index = np.interp(frames, positions, np.arange(motion.frames))
    folder = Path(bpy.path.abspath("//")) / "facediff"
    name = bpy.path.clean_name(label)
    path = next(p for n in range(1, 10**6) if not (p := folder / f"{name}_{n:03d}.pc2").exists())
    try:
        folder.mkdir(exist_ok=True)
        blocks = (rest + values_at(moved, index[start : start + BLOCK]) for start in range(0, len(index), BLOCK))
        point_cache.write_pc2(path, len(rest), len(frames), blocks)
    except OSError as error:
        raise BakeError(f"The point cache cannot be written in '{folder}' ({error.strerror}).") from error
    bare = mesh.data.shape_keys is None
    try:
        if bare:
            heads.add_shape_keys(mesh, (), np.zeros((0, *rest.shape)))  # the action of the take needs an owner
        still = FaceMotion(motion.fps, (), np.zeros((motion.frames, 0)), *_rig_at_rest(mesh, motion.frames))
        relative = f"//facediff/{path.name}"
        facts = {**(facts or {}), "cache": relative}
        take = bake(mesh, still, timing, label, facts, _still_keys(mesh, ()))
    except BaseException:
        if bare:
            mesh.shape_key_clear()
        path.unlink()
        raise
    point_cache.attach(mesh, relative, take.frame_start)
    return replace(take, note=f"Point cache {path.name}, {path.stat().st_size / 1e6:.1f} MB.")


def _is_vertex_key(name: str) -> bool:
    word, _, numbers = name.partition(" ")
    return word == "vertices" and numbers.replace(".", "").isdigit() and numbers[:1].isdigit()


def _still_keys(mesh: bpy.types.Object, moved: tuple[str, ...]) -> tuple[str, ...]:
    """Keys of this mesh's other kinds of takes, which must not add to this one."""
    names = [block.name for block in mesh.data.shape_keys.key_blocks[1:]]
    ours = [n for n in names if _is_vertex_key(n) or (flame_head.is_flame(mesh) and n.startswith("expression"))]
    return tuple(n for n in ours if n not in moved)


def _rig_at_rest(mesh: bpy.types.Object, frames: int) -> tuple[tuple[str, ...], np.ndarray]:
    """The names of the bones of a head made here, and no rotation: vertices say all."""
    rig = heads.rig_of(mesh) if heads.is_head(mesh) else None
    names = tuple(b for b in BONES if rig is not None and b in rig.pose.bones)
    return names, np.zeros((frames, len(names), 3), np.float32)
