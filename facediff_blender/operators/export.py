"""Export the animated head as FBX (mesh, shape-key animation, rig) or Alembic (the exact mesh of every frame)."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import bpy

from .. import bake, heads


class ExportError(ValueError):
    """Nothing was exported; the message is one sentence for the user."""


def why_not(context: bpy.types.Context) -> str:
    """One sentence on why the head cannot be exported now, or ""."""
    head = context.scene.facediff.chosen_head(context)
    if head is None:
        return "Add a head, or choose one."
    if bake.current_take(head) is None:
        return "The head has no animation yet: generate a take first."
    if context.mode != "OBJECT":
        return "Leave the present mode for Object Mode first."
    for obj in (head, heads.rig_of(head)):
        if obj is not None and (context.view_layer.objects.get(obj.name) != obj or not obj.visible_get()):
            return f"'{obj.name}' is hidden: show it first."
    return ""


def why_no_alembic() -> str:
    """One sentence when this build of Blender cannot write Alembic, or ""."""
    return "" if bpy.app.build_options.alembic else "This build of Blender has no Alembic."


def export(context: bpy.types.Context, path: str, suffix: str, write: Callable[[Path], None]) -> Path:
    """Run `write` on a temporary file beside `path` and move it into place: the file appears whole or not at all.

    Meanwhile only the head and its rig are selected and the scene's range is that of the current take; both are put
    back. Returns the final path. Raises ExportError.
    """
    if problem := why_not(context):
        raise ExportError(problem)
    target = Path(bpy.path.ensure_ext(bpy.path.abspath(path), suffix))
    if not target.stem.strip(". ") or target.is_dir():
        raise ExportError(f"'{path}' is not a file name.")
    if not target.parent.is_dir():
        raise ExportError(f"The folder '{target.parent}' does not exist.")
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.stem}-", suffix=suffix)
        os.close(handle)
    except OSError as error:
        raise ExportError(f"Nothing can be written in '{target.parent}' ({error.strerror}).") from error
    partial = Path(name)
    partial.unlink()  # an exporter that writes nothing must not look like one that did
    try:
        with _only_the_take(context):
            write(partial)
        if not partial.is_file() or partial.stat().st_size == 0:
            raise ExportError(f"Blender wrote nothing to '{target.name}'.")
        os.replace(partial, target)
    except (RuntimeError, OSError) as error:  # RuntimeError: what an exporter reports
        raise ExportError(f"'{target.name}' could not be written: {error}".strip()) from error
    finally:
        partial.unlink(missing_ok=True)
    return target


@contextmanager
def _only_the_take(context: bpy.types.Context) -> Iterator[None]:
    scene, layer = context.scene, context.view_layer
    head = scene.facediff.chosen_head(context)
    first, last = bake.current_take(head).frame_range
    selected, active = context.selected_objects, layer.objects.active
    before = (scene.frame_start, scene.frame_end, scene.frame_current)
    try:
        for obj in selected:
            obj.select_set(False)
        for obj in filter(None, (head, heads.rig_of(head))):
            obj.select_set(True)
        layer.objects.active = head
        scene.frame_start, scene.frame_end = int(first), int(last)
        yield
    finally:
        for obj in context.selected_objects:
            obj.select_set(False)
        for obj in selected:
            obj.select_set(True)
        layer.objects.active = active
        scene.frame_start, scene.frame_end = before[:2]
        scene.frame_set(before[2])


def write_fbx(path: Path) -> None:
    """What Blender's own FBX exporter makes of the selection, with one key per frame."""
    bpy.ops.export_scene.fbx(
        filepath=str(path),
        use_selection=True,
        object_types={"MESH", "ARMATURE"},
        use_mesh_modifiers=False,  # applying them would drop the shape keys
        add_leaf_bones=False,
        bake_anim=True,
        bake_anim_use_all_actions=False,
        bake_anim_use_nla_strips=False,
        bake_anim_force_startend_keying=True,
        bake_anim_simplify_factor=0.0,
    )


def write_alembic(path: Path) -> None:
    """The evaluated mesh of every frame of the scene's range."""
    scene = bpy.context.scene
    bpy.ops.wm.alembic_export(
        filepath=str(path),
        start=scene.frame_start,
        end=scene.frame_end,
        selected=True,
        as_background_job=False,
    )


class _Exporter:
    """The file browser and the report, the same for every format."""

    filepath: bpy.props.StringProperty(subtype="FILE_PATH")
    check_existing: bpy.props.BoolProperty(default=True, options={"HIDDEN"})
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether there is a take to export."""
        reason = why_not(context)
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Ask for the file, beside the .blend and named after it."""
        if not self.filepath:
            base = os.path.splitext(bpy.data.filepath)[0] or "facediff"
            self.filepath = base + self.filename_ext
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def check(self, context: bpy.types.Context) -> bool:
        """Let the file browser show the name with its ending."""
        path = bpy.path.ensure_ext(self.filepath, self.filename_ext)
        changed, self.filepath = path != self.filepath, path
        return changed

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Write the file."""
        try:
            path = export(context, self.filepath, self.filename_ext, self.write)
        except ExportError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self.report({"INFO"}, f"Exported {path}")
        return {"FINISHED"}


class FACEDIFF_OT_export_fbx(_Exporter, bpy.types.Operator):
    """Export the head with its shape keys, their animation and its rig, over the frames of the current take"""

    bl_idname = "facediff.export_fbx"
    bl_label = "Export FBX"
    filename_ext = ".fbx"
    write = staticmethod(write_fbx)
    filter_glob: bpy.props.StringProperty(default="*.fbx", options={"HIDDEN"})


class FACEDIFF_OT_export_alembic(_Exporter, bpy.types.Operator):
    """Export the exact mesh of every frame of the current take"""

    bl_idname = "facediff.export_alembic"
    bl_label = "Export Alembic"
    filename_ext = ".abc"
    write = staticmethod(write_alembic)
    filter_glob: bpy.props.StringProperty(default="*.abc", options={"HIDDEN"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether there is a take to export and Blender can write it."""
        if reason := why_no_alembic():
            cls.poll_message_set(reason)
            return False
        return super().poll(context)


register, unregister = bpy.utils.register_classes_factory((FACEDIFF_OT_export_fbx, FACEDIFF_OT_export_alembic))
