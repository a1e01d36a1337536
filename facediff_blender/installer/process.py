"""The installer's process as Blender sees it: start, look, cancel. Nothing here waits; no bpy, standard library only."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .running import NO_WINDOW, child_environment

# Run by Blender's Python with -I, which keeps the host's paths out; the add-on's root comes back in here.
BOOT = (
    "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); "
    "runpy.run_module('facediff_blender.installer.worker', run_name='__main__', alter_sys=True)"
)
GRACE = 5.0  # seconds between asking a worker to end and ending it
KEPT = ("UV_", "PIP_")  # the user's package index and certificates are for the worker to read
STAGES = {
    "check": "Checking",
    "uv": "Fetching the installer (uv)",
    "python": "Fetching Python",
    "download": "Downloading",
    "install": "Installing",
    "test": "Testing",
    "finish": "Finishing",
}
ENDED = "The installer was ended; press Install again, it goes on where it stopped."


@dataclass
class Task:
    """One run of the worker. state: "running", "done", "failed" or "stopped"; the rest is what it last said."""

    command: str
    state: str = "running"
    stage: str = "check"
    text: str = ""
    done: int = 0
    total: int = 0
    message: str = ""
    detail: str = ""
    result: dict[str, Any] = field(default_factory=dict)
    cancelled: bool = False

    def __post_init__(self) -> None:
        self._inbox: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._child: subprocess.Popen[bytes] | None = None
        self._asked = 0.0

    def start(self, root: Path, arguments: Sequence[str | Path], python: str = sys.executable) -> None:
        """Start the worker. root: the add-on's; it holds the packages facediff_blender and engine; python:
        the interpreter to run it with, Blender's own. Never raises: what
        goes wrong is told as `failed`."""
        more = {name: value for name, value in os.environ.items() if name.upper().startswith(KEPT)}
        command = [python, "-I", "-X", "utf8", "-c", BOOT, root, self.command, "--host", *arguments]
        try:
            self._child = subprocess.Popen(
                [os.fspath(part) for part in command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=tempfile.gettempdir(),
                env=child_environment(os.environ, more),
                start_new_session=os.name == "posix",
                creationflags=NO_WINDOW,
            )
        except (OSError, ValueError) as error:
            self.state, self.message = "failed", f"The installer cannot be started: {error}"
            return
        threading.Thread(target=self._read, name="facediff installer", daemon=True).start()

    def poll(self) -> bool:
        """Take in what the worker has said. True when something is new to show."""
        news = False
        while self.state == "running":
            try:
                line = self._inbox.get_nowait()
            except queue.Empty:
                break
            self._hear(line)
            news = True
        if self.state == "running" and self._asked and time.monotonic() - self._asked > GRACE:
            self.end()
            self.state, news = "stopped", True
        return news

    def cancel(self) -> None:
        """Ask the worker to end; it does within the grace time, or is ended."""
        if self.state == "running" and not self.cancelled and self._child is not None:
            self.cancelled, self._asked = True, time.monotonic()
            assert self._child.stdin is not None
            self._child.stdin.close()

    def end(self) -> None:
        """End the worker and all it started, at once. Does nothing when it is gone."""
        child, self._child = self._child, None
        if child is None or child.poll() is not None:
            return
        if os.name == "posix":
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it went by itself just now
        else:
            gone = subprocess.DEVNULL
            command = ["taskkill", "/F", "/T", "/PID", str(child.pid)]
            subprocess.Popen(command, stdin=gone, stdout=gone, stderr=gone, creationflags=NO_WINDOW)
        child.wait()

    def describe(self) -> str:
        """What the progress bar says, such as "Downloading · torch 2.13.0 · 120 of 592 MB"."""
        if self.cancelled:
            return "Cancelling"
        words = [STAGES.get(self.stage, self.stage)]
        if self.text:
            words.append(self.text)
        if self.total > 1_000_000:
            words.append(f"{self.done / 1e6:.0f} of {self.total / 1e6:.0f} MB")
        return " · ".join(words)

    @property
    def fraction(self) -> float:
        """0..1 of the stage; 0 where nobody knows."""
        return min(1.0, self.done / self.total) if self.total else 0.0

    def _hear(self, line: dict[str, Any] | None) -> None:
        if line is None:  # the end of its output without a last word: it was killed, or crashed
            self.state = "stopped" if self.cancelled else "failed"
            self.message = "" if self.cancelled else ENDED
            return
        event = line.pop("event", "")
        if event == "progress":
            self.stage, self.text, self.done, self.total = (line[k] for k in ("stage", "text", "done", "total"))
        elif event == "done":
            self.state, self.result = "done", line
        elif event == "failed":
            self.state, self.message, self.detail = "failed", line["message"], line["detail"]
        elif event == "stopped":
            self.state = "stopped"

    def _read(self) -> None:
        child = self._child
        assert child is not None and child.stdout is not None
        with child.stdout as stream:
            for line in stream:
                try:
                    self._inbox.put(json.loads(line))
                except ValueError:
                    continue  # a library's own words, not ours
        self._inbox.put(None)
        child.wait()
