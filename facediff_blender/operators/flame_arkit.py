"""Let a FLAME head speak ARKit: the engine makes the table of the user's FLAME file, beside that file; a minute at most."""

import contextlib
import os
import subprocess
import tempfile
from pathlib import Path

import bpy

from ...engine.errors import InputError
from ...engine.face.arkit_flame.file import SUFFIX, load_table
from .. import flame_arkit, flame_head, preferences
from ..engine_process import choose_engine, clean_environment

POLL = 0.2  # s between looks at whether the engine is done


def why_not(context: bpy.types.Context) -> str:
    """One sentence on why no head can be taught, or ""."""
    head = context.scene.facediff.chosen_head(context)
    if not flame_head.is_flame(head):
        return "Choose a FLAME head that FaceDiff added."
    return "" if head.is_editable else f"'{head.name}' is linked from another file and cannot be changed here."


class FACEDIFF_OT_flame_speak(bpy.types.Operator):
    """Let this FLAME head take ARKit's motion, such as the starter model's: choose the FLAME file it was made from, or the
    table that was made of it. Finding the shapes takes up to a minute, once per file; Blender stays usable, Esc cancels"""

    bl_idname = "facediff.flame_speak"
    bl_label = "Speak ARKit"
    bl_options = {"REGISTER", "UNDO"}

    filepath: bpy.props.StringProperty(subtype="FILE_PATH")
    filter_glob: bpy.props.StringProperty(default="*.pkl;*.npz", options={"HIDDEN"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only for a FLAME head."""
        if reason := why_not(context):
            cls.poll_message_set(reason)
        return not reason

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Ask for the file."""
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Take the table that is there, or have it made; in Blender without a window, wait for that."""
        self._head = context.scene.facediff.chosen_head(context)
        path = Path(bpy.path.abspath(self.filepath))
        beside = path if path.name.endswith(SUFFIX) else flame_arkit.table_beside(path)
        if path == beside or (beside.is_file() and _is_of(beside, path.name)):
            return self._finish(beside)
        self._table = beside
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - lives as long as the process
        python = choose_engine(preferences.find_python(preferences.get(context).engine_python)).python
        command = [python, "-m", "engine", "arkit-flame", str(path), "--out", str(beside)]
        try:
            self._process = subprocess.Popen(
                command, cwd=preferences.ROOT, env=clean_environment(os.environ), stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=self._said,
            )  # fmt: skip
        except OSError as error:
            self.report({"ERROR"}, f"The engine could not be started ({error.strerror or error}).")
            return {"CANCELLED"}
        if bpy.app.background:
            self._process.wait()
            return self._done()
        self._timer = context.window_manager.event_timer_add(POLL, window=context.window)
        context.window_manager.modal_handler_add(self)
        context.workspace.status_text_set("Finding ARKit's shapes on the FLAME head: Esc cancels")
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Look whether the engine is done."""
        if event.type == "ESC":
            self._process.kill()
        if event.type not in ("ESC", "TIMER") or (self._process.poll() is None and event.type == "TIMER"):
            return {"PASS_THROUGH"}
        self._process.wait()
        context.window_manager.event_timer_remove(self._timer)
        context.workspace.status_text_set(None)
        if event.type == "ESC":
            self.report({"INFO"}, "Cancelled; nothing was changed.")
            return {"CANCELLED"}
        return self._done()

    def cancel(self, context: bpy.types.Context) -> None:
        """The window closes."""
        self._process.kill()

    def _done(self) -> set[str]:
        self._said.seek(0)
        said = self._said.read().strip().splitlines()
        self._said.close()
        if self._process.returncode != 0:
            self.report({"ERROR"}, said[-1] if said else "The engine ended without a word.")
            return {"CANCELLED"}
        return self._finish(self._table)

    def _finish(self, table: Path) -> set[str]:
        try:
            found = load_table(table)
            flame_arkit.attach(self._head, found)
        except ReferenceError:
            self.report({"ERROR"}, "The head is gone.")
            return {"CANCELLED"}
        except InputError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        off = found.residual_mm.mean()
        self.report({"INFO"}, f"'{self._head.name}' speaks ARKit: its shapes are off by {off:.2f} mm on average.")
        return {"FINISHED"}


def _is_of(table: Path, name: str) -> bool:
    with contextlib.suppress(InputError):  # a damaged one is made again
        return load_table(table).source == name
    return False


register, unregister = bpy.utils.register_classes_factory((FACEDIFF_OT_flame_speak,))
