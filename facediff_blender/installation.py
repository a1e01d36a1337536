"""The installation of the full engine in this Blender session: one task at a time, watched by a timer."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bpy

from . import preferences, session
from .engine_process import own_python
from .installer import hardware
from .installer.process import Task

TICK_SECONDS = 0.2
ALLOW = "allow it in Edit > Preferences > System > Network > Allow Online Access"


@dataclass
class Installation:
    """What the preferences show. choices: the builds for this computer, None before it was looked at."""

    task: Task | None = None
    choices: list[hardware.Choice] | None = None
    recommended: str = ""
    none: str = ""  # why there is no build at all for this computer
    planning: bool = False  # whether sizes and place are shown, waiting for the user's consent
    message: str = ""
    failed: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def running(self) -> bool:
        """Whether a task is under way."""
        return self.task is not None and self.task.state == "running"

    def say(self, message: str, failed: bool = False, notes: Sequence[str] = ()) -> None:
        """Put a sentence in the preferences."""
        self.message, self.failed, self.notes = message, failed, list(notes)
        redraw()


current = Installation()


def why_busy() -> str:
    """One sentence on why nothing can be installed or removed now, or ""."""
    if current.running:
        return "Another installation step is running: wait, or cancel it"
    if session.busy():
        return "The engine is at work: wait, or cancel the generation first"
    return ""


def why_offline() -> str:
    """One sentence on why the network may not be used, or ""."""
    if bpy.app.online_access:
        return ""
    if bpy.app.online_access_override:
        return "Blender was started in offline mode: start it without --offline-mode, or use Install from Folder"
    return f"Blender may not use the network: {ALLOW}, or use Install from Folder"


def arguments(context: bpy.types.Context) -> list[str | Path]:
    """What every command of the worker is told."""
    online = ["--online"] if bpy.app.online_access else []
    return ["--folder", preferences.folder(context), *online]


def start(context: bpy.types.Context, command: str, *more: str | Path) -> None:
    """Start a command of the worker; `tick` ends it. The engine is stopped first, for its files may be replaced."""
    if command not in ("look", "download", "check"):
        session.stop_engine()
    current.task = Task(command)
    current.say("")
    current.task.start(preferences.ROOT, [*arguments(context), *more], own_python())
    if not bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.register(_on_timer, first_interval=TICK_SECONDS, persistent=True)


def tick() -> bool:
    """Look once at the task. True while there is something to wait for."""
    task = current.task
    if task is None:
        return False
    if task.poll():
        redraw()
    if task.state == "running":
        return True
    current.task = None
    if task.state == "done":
        _done(task)
    elif task.state == "failed":
        current.say(task.message, failed=True)
    else:
        again = " Press Install again to go on where it stopped." if task.command == "install" else ""
        current.say(f"Cancelled.{again}")
    return False


def _done(task: Task) -> None:
    """Take over what a task found or made."""
    result, notes = task.result, task.result.get("notes", [])
    if task.command == "look":
        current.choices = [hardware.Choice(**choice) for choice in result["choices"]]
        current.recommended, current.none = result["recommended"], result["none"]
        current.planning = not current.none
        current.say(current.none, failed=bool(current.none))
    elif task.command in ("install", "repair"):
        current.planning = False
        session.stop_engine()  # its next use takes the new one
        record = result["record"]
        said = " ".join(result.get("repaired", ())) or ("Nothing was damaged." if task.command == "repair" else "")
        current.say(f"The full engine works (PyTorch {record['torch']}, {record['size'] / 1e9:.1f} GB). {said}", notes=notes)
    elif task.command == "uninstall":
        left = result["left"]
        current.say(f"The full engine was removed.{f' Left, for FaceDiff did not make it: {left[0]}' if left else ''}")
    elif task.command == "download":
        current.say(f"{result['size'] / 1e6:.0f} MB were downloaded; take the folder to the other computer and use Install "
                    "from Folder there.", notes=notes)  # fmt: skip
    elif task.command == "check":
        _use(result["report"])


def _use(report: dict[str, Any]) -> None:
    """An environment of the user's own has passed its test."""
    session.stop_engine()
    current.say(f"This environment works (PyTorch {report['torch']}, Python {report['python']}).")


def redraw() -> None:
    """Show it in the preferences."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "PREFERENCES":
                area.tag_redraw()


def _on_timer() -> float | None:
    try:
        return TICK_SECONDS if tick() else None
    except Exception as error:  # Blender would drop the timer in silence, and the preferences would show progress for ever
        traceback.print_exc()
        if current.task is not None:
            current.task.end()
            current.task = None
        current.say(f"FaceDiff has a fault and gave up: {error}", failed=True)
        return None


def register() -> None:
    """Begin with nothing known."""
    current.__init__()  # type: ignore[misc]


def unregister() -> None:
    """End a running task with all it started; what it downloaded stays for the next time."""
    if current.task is not None:
        current.task.end()
        current.task = None
    if bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.unregister(_on_timer)
