"""Rows of strips and their speakers."""

import bpy

from .. import session
from ..operators import dialogue
from .common import Panel, sentence


class FACEDIFF_UL_strips(bpy.types.UIList):
    """The sound strips of the scene, each with its speaker."""

    bl_idname = "FACEDIFF_UL_strips"

    def draw_item(
        self,
        _context: bpy.types.Context,
        layout: bpy.types.UILayout,
        _data: object,
        item: bpy.types.Strip,
        _icon: int,
        _active_data: object,
        _active_property: str,
    ) -> None:
        """Name and speaker."""
        split = layout.split(factor=0.45)
        split.label(text=item.name, icon="SOUND")
        row = split.row()
        row.active = not item.mute
        row.prop(item.facediff, "head", text="", placeholder="speaker")

    def filter_items(
        self, _context: bpy.types.Context, data: bpy.types.SequenceEditor, _name: str
    ) -> tuple[list[int], list[int]]:
        """Show only sound, in the order of time."""
        word, everything = self.filter_name.lower(), list(data.strips_all)
        shown = [strip.type == "SOUND" and word in strip.name.lower() for strip in everything]
        order = sorted(range(len(everything)), key=lambda n: dialogue.begin_of(everything[n]))
        places = [0] * len(order)
        for place, number in enumerate(order):
            places[number] = place
        return [self.bitflag_filter_item if found else 0 for found in shown], places


class FACEDIFF_PT_dialogue(Panel, bpy.types.Panel):
    """Who speaks what."""

    bl_idname = "FACEDIFF_PT_dialogue"
    bl_label = "Dialogue"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """The rows, the chosen one's emotion, and the button for all of them."""
        layout, settings = self.layout, context.scene.facediff
        layout.active = session.current.generation is None
        editor = settings.scene_of_strips(context).sequence_editor
        if editor is not None:
            layout.template_list(
                FACEDIFF_UL_strips.bl_idname, "", editor, "strips_all", settings, "strip_index", rows=3
            )
            if (strip := settings.chosen_strip(context)) is not None:
                column = layout.column()
                column.use_property_split = True
                column.use_property_decorate = False
                column.prop(strip.facediff, "emotion")
                if strip.facediff.emotion not in ("HEAD", "neutral"):
                    column.prop(strip.facediff, "intensity", slider=True)
            layout.operator("facediff.assign_speaker", icon="USER")
        row = layout.row()
        row.scale_y = 1.4
        row.operator("facediff.generate_all", icon="PLAY")
        if (reason := dialogue.why_not(context)) and session.current.generation is None:
            sentence(layout, reason)


register, unregister = bpy.utils.register_classes_factory((FACEDIFF_UL_strips, FACEDIFF_PT_dialogue))
