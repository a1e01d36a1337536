"""Fuzz every parser that a stranger's file reaches: `python scripts/fuzz.py --inputs 2000 --seed 1 [--only wav motion]`.

Each input goes to a worker process with a memory limit. Counted are: crashes (the process died), hangs (more than LIMIT
seconds of processor time), code that ran (a pickle made its folder), other errors than the sentence-carrying ones, and files
that a refused input left behind. Exit status 1 when there is any. The same seed gives the same inputs.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from fuzzing.targets import ROOT, TARGETS, prepare  # noqa: E402

LIMIT = 5.0  # s of processor time for one input
WALL = 120.0  # s, for one that sleeps; the machine may be busy with other work
MEMORY = 2 << 30  # bytes beyond what the worker has after its imports
CLASSES = ("InputError", "MotionError", "FlameError", "ArrayPickleError", "ProtocolError", "LiveLinkError", "MappingError")
BAD = ("crash", "hang", "code ran", "other error", "left behind")


@dataclass
class Tally:
    """inputs by outcome, and one line on each that is bad."""

    counts: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    slowest: float = 0.0


class Worker:
    """A process that reads one file after the other."""

    def __init__(self, name: str, log: Path) -> None:
        self.name, self.log = name, log
        self.process: subprocess.Popen[bytes] | None = None

    def ask(self, path: Path) -> tuple[str, str, float]:
        """(outcome, what it said, processor seconds) of reading the file."""
        process = self._started()
        assert process.stdin is not None and process.stdout is not None
        before, end = _cpu(process.pid), time.monotonic() + WALL
        process.stdin.write(f"{path}\n".encode())
        process.stdin.flush()
        while not select.select([process.stdout], [], [], 0.2)[0]:
            spent = _cpu(process.pid) - before
            if spent > LIMIT or time.monotonic() > end:
                self.end()
                return "hang", f"{spent:.1f} s of processor time", spent
        line = process.stdout.readline()
        if not line:
            status = process.wait()
            self.end()
            return "crash", f"exit status {status}: {self.log.read_text(errors='replace')[-300:]}", 0.0
        outcome, said = json.loads(line)
        return outcome, said, _cpu(process.pid) - before

    def end(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _started(self) -> subprocess.Popen[bytes]:
        if self.process is None:
            with open(self.log, "wb") as log:
                self.process = subprocess.Popen(
                    [sys.executable, __file__, "--worker", self.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                    env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                )  # fmt: skip
            assert self.process.stdout is not None
            self.process.stdout.readline()
        return self.process


def fuzz(name: str, inputs: int, seed: int, keep: Path | None) -> Tally:
    """Read `inputs` damaged files, besides the whole ones and the attacks, of one target."""
    target, seeds, beside = prepare(name)
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="facediff-fuzz-") as work:
        folder, mark = Path(work) / "case", Path(work) / "mark"
        shared = Path(work) / "beside"
        shared.mkdir()
        for other, content in beside.items():
            (shared / other).write_bytes(content)
        worker = Worker(name, Path(work) / "log")
        attacks = target.attacks(str(mark))
        fixed = [*seeds, *attacks]
        for number in range(len(fixed) + max(1, int(inputs * target.share))):
            if number < len(fixed):
                data = fixed[number]
            else:
                rng = np.random.default_rng([seed, zlib.crc32(name.encode()), number - len(fixed)])
                data = target.damage(seeds[int(rng.integers(len(seeds)))], rng, seeds)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            for other in beside:
                os.link(shared / other, folder / other)
            path = folder / target.file
            path.write_bytes(data)
            outcome, said, spent = worker.ask(path)
            tally.slowest = max(tally.slowest, spent)
            if number < len(seeds) and outcome != "read":
                outcome, said = "other error", f"a whole file was refused: {said}"
            if mark.exists():
                outcome = "code ran"
                mark.rmdir()
            elif {p.name for p in folder.iterdir()} != {target.file, *beside}:
                outcome, said = "left behind", ", ".join(sorted(p.name for p in folder.iterdir()))
            tally.counts[outcome] += 1
            if outcome in BAD:
                what = f"attack {number - len(seeds)}" if number < len(fixed) else f"input {number - len(fixed)}"
                tally.findings.append(f"{name}, {what}: {outcome}: {said}")
                if keep is not None:
                    (keep / f"{name}-{number}-{target.file}").write_bytes(data)
        worker.end()
    return tally


def serve(name: str) -> None:
    """The worker: a path a line on stdin, an outcome a line on stdout."""
    import resource
    import warnings

    warnings.simplefilter("ignore")
    target, seeds, beside = prepare(name)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with tempfile.TemporaryDirectory() as folder:  # every import that the parser makes, before the limit is set
        for other, content in {**beside, target.file: seeds[0]}.items():
            (Path(folder) / other).write_bytes(content)
        target.parse(Path(folder) / target.file)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print(json.dumps(["ready", ""]), file=answers, flush=True)
    for line in sys.stdin:
        try:
            target.parse(Path(line.rstrip("\n")))
            answer = ["read", ""]
        except BaseException as error:
            sentence = str(error)
            fine = type(error).__name__ in CLASSES and sentence.strip() and "\n" not in sentence
            text = sentence if fine else "".join(traceback.format_exception(error))[-700:]
            answer = ["refused" if fine else "other error", text]
        print(json.dumps(answer), file=answers, flush=True)


def _cpu(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Fuzz, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--inputs", type=int, default=200, help="damaged files per parser; slow ones get a share of it")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=sorted(TARGETS), metavar="PARSER")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave every bad input here")
    parser.add_argument("--worker", choices=sorted(TARGETS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        serve(options.worker)
        return 0
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
    columns = ("read", "refused", *BAD)
    print(f"{'parser':16}{'inputs':>8}" + "".join(f"{c:>13}" for c in columns) + f"{'slowest':>10}")
    total: Counter[str] = Counter()
    findings = []
    for name in options.only or TARGETS:
        tally = fuzz(name, options.inputs, options.seed, options.keep)
        total += tally.counts
        findings += tally.findings
        row = "".join(f"{tally.counts[c]:>13}" for c in columns)
        print(f"{name:16}{tally.counts.total():>8}{row}{tally.slowest:>8.1f} s", flush=True)
    print(f"{'all':16}{total.total():>8}" + "".join(f"{total[c]:>13}" for c in columns))
    for line in findings:
        print(f"\n{line}")
    return 1 if findings else 0


if __name__ == "__main__":
    assert ROOT.is_dir()
    sys.exit(main())
