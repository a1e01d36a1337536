"""FaceMotion -> F-curves in bulk, and back. Every take is an action of its own; nothing that exists is overwritten."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np

from ..engine.motion import FaceMotion
from . import compat, heads, mapped, written
from .assign import TAKE_PROPERTY, assign, why_not_writable
from .correctives import is_corrective
from .resample import to_scene
from .rotations import axis_angles, matrices_from_euler, matrices_from_quaternions
from .strips import Timing
from .strokes import Stroke, bone_strokes, key_path, region_of, slot_of

LINEAR = 1  # the number of 'LINEAR' among a key's interpolations, which foreach_set wants
# Those that a motion turns; the starter head's jaw is a shape key and no bone, and FLAME's neck turns its head.
BONES = (*heads.JOINTS, "jaw", "neck")


class BakeError(ValueError):
    """The motion cannot be written to this head; the message is one sentence for the user."""


@dataclass(frozen=True)
class Take:
    """What was written: the action and its first and last frame (inclusive) in the head's scene."""

    action: bpy.types.Action
    frame_start: int
    frame_end: int
    note: str = ""  # a sentence on how exact it is, where it is not exact


def bake(
    head: bpy.types.Object,
    motion: FaceMotion,
    timing: Timing,
    label: str = "take",
    facts: dict[str, Any] | None = None,
    still: tuple[str, ...] = (),
) -> Take:
    """Write the motion as a new action on the head's shape keys and its rig's bones, and make it the current take.

    timing: which frame of the head's scene shows which second. facts: kept on the action (numbers, strings).
    still: keys that the take holds at 0, with one keyframe each.
    Weights are clamped to the keys' sliders; keys stand on whole frames and are LINEAR. The actions used before stay in
    the file.
    Raises BakeError before anything is changed.
    """
    keys, _ = targets(head, motion)
    positions = timing.frame(np.arange(motion.frames) / motion.fps)
    frames, weights, rotations = to_scene(motion, positions)
    action = bpy.data.actions.new(f"FaceDiff {label}")
    try:
        compat.new_curves(action, keys)
        for stroke in performance(head, motion, weights, rotations):
            write_stroke(action, stroke, frames)
        for name in still:
            write_stroke(action, Stroke(keys, key_path(name), 0, "Still", np.zeros(1)), frames[:1])
    except BaseException:
        bpy.data.actions.remove(action)
        raise
    action.use_fake_user = True
    action.use_frame_range = True
    action.frame_start, action.frame_end = float(frames[0]), float(frames[-1])
    action[TAKE_PROPERTY] = {**(facts or {}), "start": timing.start, "rate": timing.rate, "fps": motion.fps}
    written.store(action)
    assign(head, action)
    return Take(action, int(frames[0]), int(frames[-1]), mapped.note_on(head, motion))


def current_take(head: bpy.types.Object) -> bpy.types.Action | None:
    """The action that moves the head's shape keys now, or None."""
    keys = head.data.shape_keys
    return keys.animation_data.action if keys is not None and keys.animation_data is not None else None


def read_motion(head: bpy.types.Object, fps: float, frame_start: int, frame_end: int) -> FaceMotion:
    """The curves of the head as a FaceMotion, one motion frame per scene frame from frame_start to frame_end (inclusive).

    fps: of the scene. Shape keys without a curve hold their present value, bones without one their present rotation;
    correctives follow the others and are left out.
    Raises BakeError when the head has no shape keys.
    """
    keys = head.data.shape_keys
    if keys is None:
        raise BakeError(f"'{head.name}' has no shape keys.")
    frames = range(frame_start, frame_end + 1)
    curves = compat.curves_of(keys)
    names = tuple(block.name for block in keys.key_blocks[1:] if not is_corrective(block.name))
    weights = np.empty((len(frames), len(names)), np.float32)
    for k, name in enumerate(names):
        curve = curves.get((key_path(name), 0))
        weights[:, k] = keys.key_blocks[name].value if curve is None else [curve.evaluate(f) for f in frames]
    rig = heads.rig_of(head)
    bones = [rig.pose.bones[j] for j in heads.JOINTS if j in rig.pose.bones] if rig is not None else []
    turned = [axis_angles(bone_matrices(bone, frames, compat.curves_of(bone.id_data))) for bone in bones]
    return FaceMotion(
        fps=fps,
        channels=names,
        weights=np.clip(weights, 0.0, 1.0),
        rotation_names=tuple(bone.name for bone in bones),
        rotations=np.stack(turned, 1) if turned else np.zeros((len(frames), 0, 3)),
        meta={"source": "curves", "frame_start": frame_start},
    )


def targets(head: bpy.types.Object, motion: FaceMotion) -> tuple[bpy.types.Key, list[bpy.types.PoseBone]]:
    """The shape keys and the bones that the motion moves. Raises BakeError when it cannot be written on this head."""
    keys = head.data.shape_keys
    if motion.frames == 0:
        raise BakeError("The motion has no frames.")
    if mapped.of(head, motion) is not None:
        if problem := mapped.why_not(head) or why_not_writable(head):
            raise BakeError(problem)
        return keys, []
    if keys is None or (motion.channels and not set(motion.channels) & set(keys.key_blocks.keys())):
        raise BakeError(f"'{head.name}' has none of the shape keys that the motion moves, such as 'jawOpen'.")
    rig = heads.rig_of(head)
    bones = [rig.pose.bones[n] for n in motion.rotation_names if n in BONES and n in rig.pose.bones] if rig else []
    if problem := why_not_writable(head):
        raise BakeError(problem)
    for bone in bones:
        if bone.rotation_mode == "AXIS_ANGLE":
            raise BakeError(f"The bone '{bone.name}' is in Axis Angle mode: choose Euler or Quaternion for it first.")
    return keys, bones


def performance(
    head: bpy.types.Object, motion: FaceMotion, weights: np.ndarray, rotations: np.ndarray, part: bool = False
) -> list[Stroke]:
    """What a motion on F scene frames writes on the head and whatever moves with it: weights (F, K), rotations (F, J, 3, 3).

    part: the motion is a part, so that channels it does not have stay as they are. Raises BakeError as `targets` does.
    """
    keys, bones = targets(head, motion)
    if (others := mapped.of(head, motion)) is not None:
        return mapped.strokes(others, motion, weights, rotations, part)
    return strokes(keys, bones, motion, weights, rotations)


def strokes(
    keys: bpy.types.Key,
    bones: list[bpy.types.PoseBone],
    motion: FaceMotion,
    weights: np.ndarray,
    rotations: np.ndarray,
) -> list[Stroke]:
    """What a motion on F scene frames writes: weights (F, K), clamped to the sliders, and rotation matrices (F, J, 3, 3)."""
    found = []
    for k, channel in enumerate(motion.channels):
        if (block := keys.key_blocks.get(channel)) is not None:
            values = np.clip(weights[:, k], block.slider_min, block.slider_max)
            found.append(Stroke(keys, key_path(channel), 0, region_of(channel), values))
    for bone in bones:
        matrices = rotations[:, motion.rotation_names.index(bone.name)]
        found += bone_strokes(bone, matrices)
    return found


def write_stroke(action: bpy.types.Action, stroke: Stroke, frames: np.ndarray) -> None:
    """A new curve of the action with a LINEAR key on each frame (F,)."""
    slot = slot_of(action, stroke.owner, stroke.linked)
    bag = compat.bags_of(action, slot)[0] if slot is not None else compat.new_curves(action, stroke.owner)[1]
    _write_curve(bag, stroke.path, stroke.index, stroke.group, frames, stroke.values)


def _write_curve(
    bag: bpy.types.ActionChannelbag, path: str, index: int, group: str, frames: np.ndarray, values: np.ndarray
) -> None:
    curve = bag.fcurves.new(path, index=index)
    curve.group = bag.groups.get(group) or bag.groups.new(group)
    points = np.empty((len(frames), 2), np.float32)
    points[:, 0], points[:, 1] = frames, values
    curve.keyframe_points.add(len(frames))
    curve.keyframe_points.foreach_set("co", points.ravel())
    curve.keyframe_points.foreach_set("interpolation", np.full(len(frames), LINEAR, np.int32))
    curve.keyframe_points.foreach_set("select_control_point", np.zeros(len(frames), bool))
    curve.select = False
    curve.update()


def bone_matrices(
    bone: bpy.types.PoseBone, frames: range, curves: dict[tuple[str, int], bpy.types.FCurve]
) -> np.ndarray:
    """(F, 3, 3) rotations of the bone from these curves of its rig, in its own axes; without a curve its present one."""
    quaternion = bone.rotation_mode == "QUATERNION"
    attribute = "rotation_quaternion" if quaternion else "rotation_euler"
    path = bone.path_from_id(attribute)
    present = np.array(getattr(bone, attribute), np.float64)
    values = np.tile(present, (len(frames), 1))
    for axis in range(len(present)):
        if (curve := curves.get((path, axis))) is not None:
            values[:, axis] = [curve.evaluate(f) for f in frames]
    return matrices_from_quaternions(values) if quaternion else matrices_from_euler(values, bone.rotation_mode)
