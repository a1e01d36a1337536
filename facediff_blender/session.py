"""The engine and the jobs of this Blender session, and the timer that keeps both going without ever waiting.

Nothing here holds on to Blender's data between two ticks: undo, redo and file loads invalidate such references.
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
from . import preferences, private_folders
from .bake import BakeError, Take
from .engine_client import EngineClient, EngineError
from .engine_process import choose_engine
from .generation import Batch, Generation
from .jobs import Jobs, JobState

TICK_SECONDS = 0.1  # between two looks at the engine
BUDGET_SECONDS = 0.004  # of one look; a tick may take 5 ms in all
HOPELESS = ("engine", "install", "disk_full")  # failures after which the other generations of a batch would fail too


@dataclass
class Session:
    """All that this add-on remembers outside the file. There is one, `current`."""

    jobs: Jobs | None = None
    batch: Batch | None = None
    generation: Generation | None = None  # the one of the batch that the engine works on
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
    """The engine to use, not necessarily started: the full one where the preferences find it, else the built-in one.

    Raises EngineError when there is neither.
    """
    choice = choose_engine(preferences.find_python(preferences.get(context).engine_python))
    if not choice.python:
        raise EngineError("Blender's own Python was not found: install the full engine in the add-on's preferences.")
    client = current.client
    if client is None or (client.python, client.built_in) != (choice.python, choice.built_in):
        stop_engine()
        current.jobs = Jobs(EngineClient(choice.python, preferences.ROOT, built_in=choice.built_in))
    return current.jobs


def stop_engine() -> None:
    """End the engine process, and with it a generation that is running; its next use starts it anew."""
    abandon("The engine was stopped while a face was being generated, so nothing was changed.")
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
    if generation is not None and not generation.job.over and (gone := generation.what_is_gone()):
        generation.job.abandon(gone)
    if jobs.tick(budget_seconds=BUDGET_SECONDS):
        _redraw()
    if waiting and jobs.client.state == "stopped" and generation is None and jobs.client.problem:
        current.say(jobs.client.problem, failed=True, detail=jobs.client.log_tail())
    elif waiting and jobs.client.state == "ready":
        _redraw()
    if generation is not None:
        if generation.job.state is JobState.FINISHING:
            _apply(generation)
        if generation.job.over:
            _close(generation)
    return busy() or bool(jobs.active)


def cancel() -> None:
    """Ask the running generation to end; it does within the client's grace time."""
    if current.generation is not None:
        current.generation.job.request_cancel()
        current.say("Cancelling ...")


def abandon(reason: str) -> None:
    """Give the running generation and those that wait up at once, for the reason in one sentence."""
    if (generation := current.generation) is not None:
        current.batch.waiting.clear()
        generation.job.abandon(reason)
        _close(generation)


def in_words(error: Exception) -> str:
    """The sentence of one of our errors, or one about a file that could not be read or written."""
    if isinstance(error, OSError):
        where = f" ('{error.filename}')" if error.filename else ""
        return f"A temporary file could not be written or read: {error.strerror or error}{where}."
    return str(error)


def new_folder() -> Path:
    """A private folder for the sounds of one batch. Raises OSError."""
    return private_folders.make(bpy.app.tempdir or None)


def submit(context: bpy.types.Context, batch: Batch) -> None:
    """Begin a batch; the timer does the rest. Where the engine cannot be started it has ended already, and `current.failed`.

    Raises EngineError, with the batch's folder gone, when no engine is chosen.
    """
    try:
        engine(context)
    except EngineError:
        shutil.rmtree(batch.folder, ignore_errors=True)
        raise
    current.say("")
    current.batch = batch
    try:
        _start_next(batch)
    except BaseException:
        current.batch = None
        raise
    if current.generation is not None and current.generation.job.over:
        tick()
    else:
        start_timer()


def progress() -> tuple[float, str]:
    """The share (0..1) of the batch that is done, and "2 of 4" when it is more than one generation."""
    batch, generation = current.batch, current.generation
    if generation is None:
        return 0.0, ""
    if batch is None or batch.total == 1:
        return generation.job.fraction, ""
    number = batch.total - len(batch.waiting)
    return (number - 1 + generation.job.fraction) / batch.total, f"{number} of {batch.total}"


def apply_take() -> Take:
    """Write the motion that waits on its head. Raises BakeError, with nothing changed, when that is impossible."""
    if current.generation is None or current.batch is None:
        raise BakeError("There is no finished generation to apply.")
    return current.generation.write(current.batch.begun)


def _start_next(batch: Batch) -> None:
    """Hand the next generation to the engine; after the last, end the batch."""
    while batch.waiting:
        generation = batch.waiting.pop(0)
        if gone := generation.what_is_gone():
            batch.book(gone, failed=False)
            continue
        try:
            audio, options = generation.request(batch.folder)
            sound = None if audio is None else str(audio)
            generation.job = engine(bpy.context).submit(sound, generation.message, **options)
        except (EngineError, OSError) as error:
            batch.book(in_words(error), failed=True)
            continue
        current.generation = generation
        return
    current.batch = None
    shutil.rmtree(batch.folder, ignore_errors=True)
    current.say(batch.summary(), failed=batch.failed, detail=batch.detail)


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
    """Forget a generation that is over, book how it went, and go on with the next."""
    job, batch = generation.job, current.batch
    current.generation = None
    assert job is not None and batch is not None
    batch.seconds += sum(job.seconds.values())
    if job.state is JobState.DONE:
        batch.done += 1
        batch.note = generation.note
    else:
        batch.book(job.message, failed=job.state is JobState.FAILED, detail=job.detail)
        if job.cancel_requested or job.code in HOPELESS:
            batch.waiting.clear()
    _start_next(batch)


def _redraw() -> None:
    """Draw the sidebars and the preferences again, but not the scene: that would cost a frame at each step of the bar."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            for region in area.regions:
                if area.type == "PREFERENCES" or (area.type == "VIEW_3D" and region.type == "UI"):
                    region.tag_redraw()


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
    """Watch for file loads, and remove what a Blender that crashed left of our sounds."""
    bpy.app.handlers.load_pre.append(_before_load)
    own = Path(bpy.app.tempdir).parent if bpy.app.tempdir else Path(tempfile.gettempdir())
    for place in {own, Path(tempfile.gettempdir())}:
        private_folders.remove_stale(place)


def unregister() -> None:
    """Stop the engine, the timer and the watching."""
    abandon("The add-on was disabled.")
    stop_engine()
    if bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.unregister(_on_timer)
    bpy.app.handlers.load_pre.remove(_before_load)
    current.message, current.failed, current.detail = "", False, []
