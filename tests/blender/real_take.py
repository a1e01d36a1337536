"""A take that the starter made of the demo's speech (10 s, happy 0.6, with blinks), and heads that perform it."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
from facediff_tree.engine.face.starter_head import load_starter_head
from facediff_tree.engine.motion import FaceMotion
from facediff_tree.facediff_blender import bake, compat, heads
from facediff_tree.facediff_blender.strips import Timing

MOTION = Path(__file__).parent / "demo_take.npz"


def motion(seconds: float | None = None, fps: float | None = None) -> FaceMotion:
    """The take as the engine made it; `seconds`: repeated or cut to that length; `fps`: played at that rate."""
    made = FaceMotion.load(MOTION)
    frames = np.arange(made.frames if seconds is None else round(seconds * (fps or made.fps))) % made.frames
    return FaceMotion(
        fps=fps or made.fps,
        channels=made.channels,
        weights=made.weights[frames],
        rotation_names=made.rotation_names,
        rotations=made.rotations[frames],
    )


def perform(made: FaceMotion, start: float = 1.0) -> bpy.types.Object:
    """A starter head in the scene with the motion as its take, at the motion's own frame rate."""
    head = heads.add_head(load_starter_head(), bpy.context.scene)
    bpy.context.scene.render.fps = round(made.fps)
    bake.bake(head, made, Timing(start, made.fps))
    bpy.context.scene.facediff.head = head
    return head


def curves(head: bpy.types.Object) -> dict[tuple[str, int], bpy.types.FCurve]:
    """The curves of the shape keys and of the rig's bones."""
    return {**compat.curves_of(head.data.shape_keys), **compat.curves_of(heads.rig_of(head))}


def bits(head: bpy.types.Object) -> dict[tuple[str, int], bytes]:
    """Everything of every key of every curve, as bytes."""
    from facediff_tree.facediff_blender import keyframes

    return {name: b"".join(v.tobytes() for v in keyframes.read(c).values()) for name, c in curves(head).items()}


def weights(head: bpy.types.Object, frames: np.ndarray) -> dict[str, np.ndarray]:
    """Each shape key's curve at the frames, as Blender evaluates it."""
    found = {}
    for (path, _), curve in compat.curves_of(head.data.shape_keys).items():
        found[path.split('"')[1]] = np.array([curve.evaluate(f) for f in frames])
    return found
