"""Which head, and, for one of the user's own, by which of its shape keys it speaks."""

import bpy

from .. import heads, mapped
from ..operators import mapping
from .common import Panel, sentence


class FACEDIFF_PT_head(Panel, bpy.types.Panel):
    """Which head."""

    bl_idname = "FACEDIFF_PT_head"
    bl_label = "Head"

    def draw(self, context: bpy.types.Context) -> None:
        """The head's field, and the button that adds one."""
        layout, settings = self.layout, context.scene.facediff
        row = layout.row(align=True)
        row.operator("facediff.add_head", icon="ADD")
        row.operator_menu_enum("facediff.add_head", "head", text="", icon="DOWNARROW_HLT")
        layout.operator("facediff.add_flame_head", icon="FILE_FOLDER")
        if context.mode != "OBJECT":
            sentence(layout, "Heads are added in Object Mode.")
        layout.prop(settings, "head", text="")
        head = settings.chosen_head(context)
        if head is not None and settings.head is None:
            sentence(layout, f"Animates '{head.name}'.", "INFO")


class FACEDIFF_UL_mapping(bpy.types.UIList):
    """The rows of the table."""

    bl_idname = "FACEDIFF_UL_mapping"

    def draw_item(
        self,
        _context: bpy.types.Context,
        layout: bpy.types.UILayout,
        _data: bpy.types.PropertyGroup,
        item: bpy.types.PropertyGroup,
        _icon: int,
        _active_data: object,
        _active_property: str,
    ) -> None:
        """Channel, key and gain, each of which can be changed in place."""
        row = layout.row(align=True)
        row.prop(item, "channel", text="")
        row.prop(item, "key", text="")
        gain = row.row()
        gain.scale_x = 0.5
        gain.prop(item, "gain", text="", emboss=False)


class FACEDIFF_PT_shape_keys(Panel, bpy.types.Panel):
    """By which shape keys a head of the user's own speaks."""

    bl_idname = "FACEDIFF_PT_shape_keys"
    bl_parent_id = "FACEDIFF_PT_head"
    bl_label = "Shape Keys"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """The table, what moves along, and what turns."""
        layout = self.layout
        if problem := mapping.why_not(context):
            sentence(layout, problem)
            return
        head = mapping.head_of(context)
        own, speaks = head.facediff_mapping, mapped.of(head)
        if not own.rows:
            sentence(layout, _without_table(head, speaks), "INFO")
        row = layout.row()
        row.template_list(FACEDIFF_UL_mapping.bl_idname, "", own, "rows", own, "index", rows=4)
        column = row.column(align=True)
        column.operator("facediff.add_mapping_row", text="", icon="ADD")
        column.operator("facediff.remove_mapping_row", text="", icon="REMOVE")
        column.operator("facediff.clear_mapping", text="", icon="X")
        layout.operator("facediff.match_keys", icon="SORTALPHA")
        row = layout.row(align=True)
        row.operator("facediff.load_mapping", text="Load", icon="IMPORT")
        row.operator("facediff.save_mapping", text="Save", icon="EXPORT")
        if problem := mapped.why_not(head):
            sentence(layout, problem, "ERROR")
        if speaks is None:
            return
        layout.operator("facediff.link_meshes", icon="LINKED")
        for number, entry in enumerate(own.meshes):
            row = layout.row(align=True)
            row.label(text=entry.mesh.name if entry.mesh is not None else "(deleted)", icon="MESH_DATA")
            row.operator("facediff.unlink_mesh", text="", icon="X").index = number
        layout.prop(own, "turned")
        if own.turned is not None and own.turned.type == "ARMATURE":
            layout.prop(own, "bone")
        if reason := mapped.why_not_turned(speaks):
            sentence(layout, reason)


def _without_table(head: bpy.types.Object, speaks: mapped.Mapped | None) -> str:
    if speaks is not None:
        keys = len({row.key for row in speaks.rows})
        return f"'{head.name}' speaks with {keys} of its shape keys, known by name ({speaks.kind}). Match fills the table."
    if heads.is_head(head):
        return f"'{head.name}' takes the model's channels as they are."
    return f"No shape key of '{head.name}' has a known name: add rows by hand, or load a table."


register, unregister = bpy.utils.register_classes_factory((FACEDIFF_PT_head, FACEDIFF_UL_mapping, FACEDIFF_PT_shape_keys))
