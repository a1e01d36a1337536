"""A curve to be: what it moves, in which group it stands, and its values."""

from __future__ import annotations

from dataclasses import dataclass

import bpy
import numpy as np

from . import compat
from .rotations import euler_angles, quaternions

REGIONS = (
    ("brow", "Brows"),
    ("eye", "Eyes"),
    ("cheek", "Cheeks and Nose"),
    ("nose", "Cheeks and Nose"),
    ("jaw", "Jaw"),
    ("mouth", "Mouth"),
    ("vowel", "Mouth"),
    ("viseme", "Mouth"),
    ("tongue", "Mouth"),
    ("mood", "Moods"),
    ("expression", "Expression"),
    ("vertices", "Vertices"),
)


@dataclass(frozen=True)
class Stroke:
    """A curve to be: the datablock and property that it moves, its group, and its values (F,).

    linked: the owner is another mesh of the character; its slot goes by its name alone, for the first one is the head's.
    """

    owner: bpy.types.ID
    path: str
    index: int
    group: str
    values: np.ndarray
    linked: bool = False


def slot_of(action: bpy.types.Action, owner: bpy.types.ID, linked: bool = False) -> bpy.types.ActionSlot | None:
    """The action's slot for a datablock; None when there is none."""
    if not linked:
        return compat.slot_for(action, owner)
    found = [slot for slot in action.slots if slot.target_id_type == owner.id_type]
    return next((slot for slot in found if slot.name_display == owner.name), None)


def region_of(channel: str) -> str:
    """The name of the F-curve group that a channel belongs to."""
    return next((region for prefix, region in REGIONS if channel.startswith(prefix)), "Other")


def key_path(name: str) -> str:
    """The data path of a shape key's value in its Key."""
    return f'key_blocks["{bpy.utils.escape_identifier(name)}"].value'


def bone_strokes(bone: bpy.types.PoseBone, matrices: np.ndarray) -> list[Stroke]:
    """The rotation of a pose bone, in Euler or Quaternion mode. matrices: (F, 3, 3) in the bone's own axes."""
    if bone.rotation_mode == "QUATERNION":
        attribute, values = "rotation_quaternion", quaternions(matrices)
    else:
        attribute, values = "rotation_euler", euler_angles(matrices, bone.rotation_mode)
    path = bone.path_from_id(attribute)
    return [Stroke(bone.id_data, path, axis, bone.name, values[:, axis]) for axis in range(values.shape[1])]
