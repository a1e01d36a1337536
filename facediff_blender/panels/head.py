"""Which head."""

import bpy

from .common import Panel, sentence


class FACEDIFF_PT_head(Panel, bpy.types.Panel):
    """Which head."""

    bl_idname = "FACEDIFF_PT_head"
    bl_label = "Head"

    def draw(self, context: bpy.types.Context) -> None:
        """The head's field, and the button that adds one."""
        layout, settings = self.layout, context.scene.facediff
        layout.operator("facediff.add_head", icon="ADD")
        layout.operator("facediff.add_flame_head", icon="FILE_FOLDER")
        if context.mode != "OBJECT":
            sentence(layout, "Heads are added in Object Mode.")
        layout.prop(settings, "head", text="")
        head = settings.chosen_head(context)
        if head is not None and settings.head is None:
            sentence(layout, f"Animates '{head.name}'.", "INFO")


register, unregister = bpy.utils.register_classes_factory((FACEDIFF_PT_head,))
