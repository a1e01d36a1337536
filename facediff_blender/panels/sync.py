"""The sync report of the current take."""

import bpy

from .. import session, sync_check
from ..operators import sync
from ..operators.current import chosen
from .common import Panel, sentence

ROWS = 12  # missed closures that are listed; the markers show them all
FIGURES = (  # name, what the panel calls it, how it is written
    ("recall", "Closures reached", "{:.0%}"),
    ("precision", "Closures that belong", "{:.0%}"),
    ("labiodental_rate", "f and v at the teeth", "{:.0%}"),
    ("offset_ms", "Mouth late by", "{:.0f} ms"),
    ("closed_in_open_vowels", "Closed in open vowels", "{:.0%}"),
    ("blinks_per_minute", "Blinks per minute", "{:.0f}"),
)


class FACEDIFF_PT_sync(Panel, bpy.types.Panel):
    """Where the lips do not follow the speech."""

    bl_idname = "FACEDIFF_PT_sync"
    bl_label = "Sync Report"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """The button, the figures, and a row per missed closure."""
        layout = self.layout
        layout.operator("facediff.check_sync", icon="CHECKMARK")
        if (reason := sync.why_not(context)) and session.current.generation is None:
            sentence(layout, reason)
        _, action = chosen(context)
        report = sync_check.report_of(action) if action is not None else None
        if report is None:
            return
        figures, missed, digest = report
        if not sync_check.is_current(action, digest):
            sentence(layout, "The take was changed since: check it again.", "ERROR")
        column = layout.column(align=True)
        for name, words, form in FIGURES:
            if name in figures:
                split = column.split(factor=0.65)
                split.label(text=words)
                split.label(text=form.format(figures[name]))
        column = layout.column(align=True)
        for spot in missed[:ROWS]:
            button = column.operator(
                "facediff.go_to_missed", text=f"Frame {spot.frame}: lips open in {spot.phone}", icon="MARKER_HLT"
            )
            button.frame, button.first, button.last = spot.frame, spot.first, spot.last
        if len(missed) > ROWS:
            sentence(layout, f"and {len(missed) - ROWS} more, marked on the timeline.")
        layout.operator("facediff.clear_sync_markers", icon="X")
        if reason := sync.why_no_markers(context):
            sentence(layout, reason)


register, unregister = bpy.utils.register_classes_factory((FACEDIFF_PT_sync,))
