"""What was made, and the exports."""

import bpy

from .. import bake
from ..operators import export
from .common import Panel, sentence


class FACEDIFF_PT_takes(Panel, bpy.types.Panel):
    """What was made."""

    bl_idname = "FACEDIFF_PT_takes"
    bl_label = "Take"

    def draw(self, context: bpy.types.Context) -> None:
        """The current take's name and frames, and the exports."""
        layout = self.layout
        head = context.scene.facediff.chosen_head(context)
        take = bake.current_take(head) if head is not None else None
        if take is not None:
            first, last = take.frame_range
            layout.label(text=take.name, icon="ACTION")
            layout.label(text=f"Frames {first:.0f} to {last:.0f}", icon="BLANK1")
        column = layout.column(align=True)
        column.operator("facediff.export_fbx", icon="EXPORT")
        column.operator("facediff.export_alembic", icon="EXPORT")
        if reason := export.why_not(context) or export.why_no_alembic():
            sentence(layout, reason)


register, unregister = bpy.utils.register_classes_factory((FACEDIFF_PT_takes,))
