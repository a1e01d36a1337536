"""Which head and which take the operators and panels mean."""

import bpy

from .. import bake, session, take_list
from ..assign import why_not_writable


def chosen(context: bpy.types.Context) -> tuple[bpy.types.Object | None, bpy.types.Action | None]:
    """The panel's head and its current take; None where there is none."""
    head = context.scene.facediff.chosen_head(context)
    action = bake.current_take(head) if head is not None and head.type == "MESH" else None
    return head, action if take_list.is_take(action) else None


def why_busy() -> str:
    """One sentence while a generation is running, else ""."""
    return "A generation is running." if session.current.generation is not None else ""


def why_no_head(context: bpy.types.Context) -> str:
    """One sentence when no head is chosen, or ""."""
    return "" if context.scene.facediff.chosen_head(context) is not None else "Add a head, or choose one."


def why_no_take(context: bpy.types.Context) -> str:
    """One sentence on why there is no take to work on, or ""."""
    if reason := why_no_head(context):
        return reason
    head, action = chosen(context)
    if action is None:
        return f"'{head.name}' has no take yet: generate one, or choose one from the list."
    return why_not_writable(head)
