"""The sliders of the current take, and fewer keys."""

import bpy

from .. import adjust_take, bake
from ..operators import adjust, thin
from .common import Panel, sentence


class FACEDIFF_PT_adjust(Panel, bpy.types.Panel):
    """The sliders of the current take."""

    bl_idname = "FACEDIFF_PT_adjust"
    bl_label = "Adjust"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Strengths, smoothing, offset; Reset and Apply."""
        layout = self.layout
        if reason := adjust.why_not(context):
            sentence(layout, reason)
            return
        action = bake.current_take(context.scene.facediff.chosen_head(context))
        layout.use_property_split = True
        layout.use_property_decorate = False
        column = layout.column(align=True)
        for name in (*adjust.STRENGTHS, "smoothing", "offset"):
            column.prop(action.facediff_adjust, name, slider=True)
        row = layout.row(align=True)
        row.operator("facediff.reset_adjustment", icon="LOOP_BACK")
        row.operator("facediff.apply_adjustment", icon="CHECKMARK")
        if adjust_take.is_adjusted(action):
            sentence(layout, "The take as made is kept until you apply.", "INFO")
        layout.operator("facediff.thin_keys", icon="KEYFRAME")
        if reason := thin.why_not(context):
            sentence(layout, reason)


register, unregister = bpy.utils.register_classes_factory((FACEDIFF_PT_adjust,))
