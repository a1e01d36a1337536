"""Start, talk to, cancel and restart the engine process. No bpy and nothing but the standard library in here.

The caller (a timer in Blender's main thread) never waits: a writer thread empties a queue of requests into the
engine's stdin, a reader thread fills a queue with the events from its stdout, and `poll` takes at most a few
milliseconds to hand them over. No port is opened; when Blender goes, the engine's stdin ends and the engine with it.
Every way in which the process can fail becomes one `Failure` event with a clear sentence.
"""

from __future__ import annotations

import atexit
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..engine import __version__ as ENGINE_VERSION
from ..engine.messages import (
    EXIT_NO_MEMORY,
    NO_MEMORY,
    PROTOCOL,
    SCRATCH_PREFIX,
    Alive,
    Cancel,
    Cancelled,
    Event,
    Failure,
    Hello,
    HelloRequest,
    Job,
    Progress,
    ProtocolError,
    Request,
    Result,
    encode,
)
from .engine_process import EngineProcess, Notice

# Run by the engine's Python with -I, which keeps every path of the host out of sys.path; the root comes back in here.
BOOT = "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); runpy.run_module('engine', run_name='__main__')"
MAX_LOG = 1 << 20  # bytes; a longer log is begun anew at the next start


class EngineError(RuntimeError):
    """The engine cannot be started or spoken to; the message is one sentence for the user."""


@dataclass(frozen=True)
class Limits:
    """How long the client is patient, in seconds, and how much nonsense it reads."""

    start_silence: float = 120.0  # the first import of PyTorch from a slow disk takes up to a minute
    job_silence: float = 30.0  # the engine says something every second while it works
    stuck: float = 600.0  # no step of any job on any computer we know takes this long
    cancel_grace: float = 3.0
    end_grace: float = 1.0  # between the end of its output and its own end
    stop_grace: float = 0.3
    restart: float = 5.0
    garbage_lines: int = 100


class EngineClient:
    """The engine as Blender sees it: start, send, poll, cancel, stop. All of it from one thread; nothing here waits.

    python: the interpreter of the engine's environment; root: the folder that holds the package `engine`;
    built_in: run the built-in engine there; log_file: where the engine's log goes, in the private folder when None;
    command: for tests, what to run instead.
    """

    def __init__(
        self,
        python: str | os.PathLike[str],
        root: str | os.PathLike[str],
        *,
        built_in: bool = False,
        log_file: Path | None = None,
        limits: Limits = Limits(),
        command: Sequence[str] | None = None,
        engine_version: str = ENGINE_VERSION,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.python, self.root, self.built_in = os.fspath(python), os.fspath(root), built_in
        self.limits, self.engine_version = limits, engine_version
        self.hello: Hello | None = None
        self.problem = ""  # the sentence of the last failure of the process itself
        self._command, self._log_file, self._clock = command, log_file, clock
        self._process: EngineProcess | None = None
        self._scratch: Path | None = None
        self._started = -1e9
        self._failed_start = False  # the last run ended by itself, so it must not be tried again at once
        self._jobs: dict[str, float] = {}  # unfinished ids, and the seconds since each was last heard of
        self._deadlines: dict[str, float] = {}  # ids that were cancelled, and when patience ends
        self._unheard: Job | None = None  # sent to an idle engine that has not said a word since
        self._garbage = 0
        self._silence = self._eof = self._last_poll = 0.0
        atexit.register(_stop_at_exit, weakref.ref(self))

    # --- what the caller asks

    @property
    def state(self) -> str:
        """"stopped", "starting" (the process runs but has not said hello) or "ready"."""
        if self._process is None:
            return "stopped"
        return "ready" if self.hello else "starting"

    @property
    def pid(self) -> int | None:
        """The engine's process id, None when it does not run."""
        return self._process.child.pid if self._process else None

    @property
    def scratch(self) -> Path:
        """A private folder for files on their way to and from the engine; removed by `stop`. Raises EngineError."""
        if self._scratch is None or not self._scratch.is_dir():  # systems clear old temporary folders
            try:
                self._scratch = Path(tempfile.mkdtemp(prefix=SCRATCH_PREFIX))
            except OSError as error:
                raise EngineError(f"No temporary folder can be made ({error.strerror}).") from error
        return self._scratch

    @property
    def log_file(self) -> Path:
        """The file that the engine logs to."""
        return self._log_file or self.scratch / "engine.log"

    def log_tail(self, lines: int = 12) -> str:
        """The last lines of the engine's log, "" when there is none."""
        try:
            with open(self.log_file, "rb") as stream:
                stream.seek(max(0, os.path.getsize(self.log_file) - 8192))
                text = stream.read().decode("utf-8", "replace")
        except (OSError, EngineError):
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def start(self) -> None:
        """Start the process if it does not run. Raises EngineError when it cannot be, or crashed moments ago."""
        if self._process is not None and not self._jobs:
            self.poll()  # it may have ended while nobody was polling
            if self._process is not None and self._process.child.poll() is not None:
                self._ended()
        if self._process is not None:
            return
        wait = self._started + self.limits.restart - self._clock()
        if self._failed_start and wait > 0:
            raise EngineError(f"{self.problem} It can be started again in {wait:.0f} s.")
        self._started = self._clock()
        self._failed_start = True  # until it has been stopped on purpose
        self.hello = None
        self._garbage = 0
        self._silence = self._eof = 0.0
        self._last_poll = self._started
        try:
            self.log_file.parent.mkdir(parents=True, exist_ok=True)
            if self.log_file.exists() and self.log_file.stat().st_size > MAX_LOG:
                self.log_file.unlink()
            self._process = EngineProcess(self._argv(), self.scratch, self.log_file)
        except OSError as error:
            self._failed_start = False  # nothing ran, and the user may have mended it already
            what = "was not found" if isinstance(error, FileNotFoundError) else f"cannot be run ({error.strerror})"
            self.problem = f"The engine's Python '{self.python}' {what}."
            raise EngineError(self.problem) from error
        except ValueError as error:  # a path with a null character
            self._failed_start = False
            self.problem = f"The engine's Python {self.python!r} is not a path."
            raise EngineError(self.problem) from error
        self._process.outbox.put(encode(HelloRequest()))

    def send(self, request: Request) -> None:
        """Hand a request to the engine, starting it first where needed. Raises EngineError, see `start`."""
        self.start()
        assert self._process is not None
        try:
            line = encode(request)
        except ProtocolError as error:
            raise EngineError(str(error)) from error
        if isinstance(request, Job):
            self._unheard = request if self.hello and not self._jobs else None
            self._jobs[request.id] = 0.0
            self._silence = 0.0
        self._process.outbox.put(line)

    def cancel(self, id: str) -> None:
        """Ask for the end of a job; where the engine does not obey within the grace time, `poll` ends the engine."""
        if self._process is None or id not in self._jobs or id in self._deadlines:
            return
        self._deadlines[id] = self._clock() + self.limits.cancel_grace
        self._process.outbox.put(encode(Cancel(id)))

    def poll(self, budget_seconds: float = 0.005) -> list[Event]:
        """The events that have come in, reading for at most the budget. A process that died, hangs or talks nonsense
        is ended here, with a Failure for every unfinished job, or one with id None where there was none."""
        process = self._process
        events: list[Event] = []
        if process is None:
            return events
        end = time.perf_counter() + budget_seconds
        heard, emptied = False, False
        while time.perf_counter() < end:
            try:
                item = process.inbox.get_nowait()
            except queue.Empty:
                emptied = True
                break
            heard = True
            if isinstance(item, Notice) and item.kind == "exit":
                return events + self._ended()
            problem = self._note(item) if isinstance(item, Notice) else self._hear(item, events)
            if problem:
                return events + self._fail(problem)
        return events + self._check(process, heard, emptied)

    def stop(self) -> None:
        """End the engine, leaving no process and no private folder. Takes at most a fraction of a second."""
        process, self._process = self._process, None
        if process is not None:
            process.outbox.put(None)  # the end of stdin asks the engine to go
            end = time.monotonic() + self.limits.stop_grace
            while process.child.poll() is None and time.monotonic() < end:
                time.sleep(0.01)
            process.kill_tree()
            _wait(process.child)
        self.hello = None
        self._failed_start = False
        self._jobs.clear()
        self._deadlines.clear()
        self._unheard = None
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None

    # --- what poll does

    def _argv(self) -> list[str]:
        if self._command is not None:
            return list(self._command)
        python = self.python
        serve = ["serve", "--log", str(self.log_file), "--scratch", str(self.scratch)]
        serve += ["--built-in"] if self.built_in else []
        return [python, "-I", "-X", "utf8", "-c", BOOT, self.root, *serve]

    def _hear(self, event: Event, events: list[Event]) -> str:
        """Book an event and pass it on; returns what makes the engine unusable, or ""."""
        self._unheard = None
        if isinstance(event, Hello):
            if event.protocol != PROTOCOL or event.engine_version != self.engine_version:
                return (
                    f"The engine is version {event.engine_version} (protocol {event.protocol}) but this add-on needs "
                    f"{self.engine_version} (protocol {PROTOCOL}); install the engine again."
                )
            self.hello = event
        elif isinstance(event, Failure) and event.id is None:
            return event.message
        elif isinstance(event, (Progress, Result, Failure, Cancelled)):
            if event.id not in self._jobs:
                return ""  # the last words of a job that has been given up
            self._jobs[event.id] = 0.0
            if not isinstance(event, Progress):
                self._forget(event.id)
        if not isinstance(event, Alive):
            events.append(event)
        return ""

    def _note(self, notice: Notice) -> str:
        if notice.kind == "garbage":
            self._garbage += 1
            if self._garbage > self.limits.garbage_lines:
                return f"The engine talks nonsense ('{notice.text[:60]}'); is '{self.python}' the engine's Python?"
        elif notice.kind == "eof":
            self._eof = self._clock()
        return ""  # a broken pipe alone says nothing yet: the exit that caused it says more

    def _check(self, process: EngineProcess, heard: bool, emptied: bool) -> list[Event]:
        """Everything that is wrong because of what did not come in. emptied: nothing waits to be read."""
        now = self._clock()
        # A host that was busy for a minute (rendering, a file dialog) has not listened; that is not silence.
        passed = min(1.0, now - self._last_poll)
        self._last_poll = now
        self._silence = 0.0 if heard else self._silence + passed
        for id in self._jobs:
            self._jobs[id] += passed
        patience = 0.0 if emptied else self.limits.cancel_grace  # the answer may lie among what waits
        if any(now > deadline + patience for deadline in self._deadlines.values()):
            return self._end_for_cancel()
        if not heard and process.child.poll() is not None and self._silence > 0.5:
            return self._ended()  # a grandchild keeps the pipe open
        if self._eof and now - self._eof > self.limits.end_grace:
            return self._fail("The engine closed its output but did not end.")
        if self.hello is None and self._silence > self.limits.start_silence:
            return self._fail(f"The engine did not start within {self.limits.start_silence:.0f} s.")
        if self._jobs and self.hello and self._silence > self.limits.job_silence:
            return self._fail(f"The engine has not answered for {self.limits.job_silence:.0f} s and was ended.")
        if self._jobs and min(self._jobs.values()) > self.limits.stuck:
            return self._fail(f"The engine made no progress for {self.limits.stuck / 60:.0f} minutes and was ended.")
        return []

    def _ended(self) -> list[Event]:
        """The process has ended by itself. An engine says `Alive` as soon as it reads a job, so one that had been idle and
        said nothing was dead before the job reached it: a fresh one gets the job, once."""
        idle, request, problem = self.hello is not None and not self._jobs, self._unheard, self._exit_sentence()
        if request is None or request.id in self._deadlines:
            events = self._fail(problem)
            if idle:  # then no job of ours ended it, and the next may start it at once
                self._failed_start = False
            return events
        self._kill()
        self._unheard, self._failed_start = None, False
        try:
            self.start()
        except EngineError as error:
            return self._fail(str(error))
        assert self._process is not None
        self._process.outbox.put(encode(request))
        return []

    def _exit_sentence(self) -> str:
        code = _wait(self._process.child) if self._process else None
        when = "while it was starting" if self.hello is None else "unexpectedly"
        if code == EXIT_NO_MEMORY:
            return NO_MEMORY
        if code is not None and code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
            hint = "; the computer may be out of memory" if name == "SIGKILL" else ""
            return f"The engine was ended by the signal {name} {when}{hint}."
        return f"The engine stopped {when} (exit status {code})."

    def _fail(self, problem: str) -> list[Event]:
        """End the process; a Failure for every unfinished job, with the last lines of the log."""
        self._kill()
        self.problem = problem
        ids: list[str | None] = [id for id in self._jobs if id not in self._deadlines]
        cancelled: list[Event] = [Cancelled(id) for id in self._deadlines]
        self._jobs.clear()
        self._deadlines.clear()
        self._unheard = None
        tail = self.log_tail()
        return cancelled + [Failure(id, "engine", problem, tail) for id in ids or ([] if cancelled else [None])]

    def _end_for_cancel(self) -> list[Event]:
        """The engine did not obey: end it. Jobs that waited behind the cancelled one fail with it."""
        events = self._fail("The engine was ended because it did not stop a cancelled job.")
        self._failed_start, self.problem = False, ""  # that was on purpose; the next job may start it at once
        return events

    def _kill(self) -> None:
        process, self._process = self._process, None
        self.hello = None
        if process is not None:
            process.kill_tree()

    def _forget(self, id: str) -> None:
        self._jobs.pop(id, None)
        self._deadlines.pop(id, None)


def _wait(child: subprocess.Popen[bytes]) -> int | None:
    """The exit status of a child that has ended or is about to; None when it does not go."""
    try:
        return child.wait(timeout=0.5)
    except subprocess.TimeoutExpired:
        return None


def _stop_at_exit(reference: weakref.ref[EngineClient]) -> None:
    client = reference()
    if client is not None:
        client.stop()
