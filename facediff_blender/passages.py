"""Writing into a take that is there: a further strip of speech, or a part of it made anew. All other keys stay as they are."""

from __future__ import annotations

import bpy
import numpy as np

from ..engine.motion import FaceMotion
from . import adjust_take, bake, keyframes, mapped, written
from .bake import BakeError, Take
from .resample import to_scene
from .strips import Timing
from .strokes import Stroke, slot_of


def add(head: bpy.types.Object, action: bpy.types.Action, motion: FaceMotion, timing: Timing) -> Take:
    """Write a further motion in a take of the head; between two passages the face goes straight from one to the other.

    Keys of the take within the motion's frames give way. Raises BakeError before anything is changed.
    """
    if not motion.channels:
        raise BakeError("A model that moves vertices writes a take of its own for each strip: generate them one by one.")
    bake.targets(head, motion)
    frames, weights, rotations = to_scene(motion, np.asarray(timing.frame(np.arange(motion.frames) / motion.fps)))
    adjust_take.apply(action, timing.rate)
    edited = written.edited_frames(action, pins=False)
    found = bake.performance(head, motion, weights, rotations)
    splice(action, found, frames, int(frames[0]), int(frames[-1]), {})
    written.store(action, {c: f[(f < frames[0]) | (f > frames[-1])] for c, f in edited.items()})
    action.frame_start = min(action.frame_start, float(frames[0]))
    action.frame_end = max(action.frame_end, float(frames[-1]))
    return Take(action, int(frames[0]), int(frames[-1]), mapped.note_on(head, motion))


def splice(
    action: bpy.types.Action,
    strokes: list[Stroke],
    frames: np.ndarray,
    first: int,
    last: int,
    kept: dict[written.Curve, np.ndarray],
    still: bool = False,
) -> None:
    """Write the strokes' values (F,) at the frames (F,) in place of the action's keys from `first` to `last` (inclusive).

    kept: frames by curve, of keys that stay although they lie inside. Keys that stay are the same to the last bit.
    still: on frames outside, between a key that stays and the first or last new one, the curve is what it was, too; where
    its keys lie farther apart than a frame it gets keys on those frames.
    """
    curves = written.curves_of(action)
    for stroke in strokes:
        slot = slot_of(action, stroke.owner, stroke.linked)
        name = (slot.handle if slot is not None else 0, stroke.path, stroke.index)
        curve = curves.get(name)
        if curve is None:
            bake.write_stroke(action, stroke, frames)
        else:
            around = _between(curve, first, last) if still else np.zeros(0, int)
            same = [curve.evaluate(frame) for frame in around]
            new = keyframes.dense(np.append(frames, around), np.append(stroke.values, same))
            keyframes.splice(curve, first, last, new, kept.get(name, np.zeros(0, np.float32)))
    action.update_tag()


def _between(curve: bpy.types.FCurve, first: int, last: int) -> np.ndarray:
    """The whole frames outside of first..last, up to the nearest key on either side."""
    frames = keyframes.read(curve, ("co",))["co"][:, 0]
    before, after = frames[frames < first], frames[frames > last]
    left = np.arange(int(np.floor(before[-1])) + 1, first) if len(before) else np.zeros(0, int)
    right = np.arange(last + 1, int(np.ceil(after[0]))) if len(after) else np.zeros(0, int)
    return np.concatenate([left, right])
