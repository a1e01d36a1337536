"""How it is said, where that changes: emotions as properties of the head that can be keyed and driven, and a strip's own."""

import bpy

from .. import session
from ..emotions import INTENSITY, NAMES
from ..operators.current import why_no_head
from .common import Panel, sentence


def why_inactive(context: bpy.types.Context) -> str:
    """One sentence on why the head's emotions do not count now, or ""."""
    settings = context.scene.facediff
    if reason := why_no_head(context):
        return reason
    strip = settings.chosen_strip(context)
    if strip is not None and strip.facediff.emotion != "HEAD":
        return f"The strip '{strip.name}' carries an emotion of its own."
    return ""


class FACEDIFF_PT_emotion(Panel, bpy.types.Panel):
    """Emotions of the head, frame by frame."""

    bl_idname = "FACEDIFF_PT_emotion"
    bl_label = "Emotion over Time"
    bl_parent_id = "FACEDIFF_PT_speech"
    bl_options = {"DEFAULT_CLOSED"}

    def draw_header(self, context: bpy.types.Context) -> None:
        """Whether the head's emotions count."""
        head = context.scene.facediff.chosen_head(context)
        if head is not None:
            self.layout.prop(head.facediff, "animate_emotion", text="")

    def draw(self, context: bpy.types.Context) -> None:
        """A slider per emotion, each with the dot that keys it, and the emotion that the strip carries."""
        layout, settings = self.layout, context.scene.facediff
        layout.use_property_split = True
        layout.active = session.current.generation is None
        head, strip = settings.chosen_head(context), settings.chosen_strip(context)
        if head is not None:
            column = layout.column()
            column.active = head.facediff.animate_emotion and not why_inactive(context)
            for name in (*NAMES, INTENSITY):
                column.prop(head.facediff, name, slider=True)
        if strip is not None:
            column = layout.column()
            column.use_property_decorate = False
            column.prop(strip.facediff, "emotion", text=f"Strip '{strip.name}'")
            if strip.facediff.emotion not in ("HEAD", "neutral"):
                column.prop(strip.facediff, "intensity", slider=True)
        if reason := why_inactive(context):
            sentence(layout, reason)


register, unregister = bpy.utils.register_classes_factory((FACEDIFF_PT_emotion,))
