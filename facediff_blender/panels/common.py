"""What the panels share: where they lie, wrapped sentences, progress, and what the session last said."""

import textwrap

import bpy

from .. import session
from ..jobs import Job, JobState

STAGES = {
    "load": "Loading the model",
    "detect": "Finding the face",
    "look": "Looking for what hides it",
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


def draw_progress(layout: bpy.types.UILayout) -> None:
    """The progress bar of the running generation, and Cancel."""
    generation = session.current.generation
    if generation is None or generation.job is None:
        return
    share, number = session.progress()
    text = progress_text(generation.job)
    row = layout.row(align=True)
    row.progress(factor=share, text=f"{number} · {text}" if number else text)
    row.operator("facediff.cancel", text="", icon="X")


def draw_message(layout: bpy.types.UILayout, width: int = 38) -> None:
    """What the session last said, with the end of the log when it failed."""
    state = session.current
    if not state.message:
        return
    box = layout.box()
    sentence(box, state.message, "ERROR" if state.failed else "INFO", width)
    if state.failed:
        for line in state.detail:
            sentence(box, line[:200], width=width)


def settings_column(layout: bpy.types.UILayout) -> bpy.types.UILayout:
    """A column of choices, their names to the left and without dots to key them; faint while a generation is running."""
    layout.use_property_split = True
    layout.use_property_decorate = False
    column = layout.column()
    column.active = session.current.generation is None
    return column


class Panel:
    """Where every panel of the add-on lies."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "FaceDiff"
