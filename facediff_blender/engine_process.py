"""Which engine to run, and one run of it as a child process: its start, its two threads, its end. No bpy, standard
library only.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..engine.messages import MAX_LINE, Event, ProtocolError, decode_event

# Settings of the host's own Python or launcher that would break another Python.
HOST_VARIABLES = ("PYTHON", "VIRTUAL_ENV", "__PYVENV", "CONDA_", "_CONDA", "BLENDER_", "LD_PRELOAD", "DYLD_INSERT")


@dataclass(frozen=True)
class EngineChoice:
    """An interpreter, and whether it runs the built-in engine: the starter model on NumPy, which Blender's Python holds."""

    python: str
    built_in: bool


def choose_engine(full: str) -> EngineChoice:
    """The full engine where there is one, else the built-in one. full: the full engine's Python, "" for none."""
    return EngineChoice(full, False) if full else EngineChoice(own_python(), True)


def own_python() -> str:
    """The interpreter of the Python that runs this: Blender's own. "" when it cannot be found.

    Blender sets sys.executable to it; some packages of Blender leave it empty or name Blender there.
    """
    if Path(sys.executable).stem.lower().startswith("python"):
        return sys.executable
    folder = Path(sys.prefix)
    names = (f"python{sys.version_info[0]}.{sys.version_info[1]}", "python3", "python", "python.exe")
    places = [folder / "bin" / name for name in names] + [folder / name for name in names]
    return next((str(place) for place in places if place.is_file()), "")


@dataclass(frozen=True)
class Notice:
    """What a thread has to say that is no event: `kind` is "garbage", "eof", "pipe" or "exit"."""

    kind: str
    text: str = ""


class EngineProcess:
    """One run of the engine: the child, its two threads, and the queue that they fill."""

    def __init__(self, command: Sequence[str], scratch: Path, log_file: Path) -> None:
        """Start it. Raises OSError when the executable cannot be run."""
        self.inbox: queue.Queue[Event | Notice] = queue.Queue(maxsize=10_000)  # a full one holds up the engine, not us
        self.outbox: queue.Queue[bytes | None] = queue.Queue()
        self.closed = False
        with open(log_file, "ab") as log:
            self.child = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=scratch,
                env=clean_environment(os.environ),
                close_fds=True,
                start_new_session=os.name == "posix",  # a group of its own, to end it with everything that it started
                creationflags=_windows_flags(),
            )
        self._log_file = log_file
        for target in (self._read, self._write):
            threading.Thread(target=target, name=f"facediff engine {target.__name__}", daemon=True).start()

    def kill_tree(self) -> None:
        """End the child and every process that it started, at once. Does nothing when they are gone."""
        self.closed = True
        self.outbox.put(None)
        if os.name == "posix":
            try:
                os.killpg(self.child.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):  # PermissionError: macOS says it of a zombie
                pass
        elif self.child.poll() is None:
            subprocess.Popen(
                ["taskkill", "/F", "/T", "/PID", str(self.child.pid)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                creationflags=_windows_flags(),
            )

    def _put(self, item: Event | Notice) -> None:
        while not self.closed:
            try:
                return self.inbox.put(item, timeout=0.1)
            except queue.Full:
                continue

    def _log(self, text: str) -> None:
        if self.closed:
            return
        try:
            with open(self._log_file, "a", encoding="utf-8") as log:
                log.write(f"{text}\n")
        except OSError:  # the folder went with `stop` just now, or the disk is full: a log must not end the reading
            return

    def _read(self) -> None:
        stream = self.child.stdout
        assert stream is not None
        with stream:
            while line := stream.readline(MAX_LINE + 1):
                try:
                    self._put(decode_event(line))
                except ProtocolError:
                    text = "".join(c if c.isprintable() else " " for c in line[:200].decode("utf-8", "replace")).strip()
                    self._log(f"not a message: {text}")
                    self._put(Notice("garbage", text))
        self._put(Notice("eof"))
        self.child.wait()
        self._put(Notice("exit"))

    def _write(self) -> None:
        stream = self.child.stdin
        assert stream is not None
        try:
            with stream:
                while (line := self.outbox.get()) is not None:
                    stream.write(line)
                    stream.flush()
        except OSError as error:  # the child ended or closed its stdin; closing the stream may say it once more
            self._put(Notice("pipe", str(error)))


def clean_environment(host: Mapping[str, str]) -> dict[str, str]:
    """The host's environment without the settings of its own Python; GPU, path, proxy and folder settings stay."""
    return {name: value for name, value in host.items() if not name.upper().startswith(HOST_VARIABLES)}


def _windows_flags() -> int:
    if sys.platform != "win32":
        return 0
    return subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
