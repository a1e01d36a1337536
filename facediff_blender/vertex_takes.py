"""Moving vertices on a mesh: as few shape keys as the tolerance allows, or as a point cache. Frames come block by block, so
that ten minutes of a large mesh need no more memory than ten seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ..engine.motion import Blocks, FaceMotion
from . import flame_head, heads, point_cache
from .bake import BONES, BakeError, Take, bake
from .resample import scene_frames, values_at
from .strips import Timing
from .vertex_keys import MAX_KEYS, TooManyKeys, compress

VERTEX_KEY = "vertices {}.{:03d}"  # number of the take on this mesh, number of the component
BLOCK = 64  # frames of a point cache in memory at once
STILL = "Still"  # the group of the curves with which `bake` holds keys at 0
JUDGED = 20  # frames whose mean tells which axes positions have


@dataclass(frozen=True)
class VertexOptions:
    """How moving vertices are written. kind: "KEYS" or "CACHE". tolerance: m, the greatest vertex error of shape keys."""

    kind: str = "KEYS"
    tolerance: float = 1e-4


EXACT_KEYS = VertexOptions()


def displacements(mesh: bpy.types.Object, motion: FaceMotion) -> Blocks:
    """(T, V, 3) float32 m: the motion's vertices relative to the mesh's rest, in the mesh's own axes.

    A head made here has Blender's axes. Of any other mesh: displacements are taken as they are, and positions in whichever of
    the file's axes (+y up) and Blender's (+z up) they lie nearer to the mesh. Raises BakeError when they are no vertices of it.
    """
    rest, vertices = heads.rest_of(mesh), _vertices_of(mesh, motion)
    turned = heads.is_head(mesh)
    positions = not str(motion.meta.get("vertices", "")).startswith("displacements")
    if positions and not turned:
        few = np.linspace(0, len(vertices) - 1, min(len(vertices), JUDGED)).round().astype(int)
        mean = vertices[few].mean(axis=0)
        turned = _distance(heads.to_blender(mean), rest) < _distance(mean, rest)

    def read(start: int, stop: int) -> np.ndarray:
        own = heads.to_blender(vertices[start:stop]) if turned else vertices[start:stop]
        return own - rest if positions else own

    return Blocks(vertices.shape, read)


def write_keys(
    mesh: bpy.types.Object, motion: FaceMotion, timing: Timing, label: str, facts: dict[str, Any] | None, tolerance: float
) -> Take:
    """The motion as shape keys of its own and their curves. tolerance: m. Raises BakeError with nothing changed."""
    _check_mesh(mesh, motion)
    try:
        found = compress(displacements(mesh, motion), tolerance)
    except TooManyKeys as problem:
        raise BakeError(
            f"{MAX_KEYS} shape keys would leave an error of {1000 * problem.error:.2f} mm, above the tolerance of "
            f"{1000 * tolerance:g} mm: choose Point Cache, or a larger tolerance."
        ) from None
    before = mesh.data.shape_keys
    names = [block.name for block in before.key_blocks] if before is not None else []
    number = 1 + max((int(n.split()[1].split(".")[0]) for n in filter(is_vertex_key, names)), default=0)
    # A motion that never leaves the rest still needs a key, or it would be no take.
    deltas = found.deltas if len(found.deltas) else np.zeros((1, len(mesh.data.vertices), 3), np.float32)
    weights = found.weights if len(found.deltas) else np.zeros((motion.frames, 1), np.float32)
    channels = tuple(VERTEX_KEY.format(number, n + 1) for n in range(len(deltas)))
    facts = {**(facts or {}), "shape_keys": len(channels), "error_mm": 1000 * found.error}
    made = heads.add_shape_keys(mesh, channels, deltas, lowest=-1.0)

    def undo() -> None:
        for key in made:
            mesh.shape_key_remove(key)
        if before is None:
            mesh.shape_key_clear()

    moved = FaceMotion(motion.fps, channels, weights, *_rig_at_rest(mesh, motion.frames))
    take = _baked(mesh, moved, timing, label, facts, undo)
    point_cache.mute(mesh)
    return replace(take, note=f"{len(channels)} shape keys, greatest vertex error {1000 * found.error:.3f} mm.")


def write_cache(
    mesh: bpy.types.Object, motion: FaceMotion, timing: Timing, label: str, facts: dict[str, Any] | None
) -> Take:
    """The motion as a PC2 file and a modifier that plays it. Raises BakeError with nothing changed."""
    _check_mesh(mesh, motion)
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

    def block(part: np.ndarray) -> np.ndarray:
        first = int(part[0])
        return rest + values_at(moved[first : int(part[-1]) + 2], part - first)

    try:
        folder.mkdir(exist_ok=True)
        blocks = (block(index[start : start + BLOCK]) for start in range(0, len(index), BLOCK))
        point_cache.write_pc2(path, len(rest), len(frames), blocks)
    except OSError as error:
        raise BakeError(f"The point cache cannot be written in '{folder}' ({error.strerror or error}).") from error
    bare = mesh.data.shape_keys is None

    def undo() -> None:
        if bare:
            mesh.shape_key_clear()
        path.unlink()

    if bare:
        heads.add_shape_keys(mesh, (), np.zeros((0, *rest.shape)))  # the action of the take needs an owner
    still = FaceMotion(motion.fps, (), np.zeros((motion.frames, 0)), *_rig_at_rest(mesh, motion.frames))
    relative = f"//facediff/{path.name}"
    take = _baked(mesh, still, timing, label, {**(facts or {}), "cache": relative}, undo)
    point_cache.attach(mesh, relative, take.frame_start)
    return replace(take, note=f"Point cache {path.name}, {path.stat().st_size / 1e6:.1f} MB.")


def is_vertex_key(name: str) -> bool:
    """Whether a shape key of this name was made for a take of moving vertices."""
    word, _, numbers = name.partition(" ")
    return word == "vertices" and numbers.replace(".", "").isdigit() and numbers[:1].isdigit()


def still_keys(mesh: bpy.types.Object, moved: tuple[str, ...]) -> tuple[str, ...]:
    """Keys of this mesh's other kinds of takes, which must not add to this one."""
    names = [block.name for block in mesh.data.shape_keys.key_blocks[1:]]
    ours = [n for n in names if is_vertex_key(n) or (flame_head.is_flame(mesh) and n.startswith("expression"))]
    return tuple(n for n in ours if n not in moved)


def remove_unused_keys(mesh: bpy.types.Object) -> int:
    """Remove the keys that vertex takes have left behind: those that no action of the file moves. Returns their number.

    An action that only holds a key at 0, so that it does not add to its own take, loses that curve with the key. Keys with a
    driver stay.
    """
    keys = mesh.data.shape_keys
    if keys is None or not mesh.data.is_editable or mesh.mode == "EDIT":
        return 0
    paths = {f'key_blocks["{n}"].value': n for n in (block.name for block in keys.key_blocks) if is_vertex_key(n)}
    bags = [bag for action in bpy.data.actions for layer in action.layers for strip in layer.strips for bag in strip.channelbags]
    curves = [(bag, curve) for bag in bags if bag.slot.target_id_type == "KEY" for curve in bag.fcurves if curve.data_path in paths]
    used = {curve.data_path for _, curve in curves if curve.group is None or curve.group.name != STILL}
    used |= {driver.data_path for driver in keys.animation_data.drivers} if keys.animation_data is not None else set()
    for bag, curve in curves:
        if curve.data_path not in used and bag.id_data.is_editable:
            bag.fcurves.remove(curve)
    unused = [name for path, name in paths.items() if path not in used]
    for name in unused:
        mesh.shape_key_remove(keys.key_blocks[name])
    return len(unused)


def _baked(
    mesh: bpy.types.Object, moved: FaceMotion, timing: Timing, label: str, facts: dict[str, Any], undo: Callable[[], None]
) -> Take:
    try:
        return bake(mesh, moved, timing, label, facts, still_keys(mesh, moved.channels))
    except BaseException:
        undo()
        raise


def _distance(points: np.ndarray, rest: np.ndarray) -> float:
    return float(np.linalg.norm(points - rest, axis=1).mean())


def _vertices_of(mesh: bpy.types.Object, motion: FaceMotion) -> np.ndarray | Blocks:
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


def _rig_at_rest(mesh: bpy.types.Object, frames: int) -> tuple[tuple[str, ...], np.ndarray]:
    """The names of the bones of a head made here, and no rotation: vertices say all."""
    rig = heads.rig_of(mesh) if heads.is_head(mesh) else None
    names = tuple(b for b in BONES if rig is not None and b in rig.pose.bones)
    return names, np.zeros((frames, len(names), 3), np.float32)
