"""A part of the take made anew: which frames, which regions, and what becomes of the result."""

import bpy

from .. import session
from ..operators import regenerate
from ..operators.current import why_no_take
from .common import Panel, sentence


class FACEDIFF_PT_regenerate(Panel, bpy.types.Panel):
    """Which part."""

    bl_idname = "FACEDIFF_PT_regenerate"
    bl_label = "Regenerate a Part"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Frames, regions, emotion, and the button; then the pins."""
        layout, part = self.layout, context.scene.facediff.part
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.active = session.current.generation is None
        column = layout.column(align=True)
        column.prop(part, "range")
        if part.range == "FIELDS":
            column.prop(part, "frame_start")
            column.prop(part, "frame_end")
        row = layout.row(align=True)
        row.use_property_split = False
        row.prop(part, "regions")
        column = layout.column()
        column.prop(part, "feeling")
        column.prop(part, "selected_curves", text="Selected Curves")
        column.prop(part, "in_place")
        layout.operator("facediff.regenerate", icon="MOD_NOISE")
        if (reason := regenerate.why_not(context)) and session.current.generation is None:
            sentence(layout, reason)
        row = layout.row(align=True)
        row.operator("facediff.pin_keys", icon="PINNED", text="Pin Keys").unpin = False
        row.operator("facediff.pin_keys", icon="UNPINNED", text="Unpin").unpin = True
        if not why_no_take(context):
            sentence(layout, "Keys that you edited stay without a pin.", "INFO")


register, unregister = bpy.utils.register_classes_factory((FACEDIFF_PT_regenerate,))
