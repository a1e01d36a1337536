"""What a job goes through, from the press of Generate to its motion file. No bpy in here; a timer calls `Jobs.tick`.

    STARTING -> PREPARING -> RUNNING -> FINISHING -> DONE
        any of them but DONE  -> FAILED | CANCELLED

STARTING: the engine process comes up. PREPARING: the job is in the engine's hands but has not begun. RUNNING: with
stage, fraction and time left. FINISHING: the motion file is there and waits for the caller, who takes it once with
`take_result` and says with `finish` how applying it went.
"""

from __future__ import annotations

import enum
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..engine.messages import Cancelled, Event, Failure, Generate, Progress, Result
from ..engine.messages import Job as Question
from .engine_client import EngineClient, EngineError

SMOOTHING = 0.3  # weight of a new estimate of the time left against the one that is counting down


class JobState(enum.Enum):
    """See the module's text."""

    STARTING = "starting"
    PREPARING = "preparing"
    RUNNING = "running"
    FINISHING = "finishing"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


OVER = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


class Job:
    """One request on its way. The panel reads state, stage, fraction (0..1), seconds_left (None: unknown), message (the
    sentence of a failure, or why it was cancelled), code (of a failure), detail (for a report to the developers), seconds
    (per stage)."""

    def __init__(self, request: Question, client: EngineClient) -> None:
        self.request = request
        self.state = JobState.PREPARING if client.state == "ready" else JobState.STARTING
        self.stage = ""
        self.fraction = 0.0
        self.seconds_left: float | None = None
        self.message = ""
        self.code = ""
        self.detail = ""
        self.seconds: dict[str, float] = {}
        self.cancel_requested = False
        self._client = client
        self._result: Path | None = None
        self._taken = False
        self._ticked: float | None = None

    @property
    def id(self) -> str:
        """The name of the job in messages."""
        return self.request.id

    @property
    def over(self) -> bool:
        """Done, failed or cancelled: nothing more will happen to it."""
        return self.state in OVER

    def request_cancel(self) -> None:
        """Ask for the end of the job; it is CANCELLED by a later tick, at the latest after the client's grace time.
        A result that comes in meanwhile is thrown away."""
        if self.over or self.cancel_requested:
            return
        self.cancel_requested = True
        if self.state is JobState.FINISHING:
            self._end(JobState.CANCELLED, "Cancelled.")
        else:
            self._client.cancel(self.id)

    def abandon(self, reason: str) -> None:
        """The head, strip or scene of the job is gone: it is CANCELLED at once with this sentence, the engine stops
        working on it, and nothing will be applied."""
        if self.over:
            return
        self._client.cancel(self.id)
        self._end(JobState.CANCELLED, reason)

    def take_result(self) -> Path | None:
        """The path of the motion file, once, when the job is FINISHING; None at any other time."""
        if self.state is not JobState.FINISHING or self._taken:
            return None
        self._taken = True
        return self._result

    def finish(self, problem: str = "") -> None:
        """The caller has applied the result, or could not for the reason in one sentence. Removes the motion file."""
        if self.state is JobState.FINISHING:
            self._end(JobState.FAILED if problem else JobState.DONE, problem)

    def hear(self, event: Event) -> None:
        """Take in an event of this job."""
        if isinstance(event, Progress):
            if self.state in (JobState.STARTING, JobState.PREPARING):
                self.state = JobState.RUNNING
            self.stage = event.stage
            self.fraction = max(self.fraction, min(1.0, event.fraction))
            self._estimate(event.seconds_left)
        elif isinstance(event, Cancelled):
            self._end(JobState.CANCELLED, "Cancelled.")
        elif isinstance(event, Failure):
            self.code, self.detail = event.code, event.detail
            self._end(JobState.FAILED, event.message)
        elif isinstance(event, Result):
            self._arrive(event)

    def tick(self, now: float) -> None:
        """Let the time left count down between events. now: seconds of a steady clock."""
        passed = 0.0 if self._ticked is None else max(0.0, now - self._ticked)
        self._ticked = now
        if self.seconds_left is not None:
            self.seconds_left = max(0.0, self.seconds_left - passed)
        if self.state is JobState.STARTING and self._client.state == "ready":
            self.state = JobState.PREPARING

    def _estimate(self, seconds_left: float | None) -> None:
        if seconds_left is None or self.seconds_left is None:
            self.seconds_left = seconds_left if seconds_left is not None else self.seconds_left
        else:
            self.seconds_left += SMOOTHING * (seconds_left - self.seconds_left)

    def _arrive(self, event: Result) -> None:
        path = Path(event.path)
        self._result, self.seconds = path, dict(event.seconds)
        if self.cancel_requested:
            self._end(JobState.CANCELLED, "Cancelled.")
        elif not path.is_file() or path.stat().st_size == 0:
            self._end(JobState.FAILED, "The engine said it was done but left no motion file.")
        else:
            self.state, self.stage, self.fraction, self.seconds_left = JobState.FINISHING, "", 1.0, 0.0

    def _end(self, state: JobState, message: str) -> None:
        self.state, self.message, self.seconds_left = state, message, None
        if self.request.out:
            Path(self.request.out).unlink(missing_ok=True)


class Jobs:
    """All unfinished jobs of one engine. Everything is called from one thread, and nothing here waits."""

    def __init__(self, client: EngineClient, clock: Callable[[], float] = time.monotonic) -> None:
        self.client = client
        self.active: dict[str, Job] = {}
        self._clock = clock

    def submit(self, audio: str | None, message: type[Question] = Generate, **options: Any) -> Job:
        """Begin a job. audio: None where the message's other fields say it. options: its fields besides id, audio and out.

        Never raises for the engine's sake: where it cannot be started the job returned is FAILED already and says why.
        """
        id = uuid.uuid4().hex[:12]
        if audio is not None:
            options["audio"] = audio
        job = Job(message(id=id, out="", **options), self.client)
        try:
            job.request = replace(job.request, out=str(self.client.scratch / f"{id}.npz"))
            self.client.send(job.request)
        except EngineError as error:
            job.hear(Failure(id, "engine", str(error), self.client.log_tail()))
            return job
        self.active[id] = job
        return job

    def tick(self, now: float | None = None, budget_seconds: float = 0.005) -> bool:
        """Take in what the engine said, for at most the budget. True when something is under way or was until now, so
        the panel is worth drawing again."""
        now = self._clock() if now is None else now
        had = bool(self.active)
        events = self.client.poll(budget_seconds)
        for event in events:
            id = getattr(event, "id", None)
            job = self.active.get(id) if id else None
            if job is not None and not job.over:
                job.hear(event)
            elif isinstance(event, Result):  # of a job that was abandoned
                Path(event.path).unlink(missing_ok=True)
        for id, job in list(self.active.items()):
            job.tick(now)
            if job.over:
                del self.active[id]
        return had or bool(events)
