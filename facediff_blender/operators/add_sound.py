"""Put a sound on the timeline without leaving the 3D View."""

import os

import aud
import bpy

from .. import compat


class FACEDIFF_OT_add_sound(bpy.types.Operator):
    """Put a sound file on the timeline, behind what is there, and choose it. The scene is made long enough for it"""

    bl_idname = "facediff.add_sound"
    bl_label = "Add Sound ..."
    bl_options = {"REGISTER", "UNDO"}

    filepath: bpy.props.StringProperty(subtype="FILE_PATH")
    filter_sound: bpy.props.BoolProperty(default=True, options={"HIDDEN"})
    filter_movie: bpy.props.BoolProperty(default=True, options={"HIDDEN"})
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Ask for the file."""
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Add the strip to the first channel of the scene whose sound is spoken."""
        settings = context.scene.facediff
        scene = settings.scene_of_strips(context)
        path = bpy.path.abspath(self.filepath)
        if not os.path.isfile(path):
            self.report({"ERROR"}, f"There is no file '{path}'.")
            return {"CANCELLED"}
        try:
            _ = aud.Sound.file(path).specs
        except aud.error:
            self.report({"ERROR"}, f"'{os.path.basename(path)}' holds no sound that Blender can read.")
            return {"CANCELLED"}
        first = max((compat.strip_span(strip)[1] for strip in compat.all_strips(scene)), default=scene.frame_start)
        name = os.path.splitext(os.path.basename(path))[0]
        strip = scene.sequence_editor_create().strips.new_sound(name, path, 1, first)
        settings.strip = strip.name
        scene.frame_end = max(scene.frame_end, compat.strip_span(strip)[1] - 1)
        return {"FINISHED"}


register, unregister = bpy.utils.register_classes_factory((FACEDIFF_OT_add_sound,))
