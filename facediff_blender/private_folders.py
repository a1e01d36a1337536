"""The folders that hold our copies of sounds while faces are made. Ordinarily each goes with its batch; what a Blender
that crashed or was killed left is removed by a later one. No bpy in here.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PREFIX = "facediff-sound-"  # then the process id of the Blender that the folder belongs to
OWNED = re.compile(re.escape(PREFIX) + r"(\d{1,9})-\w+")
# No batch leaves its folder alone for so long. The process id says less where containers share a temporary folder.
STALE_SECONDS = 24 * 3600.0


def make(place: str | None = None) -> Path:
    """A new folder of this process, in a temporary folder (None: the system's). Raises OSError."""
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=place))


def remove_stale(place: Path, now: float | None = None) -> None:
    """Remove the folders of dead processes from a temporary folder, and from Blender's session folders in it.

    now: seconds since the epoch. Only what `make` made for this user and what has not changed for STALE_SECONDS goes; what
    cannot be read or removed stays for another time.
    """
    now = time.time() if now is None else now
    for folder in _owned(place):
        owner = OWNED.fullmatch(folder.name)
        try:
            facts = folder.lstat()
        except OSError:  # gone meanwhile: another Blender removes them too
            continue
        ours = stat.S_ISDIR(facts.st_mode) and (os.name != "posix" or facts.st_uid == os.getuid())
        if owner and ours and now - facts.st_mtime > STALE_SECONDS and not _lives(int(owner[1])):
            shutil.rmtree(folder, ignore_errors=True)


def _owned(place: Path) -> Iterator[Path]:
    try:
        yield from place.glob(f"{PREFIX}*")
        yield from place.glob(f"blender_*/{PREFIX}*")
    except OSError:  # the user's own choice of a folder may be unreadable or gone, which is no reason not to start
        return


def _lives(pid: int) -> bool:
    """Whether there is a process of that id; True where the system does not tell."""
    if sys.platform == "win32":
        return _lives_on_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


def _lives_on_windows(pid: int) -> bool:
    """There os.kill would end it."""
    import ctypes

    synchronize, no_such_process, still_runs = 0x00100000, 87, 258
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined]
    handle = kernel.OpenProcess(synchronize, False, pid)
    if not handle:
        return bool(ctypes.get_last_error() != no_such_process)  # type: ignore[attr-defined]
    runs = kernel.WaitForSingleObject(handle, 0) == still_runs
    kernel.CloseHandle(handle)
    return bool(runs)
