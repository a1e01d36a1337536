"""The installer on a tiny index, with the real uv: install, cancel, go on, repair, uninstall, offline."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from facediff.facediff_blender.installer import actions, engine_python, index, locks, running, steps
from facediff.facediff_blender.installer.failures import DISK_FULL, MISMATCH, InstallError, Stopped, explain
from facediff.facediff_blender.installer.places import Layout, read_record
from facediff.facediff_blender.installer.steps import Work

sys.path.insert(0, str(Path(__file__).resolve().parent))

from tiny_index import ACCELERATOR, ENGINE, PACKAGES, SYSTEM, Server, write_lock, write_uv, write_wheel  # noqa: E402

MB = 1_000_000


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for name, (version, content) in PACKAGES.items():
        write_wheel(folder, name, version, content)
    write_uv(folder)
    return folder


@pytest.fixture
def server(files):
    with Server(files) as server:
        yield server


@pytest.fixture
def root(tmp_path):
    """An engine that takes no time."""
    for name, text in ENGINE.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "root"


@pytest.fixture
def work(server, tmp_path, root, monkeypatch):
    """An installation that is about to begin, into a folder with a space and a letter that is not ASCII."""
    base = Path(sys.base_prefix)
    monkeypatch.setenv("PATH", os.pathsep.join([str(base), str(base / "bin"), os.environ["PATH"]]))
    lock = locks.read(SYSTEM, ACCELERATOR, write_lock(tmp_path / "locks", server.files, server.url))
    said = []

    def say(*words):
        said.append(words)

    layout = Layout(tmp_path / "Déjà vu" / "FaceDiff" / "engine")
    work = Work(layout, lock, index.Sources(online=True), root, say, threading.Event(), waits=(0, 0))
    work.said = said
    return work


def again(work, **changes):
    """The same installation, begun anew as another process would."""
    new = replace(work, stop=threading.Event(), notes=[], held=-1, **changes)
    new.said = work.said
    return new


def stop_at(work, stage, share=0.0):
    """Cancel the installation when it says that it is there."""

    def say(at, text, done, total):
        work.said.append((at, text, done, total))
        if at == stage and (not share or done >= share * total > 0):
            work.stop.set()

    work.say = say


def site(work):
    return next(work.layout.environment.glob("lib/python*/site-packages"))


def test_it_installs_tests_and_says_what_it_did(work, server):
    record = actions.install(work)
    assert record.torch == "1.0+tiny" and record.devices == [
        {"id": "cpu", "label": "CPU", "usable": True, "reason": "Always works."}
    ]
    assert not record.managed_python and "Python 3.11 of this computer is used" in work.notes[0]
    python = engine_python(work.layout.root)
    said = subprocess.run([python, "-I", "-c", "import torch; print(torch.__file__)"], capture_output=True, text=True)
    assert said.stdout.startswith(str(work.layout.environment))
    stages = list(dict.fromkeys(words[0] for words in work.said))
    assert stages == ["check", "uv", "python", "download", "install", "test", "finish"]
    assert {p.name for p in work.layout.root.iterdir()} == {
        "busy.lock", "engine.json", "environment", "install.log", "made-by-facediff.txt", "requirements.txt", "uv",
    }  # fmt: skip
    assert "torch==1.0+tiny --hash=sha256:" in work.layout.requirements.read_text()
    assert max(done for stage, _, done, _ in work.said if stage == "download") > 0.9 * MB


def test_cancelled_in_a_download_it_goes_on_in_the_middle_of_the_file(work, server):
    server.slow = 0.02
    stop_at(work, "download", share=0.4)
    with pytest.raises(Stopped):
        actions.install(work)
    part = work.layout.downloads / "torch-1.0+tiny-py3-none-any.whl.part"
    assert 0 < part.stat().st_size < 900_000 and engine_python(work.layout.root) is None
    had, server.slow = part.stat().st_size, 0
    server.requests.clear()
    actions.install(again(work))
    assert ("torch-1.0+tiny-py3-none-any.whl", f"bytes={had}-") in server.requests
    assert engine_python(work.layout.root)


@pytest.mark.parametrize("stage", ["install", "test"])
def test_cancelled_later_it_downloads_nothing_again(work, server, stage):
    stop_at(work, stage)
    with pytest.raises(Stopped):
        actions.install(work)
    assert engine_python(work.layout.root) is None
    server.requests.clear()
    actions.install(again(work))
    assert [name for name, _ in server.requests if name != "cpython.tar.gz"] == []
    assert engine_python(work.layout.root)


def test_an_update_that_fails_leaves_the_old_engine(work):
    first = actions.install(work)
    (work.engine_root / "engine/__main__.py").write_text("raise SystemExit('The model is damaged.')")
    newer = again(work, lock=replace(work.lock, digest="newer"))
    with pytest.raises(InstallError, match="The model is damaged"):
        actions.install(newer)
    assert read_record(work.layout) == first and engine_python(work.layout.root)


def test_a_server_that_knows_no_ranges_and_one_that_stumbles(work, server):
    server.ranges = False
    work.layout.downloads.mkdir(parents=True)
    work.layout.mark.write_text("")
    (work.layout.downloads / "torch-1.0+tiny-py3-none-any.whl.part").write_bytes(b"y" * 500)
    answers = iter([503, 0])
    real = server.send_file

    def stumble(handler, path):
        server.status = {path.name: next(answers, 0)}
        real(handler, path)

    server.send_file = stumble
    actions.install(work)
    assert engine_python(work.layout.root)


def test_a_changed_file_is_not_installed(work):
    torch = next(p for p in work.lock.packages if p.name == "torch")
    others = tuple(p for p in work.lock.packages if p is not torch)
    wrong = again(work, lock=replace(work.lock, packages=(replace(torch, sha256="0" * 64), *others)))
    with pytest.raises(InstallError) as caught:
        actions.install(wrong)
    assert str(caught.value).startswith(MISMATCH) and torch.file in str(caught.value)
    assert not list(work.layout.downloads.glob("torch*")) and engine_python(work.layout.root) is None


def test_a_full_disk_is_seen_before_and_during(work, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(running, "free_bytes", lambda _: 5 * MB)
        with pytest.raises(InstallError, match=r"0\.0 GB free and 0\.3 GB are needed"):
            actions.install(work)
    full = OSError(errno.ENOSPC, "No space left on device", "torch.whl.part")

    def say(stage, text, done, total):
        if stage == "download" and done > 0:
            raise full

    with pytest.raises(OSError) as caught:
        actions.install(again(work, say=say))
    assert explain(caught.value) == f"{DISK_FULL} (torch.whl.part)"
    actions.install(again(work))
    assert engine_python(work.layout.root)


def test_repair_puts_back_what_was_deleted_or_changed(work, server):
    actions.install(work)
    folder = site(work)
    (folder / "soundfile_data/a.txt").unlink()
    (folder / "torch/weights.bin").write_text("z" * 900_000)  # the same size
    server.requests.clear()
    _, repaired = actions.repair(again(work))
    assert sorted(repaired) == [
        "soundfile has lost soundfile_data/a.txt; it was put back.",
        "torch has a damaged file, torch/weights.bin; it was put back.",
    ]
    assert (folder / "soundfile_data/a.txt").read_text() == "a\n" and (folder / "torch/weights.bin").read_text()[0] == "x"
    assert {name.split("-")[0] for name, _ in server.requests} == {"torch", "soundfile"}
    assert actions.repair(again(work))[1] == [] and not work.layout.downloads.exists()


def test_repair_without_the_lists_of_files(work):
    actions.install(work)
    shutil.rmtree(next(site(work).glob("soundfile-*.dist-info")))
    (site(work) / "soundfile.py").unlink()
    (next(site(work).glob("numpy-*.dist-info")) / "RECORD").unlink()
    assert len(actions.repair(again(work))[1]) == 2
    assert (site(work) / "soundfile.py").is_file() and actions.repair(again(work))[1] == []


def test_repair_when_python_itself_is_gone(work):
    actions.install(work)
    work.layout.python.unlink()
    assert engine_python(work.layout.root) is None
    assert actions.repair(again(work))[1] == ["The engine's Python did not run; everything was installed again."]
    assert engine_python(work.layout.root)


def test_uninstall_removes_what_was_made_and_nothing_else(work):
    actions.install(work)
    mine = work.layout.root / "my notes.txt"
    mine.write_text("keep")
    assert actions.uninstall(work.layout) == [mine] and [mine] == list(work.layout.root.iterdir())
    with pytest.raises(InstallError, match="was not made by FaceDiff"):
        actions.uninstall(work.layout)
    with pytest.raises(InstallError, match="is not empty and was not made by FaceDiff"):
        actions.install(again(work))
    mine.unlink()
    actions.install(again(work))
    assert actions.uninstall(work.layout) == [] and not work.layout.root.parent.exists()
    assert work.layout.root.parent.parent.is_dir() and actions.uninstall(work.layout) == []


def test_from_a_folder_without_a_network(work, server, tmp_path):
    size = actions.download(work, tmp_path / "stick")
    assert size > 0.9 * MB and "needs a Python 3.11 of its own" in work.notes[0]
    assert not work.layout.root.exists()
    server.requests.clear()
    offline = index.Sources(folders=(tmp_path / "stick",))
    actions.install(again(work, sources=offline))
    assert server.requests == [] and engine_python(work.layout.root)
    (tmp_path / "stick" / "soundfile-1.0-py3-none-any.whl").unlink()
    (site(work) / "soundfile.py").unlink()
    with pytest.raises(InstallError, match=r"soundfile-1\.0-py3-none-any\.whl is not in .*stick"):
        actions.repair(again(work, sources=offline))
    (tmp_path / "stick" / "soundfile-1.0-py3-none-any.whl").write_text("not a wheel")
    with pytest.raises(InstallError, match="get the folder's files again"):
        actions.repair(again(work, sources=offline))
    with pytest.raises(InstallError, match="was not downloaded yet"):
        actions.repair(again(work, sources=index.Sources()))


def test_two_at_once_in_one_folder(work):
    steps.make_folder(work.layout)
    hold = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print(1, flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", hold, work.layout.busy], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    child.stdout.readline()
    with pytest.raises(InstallError, match="Another Blender is installing"):
        actions.install(work)
    with pytest.raises(InstallError, match="Another Blender is installing"):
        actions.uninstall(work.layout)
    child.kill()  # however it ends, the lock goes with it
    child.communicate()
    actions.install(again(work))
    assert engine_python(work.layout.root)


def test_no_python_at_all(work, monkeypatch):
    real = work.uv

    def uv(*arguments, **options):
        if arguments[:2] == ("python", "find"):
            raise InstallError("uv failed")
        return real(*arguments, **options)

    monkeypatch.setattr(work, "uv", uv)
    with pytest.raises(InstallError, match=r"Python 3\.11 cannot be downloaded, and this computer has none .*moved or withdrawn"):
        actions.install(work)


def test_a_damaged_python_archive_is_refused_by_uv(work, server):
    """uv knows the checksums of Python's archives; ours is none of them."""
    (server.files / "cpython-3.11.18+20261110-x86_64-unknown-linux-gnu-install_only_stripped.tar.gz").write_bytes(b"x" * 100)
    name = "cpython-3.11.18+20261110-x86_64-unknown-linux-gnu-install_only_stripped.tar.gz"
    url = f"{server.url}/20261110/{name.replace('+', '%2B')}"
    python = replace(work.lock.python, version="3.11.18", file=name, url=url, release="20261110")
    with pytest.raises(InstallError) as caught:
        actions.install(again(work, lock=replace(work.lock, python=python)))
    (server.files / name).unlink()
    assert str(caught.value) == MISMATCH


def test_an_environment_of_ones_own(work, tmp_path):
    actions.install(work)
    log = tmp_path / "check.log"
    report = actions.check(work.layout.python, work.engine_root, log, work.stop)
    assert report["torch"] == "1.0+tiny" and report["frames"] == 25
    with pytest.raises(InstallError, match="There is no Python at"):
        actions.check(tmp_path / "python", work.engine_root, log, work.stop)
    (site(work) / "torch/__init__.py").write_text("raise ImportError('DLL load failed: WinError 126')")
    with pytest.raises(InstallError, match=r"Visual C\+\+ Redistributable"):
        actions.check(work.layout.python, work.engine_root, log, work.stop)
    text = tmp_path / "python.txt"
    text.write_text("I am no program")
    with pytest.raises(InstallError, match="cannot be run"):
        actions.check(text, work.engine_root, log, work.stop)
