"""The add-on's preferences: which engine it uses, on which device, and where the full engine is installed.

They belong to the computer, not to a file.
"""

import os
import sys
from pathlib import Path

import bpy

from .installer import engine_python, locks, places

PACKAGE = __package__.rpartition(".")[0]  # as Blender names the extension: bl_ext.<repository>.facediff_blender
ROOT = Path(__file__).resolve().parent.parent  # holds the package `engine`
ENVIRONMENT_VARIABLE = "FACEDIFF_ENGINE_PYTHON"
DEVICES = (
    ("auto", "Automatic", "The fastest device that the engine can use"),
    ("cuda", "GPU (CUDA)", "An NVIDIA GPU, or an AMD GPU with ROCm"),
    ("xpu", "GPU (Intel)", "An Intel Arc GPU"),
    ("mps", "GPU (Apple)", "The GPU of a Mac with Apple silicon"),
    ("cpu", "CPU", "Works on every computer"),
)
BUILDS = (
    ("auto", "Automatic", "The build for the best GPU that was found, else the one for the CPU"),
    *((name, label, f"PyTorch's build for: {label}") for name, label in locks.LABELS.items()),
)


class FaceDiffPreferences(bpy.types.AddonPreferences):
    """Drawn in Edit > Preferences > Add-ons."""

    bl_idname = PACKAGE

    engine_python: bpy.props.StringProperty(
        name="Engine Python",
        description="The Python of an environment of your own that holds PyTorch and the engine's other packages. "
        f"When empty: the environment variable {ENVIRONMENT_VARIABLE}, then a .venv beside the add-on, then the installed "
        "full engine, then the built-in one",
        subtype="FILE_PATH",
    )
    device: bpy.props.EnumProperty(name="Device", description="What the engine computes on", items=DEVICES)
    engine_folder: bpy.props.StringProperty(
        name="Folder",
        description="Where the full engine is installed. When empty: a folder of this user that all Blender versions share",
        subtype="DIR_PATH",
    )
    build: bpy.props.EnumProperty(name="Build", description="Which build of PyTorch to install", items=BUILDS)

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the settings, what is known of the engine, and the installation of the full one."""
        from .panels.engine import draw_engine_state, draw_installation

        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "device")
        row = layout.row()
        row.operator("facediff.check_engine", icon="CHECKMARK")
        row.operator("facediff.restart_engine", icon="FILE_REFRESH")
        draw_engine_state(layout, details=True)
        draw_installation(layout, context)
        row = layout.row()
        row.prop(self, "engine_python", placeholder=find_python() or "the built-in engine")
        row.operator("facediff.use_environment", text="Check", icon="CHECKMARK")


def get(context: bpy.types.Context) -> FaceDiffPreferences:
    """The preferences of this add-on."""
    return context.preferences.addons[PACKAGE].preferences


def folder(context: bpy.types.Context) -> Path:
    """Where the full engine is, or would be, installed."""
    chosen = get(context).engine_folder
    return Path(os.path.abspath(bpy.path.abspath(chosen))) if chosen else places.default_folder()


def find_python(choice: str = "") -> str:
    """The Python of a full engine: the user's choice, else the environment variable, else a .venv beside the add-on, else
    the installed one; "" when there is none, and the built-in engine works.
    """
    beside = ROOT / ".venv" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if choice:
        return bpy.path.abspath(choice)
    if named := os.environ.get(ENVIRONMENT_VARIABLE, ""):
        return named
    return str(beside) if beside.is_file() else str(engine_python(folder(bpy.context)) or "")


register, unregister = bpy.utils.register_classes_factory((FaceDiffPreferences,))
