"""The steps of an installation, each of which finds what an earlier, cancelled one has left and goes on from there."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import download, locks, running
from .failures import DISK_FULL, InstallError, Stopped, explain
from .index import Sources
from .locks import File, Lock
from .places import MARK_TEXT, Layout, interpreter

PYTHON_VERSION = "3.11"
SPARE = 300_000_000  # bytes that must stay free besides what an installation writes
SELFTEST = Path(__file__).resolve().parent / "selftest.py"
Say = Callable[[str, str, int, int], None]  # stage, sentence, done and total bytes (0 of 0: nobody knows)


@dataclass
class Work:
    """One installation on its way. engine_root: the folder that holds the package `engine`."""

    layout: Layout
    lock: Lock
    sources: Sources
    engine_root: Path
    say: Say
    stop: threading.Event
    held: int = -1  # the descriptor of the folder's lock
    selftest_seconds: float = 600.0
    waits: tuple[float, ...] = download.WAITS
    notes: list[str] = field(default_factory=list)

    def check_stop(self) -> None:
        """Raises Stopped when asked to stop."""
        if self.stop.is_set():
            raise Stopped

    def run(self, *command: str | Path, **options: Any) -> str:
        """Run a program, see `running.run`, which also takes the options."""
        return running.run(command, self.layout.log, self.stop, lock=self.held, **options)

    def uv(self, *arguments: str | Path, tick: Callable[[], None] = lambda: None) -> str:
        """Run uv on the files that are here, never on the network."""
        command = [self.layout.uv, *arguments, "--offline", "--no-config", "--no-progress", "--color", "never"]
        own = {"UV_CACHE_DIR": str(self.layout.cache), "UV_PYTHON_INSTALL_DIR": str(self.layout.pythons)}
        return self.run(*command, tick=tick, variables=own)


def make_folder(layout: Layout) -> None:
    """Make the engine's folder and mark it as ours. Raises InstallError when other people's files are in it, OSError."""
    root = layout.root
    if not layout.mark.is_file() and root.is_dir() and any(root.iterdir()):
        raise InstallError(f"{root} is not empty and was not made by FaceDiff: choose an empty or a new folder.")
    root.mkdir(parents=True, exist_ok=True)
    layout.mark.write_text(MARK_TEXT, encoding="utf-8")


def check_room(layout: Layout, lock: Lock) -> None:
    """Raises InstallError when the disk has too little room for what is still to come."""
    there = sum(p.stat().st_size for p in layout.downloads.glob("*")) if layout.downloads.is_dir() else 0
    needed = max(0, lock.download_bytes - there) + lock.installed_bytes + SPARE
    free = running.free_bytes(layout.root)
    if free < needed:
        raise InstallError(f"{DISK_FULL} (It has {free / 1e9:.1f} GB free and {needed / 1e9:.1f} GB are needed.)")


def fetch(work: Work, files: tuple[File, ...], stage: str, into: Path | None = None) -> dict[str, Path]:
    """Fetch files, with progress in bytes over all of them; by file name. Raises as `download.fetch`."""
    into = into or work.layout.downloads
    into.mkdir(parents=True, exist_ok=True)
    total, before, paths = sum(file.size for file in files), 0, {}
    for file in files:

        def tick(done: int, file: File = file, before: int = before) -> None:
            work.check_stop()
            work.say(stage, f"{file.name} {file.version}", before + min(done, file.size), total)

        tick(0)
        paths[file.file] = download.fetch(file, into, work.sources, tick, work.waits)
        before += file.size
    return paths


def get_uv(work: Work) -> None:
    """uv, out of its wheel, which is a zip; nothing when it is there already."""
    if work.layout.uv.is_file() and _says(work, work.lock.uv.version):
        return
    wheel = fetch(work, (work.lock.uv,), "uv")[work.lock.uv.file]
    target = work.layout.uv
    target.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        name = next((n for n in archive.namelist() if n.rpartition("/")[2] == target.name and "/scripts/" in n), None)
        if name is None:
            raise InstallError(f"{wheel.name} holds no uv for this system.")
        draft = target.with_suffix(".new")
        with archive.open(name) as source, open(draft, "wb") as copy:
            shutil.copyfileobj(source, copy)
    draft.chmod(draft.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    os.replace(draft, target)
    work.run(target, "--version", seconds=60)


def _says(work: Work, version: str) -> bool:
    """Whether the uv that is there runs and is of this version."""
    try:
        return work.run(work.layout.uv, "--version", seconds=60).split()[1:2] == [version]
    except (InstallError, OSError):
        return False


def get_python(work: Work) -> tuple[str, bool]:
    """Python for the environment: its path, and whether it is our own. uv's own build where it can be had, for nothing on
    the computer can take that away; else a Python 3.11 of the system. Raises InstallError when there is neither."""
    file = work.lock.python
    try:
        archive = fetch(work, (file,), "python")[file.file]
    except (InstallError, OSError) as error:
        why = explain(error)
    else:
        mirror = _mirror(work, archive)
        try:
            work.uv("python", "install", f"cpython-{file.version}", "--mirror", mirror.as_uri(), "--no-bin")
        except InstallError:
            archive.unlink()  # it may be damaged, which only uv can tell
            raise
        return work.uv("python", "find", file.version, "--managed-python").strip().splitlines()[-1], True
    work.check_stop()
    try:
        found = work.uv("python", "find", PYTHON_VERSION, "--no-managed-python", "--no-python-downloads", "--system")
    except InstallError as error:
        raise InstallError(
            f"Python {PYTHON_VERSION} cannot be downloaded, and this computer has none of its own. {why}"
        ) from error
    work.notes.append(f"Python {PYTHON_VERSION} of this computer is used, since its download failed: {why}")
    return found.strip().splitlines()[-1], False


def _mirror(work: Work, archive: Path) -> Path:
    """The archive where uv looks for it: under the release's name, as on the server."""
    mirror = work.layout.downloads / "mirror"
    place = mirror / work.lock.python.release / work.lock.python.url.rpartition("/")[2].replace("%2B", "+")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    try:
        os.link(archive, place)
    except OSError:
        shutil.copyfile(archive, place)
    return mirror


def make_environment(work: Work, python: str) -> None:
    """An empty environment, in place of a half-made one."""
    work.say("install", "Making the environment", 0, 0)
    running.remove(work.layout.building)
    work.uv("venv", work.layout.building, "--python", python, "--no-managed-python", "--no-project")


def install_packages(work: Work, environment: Path, names: list[str] | None = None) -> None:
    """Install all packages of the lock, or anew those named, from the files that are here."""
    layout = work.layout
    checksums = {
        path.name.removesuffix(".sha256"): path.read_text().strip() for path in layout.downloads.glob("*.sha256")
    }
    packages = tuple(p for p in work.lock.packages if names is None or p.name in names)
    wanted = layout.requirements if names is None else layout.downloads / "repair.txt"
    part = locks.Lock(work.lock.system, work.lock.accelerator, work.lock.uv, work.lock.python, packages, "")
    wanted.write_text(locks.requirements(part, checksums), encoding="utf-8")
    size, free = sum(p.unpacked for p in packages), running.free_bytes(layout.root)

    def tick() -> None:  # uv does not say how far it is, the disk does
        done = max(0, free - running.free_bytes(layout.root))
        work.say("install", f"Unpacking {len(packages)} packages", min(done, size * 99 // 100), size)

    again = [] if names is None else ["--reinstall"]
    where: list[str | Path] = ["--python", interpreter(environment), "--no-index", "--find-links", layout.downloads]
    work.uv("pip", "install", *where, "--no-deps", "--require-hashes", *again, "-r", wanted, tick=tick)


def selftest(work: Work, environment: Path) -> dict[str, Any]:
    """Let the environment animate one second of sound; what it found. Raises InstallError, see `run_selftest`."""
    work.say("test", "Animating one second of sound", 0, 0)
    return run_selftest(work.run, interpreter(environment), work.engine_root, work.layout.scratch, work.selftest_seconds)


def run_selftest(run: Callable[..., str], python: Path, root: Path, scratch: Path, seconds: float) -> dict[str, Any]:
    """Run selftest.py with a Python. Returns its report; raises InstallError with the sentence for what went wrong."""
    running.remove(scratch)
    scratch.mkdir(parents=True)
    began = time.monotonic()
    try:
        said = run(python, "-I", "-X", "utf8", SELFTEST, root, scratch, seconds=seconds, variables={"HF_HUB_OFFLINE": "1"})
        report = json.loads(said.strip().splitlines()[-1])
    except (ValueError, IndexError) as error:
        raise InstallError("The engine's self-test said nothing: press Repair, or Uninstall and install again.") from error
    finally:
        running.remove(scratch)
    if not report["frames"]:
        raise InstallError("The engine's self-test made no motion: press Repair, or Uninstall and install again.")
    return {**report, "wall_seconds": round(time.monotonic() - began, 1)}


def swap(layout: Layout) -> None:
    """Put the new environment in the place of the one in use. Raises OSError, with the old one in its place again."""
    running.remove(layout.old)
    if layout.environment.exists():
        os.rename(layout.environment, layout.old)
    try:
        os.rename(layout.building, layout.environment)
    except OSError:
        if layout.old.exists():
            os.rename(layout.old, layout.environment)
        raise
    running.remove(layout.old)


def clean(layout: Layout) -> None:
    """Remove what only an unfinished installation needs."""
    for path in (layout.downloads, layout.cache, layout.scratch):
        running.remove(path)


def tree_bytes(folder: Path) -> int:
    """What the files of a folder take, hard links counted once."""
    seen, total = set(), 0
    for base, _, names in os.walk(folder):
        for name in names:
            try:
                facts = os.lstat(os.path.join(base, name))
            except OSError:  # gone meanwhile
                continue
            if sys.platform == "win32" or (facts.st_dev, facts.st_ino) not in seen:
                seen.add((facts.st_dev, facts.st_ino))
                total += facts.st_size
    return total
