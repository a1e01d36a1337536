"""The engine as a process: requests as JSON lines on stdin, events as JSON lines on stdout, see messages.py.

Three threads. The main thread only reads stdin, so that the end of stdin (the host closed it, crashed or was killed)
ends this process at once, whatever a job is doing. The worker loads the engine and then runs one job after the other,
with the models kept warm in between. The pulse says `Alive` once a second while there is something to wait for.
Nothing but messages reaches stdout: whatever else prints there goes to stderr, and both go to the log file.
"""

from __future__ import annotations

import logging
import os
import platform
import queue
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

from . import __version__
from .errors import Cancelled as JobCancelled
from .errors import InputError
from .failures import describe_failure, out_of_memory
from .messages import (
    EXIT_NO_MEMORY,
    MAX_LINE,
    PROTOCOL,
    SCRATCH_PREFIX,
    Alive,
    Cancel,
    Cancelled,
    Check,
    DeviceInfo,
    Event,
    Failure,
    FindPoints,
    GiveShapes,
    Hello,
    HelloRequest,
    Job,
    Progress,
    ProtocolError,
    Result,
    Shutdown,
    Track,
    decode_request,
    encode,
)

PULSE_SECONDS = 1.0
PROGRESS_SECONDS = 0.05  # progress within a stage is told at most this often
LAST_CHANCE_SECONDS = 0.5  # for a running job to notice that the host is gone, before the process ends under it
# How much of a warm job's time each stage takes, measured on clips of 8 to 60 s on a CPU; only the progress bar
# and the time left depend on it. A stage that is not named here moves the bar by nothing.
STAGE_SHARES: Mapping[str, float] = {
    "load": 0.02,
    "features": 0.27,
    "sampling": 0.65,
    "decode": 0.04,
    "geometry": 0.01,
    "save": 0.01,
}
# The same of a video, with the starter on clips of 3 s; what hides the face is looked for only when asked.
TRACK_SHARES: Mapping[str, float] = {
    "load": 0.02,
    "detect": 0.55,
    "look": 0.28,
    "features": 0.04,
    "sampling": 0.06,
    "decode": 0.04,
    "save": 0.01,
}

Report = Callable[[str, int, int], None]  # stage, step, total

log = logging.getLogger("engine.server")


class Savable(Protocol):
    """What a job makes; in the running engine a FaceMotion."""

    def save(self, path: str) -> None:
        """Write the file whole or not at all."""


@dataclass(frozen=True)
class Engine:
    """The loaded engine, as far as the server needs it. generate(request, progress, cancelled) -> motion, of any job."""

    generate: Callable[[Job, Report, Callable[[], bool]], Savable]
    devices: list[DeviceInfo]
    default_device: str
    models: list[str] = field(default_factory=list)


def load_engine(built_in: bool = False) -> Engine:
    """Import PyTorch and the engine (about two seconds). Raises ImportError when the environment is incomplete.

    built_in: the starter model on NumPy alone, which Blender's own Python can run.
    """
    import numpy as np

    from .animate import AnimateOptions, animate
    from .devices import built_in_devices, has_torch, list_devices, pick_device, starter_device
    from .emotion_curve import load_curve
    from .parts import load_base

    if not built_in and not has_torch():
        raise ImportError("it has no PyTorch")
    # NumPy's OpenBLAS takes its working memory at its first large product, and asks for ever where there is none: better
    # now, on the thread that will work, than in a job that fills the memory.
    np.ones((256, 256), np.float32) @ np.ones((256, 256), np.float32)

    def generate(request: Job, progress: Report, cancelled: Callable[[], bool]) -> Savable:
        if isinstance(request, Track):
            return follow_video(request, progress, cancelled, built_in)
        if isinstance(request, Check):
            from .weak_spots import check

            device = starter_device(request.device, built_in=True) if built_in else request.device
            return check(request.audio, request.motion, device, progress, cancelled)
        if isinstance(request, (FindPoints, GiveShapes)):
            return shape_mesh(request, progress, cancelled, built_in)
        options = AnimateOptions(
            emotion=request.emotion,
            intensity=request.intensity,
            seed=request.seed,
            steps=request.steps,
            fps=request.fps,
            mouth_variation=request.mouth_variation,
            device=starter_device(request.device, built_in=True) if built_in else request.device,
            landmarks=request.landmarks,
            vertices=request.vertices,
            emotion_curve=load_curve(request.emotion_curve) if request.emotion_curve is not None else None,
            base=load_base(request.base) if request.base is not None else None,
            start=request.start,
            end=request.end,
            channels=request.channels,
        )
        return animate(request.audio, options, model=request.model, progress=progress, cancelled=cancelled)

    found = built_in_devices() if built_in else list_devices()
    devices = [DeviceInfo(d.id, d.label, d.usable, d.reason) for d in found]
    return Engine(generate, devices, "cpu" if built_in else pick_device("auto").type, ["starter"])


def follow_video(
    request: Track, progress: Report, cancelled: Callable[[], bool], built_in: bool = False
) -> Savable:
    """Follow the face in a video; see `track.track`. Raises InputError, of the built-in engine always."""
    if built_in:
        raise InputError("Following a face in a video needs the full engine: press Install Full Engine in the preferences.")
    from .track import TrackOptions, track

    options = TrackOptions(
        occlusion=request.occlusion,
        audio=Path(request.audio) if request.audio is not None else None,
        seed=request.seed,
        steps=request.steps,
        device=request.device,
        landmarks=request.landmarks,
        vertices=request.vertices,
        start=request.start,
        end=request.end,
        masks_fps=request.masks_fps,
        masks_start=request.masks_start,
    )
    return track(Path(request.video), options, request.model, progress, cancelled)


def shape_mesh(
    request: FindPoints | GiveShapes, progress: Report, cancelled: Callable[[], bool], built_in: bool
) -> Savable:
    """Find a mesh's points (by their look with the full engine, by its form with the built-in one), or give it shapes.
    Raises InputError."""
    from .face.transfer.file import load_mesh
    from .face.transfer.jobs import find_points, shapes_for

    mesh = load_mesh(request.mesh)
    if isinstance(request, GiveShapes):
        return shapes_for(mesh, request.name, progress, cancelled)
    progress("detect", 0, 1)
    return find_points(mesh, request.name, not built_in, cancelled)


def shares_of(request: Job) -> Mapping[str, float]:
    """How much of a job's time each of its stages takes."""
    if isinstance(request, (FindPoints, GiveShapes)):
        from .face.transfer.jobs import FIND_SHARES, GIVE_SHARES

        return GIVE_SHARES if isinstance(request, GiveShapes) else FIND_SHARES
    if not isinstance(request, Track):
        return STAGE_SHARES
    if request.occlusion == "auto":
        return TRACK_SHARES
    return {**TRACK_SHARES, "detect": TRACK_SHARES["detect"] + TRACK_SHARES["look"], "look": 0.0}


@dataclass
class _Job:
    request: Job
    cancel: threading.Event = field(default_factory=threading.Event)


class _Meter:
    """Turns the stages of one job into `Progress` events with the share of the whole and the time left."""

    def __init__(
        self,
        id: str,
        emit: Callable[[Event], None],
        clock: Callable[[], float] = time.monotonic,
        shares: Mapping[str, float] = STAGE_SHARES,
    ) -> None:
        self.id, self.emit, self.clock, self.shares = id, emit, clock, shares
        self.seconds: dict[str, float] = {}
        self._started = self._stage_started = clock()
        self._stage = ""
        self._done = 0.0  # share of the stages before this one
        self._told = -1.0

    def __call__(self, stage: str, step: int, total: int) -> None:
        now = self.clock()
        if stage != self._stage:
            self.close()
            self._stage, self._stage_started = stage, now
        elif step < total and now - self._told < PROGRESS_SECONDS:
            return
        self._told = now
        share = self.shares.get(stage, 0.0)
        fraction = min(1.0, self._done + share * min(1.0, step / max(1, total)))
        elapsed = now - self._started
        left = elapsed * (1 - fraction) / fraction if fraction >= 0.1 and elapsed >= 0.5 else None
        self.emit(Progress(self.id, stage, int(step), int(total), fraction, left))

    def close(self) -> None:
        """Book the running stage's time."""
        if self._stage:
            now = self.clock()
            self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + now - self._stage_started
            self._done += self.shares.get(self._stage, 0.0)
            self._stage = ""


class Server:
    """Reads requests from one binary stream and writes events to another until the first ends or says shutdown."""

    def __init__(self, requests: BinaryIO, events: BinaryIO, load: Callable[[], Engine] = load_engine) -> None:
        self._requests, self._events, self._load = requests, events, load
        self._write_lock = threading.Lock()
        self._closing = threading.Event()
        self._waiting: queue.Queue[_Job | HelloRequest] = queue.Queue()
        self._jobs: dict[str, _Job] = {}
        self._jobs_lock = threading.Lock()
        self._busy = threading.Event()  # something to wait for: loading, or a job

    def run(self) -> None:
        """Serve until the end of the requests; returns within LAST_CHANCE_SECONDS of it even while a job runs."""
        self._busy.set()
        worker = threading.Thread(target=self._work, name="worker", daemon=True)
        worker.start()
        threading.Thread(target=self._pulse, name="pulse", daemon=True).start()
        while not self._closing.is_set():
            line = self._requests.readline(MAX_LINE + 1)
            if not line:
                break
            try:
                request = decode_request(line)
            except ProtocolError as error:
                log.error("refused a request: %s", error)
                self._emit(Failure(None, "protocol", str(error)))
                continue
            if isinstance(request, Shutdown):
                break
            self._take(request)
        self._closing.set()
        log.info("the host is gone or said shutdown: ending")
        with self._jobs_lock:
            for job in self._jobs.values():
                job.cancel.set()
            running = bool(self._jobs)
        if running:
            worker.join(LAST_CHANCE_SECONDS)

    def _take(self, request: HelloRequest | Job | Cancel) -> None:
        log.info("request %s", request)
        if isinstance(request, Cancel):
            with self._jobs_lock:
                job = self._jobs.get(request.id)
            if job is not None:  # otherwise it has just ended, and its last event says how
                job.cancel.set()
        elif isinstance(request, Job):
            job = _Job(request)
            with self._jobs_lock:
                taken = request.id in self._jobs
                if not taken:
                    self._jobs[request.id] = job
            if taken:
                self._emit(Failure(request.id, "protocol", f"There is already a job '{request.id}'."))
            else:
                self._busy.set()
                self._waiting.put(job)
        else:
            self._waiting.put(request)

    def _work(self) -> None:
        started = time.monotonic()
        try:
            engine = self._load()
        except Exception as error:  # whatever it is, the host must be told before the process ends
            log.exception("the engine could not be loaded")
            self._emit(describe_failure(None, error))
            os._exit(3)
        log.info("engine %s ready after %.2f s", __version__, time.monotonic() - started)
        try:
            self._work_with(engine)
        except BaseException:  # there was too little memory even to say so; a process without its worker would hang
            os._exit(EXIT_NO_MEMORY)

    def _work_with(self, engine: Engine) -> None:
        while not self._closing.is_set():
            with self._jobs_lock:
                if not self._jobs:
                    self._busy.clear()
            item = self._waiting.get()
            if isinstance(item, HelloRequest):
                version = platform.python_version()
                self._emit(
                    Hello(PROTOCOL, __version__, version, engine.devices, engine.default_device, engine.models)
                )
                continue
            event = self._run(engine, item)
            with self._jobs_lock:
                del self._jobs[item.request.id]
            log.info("event %s", event)
            self._emit(event)

    def _run(self, engine: Engine, job: _Job) -> Event:
        request = job.request
        meter = _Meter(request.id, self._emit, shares=shares_of(request))
        try:
            if job.cancel.is_set():
                raise JobCancelled
            motion = engine.generate(request, meter, job.cancel.is_set)
            if job.cancel.is_set():
                raise JobCancelled
            meter("save", 0, 1)
            motion.save(request.out)
            meter.close()
            return Result(request.id, request.out, meter.seconds)
        except JobCancelled:
            return Cancelled(request.id)
        except (Exception, SystemExit) as error:  # whatever it is, the server lives on and the host gets a sentence
            if out_of_memory(error):
                traceback.clear_frames(error.__traceback__)  # which hold what filled the memory
            log.exception("job %s failed", request.id)
            return describe_failure(request.id, error)

    def _pulse(self) -> None:
        while not self._closing.is_set():
            self._busy.wait()
            self._emit(Alive())
            self._closing.wait(PULSE_SECONDS)

    def _emit(self, event: Event) -> None:
        line = encode(event)
        with self._write_lock:
            if self._closing.is_set():
                return
            try:
                self._events.write(line)
                self._events.flush()
            except (OSError, ValueError):  # the host closed its end: nobody is left to serve
                log.error("the host closed the pipe")
                self._closing.set()
                os._exit(1)


def serve(log_file: Path | None = None, scratch: Path | None = None, built_in: bool = False) -> int:
    """Serve on this process's stdin and stdout until stdin ends; then the process ends, running jobs or not.

    log_file: appended to; stderr without it. scratch: the host's private folder, removed when stdin ends, because a
    host that was killed cannot do it. built_in: see `load_engine`. Raises InputError when scratch is not a folder that
    hosts make for the purpose.
    """
    if scratch is not None and not scratch.name.startswith(SCRATCH_PREFIX):
        raise InputError(f"'{scratch}' is not a private folder of a host, so it is not one to remove.")
    events = claim_stdout(log_file)
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True
    )
    log.info("engine %s, protocol %d, Python %s, pid %d", __version__, PROTOCOL, platform.python_version(), os.getpid())
    status = 0
    try:
        Server(sys.stdin.buffer, events, lambda: load_engine(built_in)).run()
    except KeyboardInterrupt:
        status = 130
    if scratch is not None:
        os.chdir(scratch.parent)
        for _ in range(20):  # the worker may be writing into it until this process ends
            shutil.rmtree(scratch, ignore_errors=True)
            if not scratch.exists():
                break
            time.sleep(0.02)
    logging.shutdown()
    os._exit(status)  # a worker deep in an import or a tensor operation would hold up an ordinary exit


def claim_stdout(log_file: Path | None) -> BinaryIO:
    """Keep the real stdout for messages and send everything else that prints there, C libraries too, to stderr."""
    import faulthandler

    if log_file is not None:
        handle = os.open(log_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(handle, 2)
        os.close(handle)
    events = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    faulthandler.enable()
    return events
