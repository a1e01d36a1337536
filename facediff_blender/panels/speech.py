"""Which sound, how it is said, Generate and its progress."""

import bpy

from .. import compat, preferences, session
from ..operators import generate
from .common import Panel, draw_message, draw_progress, sentence, settings_column
from .engine import device_text


class FACEDIFF_PT_speech(Panel, bpy.types.Panel):
    """Which sound, and how it is said."""

    bl_idname = "FACEDIFF_PT_speech"
    bl_label = "Speech"

    def draw(self, context: bpy.types.Context) -> None:
        """Strip, emotion, intensity, seed; then Generate or the progress."""
        layout, settings = self.layout, context.scene.facediff
        column = settings_column(layout)
        strip = settings.chosen_strip(context)
        if strip is None:
            column.operator("facediff.add_sound", icon="SOUND")
        if strip is not None or settings.strip:
            row = column.row(align=True)
            row.prop(settings, "strip", icon="SOUND", placeholder=strip.name if strip is not None else "")
            row.operator("facediff.add_sound", text="", icon="ADD")
        head = settings.chosen_head(context)
        elsewhere = strip is not None and strip.facediff.emotion != "HEAD"
        elsewhere |= head is not None and head.facediff.animate_emotion
        row = column.row()
        row.active = not elsewhere
        row.prop(settings, "emotion")
        row = column.row()
        row.active = not elsewhere and settings.emotion != "neutral"
        row.prop(settings, "intensity", slider=True)
        column.prop(settings, "seed")
        layout.separator(factor=0.5)
        _draw_generate(layout, context)


def _draw_generate(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    if session.current.generation is not None:
        draw_progress(layout)
    else:
        row = layout.row(align=True)
        row.scale_y = 1.4
        row.operator("facediff.generate", icon="PLAY").variations = 1
        row.operator("facediff.generate", text="4 Variations").variations = 4
        if reason := generate.why_not(context):
            sentence(layout, reason)
    draw_message(layout)


class FACEDIFF_PT_advanced(Panel, bpy.types.Panel):
    """Where the sound lies, what the engine computes on, which model, and how the vertices of its mesh are written."""

    bl_idname = "FACEDIFF_PT_advanced"
    bl_label = "Advanced"
    bl_parent_id = "FACEDIFF_PT_speech"
    bl_order = 1  # below Emotion over Time, which registers later
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Scene, device, folder of the model; the last two matter only to a model of another mesh."""
        layout, settings = self.layout, context.scene.facediff
        column = settings_column(layout)
        shown = compat.sequencer_scene(context)
        column.prop(settings, "sequencer_scene", **({} if settings.sequencer_scene else {"placeholder": shown.name}))
        column.prop(settings, "extend_range")
        choice = preferences.get(context)
        column.prop(choice, "device")
        if text := device_text(session.current.client, choice.device):
            split = column.split(factor=0.4)
            split.label()
            sentence(split, text, width=24)
        column.prop(settings, "model", placeholder="starter")
        if settings.model:
            column.prop(settings, "vertex_result")
            if settings.vertex_result == "KEYS":
                column.prop(settings, "tolerance")


register, unregister = bpy.utils.register_classes_factory((FACEDIFF_PT_speech, FACEDIFF_PT_advanced))
