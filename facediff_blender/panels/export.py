"""The current take as a file."""

import bpy

from .. import formats
from ..operators import export
from .common import Panel, sentence


class FACEDIFF_PT_export(Panel, bpy.types.Panel):
    """The current take as a file."""

    bl_idname = "FACEDIFF_PT_export"
    bl_label = "Export"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """A button per format, what this Blender cannot write, and how far the last file is from the head."""
        layout = self.layout
        column = layout.column(align=True)
        column.label(text="FBX for")
        row = column.row(align=True)
        for preset in ("UNREAL", "UNITY", "BLENDER"):
            row.operator("facediff.export_fbx", text=preset.capitalize()).preset = preset
        column.label(text="Other files")
        row = column.row(align=True)
        for operator in export.OPERATORS[1:]:
            row.operator(operator.bl_idname)
        reason = export.why_not(context)
        if export.said and not reason:
            sentence(layout.box(), export.said, "INFO")
        missing = filter(None, (formats.why_not(operator.filename_ext) for operator in export.OPERATORS))
        for line in [reason] if reason else dict.fromkeys(missing):
            sentence(layout, line)


register, unregister = bpy.utils.register_classes_factory((FACEDIFF_PT_export,))
