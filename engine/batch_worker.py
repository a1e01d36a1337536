"""A worker of a batch: a process that takes one sound after the other on stdin, and its other end in the batch's process.

Lines of JSON. To the worker: first what all files have in common, then one file at a time. From it: once that it is ready,
then how each file went. The end of its stdin is its end.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from .batch_files import Job, write_results
from .failures import describe_failure

NOTHING_SAID = "no reason given"


@dataclass(frozen=True)
class Outcome:
    """How a file went. status: "done", "failed" or "died" (the worker, not the file); code: as in `messages.ERROR_CODES`."""

    status: str
    text: str
    code: str = ""


def work() -> int:
    """Be a worker until stdin ends."""
    from .server import claim_stdout

    answers = claim_stdout(None)
    requests = sys.stdin.buffer
    shared = json.loads(requests.readline())
    from .animate import animate
    from .cli import animate_options

    options = animate_options(argparse.Namespace(**shared["options"]))
    _say(answers, {"status": "ready"})
    while line := requests.readline():
        order = json.loads(line)
        job, parts = Job(Path(order["source"]), Path(order["target"])), Path(order["parts"])
        started = time.monotonic()
        try:
            parts.mkdir(parents=True, exist_ok=True)
            motion = animate(job.source, options, model=shared["options"]["model"])
            write_results(motion, job, shared["request"], parts)
            seconds = time.monotonic() - started
            _say(answers, {"status": "done", "text": f"{motion.frames} frames in {seconds:.1f} s"})
        except Exception as error:  # whatever it is, it ends this file only
            failure = describe_failure(None, error)
            _say(answers, {"status": "failed", "text": failure.message, "code": failure.code})
        finally:
            shutil.rmtree(parts, ignore_errors=True)
    return 0


def _say(answers: BinaryIO, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message).encode() + b"\n")
    answers.flush()


class Worker:
    """The batch's end of a worker, `process` or None. One thread uses it; `end` may be called from another."""

    def __init__(self, name: str, shared: dict[str, Any], environment: Mapping[str, str], parts: Path) -> None:
        self.name, self.parts = name, parts
        self._shared = shared
        self._environment = {**os.environ, **environment, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
        self._log = parts / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._ended = False

    def do(self, job: Job) -> Outcome:
        """Make the results of a job; starts the process where there is none."""
        process = self.process
        if process is None or process.poll() is not None:
            process, answer = self._start()
            if process is None or answer is None:
                return Outcome("died", f"a worker could not start ({self._reason(process)})", "start")
        order = {"source": str(job.source), "target": str(job.target), "parts": str(self.parts / self.name)}
        answer = _ask(process, order)
        if answer is None:
            reason = self._reason(process)
            shutil.rmtree(self.parts / self.name, ignore_errors=True)
            return Outcome("died", f"its worker was ended from outside or crashed ({reason})", "engine")
        return Outcome(answer["status"], answer["text"], answer.get("code", ""))

    def end(self) -> None:
        """End the process, whatever it does. No other will be started."""
        with self._lock:
            self._ended = True
            if self.process is not None:
                self.process.kill()
                self.process.wait()

    def _start(self) -> tuple[subprocess.Popen[bytes] | None, dict[str, Any] | None]:
        with self._lock:
            if self._ended:
                return None, None
            with open(self._log, "wb") as log:
                self.process = subprocess.Popen(
                    [sys.executable, "-m", (__package__ or "engine"), "batch", "--worker"],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                    env=self._environment,
                )  # fmt: skip
        return self.process, _ask(self.process, self._shared)

    def _reason(self, process: subprocess.Popen[bytes] | None) -> str:
        if process is None:
            return "the batch was ended"
        status = process.wait()
        if status < 0:
            return f"signal {-status}"
        lines = self._log.read_text(encoding="utf-8", errors="replace").split("\n") if self._log.is_file() else []
        return next((line.strip() for line in reversed(lines) if line.strip()), NOTHING_SAID)[:200]


def _ask(process: subprocess.Popen[bytes], message: dict[str, Any]) -> dict[str, Any] | None:
    """The answer to a message, or None when the process is no more."""
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(json.dumps(message).encode() + b"\n")
        process.stdin.flush()
    except OSError:
        return None
    line = process.stdout.readline()
    try:
        return json.loads(line)
    except ValueError:  # nothing, or half a line: it ended
        process.kill()
        return None
