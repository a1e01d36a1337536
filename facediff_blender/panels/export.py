"""The current take as a file."""

import bpy

from .. import formats
from ..operators import export
from .common import Panel, sentence


class FACEDIFF_PT_export(Panel, bpy.types.Panel):
    """The current take as a file."""

    bl_idname = "FACEDIFF_PT_export"
    bl_label = "Export"

    def draw(self, context: bpy.types.Context) -> None:
        """A button per format, what this Blender cannot write, and how far the last file is from the head."""
        layout = self.layout
        column = layout.column(align=True)
        row = column.row(align=True)
        for preset in ("UNREAL", "UNITY", "BLENDER"):
            row.operator("facediff.export_fbx", text=f"FBX {preset.capitalize()}").preset = preset
        row = column.row(align=True)
        for operator in export.OPERATORS[1:]:
            row.operator(operator.bl_idname)
        missing = filter(None, (formats.why_not(operator.filename_ext) for operator in export.OPERATORS))
        if reason := export.why_not(context) or " ".join(dict.fromkeys(missing)):
            sentence(layout, reason)
        elif export.said:
            sentence(layout, export.said, "INFO")


register, unregister = bpy.utils.register_classes_factory((FACEDIFF_PT_export,))
