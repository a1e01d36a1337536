"""Add a head to the scene: one of the starter heads, or one from the user's FLAME file."""

import os
from pathlib import Path

import bpy

from ...engine.face.flame import FlameError, load_flame
from ...engine.face.starter_head import HEADS, HeadError, load_starter_head
from .. import flame_arkit, flame_head, heads

SUBDIVISIONS = 1  # steps; 7 000 vertices become 27 000


class FACEDIFF_OT_add_head(bpy.types.Operator):
    """Add one of FaceDiff's own heads, with ARKit's 52 shape keys and a rig for head and eyes, at the 3D cursor"""

    bl_idname = "facediff.add_head"
    bl_label = "Add Starter Head"
    bl_options = {"REGISTER", "UNDO"}

    head: bpy.props.EnumProperty(
        name="Head",
        description="Who it is",
        items=[(name, who.partition(",")[0], who) for name, who in HEADS.items()],
    )
    level: bpy.props.EnumProperty(
        name="Detail",
        description="How fine its mesh is",
        items=[
            ("full", "Base", "About 7 000 vertices, a third of them hair, brows, lashes, eyes and teeth"),
            ("low", "Low", "About 2 100 of the same vertices, for crowds and games; the hair is painted on"),
            ("subdivided", "Subdivided", "The base mesh under a Subdivision Surface modifier; exports are of the base mesh"),
        ],
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only in Object Mode, for the rig is built in Edit Mode."""
        cls.poll_message_set("Leave the present mode for Object Mode first")
        return context.mode == "OBJECT"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Build it, select it and make it the panel's head."""
        try:
            model = load_starter_head(self.head, "low" if self.level == "low" else "full")
        except HeadError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        smooth = SUBDIVISIONS if self.level == "subdivided" else 0
        head = heads.add_head(model, context.scene, tuple(context.scene.cursor.location), smooth)
        _choose(context, head)
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


class FACEDIFF_OT_add_flame_head(bpy.types.Operator):
    """Add a head from your own FLAME file, with expression shape keys and a rig for neck, jaw and eyes, at the 3D cursor"""

    bl_idname = "facediff.add_flame_head"
    bl_label = "Add FLAME Head"
    bl_options = {"REGISTER", "UNDO"}

    filepath: bpy.props.StringProperty(subtype="FILE_PATH")
    filter_glob: bpy.props.StringProperty(default="*.pkl;*.npz", options={"HIDDEN"})
    expressions: bpy.props.IntProperty(
        name="Expressions", description="How many expression components become keys", default=50, min=1, max=100
    )

    poll = FACEDIFF_OT_add_head.poll

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Ask for the file."""
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Build it, select it and make it the panel's head. Nothing in the file is run."""
        path = bpy.path.abspath(self.filepath)
        try:
            model = load_flame(path)
        except FlameError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        location = tuple(context.scene.cursor.location)
        head = flame_head.add_flame_head(model, context.scene, location, self.expressions, os.path.basename(path))
        if problem := flame_arkit.attach_beside(head, Path(path)):
            self.report({"WARNING"}, problem)
        _choose(context, head)
        return {"FINISHED"}


def _choose(context: bpy.types.Context, head: bpy.types.Object) -> None:
    for obj in context.selected_objects:
        obj.select_set(False)
    head.select_set(True)
    context.view_layer.objects.active = head
    context.scene.facediff.head = head


register, unregister = bpy.utils.register_classes_factory((FACEDIFF_OT_add_head, FACEDIFF_OT_add_flame_head))
