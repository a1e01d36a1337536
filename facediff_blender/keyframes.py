"""All keys of an F-curve at once, every attribute of them, and curves of which only a stretch is written anew."""

from __future__ import annotations

import bpy
import numpy as np

ATTRIBUTES = {  # of a keyframe: numbers it has, type
    "co": (2, np.float32),
    "handle_left": (2, np.float32),
    "handle_right": (2, np.float32),
    "handle_left_type": (1, np.int32),
    "handle_right_type": (1, np.int32),
    "interpolation": (1, np.int32),
    "easing": (1, np.int32),
    "type": (1, np.int32),
    "back": (1, np.float32),
    "amplitude": (1, np.float32),
    "period": (1, np.float32),
    "select_control_point": (1, np.bool_),
    "select_left_handle": (1, np.bool_),
    "select_right_handle": (1, np.bool_),
}


def number_of(attribute: str, word: str) -> int:
    """The number that stands for an enum's word among the keys' attributes."""
    return bpy.types.Keyframe.bl_rna.properties[attribute].enum_items[word].value


def read(curve: bpy.types.FCurve, names: tuple[str, ...] = tuple(ATTRIBUTES)) -> dict[str, np.ndarray]:
    """The attributes of the N keys, (N,) or (N, 2) each."""
    count = len(curve.keyframe_points)
    found = {}
    for name in names:
        width, kind = ATTRIBUTES[name]
        values = np.empty(count * width, kind)
        curve.keyframe_points.foreach_get(name, values)
        found[name] = values.reshape(count, width) if width > 1 else values
    return found


def write(curve: bpy.types.FCurve, keys: dict[str, np.ndarray]) -> None:
    """Let the curve have exactly these keys, given as `read` gives them and in the order of time.

    Blender recomputes no handle by this, so a key that is put back is the same to the last bit; the caller tags the action.
    """
    points = curve.keyframe_points
    if len(points) != len(keys["co"]):
        points.clear()
        points.add(len(keys["co"]))
    for name, values in keys.items():
        points.foreach_set(name, np.ascontiguousarray(values).ravel())


def dense(frames: np.ndarray, values: np.ndarray) -> dict[str, np.ndarray]:
    """LINEAR keys of a take at these frames (F,), unselected, with handles a third of a frame away."""
    count = len(frames)
    keys = {name: np.zeros((count, width) if width > 1 else count, kind) for name, (width, kind) in ATTRIBUTES.items()}
    for name, shift in (("co", 0.0), ("handle_left", -1 / 3), ("handle_right", 1 / 3)):
        keys[name][:, 0], keys[name][:, 1] = frames + shift, values
    keys["handle_left_type"][:] = number_of("handle_left_type", "AUTO_CLAMPED")
    keys["handle_right_type"][:] = number_of("handle_right_type", "AUTO_CLAMPED")
    keys["interpolation"][:] = number_of("interpolation", "LINEAR")
    keys["easing"][:] = number_of("easing", "AUTO")
    keys["type"][:] = number_of("type", "KEYFRAME")
    keys["back"][:], keys["amplitude"][:], keys["period"][:] = 1.70158, 0.8, 4.1  # as Blender gives new keys
    return keys


def splice(curve: bpy.types.FCurve, first: int, last: int, new: dict[str, np.ndarray], kept: np.ndarray) -> None:
    """Put the new keys (as from `dense`) in place of the curve's keys from frame `first` to `last`.

    kept: (M,) frames of keys that stay although they lie inside; a new key at the frame of one that stays gives way.
    Every key that stays keeps its value, its handles and all else to the last bit.
    """
    old = read(curve)
    frames = old["co"][:, 0]
    stays = (frames < first) | (frames > last) | np.isin(frames, kept)
    fresh = ~np.isin(new["co"][:, 0], frames[stays])
    merged = {name: np.concatenate([old[name][stays], new[name][fresh]]) for name in old}
    order = np.argsort(merged["co"][:, 0], kind="stable")
    write(curve, {name: values[order] for name, values in merged.items()})
