"""Add the starter head to the scene."""

import bpy

from ...engine.face.starter_head import HeadError, load_starter_head
from .. import heads


class FACEDIFF_OT_add_head(bpy.types.Operator):
    """Add the starter head, with ARKit's 52 shape keys and a rig for head and eyes, at the 3D cursor"""

    bl_idname = "facediff.add_head"
    bl_label = "Add Starter Head"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only in Object Mode, for the rig is built in Edit Mode."""
        cls.poll_message_set("Leave the present mode for Object Mode first")
        return context.mode == "OBJECT"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Build it, select it and make it the panel's head."""
        try:
            model = load_starter_head()
        except HeadError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        head = heads.add_head(model, context.scene, tuple(context.scene.cursor.location))
        for obj in context.selected_objects:
            obj.select_set(False)
        head.select_set(True)
        context.view_layer.objects.active = head
        context.scene.facediff.head = head
        return {"FINISHED"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """As execute, and look at it: a head of 25 cm is small in a scene for two-metre cubes."""
        result = self.execute(context)
        region = next((r for r in context.area.regions if r.type == "WINDOW"), None) if context.area else None
        if result == {"FINISHED"} and region is not None and context.area.type == "VIEW_3D":
            with context.temp_override(region=region):
                bpy.ops.view3d.view_axis(type="FRONT")
                bpy.ops.view3d.view_selected()
        return result


register, unregister = bpy.utils.register_classes_factory((FACEDIFF_OT_add_head,))
