"""The add-on's preferences: where the engine's Python is and which device it uses. They belong to the computer, not to a file."""

import os
import sys
from pathlib import Path

import bpy

PACKAGE = __package__.rpartition(".")[0]  # as Blender names the extension: bl_ext.<repository>.facediff_blender
ROOT = Path(__file__).resolve().parent.parent  # holds the package `engine`
ENVIRONMENT_VARIABLE = "FACEDIFF_ENGINE_PYTHON"
DEVICES = (
    ("auto", "Automatic", "The fastest device that the engine can use"),
    ("cuda", "GPU (CUDA)", "An NVIDIA GPU, or an AMD GPU with ROCm"),
    ("mps", "GPU (Apple)", "The GPU of a Mac with Apple silicon"),
    ("cpu", "CPU", "Works on every computer"),
)


class FaceDiffPreferences(bpy.types.AddonPreferences):
    """Drawn in Edit > Preferences > Add-ons."""

    bl_idname = PACKAGE

    engine_python: bpy.props.StringProperty(
        name="Engine Python",
        description="The Python interpreter of the environment that holds PyTorch and the engine's other packages. "
        f"When empty: the environment variable {ENVIRONMENT_VARIABLE}, then a .venv beside the add-on",
        subtype="FILE_PATH",
    )
    device: bpy.props.EnumProperty(name="Device", description="What the engine computes on", items=DEVICES)

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the settings, and what is known of the engine."""
        from .panels.engine import draw_engine_state

        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "engine_python", placeholder=find_python() or "path to python")
        layout.prop(self, "device")
        row = layout.row()
        row.operator("facediff.check_engine", icon="CHECKMARK")
        row.operator("facediff.restart_engine", icon="FILE_REFRESH")
        draw_engine_state(layout, details=True)


def get(context: bpy.types.Context) -> FaceDiffPreferences:
    """The preferences of this add-on."""
    return context.preferences.addons[PACKAGE].preferences


def find_python(choice: str = "") -> str:
    """The engine's Python: the user's choice, else the environment variable, else a .venv beside the add-on, else ""."""
    beside = ROOT / ".venv" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if choice:
        return bpy.path.abspath(choice)
    return os.environ.get(ENVIRONMENT_VARIABLE, "") or (str(beside) if beside.is_file() else "")


register, unregister = bpy.utils.register_classes_factory((FaceDiffPreferences,))
