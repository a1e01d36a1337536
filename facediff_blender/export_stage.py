"""The scene as an exporter must find it: the head alone selected, the frames wanted, at the frame rate wanted. All is put back.

Subdivision is switched off meanwhile: a file carries the vertices that the shape keys move, and who reads it may subdivide them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import bpy
import numpy as np

from ..engine.motion import FaceMotion
from . import adjust_take, bake, compat, heads, keyframes, mapped, written
from .adjust import BLINK, MOUTH, kind_of
from .resample import mouth_times, values_at


@dataclass(frozen=True)
class Span:
    """first, last: frames of the scene (inclusive), the take's when None. fps: of the file, Hz; the scene's when None."""

    first: int | None = None
    last: int | None = None
    fps: float | None = None


def parts_of(head: bpy.types.Object) -> list[bpy.types.Object]:
    """What is exported: the head, its rig and the meshes that move along with it."""
    others = mapped.of(head)
    turned = [others.turned] if others is not None and others.turned is not None and others.turned.type == "ARMATURE" else []
    found = [head, *(others.meshes if others is not None else ()), heads.rig_of(head), *turned]
    return list(dict.fromkeys(obj for obj in found if obj is not None))


@contextmanager
def staged(context: bpy.types.Context, span: Span) -> Iterator[tuple[int, int, float]]:
    """Yields first frame, last frame, frames per second of what is to be exported, all in the scene as it stands then.

    With another frame rate than the scene's, copies of the actions stand in: their curves are resampled (a frame rate is
    not stamped on), the first frame stays the first, and lip closures and blinks fall on whole frames.
    """
    scene, layer = context.scene, context.view_layer
    head = scene.facediff.chosen_head(context)
    take = bake.current_take(head)
    start, end = take.frame_range if take is not None else (scene.frame_start, scene.frame_end)
    first = int(start) if span.first is None else span.first
    last = int(end) if span.last is None else span.last
    render = scene.render
    rate = render.fps / render.fps_base
    selected, active = context.selected_objects, layer.objects.active
    before = (scene.frame_start, scene.frame_end, scene.frame_current, scene.frame_subframe, render.fps, render.fps_base)
    stand_ins: list[tuple[bpy.types.AnimData, bpy.types.Action, bpy.types.ActionSlot]] = []
    smooth = [m for obj in parts_of(head) for m in obj.modifiers if m.type == "SUBSURF"]
    shown = [(m.show_viewport, m.show_render) for m in smooth]
    try:
        for modifier in smooth:
            modifier.show_viewport = modifier.show_render = False
        for obj in selected:
            obj.select_set(False)
        for obj in parts_of(head):
            obj.select_set(True)
        layer.objects.active = head
        fps = rate if span.fps is None else span.fps
        if abs(fps - rate) > 1e-6:
            stand_ins = _resampled(head, first, last, fps / rate, rate)
            last = first + int(np.floor((last - first) * fps / rate + 0.5))
            render.fps = int(np.ceil(fps))
            render.fps_base = render.fps / fps
        scene.frame_start, scene.frame_end = first, last
        yield first, last, fps
    finally:
        for modifier, (viewport, render_too) in zip(smooth, shown, strict=True):
            modifier.show_viewport, modifier.show_render = viewport, render_too
        for data, action, slot in stand_ins:
            copy, data.action = data.action, action
            data.action_slot = slot
            if copy.users == 0:
                bpy.data.actions.remove(copy)
        for obj in context.selected_objects:
            obj.select_set(False)
        for obj in selected:
            obj.select_set(True)
        layer.objects.active = active
        scene.frame_start, scene.frame_end = before[:2]
        render.fps, render.fps_base = before[4:]
        scene.frame_set(before[2], subframe=before[3])


def _resampled(
    head: bpy.types.Object, first: int, last: int, ratio: float, rate: float
) -> list[tuple[bpy.types.AnimData, bpy.types.Action, bpy.types.ActionSlot]]:
    owners = [
        owner
        for obj in parts_of(head)
        for owner in (obj, obj.data, getattr(obj.data, "shape_keys", None))
        if isinstance(owner, bpy.types.ID)
    ]
    copies: dict[bpy.types.Action, bpy.types.Action] = {}
    found = []
    for owner in owners:
        data = owner.animation_data
        if data is None or data.action is None or data.action_slot is None:
            continue
        action, slot = data.action, data.action_slot
        if action not in copies:
            copies[action] = copy = action.copy()
            copy.use_fake_user = False
            for name in (adjust_take.ORIGINAL, adjust_take.STATE):
                if name in copy:
                    del copy[name]
            _resample(copy, first, last, ratio, rate)
        found.append((data, action, slot))
        data.action = copies[action]
        data.action_slot = next(s for s in copies[action].slots if s.handle == slot.handle)
    return found


def _resample(action: bpy.types.Action, first: int, last: int, ratio: float, rate: float) -> None:
    """Let every curve of the action run `ratio` times as many frames from frame `first` on, with a key on each."""
    source = np.arange(first, last + 1)
    positions = (source - first) * ratio
    frames = np.arange(int(np.floor(positions[-1] + 0.5)) + 1)
    plain = np.interp(frames, positions, np.arange(len(source)))
    for slot in action.slots:
        curves = [curve for bag in compat.bags_of(action, slot) for curve in bag.fcurves if len(curve.keyframe_points)]
        if not curves:
            continue
        table = np.array([[curve.evaluate(f) for f in source.tolist()] for curve in curves], np.float32).T
        labels = [adjust_take.target(curve.data_path) for curve in curves]
        shapes = [k for k, (kind, _) in enumerate(labels) if kind == "key"]
        result = values_at(table, plain)
        channels = tuple(labels[k][1] for k in shapes)
        if shapes and len(set(channels)) == len(channels):
            mouth = [k for k in shapes if kind_of(labels[k][1]) == MOUTH]
            lids = [k for k in shapes if kind_of(labels[k][1]) == BLINK]
            times = mouth_times(FaceMotion(rate, channels, table[:, shapes]), positions, frames)
            result[:, mouth] = values_at(table[:, mouth], times)
            result[:, lids] = table[np.rint(plain).astype(np.int64)][:, lids]
        for k, curve in enumerate(curves):
            keyframes.write(curve, keyframes.dense(first + frames, result[:, k]))
    if written.PROPERTY in action:
        del action[written.PROPERTY]
