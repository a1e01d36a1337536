"""Whether a FLAME head speaks ARKit, and the button that teaches it."""

import bpy

from .. import flame_arkit, flame_head
from .common import Panel, sentence


class FACEDIFF_PT_flame(Panel, bpy.types.Panel):
    """Shown for heads that were made from a FLAME file."""

    bl_idname = "FACEDIFF_PT_flame"
    bl_parent_id = "FACEDIFF_PT_head"
    bl_label = "FLAME"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only for a FLAME head."""
        return flame_head.is_flame(context.scene.facediff.chosen_head(context))

    def draw(self, context: bpy.types.Context) -> None:
        """What it speaks."""
        layout, head = self.layout, context.scene.facediff.chosen_head(context)
        if flame_arkit.speaks(head):
            sentence(layout, f"Takes ARKit's motion, by the table of '{head[flame_arkit.SOURCE_PROPERTY]}'.", "INFO")
        else:
            sentence(layout, "Takes the motion of models that speak FLAME. For the starter model, and all that speaks ARKit:")
        layout.operator("facediff.flame_speak", icon="SHAPEKEY_DATA")


register, unregister = bpy.utils.register_classes_factory((FACEDIFF_PT_flame,))
