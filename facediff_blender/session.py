"""The engine and the job of this Blender session, and the timer that keeps both going without ever waiting.

Nothing here holds on to Blender's data between two ticks: undo, redo and file loads invalidate such references. A
`Reference` remembers a name and the session's id of a datablock and finds it again, or finds that it is gone.
"""

from __future__ import annotations

import shutil
import tempfile
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bpy

from ..engine.motion import FaceMotion, MotionError
from . import compat, preferences, strips, takes
from .bake import BakeError, Take
from .engine_client import EngineClient, EngineError
from .jobs import Job, Jobs, JobState

TICK_SECONDS = 0.1  # between two looks at the engine
BUDGET_SECONDS = 0.004  # of one look; a tick may take 5 ms in all


@dataclass(frozen=True)
class Reference:
    """A datablock of `bpy.data.<collection>` by name and session_uid."""

    collection: str
    name: str
    uid: int

    @classmethod
    def to(cls, collection: str, datablock: bpy.types.ID) -> Reference:
        """A reference to this datablock."""
        return cls(collection, datablock.name, datablock.session_uid)

    def find(self) -> Any:
        """The datablock, under whatever name it has now; None when it is gone."""
        data = getattr(bpy.data, self.collection)
        candidate = data.get(self.name)
        if candidate is not None and candidate.session_uid == self.uid:
            return candidate
        return next((block for block in data if block.session_uid == self.uid), None)


@dataclass
class Generation:
    """A press of Generate on its way: the engine's job, what it is for, and its private folder."""

    job: Job
    head: Reference
    scene: Reference
    sequencer_scene: Reference
    strip: str
    span: tuple[int, int]
    content_start: float
    timing: strips.Timing  # in frames of the sequencer's scene
    folder: Path
    facts: dict[str, Any]
    extend_range: bool
    vertices: takes.VertexOptions = field(default_factory=takes.VertexOptions)
    note: str = ""  # what the take says about its exactness
    motion: FaceMotion | None = None


@dataclass
class Session:
    """All that this add-on remembers outside the file. There is one, `current`."""

    jobs: Jobs | None = None
    generation: Generation | None = None
    message: str = ""  # one sentence for the panel on how the last thing went
    failed: bool = False  # whether that sentence is bad news
    detail: list[str] = field(default_factory=list)  # the last lines of the engine's log, when it crashed

    @property
    def client(self) -> EngineClient | None:
        """The engine, running or not; None before it was first wanted."""
        return self.jobs.client if self.jobs is not None else None

    def say(self, message: str, failed: bool = False, detail: str = "") -> None:
        """Put a sentence in the panel."""
        self.message, self.failed, self.detail = message, failed, detail.splitlines()[-4:]
        _redraw()


current = Session()


def engine(context: bpy.types.Context) -> Jobs:
    """The engine as the preferences want it, not necessarily started. Raises EngineError when no Python is chosen."""
    python = preferences.find_python(preferences.get(context).engine_python)
    if not python:
        raise EngineError("The engine's Python is not chosen yet: set it in the add-on's preferences.")
    if current.client is None or current.client.python != python:
        stop_engine()
        current.jobs = Jobs(EngineClient(python, preferences.ROOT))
    return current.jobs


def stop_engine() -> None:
    """End the engine process; its next use starts it anew."""
    if current.jobs is not None:
        current.jobs.client.stop()
        current.jobs = None


def start_timer() -> None:
    """Tick until there is nothing to wait for. In Blender without a window no timer ever fires: call `tick` yourself."""
    if not bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.register(_on_timer, first_interval=TICK_SECONDS, persistent=True)


def busy() -> bool:
    """Whether a generation is under way or the engine is starting."""
    return current.generation is not None or (current.client is not None and current.client.state == "starting")


def tick() -> bool:
    """Look once at the engine and at the running generation. True while there is something to wait for."""
    generation, jobs = current.generation, current.jobs
    if jobs is None:
        return False
    waiting = jobs.client.state == "starting"
    if generation is not None and not generation.job.over and (gone := _what_is_gone(generation)):
        generation.job.abandon(gone)
    if jobs.tick(budget_seconds=BUDGET_SECONDS):
        _redraw()
    if waiting and jobs.client.state == "stopped" and generation is None:
        say_engine_failed()
    elif waiting and jobs.client.state == "ready":
        _redraw()
    if generation is not None:
        if generation.job.state is JobState.FINISHING:
            _apply(generation)
        if generation.job.over:
            _close(generation)
    return busy() or bool(jobs.active)


def say_engine_failed() -> None:
    """Put the engine's last problem in the panel."""
    client = current.client
    if client is not None:
        current.say(client.problem, failed=True, detail=client.log_tail())


def cancel() -> None:
    """Ask the running generation to end; it does within the client's grace time."""
    if current.generation is not None:
        current.generation.job.request_cancel()
        current.say("Cancelling ...")


def abandon(reason: str) -> None:
    """Give the running generation up at once, for the reason in one sentence."""
    if (generation := current.generation) is not None:
        generation.job.abandon(reason)
        _close(generation)


def new_folder() -> Path:
    """A private folder for one generation's sound."""
    return Path(tempfile.mkdtemp(prefix="facediff-", dir=bpy.app.tempdir or None))


def take_motion() -> tuple[FaceMotion, Generation]:
    """The motion that waits to be applied. Raises BakeError when none does."""
    generation = current.generation
    if generation is None or generation.motion is None:
        raise BakeError("There is no finished generation to apply.")
    return generation.motion, generation


def write_take(motion: FaceMotion, generation: Generation) -> Take:
    """Bake the motion on the generation's head. Raises BakeError, with nothing changed, when that is impossible."""
    if gone := _what_is_gone(generation):
        raise BakeError(gone)
    head, scene = generation.head.find(), generation.scene.find()
    edit = generation.sequencer_scene.find()
    strip = strips.find_strip(edit, generation.strip)
    timing = generation.timing
    first, after_last = strips.audible_span(strip)
    if after_last - first == generation.span[1] - generation.span[0]:  # only moved meanwhile: the face moves along
        moved = compat.strip_content_start(strip) - generation.content_start
        timing = strips.Timing(timing.start + moved, timing.rate)
    timing = strips.in_scene_of_head(timing, scene, edit, strip)
    facts = generation.facts
    label = f"{generation.strip} {facts['emotion']} {facts['seed']}"
    take = takes.write(head, motion, timing, label, facts, generation.vertices)
    generation.note = take.note
    if generation.extend_range:
        scene.frame_end = max(scene.frame_end, take.frame_end)
    return take


def _apply(generation: Generation) -> None:
    path = generation.job.take_result()
    if path is None:
        return
    try:
        generation.motion = FaceMotion.load(path)
    except (MotionError, OSError) as error:
        generation.job.finish(f"The engine's result cannot be used: {error}")
        return
    windows = bpy.context.window_manager.windows
    try:
        with bpy.context.temp_override(window=windows[0]):  # a timer has no window, and undo steps want one
            bpy.ops.facediff.apply_take("EXEC_DEFAULT", True)
        generation.job.finish()
    except RuntimeError as error:  # what the operator reported, or the traceback of what it did not expect
        said = [line for line in str(error).strip().splitlines() if not line.startswith("Location: ")]
        generation.job.detail = "\n".join(said[:-1])
        generation.job.finish(said[-1].removeprefix("Error: "))


def _close(generation: Generation) -> None:
    """Forget a generation that is over, and say how it went."""
    current.generation = None
    shutil.rmtree(generation.folder, ignore_errors=True)
    job = generation.job
    if job.state is JobState.DONE:
        seconds = sum(job.seconds.values())
        current.say(f"{f'Done in {seconds:.1f} s.' if seconds else 'Done.'} {generation.note}".strip())
    else:
        current.say(job.message, failed=job.state is JobState.FAILED, detail=job.detail)


def _what_is_gone(generation: Generation) -> str:
    """One sentence on what the generation was for and is no more, or ""."""
    head, scene, edit = generation.head.find(), generation.scene.find(), generation.sequencer_scene.find()
    if scene is None or edit is None:
        return "The scene was deleted while its face was being generated, so nothing was changed."
    if head is None or scene not in head.users_scene:
        return "The head was deleted while its face was being generated, so nothing was changed."
    if strips.find_strip(edit, generation.strip) is None:
        return "The sound strip was deleted or renamed while the face was being generated, so nothing was changed."
    return ""


def _redraw() -> None:
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in ("VIEW_3D", "PREFERENCES"):
                area.tag_redraw()


def _on_timer() -> float | None:
    try:
        return TICK_SECONDS if tick() else None
    except Exception as error:  # Blender would drop the timer in silence, and the panel would show progress for ever
        traceback.print_exc()
        abandon(f"FaceDiff has a fault and gave up: {error}")
        return None


@bpy.app.handlers.persistent
def _before_load(*_: Any) -> None:
    abandon("Another file was opened while a face was being generated, so nothing was changed.")


def register() -> None:
    """Watch for file loads."""
    bpy.app.handlers.load_pre.append(_before_load)


def unregister() -> None:
    """Stop the engine, the timer and the watching."""
    abandon("The add-on was disabled.")
    stop_engine()
    if bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.unregister(_on_timer)
    bpy.app.handlers.load_pre.remove(_before_load)
    current.message, current.failed, current.detail = "", False, []
