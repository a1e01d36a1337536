"""What FaceDiff wrote in a take, kept with the take, so that the keys an animator changed since are known without asking.

The place, value and interpolation of every key lie compressed in one property of the action (1800 frames of 60 curves:
a third of a megabyte beside the 12 MB of the keys themselves). A key that is not where and what was written counts
as edited, and so does a new one; a take moved in time as a whole does not. Keys of the keyframe type Extreme are pinned.
"""

from __future__ import annotations

import hashlib
import json
import zlib

import bpy
import numpy as np

from . import compat, keyframes

PROPERTY = "facediff_written"
PINNED = "EXTREME"  # the keyframe type (R in the Dope Sheet) that pins a key
Curve = tuple[int, str, int]  # handle of the slot, data path, index


def curves_of(action: bpy.types.Action) -> dict[Curve, bpy.types.FCurve]:
    """Every F-curve of the take; not the head's emotions, whose keys Blender puts in a take's action when it finds one."""
    return {
        (slot.handle, curve.data_path, curve.array_index): curve
        for slot in action.slots
        for bag in compat.bags_of(action, slot)
        for curve in bag.fcurves
        if not curve.data_path.startswith("facediff.")
    }


def store(action: bpy.types.Action, edited: dict[Curve, np.ndarray] | None = None) -> None:
    """Remember all keys as they are now as written.

    edited: frames by curve, as `edited_frames` gives them: the keys there are left out and go on counting as edited.
    """
    index, blocks = [], []
    for name, curve in curves_of(action).items():
        keys = keyframes.read(curve, ("co", "interpolation"))
        if edited is not None and name in edited:
            own = ~np.isin(keys["co"][:, 0], edited[name])
            keys = {k: v[own] for k, v in keys.items()}
        index.append([*name, len(keys["co"])])
        blocks.append(np.column_stack([keys["co"].view(np.uint32), keys["interpolation"].view(np.uint32)]))
    table = np.concatenate(blocks) if blocks else np.zeros((0, 3), np.uint32)
    # Bytes of equal weight side by side compress far better than whole numbers do.
    shuffled = np.ascontiguousarray(table.T.astype("<u4")).view(np.uint8).reshape(-1, 4).T
    header = json.dumps(index).encode()
    if PROPERTY in action:
        del action[PROPERTY]  # Blender writes over bytes as over a string, which ends at the first zero
    action[PROPERTY] = len(header).to_bytes(4, "little") + header + zlib.compress(shuffled.tobytes(), 3)


def stored(action: bpy.types.Action) -> dict[Curve, tuple[np.ndarray, np.ndarray]]:
    """Places and values (N, 2) float32 and interpolations (N,) int32 by curve, as written; empty when nothing is known."""
    data = action.get(PROPERTY)
    if data is None:
        return {}
    size = int.from_bytes(data[:4], "little")
    index = json.loads(data[4 : 4 + size])
    raw = np.frombuffer(zlib.decompress(data[4 + size :]), np.uint8)
    table = np.ascontiguousarray(raw.reshape(4, -1).T).view("<u4").reshape(3, -1).T
    found, start = {}, 0
    for handle, path, number, count in index:
        rows = np.ascontiguousarray(table[start : start + count])
        found[(handle, path, number)] = (rows[:, :2].copy().view(np.float32), rows[:, 2].astype(np.int32))
        start += count
    return found


def edited_frames(action: bpy.types.Action, pins: bool = True) -> dict[Curve, np.ndarray]:
    """The frames (float32, ascending) of each curve's keys that were changed or added since FaceDiff wrote or, with `pins`,
    are pinned. What `store` is given is without pins, for those say themselves that they stay.

    Curves without such keys are left out. Of an action about which nothing is stored only the pinned keys are known.
    """
    memory, curves = stored(action), curves_of(action)
    now = {name: keyframes.read(curve, ("co", "interpolation", "type")) for name, curve in curves.items()}
    moved = _moved({name: keys["co"] for name, keys in now.items()}, memory)
    pinned = keyframes.number_of("type", PINNED)
    found = {}
    for name, keys in now.items():
        changed = keys["type"] == pinned if pins else np.zeros(len(keys["type"]), bool)
        co, interpolation = memory.get(name, (np.zeros((0, 2), np.float32), np.zeros(0, np.int32)))
        frames = keys["co"][:, 0] - moved
        place = np.searchsorted(co[:, 0], frames)
        place[place == len(co)] = 0
        same = np.zeros(len(frames), bool)
        if len(co):
            same = (co[place, 0] == frames) & (co[place, 1] == keys["co"][:, 1])
            same &= interpolation[place] == keys["interpolation"]
        if memory:
            changed |= ~same
        if changed.any():
            found[name] = keys["co"][changed, 0]
    return found


def _moved(now: dict[Curve, np.ndarray], memory: dict[Curve, tuple[np.ndarray, np.ndarray]]) -> float:
    """By how many frames the take was moved as a whole: what most curves of an unchanged number of keys agree on."""
    shifts = [co[0, 0] - memory[c][0][0, 0] for c, co in now.items() if len(co) and c in memory and len(memory[c][0]) == len(co)]
    if not shifts:
        return 0.0
    values, counts = np.unique(shifts, return_counts=True)
    return float(values[counts.argmax()]) if counts.max() > len(shifts) / 2 else 0.0


def digest(action: bpy.types.Action) -> str:
    """A number in hexadecimal that two takes share exactly when their keys' places and values do."""
    total = hashlib.sha256()
    for (_, path, index), curve in sorted(curves_of(action).items(), key=lambda item: item[0][1:]):
        total.update(f"{path} {index} ".encode())
        total.update(keyframes.read(curve, ("co",))["co"].tobytes())
    return total.hexdigest()[:16]
