"""The only file that knows that Blender versions differ, from 4.5 LTS to 5.2 LTS. It tests for features, never for numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import bpy


def sequencer_scene(context: bpy.types.Context) -> bpy.types.Scene:
    """The scene whose strips the user sees. From 5.0 the workspace may show another scene's sequencer than the 3D view's."""
    return getattr(context, "sequencer_scene", None) or context.scene


def all_strips(scene: bpy.types.Scene) -> Iterator[bpy.types.Strip]:
    """Every strip of a scene's sequencer, those inside meta strips included; none when the scene has no sequencer."""
    if scene.sequence_editor is not None:
        yield from scene.sequence_editor.strips_all


def strip_span(strip: bpy.types.Strip) -> tuple[int, int]:
    """(first frame, frame after the last) in which the strip is heard or seen, in frames of the sequencer's scene."""
    if hasattr(strip, "left_handle"):  # 5.1; the older names warn there
        return strip.left_handle, strip.right_handle
    return strip.frame_final_start, strip.frame_final_end


def metas_around(strip: bpy.types.Strip) -> Iterator[bpy.types.Strip]:
    """The meta strips that a strip lies in, from the inside out."""
    while (meta := strip.parent_meta()) is not None:
        yield meta
        strip = meta


def speed_of(strip: bpy.types.Strip, source_frames: int) -> float | None:
    """How many times faster than recorded the strip plays; None when its retiming keys change the speed on the way.

    source_frames: length of the sound in frames of the scene. Python sees only the keys' places on the timeline, so the
    source frames of keys between the first and the last stay unknown.
    """
    keys = [key.timeline_frame for key in strip.retiming_keys]
    if len(keys) < 2:
        return 1.0
    duration = strip.content_duration if hasattr(strip, "content_duration") else strip.frame_duration
    on_last_frame = keys[-1] == strip_content_start(strip) + duration - 1  # 4.5 keys the last frame, 5.0 the end
    return (source_frames - on_last_frame) / (keys[-1] - keys[0]) if len(keys) == 2 and keys[-1] > keys[0] else None


def movie_trims(strip: bpy.types.MovieStrip) -> tuple[int, int]:
    """How many frames of its file a movie strip leaves out for good, before and after its content."""
    if hasattr(strip, "content_trim_start"):
        return strip.content_trim_start, strip.content_trim_end
    return strip.animation_offset_start, strip.animation_offset_end


def movie_speed(strip: bpy.types.MovieStrip, source_frames: int, ratio: float) -> float | None:
    """Frames of its file per frame of the scene that a movie strip shows; None when that changes on the way.

    source_frames: of the file, less what is left out for good. ratio: the file's frames per second over the scene's. Without
    retiming keys a strip shows frame after frame, or keeps the file's own speed when it was added so; Python sees only its
    length.
    """
    keys = [key.timeline_frame for key in strip.retiming_keys]
    duration = strip.content_duration if hasattr(strip, "content_duration") else strip.frame_duration
    if len(keys) < 2:
        return 1.0 if duration == source_frames else ratio if abs(duration - source_frames / ratio) < 1 else None
    end = strip_content_start(strip) + duration
    if len(keys) > 2 or not end - 1 <= keys[-1] <= end or keys[-1] <= keys[0]:
        return None
    return (source_frames - (keys[-1] == end - 1)) / (keys[-1] - keys[0])  # 4.5 keys the last frame, 5.0 the end


def strip_content_start(strip: bpy.types.Strip) -> float:
    """The frame of the sequencer's scene at which the strip's untrimmed content begins."""
    return float(strip.content_start if hasattr(strip, "content_start") else strip.frame_start)


def strip_skipped(strip: bpy.types.SceneStrip) -> int:
    """How many frames of its content the strip skips before its content start."""
    return strip.content_trim_start if hasattr(strip, "content_trim_start") else strip.animation_offset_start


def new_curves(action: bpy.types.Action, owner: bpy.types.ID) -> tuple[bpy.types.ActionSlot, bpy.types.ActionChannelbag]:
    """A slot for `owner` in the action, and the channelbag that holds its F-curves and groups."""
    slot = action.slots.new(id_type=owner.id_type, name=owner.name)
    layer = action.layers[0] if action.layers else action.layers.new("Layer")
    strip = layer.strips[0] if layer.strips else layer.strips.new(type="KEYFRAME")
    return slot, strip.channelbag(slot, ensure=True)


def curves_of(owner: bpy.types.ID) -> dict[tuple[str, int], bpy.types.FCurve]:
    """The F-curves that animate this datablock now, by (data path, index); empty when nothing does."""
    data = owner.animation_data
    if data is None or data.action is None or data.action_slot is None:
        return {}
    bags = bags_of(data.action, data.action_slot)
    return {(curve.data_path, curve.array_index): curve for bag in bags for curve in bag.fcurves}


def slot_for(action: bpy.types.Action, owner: bpy.types.ID) -> bpy.types.ActionSlot | None:
    """The action's slot for a datablock of this kind: that of its name, else the first; None when there is none."""
    found = [slot for slot in action.slots if slot.target_id_type == owner.id_type]
    return next((slot for slot in found if slot.name_display == owner.name), next(iter(found), None))


def curves_in(action: bpy.types.Action, id_type: str) -> dict[tuple[str, int], bpy.types.FCurve]:
    """The F-curves of an action's first slot for this kind of datablock ("KEY", "OBJECT"), by (data path, index)."""
    slot = next((slot for slot in action.slots if slot.target_id_type == id_type), None)
    return {} if slot is None else {(c.data_path, c.array_index): c for bag in bags_of(action, slot) for c in bag.fcurves}


def bags_of(action: bpy.types.Action, slot: bpy.types.ActionSlot) -> list[bpy.types.ActionChannelbag]:
    """The channelbags that hold the slot's F-curves."""
    bags = (strip.channelbag(slot) for layer in action.layers for strip in layer.strips)
    return [bag for bag in bags if bag is not None]


def use_material_nodes(material: bpy.types.Material) -> Any:
    """The material's node tree; from 5.0 every material has one, and asking for it warns."""
    if material.node_tree is None:
        material.use_nodes = True
    return material.node_tree
