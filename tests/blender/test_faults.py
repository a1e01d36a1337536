"""What `scripts/faults.py` found once: an engine that is stopped under a job, and words of an engine that no panel can show."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import bpy
import pytest
import stage
from facediff_tree.facediff_blender import bake, private_folders, session

pytestmark = pytest.mark.usefixtures("registered")


def test_an_engine_that_is_stopped_under_a_job_ends_the_job(tmp_path):
    """As an installation does that ends meanwhile; the panel must not wait for ever."""
    stage.engine(tmp_path)
    bpy.ops.facediff.add_head()
    stage.strip(tmp_path)
    bpy.ops.facediff.generate()
    session.stop_engine()
    assert session.current.generation is None and session.current.batch is None
    assert session.current.message == "The engine was stopped while a face was being generated, so nothing was changed."
    assert bake.current_take(stage.head()) is None
    stage.engine(tmp_path)
    assert stage.generate() is not None


@pytest.mark.skipif(os.name != "posix", reason="Windows cannot stop a process for a while (SIGSTOP)")
def test_an_idle_engine_that_is_killed_just_before_generate_costs_nothing(tmp_path):
    stage.engine(tmp_path)
    bpy.ops.facediff.add_head()
    stage.strip(tmp_path)
    first, pid = stage.generate(), session.current.client.pid
    os.kill(pid, signal.SIGSTOP)  # the kill comes before it reads a word, and is noticed only afterwards
    assert bpy.ops.facediff.generate() == {"FINISHED"}
    os.kill(pid, signal.SIGKILL)
    stage.run()
    assert not session.current.failed, session.current.message
    assert bake.current_take(stage.head()) not in (first, None) and session.current.client.pid != pid


def test_the_sound_that_a_crashed_blender_left_is_removed_when_the_add_on_is_next_enabled():
    """Its session folder stays beside ours; the folder of a Blender that runs, such as this one, stays too."""
    with subprocess.Popen([sys.executable, "-c", ""]) as crashed:
        crashed.wait()
    beside = Path(bpy.app.tempdir).parent / f"blender_crash{crashed.pid}"
    left, own = (beside / f"{private_folders.PREFIX}{pid}-abc" for pid in (crashed.pid, os.getpid()))
    old = time.time() - private_folders.STALE_SECONDS - 60
    for folder in (left, own):
        (folder / "strip0").mkdir(parents=True)
        os.utime(folder, (old, old))
    try:
        addon = sys.modules["facediff_tree"]
        addon.unregister()
        addon.register()
        assert not left.exists() and own.is_dir()
    finally:
        shutil.rmtree(beside)


def test_a_full_temporary_folder_is_one_sentence(tmp_path, monkeypatch):
    stage.engine(tmp_path)
    bpy.ops.facediff.add_head()
    stage.strip(tmp_path)
    made = session.new_folder
    for fault in (lambda: made() / "gone", lambda: Path("/nowhere/sound").mkdir()):
        monkeypatch.setattr(session, "new_folder", fault)
        with pytest.raises(RuntimeError, match=r"A temporary file could not be written or read: No such file or directory"):
            bpy.ops.facediff.generate()
        assert session.current.failed and session.current.message.endswith(".") and session.current.batch is None
    monkeypatch.undo()
    assert stage.generate() is not None
