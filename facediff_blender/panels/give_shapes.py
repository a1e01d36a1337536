"""Give a head without shape keys ARKit's shapes."""

import bpy

from .. import give_shapes
from ..jobs import JobState
from ..operators import give_shapes as operators
from .common import Panel, progress_text, sentence

STAGES = {
    "detect": "Looking for the face",
    "fit": "Laying the starter head over it",
    "carry": "Carrying the shapes over",
    "close": "Closing lips and lids",
    "smooth": "Smoothing",
}


class FACEDIFF_PT_give_shapes(Panel, bpy.types.Panel):
    """Points, and the button."""

    bl_idname = "FACEDIFF_PT_give_shapes"
    bl_parent_id = "FACEDIFF_PT_head"
    bl_label = "Give Shapes"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """The mesh, the two steps, progress, and what came of it."""
        layout = self.layout
        layout.prop(context.scene.facediff_give_shapes, "mesh", text="")
        obj = operators.chosen(context)
        if obj is not None and context.scene.facediff_give_shapes.mesh is None:
            sentence(layout, f"For '{obj.name}'.", "INFO")
        layout.operator("facediff.find_points", icon="EMPTY_AXIS")
        point = context.active_object
        if point is not None and give_shapes.POINT_PROPERTY in point:
            sentence(layout, f"This is: {point[give_shapes.POINT_PROPERTY]}", "RESTRICT_SELECT_OFF")
        layout.operator("facediff.give_shapes", icon="SHAPEKEY_DATA")
        if give_shapes.current.work is not None:
            self._progress(layout)
        elif reason := operators.why_not_give(context):
            sentence(layout, reason)
        if obj is not None and give_shapes.points_of(obj):
            layout.operator("facediff.remove_points", icon="X")
        if give_shapes.current.message:
            sentence(layout.box(), give_shapes.current.message, "ERROR" if give_shapes.current.failed else "INFO")

    def _progress(self, layout: bpy.types.UILayout) -> None:
        job = give_shapes.current.work.job
        text = progress_text(job)
        if job.state is JobState.RUNNING and not job.cancel_requested and job.stage in STAGES:
            text = f"{STAGES[job.stage]} · {job.fraction:.0%}"
        row = layout.row(align=True)
        row.progress(factor=job.fraction, text=text)
        row.operator("facediff.cancel_give_shapes", text="", icon="X")


register, unregister = bpy.utils.register_classes_factory((FACEDIFF_PT_give_shapes,))
