"""The buttons that install, repair, remove and check the full engine. The work is done by another process."""

from pathlib import Path

import bpy

from .. import installation, preferences
from ..installer import hardware, locks
from ..installer.places import Layout, read_record
from .greyed import Greyed


def chosen_build(context: bpy.types.Context) -> str:
    """The build that Install would install: the user's, or the one that fits this computer; "" before it was looked at."""
    build = preferences.get(context).build
    return installation.current.recommended if build == "auto" else build


def why_busy(context: bpy.types.Context) -> str:
    """One sentence while an installation runs, else ""."""
    return installation.why_busy()


def why_not_build(context: bpy.types.Context) -> str:
    """One sentence on why the chosen build cannot be installed here, or ""."""
    build, known = chosen_build(context), installation.current.choices
    if known is None:
        return "The computer was not looked at yet"
    choice = next((c for c in known if c.accelerator == build), None)
    if choice is None:
        return hardware.why_none(locks.this_system()) or f"There is no build for '{build}' on this system"
    return "" if choice.usable else choice.reason


def why_not_online_install(context: bpy.types.Context) -> str:
    """One sentence on why nothing can be downloaded and installed now, or ""."""
    return installation.why_busy() or installation.why_offline() or why_not_build(context)


def why_not_offline_install(context: bpy.types.Context) -> str:
    """One sentence on why nothing can be installed from a folder now, or ""."""
    return installation.why_busy() or why_not_build(context)


def why_no_download(context: bpy.types.Context) -> str:
    """One sentence on why nothing can be downloaded for another computer now, or "". Any build will do for that."""
    return installation.why_busy() or installation.why_offline()


def why_no_environment(context: bpy.types.Context) -> str:
    """One sentence on why no environment can be checked now, or ""."""
    there = preferences.find_python(preferences.get(context).engine_python)
    return installation.why_busy() or ("" if there else "Choose the environment's Python first")


def why_not_installed(context: bpy.types.Context) -> str:
    """One sentence on why there is nothing to repair or remove, or ""."""
    layout = Layout(preferences.folder(context))
    there = read_record(layout) is not None or layout.mark.is_file()
    return installation.why_busy() or ("" if there else "The full engine is not installed in this folder")


class FACEDIFF_OT_plan_engine(Greyed, bpy.types.Operator):
    """Look which GPU this computer has, and show what would be downloaded, how much, and to where. Installs nothing yet"""

    bl_idname = "facediff.plan_engine"
    bl_label = "Install Full Engine ..."
    why_not = staticmethod(why_busy)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """The answer comes with a later tick."""
        installation.start(context, "look")
        return {"FINISHED"}


class FACEDIFF_OT_close_plan(Greyed, bpy.types.Operator):
    """Install nothing"""

    bl_idname = "facediff.close_plan"
    bl_label = "Close"
    why_not = staticmethod(why_busy)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Back to the first button."""
        installation.current.planning = False
        installation.current.say("")
        return {"FINISHED"}


class FACEDIFF_OT_install_engine(Greyed, bpy.types.Operator):
    """Download the full engine and install it into the folder shown. Can be cancelled, and goes on where it stopped"""

    bl_idname = "facediff.install_engine"
    bl_label = "Download and Install"
    why_not = staticmethod(why_not_online_install)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Start it."""
        installation.start(context, "install", "--accelerator", chosen_build(context))
        return {"FINISHED"}


class _FolderChoice(Greyed):
    """Asks for a folder first."""

    directory: bpy.props.StringProperty(subtype="DIR_PATH")
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Open the file browser."""
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}


class FACEDIFF_OT_install_from_folder(_FolderChoice, bpy.types.Operator):
    """Install the full engine from a folder that "Download for Another Computer" made. No network is used"""

    bl_idname = "facediff.install_from_folder"
    bl_label = "Install from Folder"
    why_not = staticmethod(why_not_offline_install)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Start it."""
        source = Path(bpy.path.abspath(self.directory))
        if not source.is_dir():
            self.report({"ERROR"}, f"There is no folder {source}.")
            return {"CANCELLED"}
        installation.start(context, "install", "--accelerator", chosen_build(context), "--source", source)
        return {"FINISHED"}


class FACEDIFF_OT_download_engine(_FolderChoice, bpy.types.Operator):
    """Download all files of the chosen build into a folder, to install it on a computer without a network"""

    bl_idname = "facediff.download_engine"
    bl_label = "Download for Another Computer"
    why_not = staticmethod(why_no_download)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Start it."""
        build = chosen_build(context) or "cpu"
        installation.start(context, "download", "--accelerator", build, "--out", Path(bpy.path.abspath(self.directory)))
        return {"FINISHED"}


class FACEDIFF_OT_repair_engine(Greyed, bpy.types.Operator):
    """Check every file of the full engine, and put back what is missing or damaged"""

    bl_idname = "facediff.repair_engine"
    bl_label = "Repair"
    why_not = staticmethod(why_not_installed)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Start it."""
        installation.start(context, "repair")
        return {"FINISHED"}


class FACEDIFF_OT_uninstall_engine(Greyed, bpy.types.Operator):
    """Remove the full engine's files, and nothing else. The built-in engine works on"""

    bl_idname = "facediff.uninstall_engine"
    bl_label = "Uninstall"
    why_not = staticmethod(why_not_installed)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Ask first."""
        return context.window_manager.invoke_confirm(self, event)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Start it."""
        installation.start(context, "uninstall")
        return {"FINISHED"}


class FACEDIFF_OT_use_environment(Greyed, bpy.types.Operator):
    """Check that the environment chosen as Engine Python can run the engine: PyTorch, a device, a second of sound"""

    bl_idname = "facediff.use_environment"
    bl_label = "Check Environment"
    why_not = staticmethod(why_no_environment)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Start it."""
        python = preferences.find_python(preferences.get(context).engine_python)
        log = Path(bpy.app.tempdir or bpy.utils.user_resource("CONFIG")) / "facediff-check.log"
        installation.start(context, "check", "--python", python, "--log", log)
        return {"FINISHED"}


class FACEDIFF_OT_cancel_installation(bpy.types.Operator):
    """Stop; what was downloaded stays, and the next installation goes on from there"""

    bl_idname = "facediff.cancel_installation"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only while something runs."""
        cls.poll_message_set("Nothing is being installed")
        return installation.current.running

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Ask it to end."""
        installation.current.task.cancel()
        return {"FINISHED"}


register, unregister = bpy.utils.register_classes_factory(
    (
        FACEDIFF_OT_plan_engine,
        FACEDIFF_OT_close_plan,
        FACEDIFF_OT_install_engine,
        FACEDIFF_OT_install_from_folder,
        FACEDIFF_OT_download_engine,
        FACEDIFF_OT_repair_engine,
        FACEDIFF_OT_uninstall_engine,
        FACEDIFF_OT_use_environment,
        FACEDIFF_OT_cancel_installation,
    )
)
