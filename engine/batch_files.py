"""What a batch reads and writes: which sounds, which files for each, and whether those are whole and up to date.

For `talk/a.wav` of the folder: `talk/a.npz` (the motion), `talk/a.csv` (ARKit, where the model speaks it) and, written
last, `talk/a.json` with the motion as JSON, what it was made from, and the SHA-256 of the other two. A result is done when
the JSON and all that it names are whole and were made from the same sound with the same request.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import InputError
from .face.arkit import ARKIT_52
from .face.livelink import write_csv
from .motion import FaceMotion

FORMAT = 1
SOUNDS = frozenset(
    ".wav .flac .ogg .oga .opus .mp3 .m4a .aac .aif .aiff .mp4 .mov .mkv .avi .webm .mpg .mpeg .m4v".split()
)
PARTS = ".facediff-parts-"  # how the folder of unfinished files begins, inside the folder of results
DIGITS = 6  # of weights and rotations in the JSON


@dataclass(frozen=True)
class Job:
    """One sound, the path of its results without their suffixes, and what it is called: its path inside the folder."""

    source: Path
    target: Path
    name: str = ""


def find_jobs(folder: Path, out: Path) -> list[Job]:
    """Every sound in the folder and below it, in the order of their names; hidden files and folders are left out.

    Sounds whose names differ in their suffix alone keep it in the names of their results. Raises InputError.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder '{folder}' to take sounds from.")
    found = [
        path.relative_to(folder)
        for path in folder.rglob("*")
        if path.suffix.lower() in SOUNDS and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]  # fmt: skip
    if not found:
        raise InputError(f"There is no sound in the folder '{folder}'.")
    times = Counter(str(path.with_suffix("")).lower() for path in found)
    alone = {path: times[str(path.with_suffix("")).lower()] == 1 for path in found}
    return [Job(folder / p, out / (p.with_suffix("") if alone[p] else p), str(p)) for p in sorted(found)]


def is_done(job: Job, request: dict[str, Any]) -> bool:
    """Whether the results of a job are there, whole, and made from this sound by this request."""
    try:
        facts = json.loads(_with(job.target, ".json").read_text(encoding="utf-8"))
        if (facts["format"], facts["request"], facts["source_sha256"]) != (FORMAT, request, digest(job.source)):
            return False
        return all(digest(_with(job.target, suffix)) == sha for suffix, sha in facts["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def write_results(motion: FaceMotion, job: Job, request: dict[str, Any], parts: Path) -> None:
    """Write the results of a job: all of them first into `parts`, then each under its name, the JSON last. Raises OSError."""
    files = {}
    motion.save(parts / "r.npz")
    files[".npz"] = digest(parts / "r.npz")
    if set(motion.channels) & set(ARKIT_52):
        write_csv(motion, parts / "r.csv")
        files[".csv"] = digest(parts / "r.csv")
    facts = {
        "format": FORMAT, "source": job.source.name, "source_sha256": digest(job.source), "request": request, "files": files,
        "fps": motion.fps, "frames": motion.frames, "meta": motion.meta,
        "channels": list(motion.channels), "weights": np.round(_plain(motion.weights), DIGITS).tolist(),
        "rotation_names": list(motion.rotation_names), "rotations": np.round(_plain(motion.rotations), DIGITS).tolist(),
    }  # fmt: skip
    (parts / "r.json").write_text(json.dumps(facts) + "\n", encoding="utf-8")
    job.target.parent.mkdir(parents=True, exist_ok=True)
    for suffix in (*files, ".json"):
        with open(parts / f"r{suffix}", "rb+") as stream:
            os.fsync(stream.fileno())  # a disk may be full only when what it was given is really written
    for suffix in (*files, ".json"):
        os.replace(parts / f"r{suffix}", _with(job.target, suffix))


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal digits. Raises OSError."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def make_parts(out: Path) -> Path:
    """A folder of this process's own for unfinished files; those that dead processes of this machine left are removed."""
    host = "".join(c if c.isalnum() else "_" for c in socket.gethostname())
    for left in out.glob(f"{PARTS}{host}-*"):
        number = left.name.rpartition("-")[2]
        if number.isdigit() and not _alive(int(number)):
            shutil.rmtree(left, ignore_errors=True)
    parts = out / f"{PARTS}{host}-{os.getpid()}"
    parts.mkdir(exist_ok=True)
    return parts


def _alive(pid: int) -> bool:
    if os.name != "posix":  # there os.kill would end the process instead of asking for it
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _plain(array: Any) -> np.ndarray:
    return np.asarray(array, np.float64)


def _with(target: Path, suffix: str) -> Path:
    """The stem may hold dots, so that `with_suffix` would cut it."""
    return target.with_name(target.name + suffix)
