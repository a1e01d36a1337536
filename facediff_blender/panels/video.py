"""Which film, what hides the face, Track and its progress."""

import bpy

from .. import session
from ..operators import track
from .common import Panel, draw_progress, sentence, settings_column


class FACEDIFF_PT_video(Panel, bpy.types.Panel):
    """Let the head do what an actor does."""

    bl_idname = "FACEDIFF_PT_video"
    bl_label = "Video"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """The film, its sound, what is hidden; then Track or the progress."""
        layout, video = self.layout, context.scene.facediff_video
        column = settings_column(layout)
        column.row().prop(video, "source", expand=True)
        if video.source == "FILE":
            column.prop(video, "file")
            column.prop(video, "frame")
        else:
            strip = video.chosen_strip(context)
            column.prop(video, "strip", icon="FILE_MOVIE", placeholder=strip.name if strip is not None else "no movie strip")
            column.prop(video, "sound", icon="SOUND", placeholder="the video's own")
        column.prop(video, "hidden")
        if video.hidden == "mask":
            column.prop(video, "mask")
            column.row().prop(video, "clock", expand=True)
        elif video.hidden in ("picture", "folder"):
            column.prop(video, video.hidden)
        column.prop(video, "seed")
        column.prop(video, "model")
        layout.separator(factor=0.5)
        if session.current.generation is not None:
            draw_progress(layout)
            return
        row = layout.row()
        row.scale_y = 1.4
        row.operator("facediff.track", icon="TRACKER")
        if reason := track.why_not(context):
            sentence(layout, reason)


register, unregister = bpy.utils.register_classes_factory((FACEDIFF_PT_video,))
