"""A folder of sounds to a folder of motion files, ARKit CSV and JSON: resumable, one line per file.

Workers are processes over the CPU's cores or, where there are any, the GPUs. Several machines, or several processes on one,
share the files out among them when they are started by `accelerate launch -m engine batch ...` or torchrun, which number
them (RANK of WORLD_SIZE): each takes every n-th file. They need the same folders. A file that is done already is passed
over, one that fails stops nothing, one whose worker dies is tried again.
"""

from __future__ import annotations

import argparse
import os
import shutil
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import __version__
from .batch_files import Job, digest, find_jobs, is_done, make_parts
from .batch_worker import Outcome, Worker, work
from .cli import EXIT_INTERRUPTED, add_animate_options, animate_options
from .errors import InputError

ATTEMPTS = 3  # at a file whose worker dies, and at starting a worker
OPTIONS = (
    "model", "emotion", "emotion_curve", "intensity", "seed", "steps", "fps", "mouth_variation", "device", "landmarks", "vertices"
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("folder", type=Path, nargs="?", metavar="FOLDER", help="sounds, in folders below it too")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where the results go; made if it is not there")
    parser.add_argument("--workers", type=int, help="processes; default: one for each GPU, or each core of the CPU")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    add_animate_options(parser)


def run(options: argparse.Namespace) -> int:
    """Work through the folder; exit status 0 when every file is done, 1 when one failed. Raises InputError."""
    if options.worker:
        return work()
    if options.folder is None or options.out is None:
        raise InputError("A batch needs a folder of sounds and --out with a folder for the results.")
    if options.workers is not None and options.workers < 1:
        raise InputError(f"A batch needs at least 1 worker, not {options.workers}.")
    animate_options(options)  # so that a wrong option is one sentence, not one for every file
    jobs = find_jobs(options.folder.absolute(), options.out.absolute())
    request = request_of(options)
    options.out.mkdir(parents=True, exist_ok=True)
    rank, count = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    batch = Batch(jobs[rank::count], request, print)
    if not batch.find_done():
        parts = make_parts(options.out.absolute())
        try:
            shared = {"options": {n: getattr(options, n) for n in OPTIONS}, "request": batch.request}
            places = environments(options.device, options.workers, len(batch.waiting))
            batch.work([Worker(f"worker{i}", shared, place, parts) for i, place in enumerate(places)])
        except KeyboardInterrupt:
            print(f"Interrupted: {batch.summary()} The same command goes on.")
            return EXIT_INTERRUPTED
        finally:
            shutil.rmtree(parts, ignore_errors=True)
    print(batch.summary())
    return 1 if batch.failed else 0


def request_of(options: argparse.Namespace) -> dict[str, Any]:
    """What the results depend on besides the sound, as JSON allows: the options, and the model's files by their SHA-256."""
    from .animate import model_folder

    folder = model_folder(options.model)
    files = sorted(p for p in folder.iterdir() if p.suffix in (".json", ".safetensors"))
    request: dict[str, Any] = {"engine": __version__}
    request |= {name: getattr(options, name) for name in OPTIONS if name not in ("device", "emotion_curve", "model")}
    request["model"] = {path.name: digest(path) for path in files}
    if options.emotion_curve is not None:
        request["emotion_curve"] = digest(Path(options.emotion_curve))
    return request


def environments(device: str, workers: int | None, jobs: int) -> list[dict[str, str]]:
    """For each worker the environment that gives it its share of the machine: a GPU, or cores."""
    gpus = count_gpus() if device in ("auto", "cuda") else 0
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    cores = max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    if gpus:
        own = [int(os.environ["LOCAL_RANK"]) % gpus] if here > 1 else list(range(gpus))
        wanted = workers or len(own)
        return [{"CUDA_VISIBLE_DEVICES": visible_gpu(own[i % len(own)])} for i in range(min(wanted, jobs))]
    wanted = min(workers or max(1, cores // here), jobs)
    threads = str(max(1, cores // here // wanted))
    return [dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads)] * wanted


def count_gpus() -> int:
    """How many GPUs PyTorch can use here."""
    from .devices import has_torch

    if not has_torch():
        return 0
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def visible_gpu(index: int) -> str:
    """The name by which a child process sees just this one of the GPUs that are visible here."""
    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return visible[index] if index < len(visible) else str(index)


@dataclass
class Batch:
    """The files of one process of a batch, and how they went. `say` prints a line; it is called by one thread at a time."""

    jobs: list[Job]
    request: dict[str, Any]
    say: Callable[[str], None]
    waiting: deque[Job] = field(default_factory=deque)
    done: int = 0
    before: int = 0
    failed: list[Job] = field(default_factory=list)
    _tries: dict[Job, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def find_done(self) -> bool:
        """Pass over what is done already; whether that is everything."""
        for job in self.jobs:
            if is_done(job, self.request):
                self.before += 1
                self._tell(job, "done before")
            else:
                self.waiting.append(job)
        return not self.waiting

    def work(self, workers: list[Worker]) -> None:
        """Give the files to the workers until none is left."""
        threads = [threading.Thread(target=self._drive, args=(worker,), daemon=True) for worker in workers]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            for worker in workers:
                worker.end()
        while self.waiting:  # no worker could be started
            self._book(self.waiting.popleft(), Outcome("failed", "No worker could be started for it."))

    def _drive(self, worker: Worker) -> None:
        starts = 0
        while starts < ATTEMPTS and (job := self._next()) is not None:
            outcome = worker.do(job)
            starts = starts + 1 if outcome.code == "start" else 0
            self._book(job, outcome)

    def _next(self) -> Job | None:
        with self._lock:
            return self.waiting.popleft() if self.waiting else None

    def _book(self, job: Job, outcome: Outcome) -> None:
        with self._lock:
            tries = self._tries[job] = self._tries.get(job, 0) + (outcome.code != "start")
            if outcome.status == "done":
                self.done += 1
                self._tell(job, outcome.text)
            elif outcome.code == "start":
                self.waiting.appendleft(job)
                self._tell(job, f"waits: {outcome.text}")
            elif outcome.status == "died" and tries < ATTEMPTS:
                self.waiting.append(job)
                self._tell(job, f"tried again: {outcome.text}")
            elif outcome.code == "disk_full" and tries < 2:
                self.waiting.append(job)  # room may come while the others are made
                self._tell(job, f"tried again: {outcome.text}")
            else:
                self.failed.append(job)
                self._tell(job, f"failed: {outcome.text}")

    def _tell(self, job: Job, text: str) -> None:
        number = self.done + self.before + len(self.failed)
        name = os.fsencode(job.name).decode("utf-8", "replace")
        self.say(f"[{number}/{len(self.jobs)}] {name}: {text}")

    def summary(self) -> str:
        """How it went, in one line."""
        failed = f", {len(self.failed)} failed; the same command tries again" if self.failed else ""
        return f"{self.done} done, {self.before} done before{failed}."
