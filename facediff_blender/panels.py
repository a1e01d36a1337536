"""The tab "FaceDiff" in the sidebar of the 3D View. Below a greyed button stands why it is grey."""

import textwrap

import bpy

from . import bake, compat, preferences, session
from .engine_client import EngineClient
from .jobs import Job, JobState
from .operators import export, generate

STAGES = {
    "load": "Loading the model",
    "features": "Listening",
    "sampling": "Acting",
    "decode": "Shaping the face",
    "fit": "Shaping the face",
    "geometry": "Shaping the face",
}
STATES = {
    JobState.STARTING: "Starting the engine",
    JobState.PREPARING: "Preparing",
    JobState.FINISHING: "Writing the curves",
}


def sentence(layout: bpy.types.UILayout, text: str, icon: str = "NONE", width: int = 38) -> None:
    """A sentence over as many lines as the sidebar's width asks for."""
    column = layout.column(align=True)
    column.scale_y = 0.8
    for number, line in enumerate(textwrap.wrap(text, width)):
        column.label(text=line, icon=icon if number == 0 else ("BLANK1" if icon != "NONE" else "NONE"))


def progress_text(job: Job) -> str:
    """What the progress bar says, such as "Acting · 42 % · 3 s left"."""
    if job.cancel_requested:
        return "Cancelling"
    words = [STATES.get(job.state) or STAGES.get(job.stage, job.stage.capitalize())]
    if job.state is JobState.RUNNING:
        words.append(f"{job.fraction:.0%}")
        if job.seconds_left is not None:
            words.append(f"{max(1, round(job.seconds_left))} s left")
    return " · ".join(words)


def device_text(client: EngineClient | None, choice: str) -> str:
    """What the choice of a device comes to, as far as the engine has said it; "" when nothing needs saying."""
    hello = client.hello if client is not None else None
    if hello is None:
        return "chosen when the engine starts" if choice == "auto" else ""
    devices = {device.id: device for device in hello.devices}
    device = devices.get(hello.default_device if choice == "auto" else choice)
    if device is None:
        return ""
    if not device.usable:
        return f"{device.label} cannot be used: {device.reason}"
    return f"uses {device.label}" if choice == "auto" else ""


def draw_engine_state(layout: bpy.types.UILayout, details: bool = False) -> None:
    """Whether the engine runs, which version and, with details, each device and why it is (not) usable."""
    client = session.current.client
    if client is None or client.state == "stopped":
        sentence(layout, "The engine is not running; it starts when it is needed.", "RADIOBUT_OFF", width=70)
    elif client.state == "starting":
        sentence(layout, "The engine is starting ...", "TIME", width=70)
    else:
        hello = client.hello
        sentence(layout, f"Engine {hello.engine_version} is running (Python {hello.python}).", "CHECKMARK", width=70)
        for device in hello.devices if details else ():
            mark = "RADIOBUT_ON" if device.id == hello.default_device else "DOT"
            sentence(layout, f"{device.label}: {device.reason}", mark if device.usable else "X", width=70)
    _draw_message(layout, width=70)


def _draw_message(layout: bpy.types.UILayout, width: int = 38) -> None:
    state = session.current
    if not state.message:
        return
    box = layout.box()
    sentence(box, state.message, "ERROR" if state.failed else "INFO", width)
    if state.failed:
        for line in state.detail:
            sentence(box, line[:200], width=width)


class _Panel:
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "FaceDiff"


class FACEDIFF_PT_head(_Panel, bpy.types.Panel):
    """Which head."""

    bl_idname = "FACEDIFF_PT_head"
    bl_label = "Head"

    def draw(self, context: bpy.types.Context) -> None:
        """The head's field, and the button that adds one."""
        layout, settings = self.layout, context.scene.facediff
        layout.operator("facediff.add_head", icon="ADD")
        layout.operator("facediff.add_flame_head", icon="FILE_FOLDER")
        if context.mode != "OBJECT":
            sentence(layout, "Heads are added in Object Mode.")
        layout.prop(settings, "head", text="")
        head = settings.chosen_head(context)
        if head is not None and settings.head is None:
            sentence(layout, f"Animates '{head.name}'.", "INFO")


class FACEDIFF_PT_speech(_Panel, bpy.types.Panel):
    """Which sound, and how it is said."""

    bl_idname = "FACEDIFF_PT_speech"
    bl_label = "Speech"

    def draw(self, context: bpy.types.Context) -> None:
        """Scene and strip, emotion, intensity, seed, device; then Generate or the progress."""
        layout, settings = self.layout, context.scene.facediff
        layout.use_property_split = True
        layout.use_property_decorate = False
        column = layout.column()
        column.active = session.current.generation is None
        shown = compat.sequencer_scene(context)
        column.prop(settings, "sequencer_scene", **({} if settings.sequencer_scene else {"placeholder": shown.name}))
        strip = settings.chosen_strip(context)
        column.prop(settings, "strip", icon="SOUND", placeholder=strip.name if strip is not None else "no sound strip")
        column.prop(settings, "emotion")
        row = column.row()
        row.active = settings.emotion != "neutral"
        row.prop(settings, "intensity", slider=True)
        column.prop(settings, "seed")
        choice = preferences.get(context)
        column.prop(choice, "device")
        if text := device_text(session.current.client, choice.device):
            split = column.split(factor=0.4)
            split.label()
            sentence(split, text, width=24)
        column.prop(settings, "extend_range")
        layout.separator(factor=0.5)
        _draw_generate(layout, context)


def _draw_generate(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    generation = session.current.generation
    if generation is not None:
        row = layout.row(align=True)
        row.progress(factor=generation.job.fraction, text=progress_text(generation.job))
        row.operator("facediff.cancel", text="", icon="X")
    else:
        row = layout.row()
        row.scale_y = 1.4
        row.operator("facediff.generate", icon="PLAY")
        if reason := generate.why_not(context):
            sentence(layout, reason)
    _draw_message(layout)


class FACEDIFF_PT_advanced(_Panel, bpy.types.Panel):
    """Which model, and how the vertices of its mesh are written."""

    bl_idname = "FACEDIFF_PT_advanced"
    bl_label = "Advanced"
    bl_parent_id = "FACEDIFF_PT_speech"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Folder of the model; the other two matter only to a model of another mesh."""
        layout, settings = self.layout, context.scene.facediff
        layout.use_property_split = True
        layout.use_property_decorate = False
        column = layout.column()
        column.active = session.current.generation is None
        column.prop(settings, "model")
        if settings.model:
            column.prop(settings, "vertex_result")
            if settings.vertex_result == "KEYS":
                column.prop(settings, "tolerance")


class FACEDIFF_PT_takes(_Panel, bpy.types.Panel):
    """What was made."""

    bl_idname = "FACEDIFF_PT_takes"
    bl_label = "Take"

    def draw(self, context: bpy.types.Context) -> None:
        """The current take's name and frames, and the exports."""
        layout = self.layout
        head = context.scene.facediff.chosen_head(context)
        take = bake.current_take(head) if head is not None else None
        if take is not None:
            first, last = take.frame_range
            layout.label(text=take.name, icon="ACTION")
            layout.label(text=f"Frames {first:.0f} to {last:.0f}", icon="BLANK1")
        column = layout.column(align=True)
        column.operator("facediff.export_fbx", icon="EXPORT")
        column.operator("facediff.export_alembic", icon="EXPORT")
        if reason := export.why_not(context) or export.why_no_alembic():
            sentence(layout, reason)


register, unregister = bpy.utils.register_classes_factory(
    (FACEDIFF_PT_head, FACEDIFF_PT_speech, FACEDIFF_PT_advanced, FACEDIFF_PT_takes)
)
