"""Thin the keys of a take."""

import bpy

from .. import bake, thin_take
from .greyed import Greyed


def why_not(context: bpy.types.Context) -> str:
    """One sentence on why the keys cannot be thinned, or ""."""
    head = context.scene.facediff.chosen_head(context)
    if head is None or head.data.shape_keys is None:
        return "Add a head, or choose one."
    return thin_take.why_not(bake.current_take(head))


class FACEDIFF_OT_thin_keys(Greyed, bpy.types.Operator):
    """Keep only the keys that the curves need, with fitted Bezier handles; lip closures, blinks and your own keys stay"""

    bl_idname = "facediff.thin_keys"
    bl_label = "Thin Keys"
    bl_options = {"REGISTER", "UNDO"}
    why_not = staticmethod(why_not)

    tolerance: bpy.props.FloatProperty(
        name="Greatest Error",
        description="How far any curve may be from what it was, on any frame and half-way between, in weight",
        default=0.02,
        min=0.0005,
        max=0.2,
        precision=4,
        step=0.1,
    )

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Thin, and say how many keys are left and how far off they are."""
        head = context.scene.facediff.chosen_head(context)
        try:
            report = thin_take.thin_take(head, bake.current_take(head), self.tolerance)
        except thin_take.ThinError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self.report({"INFO"}, report.sentence())
        return {"FINISHED"}


register, unregister = bpy.utils.register_classes_factory((FACEDIFF_OT_thin_keys,))
