"""A character of the user's own: by which table its shape keys speak, which of its meshes move along, and what turns."""

from __future__ import annotations

from dataclasses import dataclass

import bpy
import numpy as np

from ..engine.face.arkit import ARKIT_52
from ..engine.motion import FaceMotion
from . import heads, mapping_names
from .mapping import Row, apply, listed, why_unusable
from .rotations import euler_angles, quaternions
from .strokes import Stroke, bone_strokes, key_path, region_of

HEAD_BONES = ("head", "jbipchead", "ccbasehead", "mixamorighead", "頭", "faceroot")  # small, without separators
FROM_MODEL = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])  # the model's axes in Blender's, see `heads`


@dataclass(frozen=True)
class Mapped:
    """rows: the table. kind: whose names the keys have, "" for a table of the user's. meshes: the head first, then those
    that move along. turned, bone: what shows the head's rotation, if anything; bone is "" for an object."""

    rows: tuple[Row, ...]
    kind: str
    meshes: tuple[bpy.types.Object, ...]
    turned: bpy.types.Object | None
    bone: str

    @property
    def plain(self) -> set[str]:
        """The channels that stand unchanged on a key of their own name, and on no other."""
        one = [row for row in self.rows if row.channel == row.key and row.gain == 1.0]
        return {row.channel for row in one if sum(row.key == other.key for other in self.rows) == 1}

    def owners(self) -> list[bpy.types.ID]:
        """What a take animates: the meshes' shape keys, the head's first, and what turns."""
        keys = list(dict.fromkeys(k for mesh in self.meshes if (k := mesh.data.shape_keys) is not None))
        return [*keys, *([self.turned] if self.turned is not None else [])]


def of(head: bpy.types.Object | None, motion: FaceMotion | None = None) -> Mapped | None:
    """How the head speaks by a table; None for FaceDiff's own heads, and where no table and no known name is.

    With a motion: None also when that motion has none of ARKit's channels.
    """
    if head is None or head.type != "MESH" or head.data.shape_keys is None:
        return None
    if motion is not None and not set(motion.channels) & set(ARKIT_52):
        return None
    own = getattr(head, "facediff_mapping", None)  # None where the add-on is only imported, not enabled
    if own is not None and own.rows:
        rows, kind = tuple(Row(row.channel, row.key, row.gain) for row in own.rows), ""
    elif heads.is_head(head):
        return None
    else:
        found = mapping_names.match(key_names(head))
        rows, kind = found.rows, found.kind
    if not rows:
        return None
    if own is None:
        return Mapped(rows, kind, (head,), None, "")
    linked = (entry.mesh for entry in own.meshes)
    meshes = [mesh for mesh in linked if mesh is not None and mesh != head and mesh.users_scene and mesh.data.shape_keys]
    turned = own.turned if own.turned is not None and own.turned.users_scene else None
    return Mapped(rows, kind, tuple(dict.fromkeys([head, *meshes])), turned, own.bone)


def key_names(mesh: bpy.types.Object) -> tuple[str, ...]:
    """The names of the mesh's shape keys without the Basis; none when it has no keys."""
    keys = mesh.data.shape_keys
    return () if keys is None else tuple(block.name for block in keys.key_blocks[1:])


def rows_for(mapped: Mapped, mesh: bpy.types.Object) -> tuple[Row, ...]:
    """The rows by which a mesh moves along: those of the head's table whose keys it has, else those that its names ask for."""
    if mesh == mapped.meshes[0]:
        return mapped.rows
    there = set(key_names(mesh))
    return tuple(row for row in mapped.rows if row.key in there) or mapping_names.match(key_names(mesh)).rows


def why_not(head: bpy.types.Object) -> str:
    """One sentence on why the head's table cannot be used now, or ""."""
    mapped = of(head)
    if mapped is None:
        return ""
    if problem := why_unusable(mapped.rows, key_names(head), f"'{head.name}'"):
        return problem
    if {row.key for row in mapped.rows} <= driven(head):
        return f"Every shape key in the table of '{head.name}' has a driver: delete those drivers first."
    if not head.data.shape_keys.use_relative:
        return f"The shape keys of '{head.name}' are absolute: switch Relative on for them first."
    return ""


def driven(mesh: bpy.types.Object) -> set[str]:
    """The keys of the mesh whose value a driver sets."""
    keys = mesh.data.shape_keys
    data = keys.animation_data if keys is not None else None
    paths = {curve.data_path for curve in data.drivers} if data is not None else set()
    return {name for name in key_names(mesh) if key_path(name) in paths} if paths else set()


def strokes(
    mapped: Mapped, motion: FaceMotion, weights: np.ndarray, rotations: np.ndarray, part: bool = False
) -> list[Stroke]:
    """The curves of all meshes and of what turns: weights (F, K) of the motion's channels, rotations (F, J, 3, 3).

    part: only keys that take one of the motion's channels as it is. Keys with drivers are left to them.
    """
    found = []
    written = set()
    for mesh in mapped.meshes:
        keys = mesh.data.shape_keys
        if keys in written:  # two objects of one mesh
            continue
        written.add(keys)
        rows = rows_for(mapped, mesh)
        if part:
            rows = tuple(row for row in rows if row.channel in mapped.plain & set(motion.channels))
        held = driven(mesh)
        regions = {row.key: region_of(row.channel) for row in reversed(rows)}
        for name, values in apply(rows, motion.channels, weights).items():
            if (block := keys.key_blocks.get(name)) is not None and name not in held:
                values = np.clip(values, block.slider_min, block.slider_max)
                linked = mesh != mapped.meshes[0]
                found.append(Stroke(keys, key_path(name), 0, regions[name], values, linked))
    if "head" in motion.rotation_names and not part and not why_not_turned(mapped):
        found += _turn_strokes(mapped.turned, mapped.bone, rotations[:, motion.rotation_names.index("head")])
    return found


def why_not_turned(mapped: Mapped) -> str:
    """One sentence on why the head's turning is left out of a take, or ""."""
    target = mapped.turned
    if target is None:
        return "The head does not turn: choose a bone or an object for it under Shape Keys."
    if mapped.bone and (target.type != "ARMATURE" or mapped.bone not in target.pose.bones):
        return f"The head does not turn: '{target.name}' has no bone '{mapped.bone}'."
    if not target.is_editable:
        return f"The head does not turn: '{target.name}' is linked from another file."
    mode = target.pose.bones[mapped.bone].rotation_mode if mapped.bone else target.rotation_mode
    if mode == "AXIS_ANGLE":
        return f"The head does not turn: '{mapped.bone or target.name}' is in Axis Angle mode."
    action = target.animation_data.action if target.animation_data is not None else None
    if action is not None and "facediff_take" not in action:
        return f"The head does not turn: '{target.name}' plays '{action.name}'; push that down in the NLA Editor first."
    return ""


def note_on(head: bpy.types.Object, motion: FaceMotion) -> str:
    """Sentences on what of the motion a take of this head leaves out, or ""."""
    mapped = of(head, motion)
    if mapped is None:
        return ""
    notes = []
    if "head" in motion.rotation_names and np.abs(motion.rotation("head")).max(initial=0.0) > 1e-4:
        notes.append(why_not_turned(mapped))
    held = [row.key for row in mapped.rows if row.key in driven(head)]
    if held:
        notes.append(f"Left to their drivers: {listed(list(dict.fromkeys(held)))}.")
    return " ".join(filter(None, notes))


def _turn_strokes(target: bpy.types.Object, bone_name: str, matrices: np.ndarray) -> list[Stroke]:
    """matrices: (F, 3, 3) in the model's axes."""
    axes = _axes(np.array(target.matrix_world.to_3x3().normalized() if bone_name else _parent(target)))
    turns = axes @ matrices @ axes.T
    if bone_name:
        bone = target.pose.bones[bone_name]
        rest = np.array(bone.bone.matrix_local.to_3x3())
        return bone_strokes(bone, rest.T @ turns @ rest)
    # An object's own rotation stays: its delta rotation turns it on top of that, in its parent's axes.
    if target.rotation_mode == "QUATERNION":
        path, values = "delta_rotation_quaternion", quaternions(turns)
    else:
        path, values = "delta_rotation_euler", euler_angles(turns, target.rotation_mode)
    return [Stroke(target, path, axis, "Head", values[:, axis]) for axis in range(values.shape[1])]


def _parent(target: bpy.types.Object) -> np.ndarray:
    if target.parent is None:
        return np.eye(3)
    return np.array((target.parent.matrix_world @ target.matrix_parent_inverse).to_3x3().normalized())


def _axes(world: np.ndarray) -> np.ndarray:
    """(3, 3) from the model's axes to those of a space that lies in the world so: y up, as of imported files, or z up."""
    up = world.T @ np.array([0.0, 0.0, 1.0])
    return np.eye(3) if abs(up[1]) > abs(up[2]) else FROM_MODEL


def head_bone(rig: bpy.types.Object) -> str:
    """The bone of an armature that is called a head, or ""."""
    for wanted in HEAD_BONES:
        for bone in rig.data.bones:
            if "".join(mapping_names.words_of(bone.name)) == wanted:
                return bone.name
    return ""


def companions(head: bpy.types.Object) -> list[bpy.types.Object]:
    """The other meshes of the character whose keys the head's table, or their own names, can move."""
    mapped = of(head)
    if mapped is None:
        return []
    rig = heads.rig_of(head) or head.parent
    scene = head.users_scene[0] if head.users_scene else None
    found = []
    for obj in scene.objects if scene is not None else ():
        if obj.type != "MESH" or obj == head or heads.is_head(obj) or obj.data.shape_keys is None:
            continue
        on_rig = rig is not None and (heads.rig_of(obj) == rig or _under(obj, rig))
        if (on_rig or _under(obj, head) or _under(head, obj)) and rows_for(mapped, obj):
            found.append(obj)
    return found


def _under(obj: bpy.types.Object, above: bpy.types.Object) -> bool:
    parent = obj.parent
    while parent is not None and parent != above:
        parent = parent.parent
    return parent is not None
