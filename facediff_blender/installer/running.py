"""What an installation needs of the system: one at a time, children that end with it, room on the disk."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from .failures import InstallError, Stopped, sentence_for

NO_WINDOW = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # Windows would open a console for a child
ANOTHER = "Another Blender is installing the engine into this folder: wait until it is done."


@contextlib.contextmanager
def only_one(path: Path) -> Iterator[int]:
    """Hold the lock of a file, which the system releases when the process ends, however it ends. Yields the file's
    descriptor. Raises InstallError when another process holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            if sys.platform == "win32":
                import msvcrt

                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InstallError(ANOTHER) from error
        yield descriptor
    finally:
        os.close(descriptor)


def child_environment(host: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, str]:
    """The environment for uv and Python: nothing of the user's uv, pip or Python settings, which are dealt with here."""
    foreign = ("UV_", "PIP_", "PYTHON", "VIRTUAL_ENV", "CONDA_")
    return {**{name: value for name, value in host.items() if not name.upper().startswith(foreign)}, **variables}


def run(
    command: Sequence[str | Path],
    log: Path,
    stop: threading.Event,
    *,
    lock: int = -1,
    seconds: float = 3600,
    tick: Callable[[], None] = lambda: None,
    variables: Mapping[str, str] | None = None,
) -> str:
    """Run a program to its end and return what it said, which also goes to the log. variables: of its environment;
    tick: called while it runs; lock: a descriptor that the child keeps open, so that the folder stays locked until it is
    gone.

    Raises Stopped when asked to stop, InstallError with the sentence for what the program said, OSError when it cannot
    be started.
    """
    with open(log, "ab") as stream:
        stream.write(f"\n$ {' '.join(map(str, command))}\n".encode())
        stream.flush()
        start = stream.tell()
        child = subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=child_environment(os.environ, variables or {}),
            pass_fds=(lock,) if lock >= 0 and os.name == "posix" else (),
            creationflags=NO_WINDOW,
        )
    end = time.monotonic() + seconds
    try:
        while child.poll() is None:
            if stop.wait(0.05):
                raise Stopped
            tick()
            if time.monotonic() > end:
                raise InstallError(f"{Path(command[0]).name} did not come to an end in {seconds / 60:.0f} minutes.")
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
    with open(log, "rb") as stream:
        stream.seek(start)
        said = stream.read().decode("utf-8", "replace")
    if child.returncode:
        raise InstallError(_why(Path(command[0]).stem, child.returncode, said))
    return said


def _why(program: str, status: int, said: str) -> str:
    if status == -9:
        return sentence_for("out of memory")
    if status in (-4, 0xC000001D):  # the signal SIGILL, and Windows' word for the same
        return sentence_for("illegal instruction")
    last = next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "")
    return sentence_for(said) or f"{program} failed (status {status}): {last[:300]}"


def free_bytes(folder: Path) -> int:
    """The room on the disk of a folder that need not exist yet; 0 when the disk cannot be asked."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0


def remove(path: Path) -> None:
    """Remove a file or a folder with all that is in it, read-only files too. Raises OSError when that fails."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path, onerror=_make_writable)


def _make_writable(function: object, path: str, _: object) -> None:
    os.chmod(os.path.dirname(path), 0o700)
    os.chmod(path, 0o700)
    os.unlink(path) if not os.path.isdir(path) else os.rmdir(path)
