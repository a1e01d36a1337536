"""Export the animated head in the format of an engine, a renderer or a retargeting tool, and read the file back."""

import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import bpy

from ...engine.face.livelink import LiveLinkError
from .. import bake, formats, read_back
from ..export_stage import Span, parts_of, staged
from ..formats import write_alembic, write_fbx
from .current import why_no_head
from .greyed import Greyed

WHOLE = Span()
said = ""  # what the last export came to, for the panel


class ExportError(ValueError):
    """Nothing was exported; the message is one sentence for the user."""


def why_not(context: bpy.types.Context) -> str:
    """One sentence on why the head cannot be exported now, or ""."""
    head = context.scene.facediff.chosen_head(context)
    if head is None:
        return why_no_head(context)
    if bake.current_take(head) is None:
        return "The head has no animation yet: generate a take first."
    if context.mode != "OBJECT":
        return "Leave the present mode for Object Mode first."
    for obj in parts_of(head):
        if context.view_layer.objects.get(obj.name) != obj or not obj.visible_get():
            return f"'{obj.name}' is hidden: show it first."
    return ""


def export(
    context: bpy.types.Context,
    path: str,
    suffix: str,
    write: Callable[[Path], None],
    span: Span = WHOLE,
    load: Callable[[str], object] | None = None,
) -> tuple[Path, str]:
    """Run `write` on a temporary file beside `path` and move it into place: the file appears whole or not at all.

    Meanwhile only the head and its rig are selected and the scene has the span's range and rate; all is put back.
    load: reads the file into the scene of the context, for a comparison before it is moved. Returns the final path and a
    sentence on the comparison. Raises ExportError.
    """
    if problem := why_not(context):
        raise ExportError(problem)
    head = context.scene.facediff.chosen_head(context)

    def run(file: Path) -> str:
        with staged(context, span) as (first, last, _):
            if last < first:
                raise ExportError(f"The range ends at frame {last}, before its start at frame {first}.")
            write(file)
            if not _is_there(file) or load is None:
                return ""
            render = context.scene.render
            rate, made = (render.fps, render.fps_base), read_back.sample(context.scene, head, first, last)
        try:
            millimetres = 1000 * read_back.difference(file, rate, load, made)
        except RuntimeError as error:
            return f"It could not be read back: {error}".strip()
        return f"Read back: at most {millimetres:.5f} mm off, {len(made.frames)} frames compared."

    return _place(path, suffix, run)


def export_csv(context: bpy.types.Context, path: str, span: Span = WHOLE, check: bool = True) -> tuple[Path, str]:
    """As `export`, for the ARKit CSV, which needs no scene to be read back. Raises ExportError."""
    if problem := why_not(context):
        raise ExportError(problem)
    head = context.scene.facediff.chosen_head(context)

    def run(file: Path) -> str:
        with staged(context, span) as (first, last, fps):
            if last < first:
                raise ExportError(f"The range ends at frame {last}, before its start at frame {first}.")
            formats.write_csv(file, head, first, last, fps)
            if not check:
                return ""
            weight, turn = formats.csv_difference(file, head, first, last, fps)
        return f"Read back: at most {weight:.6f} off in weight, {turn:.6f} in rotation (rad), every frame compared."

    return _place(path, ".csv", run)


def _place(path: str, suffix: str, run: Callable[[Path], str]) -> tuple[Path, str]:
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
    unfinished = Path(name)
    unfinished.unlink()  # an exporter that writes nothing must not look like one that did
    try:
        words = run(unfinished)
        if not _is_there(unfinished):
            raise ExportError(f"Blender wrote nothing to '{target.name}'.")
        os.replace(unfinished, target)
    except LiveLinkError as error:
        raise ExportError(str(error)) from error
    except (RuntimeError, OSError) as error:  # RuntimeError: what an exporter reports
        raise ExportError(f"'{target.name}' could not be written: {error}".strip()) from error
    finally:
        unfinished.unlink(missing_ok=True)
    return target, words


def _is_there(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0


class _Exporter(Greyed):
    """The file browser, its choices and the report, the same for every format."""

    load: Callable[[str], object] | None = None

    filepath: bpy.props.StringProperty(subtype="FILE_PATH")
    check_existing: bpy.props.BoolProperty(default=True, options={"HIDDEN"})
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN"})
    use_range: bpy.props.BoolProperty(
        name="Limit Frames", description="Export these frames instead of the whole take", default=False
    )
    frame_start: bpy.props.IntProperty(name="Start", default=1)
    frame_end: bpy.props.IntProperty(name="End", default=250)
    fps: bpy.props.FloatProperty(
        name="Frame Rate",
        description="Frames per second of the file; the curves are resampled. 0: the scene's own",
        default=0.0,
        min=0.0,
        max=240.0,
        precision=3,
    )
    compare: bpy.props.BoolProperty(
        name="Read Back", description="Read the file again and say how far it is from the head", default=True
    )

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """One sentence on why there is no take to export or Blender cannot write the format, or ""."""
        return formats.why_not(cls.filename_ext) or why_not(context)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Ask for the file, beside the .blend and named after it."""
        if not self.filepath:
            base = os.path.splitext(bpy.data.filepath)[0] or "facediff"
            self.filepath = base + self.filename_ext
        if not self.properties.is_property_set("frame_end"):
            first, last = bake.current_take(context.scene.facediff.chosen_head(context)).frame_range
            self.frame_start, self.frame_end = int(first), int(last)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def check(self, context: bpy.types.Context) -> bool:
        """Let the file browser show the name with its ending."""
        path = bpy.path.ensure_ext(self.filepath, self.filename_ext)
        changed, self.filepath = path != self.filepath, path
        return changed

    def span(self) -> Span:
        """The choices as a span."""
        if self.use_range:
            return Span(self.frame_start, self.frame_end, self.fps or None)
        return Span(fps=self.fps or None)

    def run(self, context: bpy.types.Context) -> tuple[Path, str]:
        """Write and compare."""
        load = type(self).load if self.compare else None
        return export(context, self.filepath, self.filename_ext, self.writer(), self.span(), load)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Write the file and say how far off it is."""
        global said
        try:
            path, words = self.run(context)
        except ExportError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        said = f"{path.name}: {words}" if words else f"{path.name} was written."
        self.report({"INFO"}, f"Exported {path}. {words}".strip())
        return {"FINISHED"}


class FACEDIFF_OT_export_fbx(_Exporter, bpy.types.Operator):
    """Export the head with its shape keys, their animation and its rig"""

    bl_idname = "facediff.export_fbx"
    bl_label = "FBX"
    filename_ext = ".fbx"
    load = staticmethod(formats.read_fbx)
    filter_glob: bpy.props.StringProperty(default="*.fbx", options={"HIDDEN"})
    preset: bpy.props.EnumProperty(
        name="For",
        items=(
            ("UNREAL", "Unreal", "Z up, face to -Y, centimetres, smoothing groups"),
            ("UNITY", "Unity", "Y up, metres, objects of scale 1, smoothing groups"),
            ("BLENDER", "Blender", "As Blender's own exporter writes it"),
        ),
        default="BLENDER",
    )
    thin: bpy.props.BoolProperty(name="Thin Keys", description="Leave out keys where a curve runs straight", default=False)

    def writer(self) -> Callable[[Path], None]:
        """For the preset."""
        return partial(write_fbx, preset=self.preset, thin=self.thin)


class FACEDIFF_OT_export_alembic(_Exporter, bpy.types.Operator):
    """Export the exact mesh of every frame"""

    bl_idname = "facediff.export_alembic"
    bl_label = "Alembic"
    filename_ext = ".abc"
    load = staticmethod(formats.read_alembic)
    filter_glob: bpy.props.StringProperty(default="*.abc", options={"HIDDEN"})

    def writer(self) -> Callable[[Path], None]:
        """The one way."""
        return write_alembic


class FACEDIFF_OT_export_gltf(_Exporter, bpy.types.Operator):
    """Export the head with morph targets, bones and their animation as one binary glTF file"""

    bl_idname = "facediff.export_gltf"
    bl_label = "glTF"
    filename_ext = ".glb"
    load = staticmethod(formats.read_gltf)
    filter_glob: bpy.props.StringProperty(default="*.glb", options={"HIDDEN"})
    thin: bpy.props.BoolProperty(name="Thin Keys", description="Leave out samples of what stands still", default=False)

    def writer(self) -> Callable[[Path], None]:
        """For the choice."""
        return partial(formats.write_gltf, thin=self.thin)


class FACEDIFF_OT_export_usd(_Exporter, bpy.types.Operator):
    """Export the head with blend shapes, skeleton and their animation as USD"""

    bl_idname = "facediff.export_usd"
    bl_label = "USD"
    filename_ext = ".usdc"
    load = staticmethod(formats.read_usd)
    filter_glob: bpy.props.StringProperty(default="*.usdc", options={"HIDDEN"})

    def writer(self) -> Callable[[Path], None]:
        """The one way."""
        return formats.write_usd


class FACEDIFF_OT_export_csv(_Exporter, bpy.types.Operator):
    """Export ARKit's weights and the head's and eyes' rotations as Live Link Face writes them"""

    bl_idname = "facediff.export_csv"
    bl_label = "ARKit CSV"
    filename_ext = ".csv"
    filter_glob: bpy.props.StringProperty(default="*.csv", options={"HIDDEN"})

    def run(self, context: bpy.types.Context) -> tuple[Path, str]:
        """Write and compare."""
        return export_csv(context, self.filepath, self.span(), self.compare)


OPERATORS = (
    FACEDIFF_OT_export_fbx,
    FACEDIFF_OT_export_alembic,
    FACEDIFF_OT_export_gltf,
    FACEDIFF_OT_export_usd,
    FACEDIFF_OT_export_csv,
)
register, unregister = bpy.utils.register_classes_factory(OPERATORS)
