"""Which action moves a head: its shape keys and the bones of its rig together."""

from __future__ import annotations

import bpy
import numpy as np

from . import compat, heads, mapped
from .strokes import slot_of

TAKE_PROPERTY = "facediff_take"  # on an action: what the take was made from


def owners_of(head: bpy.types.Object) -> list[bpy.types.ID]:
    """The datablocks that a take of this head animates: its shape keys and its rig, as far as there are any.

    Of a user's own character: the shape keys of its meshes, the head's first, and what is chosen to turn.
    """
    keys = head.data.shape_keys
    if (others := mapped.of(head)) is not None:
        return others.owners()
    return [owner for owner in (keys, heads.rig_of(head)) if owner is not None]


def why_not_writable(head: bpy.types.Object) -> str:
    """One sentence on why no action can be put on the head now, or ""."""
    if head.data.shape_keys is None:
        return f"'{head.name}' has no shape keys."
    for owner in owners_of(head):
        if not owner.is_editable:
            return f"'{owner.name}' is linked from another file and cannot be animated here."
        if owner.animation_data is not None and owner.animation_data.use_tweak_mode:
            return f"An NLA strip of '{owner.name}' is being tweaked: leave tweak mode (Tab) first."
    return ""


def assign(head: bpy.types.Object, action: bpy.types.Action) -> None:
    """Let the action move the head. What only the take before it moved goes back to rest; that take stays in the file.

    A rig that the action does not turn keeps an action of the user's own, but no take.
    """
    for owner in owners_of(head):
        data = owner.animation_data
        before = data.action if data is not None else None
        if before == action:
            continue
        slot = slot_of(action, owner, owner.id_type == "KEY" and owner != head.data.shape_keys)
        was_take = before is not None and TAKE_PROPERTY in before
        if slot is None and not was_take:
            continue
        if was_take:
            _rest(owner, set(compat.curves_of(owner)) - set(compat.curves_in(action, owner.id_type)))
        data = owner.animation_data_create()
        if before is not None:
            before.use_fake_user = True  # the earlier take, or the user's own work, survives without a user
        data.action = action if slot is not None else None
        if slot is not None:
            data.action_slot = slot


def release(head: bpy.types.Object, action: bpy.types.Action) -> None:
    """Take the action off the head, which goes back to rest."""
    for owner in owners_of(head):
        if owner.animation_data is not None and owner.animation_data.action == action:
            _rest(owner, set(compat.curves_of(owner)))
            owner.animation_data.action = None


def _rest(owner: bpy.types.ID, paths: set[tuple[str, int]]) -> None:
    """Put the weights and rotations at these (data path, index) back to rest; others are left alone."""
    for path, index in paths:
        found = _owner_of_path(owner, path)
        if found is None:
            continue
        struct, name = found
        if name == "value":
            struct.value = np.clip(0.0, struct.slider_min, struct.slider_max)
        elif name.endswith(("rotation_euler", "rotation_quaternion")):
            getattr(struct, name)[index] = 1.0 if name.endswith("quaternion") and index == 0 else 0.0


def _owner_of_path(owner: bpy.types.ID, path: str) -> tuple[bpy.types.bpy_struct, str] | None:
    """The struct and the name of the property that a data path says; None when there is none such any more."""
    base, _, name = path.rpartition(".")
    try:
        return (owner.path_resolve(base) if base else owner), name
    except ValueError:
        return None
