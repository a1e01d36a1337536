"""Which left-over folders of sounds are removed, and which must stay."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from facediff.facediff_blender import private_folders
from facediff.facediff_blender.private_folders import PREFIX, STALE_SECONDS

LATER = time.time() + 10 * STALE_SECONDS


@pytest.fixture(scope="module")
def dead() -> int:
    """The id of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    return child.pid


def folder(path: Path) -> Path:
    (path / "strip0").mkdir(parents=True)
    (path / "strip0" / "speech.wav").write_bytes(b"a sound")
    return path


def test_what_dead_processes_left_goes_and_nothing_else(tmp_path, dead):
    session = tmp_path / "blender_a1b2c3"
    gone = [folder(tmp_path / f"{PREFIX}{dead}-x1_y"), folder(session / f"{PREFIX}{dead}-abc")]
    stays = [folder(path) for path in (
        session / f"{PREFIX}{os.getpid()}-abc", session / f"{PREFIX}1-abc", session / f"{PREFIX}none-abc",
        session / f"{PREFIX}{dead}-abc.kept", session / "facediff-engine-abc", tmp_path / "other" / f"{PREFIX}{dead}-abc",
        session / "deeper" / f"{PREFIX}{dead}-abc",
    )]  # fmt: skip
    (session / f"{PREFIX}{dead}-file").write_text("no folder")
    (session / f"{PREFIX}{dead}-link").symlink_to(stays[0], target_is_directory=True)
    private_folders.remove_stale(tmp_path, LATER)
    assert not any(path.exists() for path in gone)
    assert all((path / "strip0" / "speech.wav").is_file() for path in stays)
    assert (session / f"{PREFIX}{dead}-file").is_file() and (session / f"{PREFIX}{dead}-link").is_symlink()


def test_a_young_folder_stays(tmp_path, dead):
    young = folder(tmp_path / f"{PREFIX}{dead}-abc")
    private_folders.remove_stale(tmp_path)
    assert young.is_dir()


def test_a_folder_of_this_process_is_private_and_stays(tmp_path):
    made = private_folders.make(str(tmp_path))
    private_folders.remove_stale(tmp_path, LATER)
    assert made.is_dir() and (os.name != "posix" or made.stat().st_mode & 0o777 == 0o700)


def test_a_temporary_folder_that_is_gone_is_no_obstacle(tmp_path):
    private_folders.remove_stale(tmp_path / "gone")


def test_another_users_folder_stays(tmp_path, dead, monkeypatch):
    others = folder(tmp_path / f"{PREFIX}{dead}-abc")
    monkeypatch.setattr(os, "getuid", lambda: others.stat().st_uid + 1)
    private_folders.remove_stale(tmp_path, LATER)
    assert others.is_dir()
