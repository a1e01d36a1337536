"""Adjust a take by sliders that act at once, and put it back, or make it so."""

import bpy

from .. import adjust, adjust_take, bake
from .current import why_no_head
from .greyed import Greyed


class FaceDiffAdjust(bpy.types.PropertyGroup):
    """`action.facediff_adjust`: the sliders of a take. Each writes the take's curves while it is dragged."""

    def changed(self, context: bpy.types.Context) -> None:
        """Write the curves under the sliders as they are now."""
        if not self.quiet:
            action = self.id_data
            adjust_take.refresh(action, self.settings(), adjust_take.rate_of(action, context.scene))

    def settings(self) -> adjust.Settings:
        """The sliders' values; times in seconds."""
        return adjust.Settings(
            mouth=self.mouth,
            upper=self.upper,
            head=self.head,
            blinks=self.blinks,
            closure=self.closure,
            smoothing=self.smoothing / 1000,
            offset=self.offset / 1000,
        )

    def centre(self) -> None:
        """Put every slider in its middle without touching the curves."""
        self.quiet = True
        for name in (*STRENGTHS, "smoothing", "offset"):
            self.property_unset(name)
        self.quiet = False

    quiet: bpy.props.BoolProperty(options={"HIDDEN", "SKIP_SAVE"})
    mouth: bpy.props.FloatProperty(
        name="Mouth", description="How far jaw, lips and tongue move", default=1.0, min=0.0, max=2.0, update=changed
    )
    upper: bpy.props.FloatProperty(
        name="Upper Face",
        description="How far brows, eyelids (but for blinks), cheeks and nose move",
        default=1.0,
        min=0.0,
        max=2.0,
        update=changed,
    )
    head: bpy.props.FloatProperty(
        name="Head", description="How far the head turns", default=1.0, min=0.0, max=2.0, update=changed
    )
    blinks: bpy.props.FloatProperty(
        name="Blinks", description="How far the lids close", default=1.0, min=0.0, max=2.0, update=changed
    )
    closure: bpy.props.FloatProperty(
        name="Lip Closure",
        description="How firmly the lips close where they close for a sound: 1 as made, 2 sealed and pressed, 0 not at all",
        default=1.0,
        min=0.0,
        max=2.0,
        update=changed,
    )
    smoothing: bpy.props.FloatProperty(
        name="Smoothing (ms)",
        description="Evens out movement shorter than this; lip closures, blinks and gaze stay as they are",
        default=0.0,
        min=0.0,
        max=300.0,
        soft_max=150.0,
        precision=0,
        update=changed,
    )
    offset: bpy.props.FloatProperty(
        name="Offset (ms)",
        description="Moves the performance against the sound; later is positive. What is pushed over an end of the take is lost "
        "only when it is applied",
        default=0.0,
        min=-1000.0,
        max=1000.0,
        soft_min=-300.0,
        soft_max=300.0,
        precision=0,
        update=changed,
    )


STRENGTHS = ("mouth", "upper", "head", "blinks", "closure")


def why_not(context: bpy.types.Context) -> str:
    """One sentence on why there is nothing to adjust, or ""."""
    head = context.scene.facediff.chosen_head(context)
    if head is None:
        return why_no_head(context)
    action = bake.current_take(head)
    if action is None:
        return "The head has no animation yet: generate a take first."
    return "" if action.is_editable else f"'{action.name}' is linked from another file."


def _why_nothing(context: bpy.types.Context) -> str:
    if reason := why_not(context):
        return reason
    action = bake.current_take(context.scene.facediff.chosen_head(context))
    return "" if adjust_take.is_adjusted(action) else "No slider was moved."


class _Finisher(Greyed):
    """Ends the work of the sliders."""

    bl_options = {"REGISTER", "UNDO"}
    why_not = staticmethod(_why_nothing)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Finish the adjustment; the sliders go back to their middle."""
        action = bake.current_take(context.scene.facediff.chosen_head(context))
        self.finish(action, adjust_take.rate_of(action, context.scene))
        return {"FINISHED"}


class FACEDIFF_OT_reset_adjustment(_Finisher, bpy.types.Operator):
    """Put the take's curves back as they were before the first slider moved, but for keys that you edited since"""

    bl_idname = "facediff.reset_adjustment"
    bl_label = "Reset"
    finish = staticmethod(adjust_take.reset)


class FACEDIFF_OT_apply_adjustment(_Finisher, bpy.types.Operator):
    """Make the adjusted curves the take's own and put the sliders back in their middle"""

    bl_idname = "facediff.apply_adjustment"
    bl_label = "Apply"
    finish = staticmethod(adjust_take.apply)


CLASSES = (FaceDiffAdjust, FACEDIFF_OT_reset_adjustment, FACEDIFF_OT_apply_adjustment)


def register() -> None:
    """Make `action.facediff_adjust` and the operators."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Action.facediff_adjust = bpy.props.PointerProperty(type=FaceDiffAdjust)


def unregister() -> None:
    """Remove them."""
    del bpy.types.Action.facediff_adjust
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
