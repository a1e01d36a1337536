"""What the fault and soak runs share: Blender as a module with the add-on enabled, a head, a short sound, the real engine,
and all that a job could leave behind.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import traceback
import wave
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import bpy
import numpy as np
from addon_from_tree import PACKAGE, load_addon

SECONDS = 8.0  # of sound
PATIENCE = 300.0  # s until a run gives up; the machine may be busy with other work


def enter(folder: Path) -> None:
    """Enable the add-on, and let every temporary file of this process and of the engine be made in the folder."""
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    load_addon().register()
    bpy.context.preferences.filepaths.temporary_directory = str(folder)


def leave() -> None:
    """Disable the add-on."""
    load_addon().unregister()


def part(name: str) -> ModuleType:
    """A module of the add-on, "session" or "engine_client"."""
    return __import__(f"{PACKAGE}.facediff_blender.{name}", fromlist=["_"])


def new_file(sound: Path, full: bool = False) -> None:
    """An empty file with a head and the sound as a strip, and the engine chosen."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    load_addon()  # factory settings forget the add-on's preferences
    preferences = part("preferences")
    preferences.get(bpy.context).engine_python = sys.executable if full else ""
    preferences.find_python = lambda chosen: chosen  # an engine that happens to be installed here is not meant
    bpy.context.scene.render.fps = 25
    bpy.ops.facediff.add_head()
    bpy.context.scene.sequence_editor_create().strips.new_sound("Speech", str(sound), 1, 1)
    bpy.ops.ed.undo_push(message="made")


def write_sound(path: Path, seconds: float = SECONDS) -> Path:
    """Syllables of noise, 16 kHz."""
    t = np.arange(int(seconds * 16_000)) / 16_000
    noise = np.random.default_rng(0).normal(0, 5000, len(t)) * np.clip(np.sin(2 * np.pi * 3 * t), 0, 1)
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, 16_000, 0, "NONE", ""))
        out.writeframes(noise.astype("<i2").tobytes())
    return path


def use(client: object | None) -> None:
    """Talk to this engine from now on; None: to the one that the preferences choose."""
    session = part("session")
    session.stop_engine()
    if client is not None:
        session.current.jobs = part("jobs").Jobs(client)


def tick_until(seconds: float, stop: object = None) -> bool:
    """Tick as Blender's timer does for so long, or until nothing is waited for: False then. stop: a question that ends it."""
    session = part("session")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not session.tick() and session.current.generation is None:
            return False
        if callable(stop) and stop():
            return True
        time.sleep(0.005)
    return True


def generate() -> str:
    """Press Generate and wait for the end; returns what is wrong with that, or ""."""
    before = len(bpy.data.actions)
    session = part("session")
    try:
        bpy.ops.facediff.generate()
    except RuntimeError as error:
        return f"Generate: {str(error).strip()}"
    if tick_until(PATIENCE):
        return "Generate did not end"
    if session.current.failed or len(bpy.data.actions) <= before:
        return f"Generate made no take: {session.current.message}"
    return ""


def curves() -> int:
    """F-curves in the file, of all takes."""
    compat = part("compat")
    return sum(len(compat.curves_in(action, "KEY")) for action in bpy.data.actions)


def children() -> set[int]:
    """Processes that this one, or one that it started, began and that still run or wait to be collected."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found = {os.getpid()}
    while True:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        if not more:
            return found - {os.getpid()}
        found |= more


def listening(pid: int) -> int:
    """Internet sockets that a process has open, of any kind."""
    nodes = set()
    for table in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6"):
        path = Path(f"/proc/{pid}/net/{table}")
        if path.is_file():
            nodes |= {line.split()[9] for line in path.read_text().splitlines()[1:]}
    own = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(link)
        except OSError:
            continue
        if target.startswith("socket:["):
            own.add(target[8:-1])
    return len(own & nodes)


def run_and_exit(main: Callable[[], int]) -> NoReturn:
    """Run it, and end the process with its status at once: Blender's own shut-down may hang, see run_bpy_tests.py."""
    status = 1
    try:
        status = main()
    except SystemExit as end:  # argparse's, which has said why
        status = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    os._exit(status)


def open_files() -> int:
    """File descriptors of this process."""
    return len(os.listdir("/proc/self/fd"))


def memory(pid: int | str = "self") -> float:
    """MiB that a process holds for itself (proportional set size, so that shared libraries do not count twice)."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0
