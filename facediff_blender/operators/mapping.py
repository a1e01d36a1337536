"""The table by which a head of the user's own speaks: matched by name, edited, saved, loaded; and its other meshes."""

import os
import secrets
from collections.abc import Iterable
from pathlib import Path

import bpy

from .. import heads, mapped, mapping, mapping_names, take_list
from .greyed import Greyed


def head_of(context: bpy.types.Context) -> bpy.types.Object | None:
    """The head that the panel shows, whether it can speak yet or not."""
    head = context.scene.facediff.chosen_head(context)
    if head is None and context.active_object is not None and context.active_object.type == "MESH":
        head = context.active_object
    return head


def why_not(context: bpy.types.Context) -> str:
    """One sentence on why the head can have no table, or ""."""
    head = head_of(context)
    if head is None or head.type != "MESH":
        return "Choose a mesh with shape keys."
    if not mapped.key_names(head):
        return f"'{head.name}' has no shape keys."
    return "" if head.is_editable else f"'{head.name}' is linked from another file and cannot be changed here."


def why_no_table(context: bpy.types.Context) -> str:
    """One sentence on why there is no table to edit or save, or ""."""
    problem = why_not(context)
    return problem or ("" if head_of(context).facediff_mapping.rows else "The table is empty: match it by name first.")


def why_not_savable(context: bpy.types.Context) -> str:
    """One sentence on why there is no table to save, or "". One that the names of the shape keys make can be saved, too."""
    problem = why_not(context)
    return problem or ("" if mapped.of(head_of(context)) is not None else why_no_table(context))


def fill(head: bpy.types.Object, rows: Iterable[mapping.Row]) -> None:
    """Put the rows in the head's table in place of those that are there."""
    own = head.facediff_mapping
    own.rows.clear()
    for row in rows:
        entry = own.rows.add()
        entry.channel, entry.key, entry.gain = row.channel, row.key, row.gain
    own.index = 0


class _OnHead(Greyed):
    """What all these operators share: a head that can have a table."""

    bl_options = {"REGISTER", "UNDO"}
    why_not = staticmethod(why_not)


class FACEDIFF_OT_match_keys(_OnHead, bpy.types.Operator):
    """Fill the table from the names of the shape keys: ARKit, Character Creator, Oculus, VRM, VRoid or MMD"""

    bl_idname = "facediff.match_keys"
    bl_label = "Match by Name"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Replace the table."""
        head = head_of(context)
        found = mapping_names.match(mapped.key_names(head))
        if not found.rows:
            self.report({"ERROR"}, f"No shape key of '{head.name}' has a known name: add rows by hand, or load a table.")
            return {"CANCELLED"}
        fill(head, found.rows)
        used = len({row.key for row in found.rows})
        self.report({"INFO"}, f"{used} of {len(mapped.key_names(head))} shape keys matched ({found.kind}).")
        return {"FINISHED"}


class FACEDIFF_OT_add_mapping_row(_OnHead, bpy.types.Operator):
    """Add a row to the table"""

    bl_idname = "facediff.add_mapping_row"
    bl_label = "Add Row"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """A row for the jaw on the active shape key; an automatic table becomes one that can be edited."""
        head = head_of(context)
        own = head.facediff_mapping
        if not own.rows and (others := mapped.of(head)) is not None:
            fill(head, others.rows)
        if len(own.rows) >= mapping.MAX_ROWS:
            self.report({"ERROR"}, f"The table has {mapping.MAX_ROWS} rows, which is the most it can have.")
            return {"CANCELLED"}
        row = own.rows.add()
        used = {(entry.channel, entry.key) for entry in own.rows}
        key = head.active_shape_key.name if head.active_shape_key_index > 0 else mapped.key_names(head)[0]
        row.key = key
        row.channel = next(name for name in ("jawOpen", *mapping.CHANNELS) if (name, key) not in used)
        own.index = len(own.rows) - 1
        return {"FINISHED"}


class FACEDIFF_OT_remove_mapping_row(_OnHead, bpy.types.Operator):
    """Remove the chosen row from the table"""

    bl_idname = "facediff.remove_mapping_row"
    bl_label = "Remove Row"
    why_not = staticmethod(why_no_table)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """The row before it becomes the chosen one."""
        own = head_of(context).facediff_mapping
        own.rows.remove(max(0, min(own.index, len(own.rows) - 1)))
        own.index = max(0, own.index - 1)
        return {"FINISHED"}


class FACEDIFF_OT_clear_mapping(_OnHead, bpy.types.Operator):
    """Empty the table, so that the names of the shape keys decide again"""

    bl_idname = "facediff.clear_mapping"
    bl_label = "Clear Table"
    why_not = staticmethod(why_no_table)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Take all rows away."""
        head_of(context).facediff_mapping.rows.clear()
        return {"FINISHED"}


class FACEDIFF_OT_save_mapping(_OnHead, bpy.types.Operator):
    """Save the table as a JSON file, for other heads and other people"""

    bl_idname = "facediff.save_mapping"
    bl_label = "Save Table"
    bl_options = {"REGISTER"}
    why_not = staticmethod(why_not_savable)
    filepath: bpy.props.StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: bpy.props.StringProperty(default="*.json", options={"HIDDEN"})

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        """Ask for the file."""
        self.filepath = f"{bpy.path.clean_name(head_of(context).name)}.json"
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Write it whole or not at all."""
        head = head_of(context)
        rows = mapped.of(head).rows
        path = Path(bpy.path.abspath(self.filepath)).with_suffix(".json")
        if problem := mapping.why_unusable(rows):
            self.report({"ERROR"}, problem)
            return {"CANCELLED"}
        partial = path.parent / f".mapping-{secrets.token_hex(8)}.part"
        try:
            partial.write_text(mapping.to_json(rows, head.name), encoding="utf-8")
            os.replace(partial, path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            self.report({"ERROR"}, f"'{path.name}' cannot be written: {error.strerror or error}.")
            return {"CANCELLED"}
        self.report({"INFO"}, f"{len(rows)} rows saved in '{path.name}'.")
        return {"FINISHED"}


class FACEDIFF_OT_load_mapping(_OnHead, bpy.types.Operator):
    """Load a table from a JSON file; rows for shape keys that this head does not have are left out, and named"""

    bl_idname = "facediff.load_mapping"
    bl_label = "Load Table"
    filepath: bpy.props.StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: bpy.props.StringProperty(default="*.json", options={"HIDDEN"})

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        """Ask for the file."""
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Replace the table, or say in one sentence why not."""
        head = head_of(context)
        try:
            rows = mapping.load(Path(bpy.path.abspath(self.filepath)))
        except mapping.MappingError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        there = set(mapped.key_names(head))
        missing = list(dict.fromkeys(row.key for row in rows if row.key not in there))
        kept = [row for row in rows if row.key in there]
        if not kept:
            self.report({"ERROR"}, f"'{head.name}' has none of the table's shape keys, such as {mapping.listed(missing, 3)}.")
            return {"CANCELLED"}
        fill(head, kept)
        if missing:
            self.report({"WARNING"}, f"Left out, for '{head.name}' has no such shape keys: {mapping.listed(missing)}.")
        else:
            self.report({"INFO"}, f"{len(kept)} rows loaded.")
        return {"FINISHED"}


class FACEDIFF_OT_link_meshes(_OnHead, bpy.types.Operator):
    """Let teeth, brows, lashes and body of the same armature move along: every mesh whose shape keys the table can move"""

    bl_idname = "facediff.link_meshes"
    bl_label = "Find Meshes of the Character"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Add those that are found to the list, and propose the bone of the head."""
        head = head_of(context)
        own = head.facediff_mapping
        there = {entry.mesh for entry in own.meshes}
        found = [mesh for mesh in mapped.companions(head) if mesh not in there]
        for mesh in found:
            own.meshes.add().mesh = mesh
        rig = heads.rig_of(head)
        if rig is None and head.parent is not None and head.parent.type == "ARMATURE":
            rig = head.parent
        if own.turned is None and rig is not None and mapped.head_bone(rig):
            own.turned = rig
        names = mapping.listed([mesh.name for mesh in found])
        self.report({"INFO"}, f"{names} will move along." if found else "No other mesh of the character was found.")
        return {"FINISHED"}


class FACEDIFF_OT_unlink_mesh(_OnHead, bpy.types.Operator):
    """Let this mesh be: it goes back to rest, and the takes of the head no longer move it"""

    bl_idname = "facediff.unlink_mesh"
    bl_label = "Remove Mesh"
    index: bpy.props.IntProperty(options={"SKIP_SAVE"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Take it from the list, and the current take off its shape keys."""
        meshes = head_of(context).facediff_mapping.meshes
        if not 0 <= self.index < len(meshes):
            return {"CANCELLED"}
        mesh = meshes[self.index].mesh
        meshes.remove(self.index)
        keys = mesh.data.shape_keys if mesh is not None else None
        if keys is not None and keys.animation_data is not None and take_list.is_take(keys.animation_data.action):
            keys.animation_data.action = None
            for block in keys.key_blocks[1:]:
                block.value = min(max(0.0, block.slider_min), block.slider_max)
        return {"FINISHED"}


register, unregister = bpy.utils.register_classes_factory((
    FACEDIFF_OT_match_keys,
    FACEDIFF_OT_add_mapping_row,
    FACEDIFF_OT_remove_mapping_row,
    FACEDIFF_OT_clear_mapping,
    FACEDIFF_OT_save_mapping,
    FACEDIFF_OT_load_mapping,
    FACEDIFF_OT_link_meshes,
    FACEDIFF_OT_unlink_mesh,
))  # fmt: skip
