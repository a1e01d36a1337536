"""The installer's parts: places, locks, hardware, package indexes, sentences for failures, the worker as a process."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import time
import tomllib
import urllib.error
from dataclasses import replace
from pathlib import Path

import pytest
from facediff.facediff_blender.installer import failures, hardware, index, locks, places
from facediff.facediff_blender.installer.failures import InstallError, explain
from facediff.facediff_blender.installer.hardware import Facts
from facediff.facediff_blender.installer.process import Task

sys.path.insert(0, str(Path(__file__).resolve().parent))

from tiny_index import ENGINE, PACKAGES, Server, write_lock, write_uv, write_wheel  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
ALL_LOCKS = sorted(locks.FOLDER.glob("*.json"))


@pytest.mark.parametrize(
    ("platform", "environ", "wanted"),
    [
        ("linux", {}, "/home/ada/.local/share/FaceDiff/engine"),
        ("linux", {"XDG_DATA_HOME": "/data"}, "/data/FaceDiff/engine"),
        ("linux", {"XDG_DATA_HOME": "relative"}, "/home/ada/.local/share/FaceDiff/engine"),
        ("darwin", {}, "/home/ada/Library/Application Support/FaceDiff/engine"),
        ("win32", {"LOCALAPPDATA": "/C/Local"}, "/C/Local/FaceDiff/engine"),
        ("linux", {"FACEDIFF_ENGINE_FOLDER": "/big disk/é"}, "/big disk/é"),
    ],
)
def test_the_folder_is_the_users_and_not_a_blender_versions(platform, environ, wanted, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: Path("/home/ada"))
    assert places.default_folder(environ, platform).as_posix() == wanted


@pytest.mark.parametrize("path", ALL_LOCKS, ids=lambda path: path.stem)
def test_every_lock_is_whole_public_and_pinned(path):
    system, _, accelerator = path.stem.rpartition("-")
    lock = locks.read(system, accelerator)
    pins = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["engine"]
    locked = {p.name: p.version.split("+")[0] for p in lock.packages}
    assert {pin.split("==")[0]: pin.split("==")[1] for pin in pins}.items() <= locked.items()
    assert set(lock.hosts) <= {"files.pythonhosted.org", "download.pytorch.org", "releases.astral.sh"}
    for file in lock.files:
        assert file.url.startswith("https://") and file.size > 0 and file.unpacked > 0
        assert re.fullmatch("[0-9a-f]{64}", file.sha256) or file.index.startswith("https://") or file.name == "python"
    tags = {"linux": "x86_64", "windows": "win_amd64", "macos": ("arm64", "universal2")}[system.split("-")[0]]
    for package in lock.packages:
        python, abi, target = package.file.removesuffix(".whl").rsplit("-", 3)[1:]
        assert python == "cp311" or "py3" in python or abi == "abi3", package.file
        assert target == "any" or target.endswith(tags), package.file
    lines = locks.requirements(lock, {p.file: "0" * 64 for p in lock.packages}).splitlines()
    assert len(lines) == len(lock.packages) and all(" --hash=sha256:" in line for line in lines)


def test_this_system_and_the_best_build_first():
    assert locks.this_system("win32", "AMD64") == "windows-x86_64" and locks.this_system("darwin", "arm64") == "macos-arm64"
    assert locks.available("linux-x86_64") == ["cuda", "rocm", "xpu", "cpu"] and locks.available("macos-x86_64") == []
    with pytest.raises(FileNotFoundError):
        locks.read("macos-x86_64", "mps")


def test_a_damaged_lock_is_one_sentence(tmp_path):
    (tmp_path / "linux-x86_64-cpu.json").write_text('{"uv": {}}')
    with pytest.raises(ValueError, match=r"list of files for linux-x86_64-cpu is damaged"):
        locks.read("linux-x86_64", "cpu", tmp_path)


LINUX = Facts("linux-x86_64", amd=False, intel=False)


@pytest.mark.parametrize(
    ("facts", "build", "usable", "reason"),
    [
        (LINUX, "cuda", False, "No NVIDIA GPU"),
        (replace(LINUX, nvidia=["NVIDIA RTX 4090, 580.65.06, 8.9"]), "cuda", True, "NVIDIA RTX 4090, driver 580."),
        (replace(LINUX, nvidia=["NVIDIA RTX 4090, 535.183.01, 8.9"]), "cuda", False, "too old (535)"),
        (replace(LINUX, nvidia=["GeForce GTX 1080, 580.65.06, 6.1"]), "cuda", False, "compute capability 6.1; 7.5 is needed"),
        (replace(LINUX, nvidia=["Tesla K80, 470.10"]), "cuda", False, "too old (470)"),
        (replace(LINUX, nvidia=["GTX 1080, 590.1, 6.1", "RTX 2060, 590.1, 7.5"]), "cuda", True, "RTX 2060"),
        (replace(LINUX, nvidia=["No devices were found"]), "cuda", False, "names no GPU"),
        (LINUX, "rocm", False, "No AMD GPU"),
        (replace(LINUX, amd=True), "rocm", False, "install AMD's driver"),
        (replace(LINUX, amd=True, kfd="denied"), "rocm", False, "groups 'render' and 'video'"),
        (replace(LINUX, amd=True, kfd="ok"), "rocm", True, "An AMD GPU"),
        (LINUX, "xpu", False, "No Intel GPU"),
        (Facts("windows-x86_64"), "xpu", True, "For Intel Arc"),
        (Facts("macos-arm64", macos=13), "mps", False, "needs macOS 14"),
        (Facts("macos-arm64", macos=15), "mps", True, "Apple's GPU"),
        (LINUX, "cpu", True, "Works on every computer"),
    ],
)
def test_every_build_has_a_reason(facts, build, usable, reason):
    choice = next(c for c in hardware.choices(facts) if c.accelerator == build)
    assert choice.usable is usable and reason in choice.reason


def test_what_is_recommended():
    def best(facts):
        return hardware.recommended(hardware.choices(facts))

    assert best(LINUX) == "cpu" and best(replace(LINUX, intel=True)) == "cpu"
    assert best(replace(LINUX, nvidia=["RTX, 580.1, 8.9"])) == "cuda" and best(Facts("macos-arm64", macos=14)) == "mps"
    assert best(replace(LINUX, amd=True, kfd="ok")) == "rocm" and best(Facts("macos-x86_64")) == ""
    assert "Intel Macs" in hardware.why_none("macos-x86_64") and hardware.why_none("linux-x86_64") == ""
    assert "linux-riscv64" in hardware.why_none("linux-riscv64")


def test_this_computer_can_be_looked_at():
    facts = hardware.look()
    assert facts.system == locks.this_system() and all(choice.reason for choice in hardware.choices(facts))


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("error: failed to write: No space left on device (os error 28)", failures.DISK_FULL),
        ("There is not enough space on the disk. (os error 112)", failures.DISK_FULL),
        ("Permission denied (os error 13)", failures.DENIED),
        ("Access is denied. (os error 5)", failures.DENIED),
        ("The process cannot access the file because it is being used by another process. (os error 32)", failures.IN_USE),
        ("Operation did not complete because the file contains a virus", failures.IN_USE),
        ("error: Hash mismatch for `torch==2.13.0`", failures.MISMATCH),
        ("OSError: [Errno 8] Exec format error", failures.ARCHITECTURE),
        ("(mach-o file, but is an incompatible architecture (have 'x86_64', need 'arm64'))", failures.ARCHITECTURE),
        ("ImportError: /lib64/libc.so.6: version `GLIBC_2.28' not found", failures.OLD_LINUX),
        ("ImportError: DLL load failed while importing _C: The specified module could not be found.", failures.RUNTIME),
        ("The NVIDIA driver on your system is too old (found version 12020)", failures.DRIVER),
        ("CUDA driver version is insufficient for CUDA runtime version", failures.DRIVER),
        ("DefaultCPUAllocator: can't allocate memory: std::bad_alloc", failures.MEMORY),
        ("Tunnel connection failed: 407 Proxy Authentication Required", failures.PROXY),
        ("invalid peer certificate: UnknownIssuer", failures.CERTIFICATE),
        ("dns error: failed to lookup address information: Name or service not known", failures.NO_NETWORK),
        ("File name too long (os error 36)", failures.TOO_LONG),
        ("Read-only file system (os error 30)", failures.READ_ONLY),
        ("all is well", ""),
    ],
)
def test_what_a_program_says_becomes_a_sentence(said, sentence):
    assert failures.sentence_for(said) == sentence


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, "x"), failures.DISK_FULL),
        (PermissionError(errno.EACCES, "x"), failures.DENIED),
        (OSError(errno.EROFS, "x"), failures.READ_ONLY),
        (OSError(errno.ENAMETOOLONG, "x"), failures.TOO_LONG),
        (urllib.error.URLError(socket.gaierror(-2, "Name or service not known")), failures.NO_NETWORK),
        (urllib.error.URLError(ConnectionRefusedError(111, "refused")), failures.NO_NETWORK),
        (TimeoutError("timed out"), failures.NO_NETWORK),
        (urllib.error.URLError(ssl.SSLCertVerificationError(1, "certificate verify failed")), failures.CERTIFICATE),
        (urllib.error.URLError("Tunnel connection failed: 407 Proxy Authentication Required"), failures.PROXY),
        (urllib.error.HTTPError("u", 407, "m", {}, None), failures.PROXY),
        (urllib.error.HTTPError("u", 401, "m", {}, None), failures.LOGIN),
        (urllib.error.HTTPError("u", 404, "m", {}, None), failures.MISSING),
        (urllib.error.HTTPError("u", 503, "m", {}, None), failures.SERVER),
        (MemoryError(), failures.MEMORY),
        (InstallError("As I said."), "As I said."),
        (RuntimeError("odd"), "The installation failed: odd"),
    ],
)
def test_every_error_becomes_a_sentence(error, sentence):
    assert explain(error) == sentence


def test_windows_errors_by_their_numbers():
    error = OSError(errno.EACCES, "used by another process")
    error.winerror = 32
    assert explain(error) == failures.IN_USE


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for name, (version, content) in PACKAGES.items():
        write_wheel(folder, name, version, content)
    write_uv(folder)
    return folder


def test_the_users_package_index(files, tmp_path):
    with Server(files) as server:
        lock = locks.read("linux-x86_64", "cpu", write_lock(tmp_path, files, server.url))
        torch = replace(next(p for p in lock.packages if p.name == "torch"), url="https://files.pythonhosted.org/torch.whl")
        own = index.sources({"UV_INDEX_URL": f"{server.url}/"}, online=True)
        url, digest = index.address(torch, own)
        assert url.startswith(f"{server.url}/torch/torch-1.0") and digest == torch.sha256
        # A file that the index has not got comes from elsewhere only when it never was on the package index.
        with pytest.raises(InstallError, match=r"Your package index has no torch-9"):
            index.address(replace(torch, file="torch-9.whl"), own)
        cpu_build = replace(torch, file="torch-9.whl", url="https://download.pytorch.org/whl/cpu/torch-9.whl")
        assert index.address(cpu_build, own)[0] == cpu_build.url
        # Without a checksum in the lock the index's own counts, and it must have one.
        unpinned = replace(torch, sha256="", index=server.url)
        assert index.address(unpinned, index.Sources())[1] == torch.sha256
        with pytest.raises(InstallError, match="has no torch-9"):
            index.address(replace(unpinned, file="torch-9.whl"), index.Sources())
        assert index.look_up(server.url.replace("//", "//ada:se%40cret@"), torch)[0].startswith("http://ada:se%40cret@127")
    assert index.without_login("https://ada:secret@host/simple") == "https://host/simple"


def test_the_users_environment_names_sources(tmp_path):
    found = index.sources({"PIP_INDEX_URL": "https://a/", "PIP_FIND_LINKS": f"{tmp_path} /nowhere"}, Path("stick"), True)
    assert found == index.Sources((Path("stick"), tmp_path), True, "https://a", "")
    python = locks.read("linux-x86_64", "cpu").python
    mirrored = index.address(python, index.sources({"UV_PYTHON_INSTALL_MIRROR": "https://m/"}))[0]
    assert mirrored.startswith(f"https://m/{python.release}/cpython-3.11") and "%2B" in mirrored


def wait(task, until=lambda task: task.state != "running", seconds=100.0):
    end = time.monotonic() + seconds
    while not until(task):
        assert time.monotonic() < end, task
        task.poll()
        time.sleep(0.02)


@pytest.fixture
def started(files, tmp_path, monkeypatch):
    """A server and the arguments of a worker that installs from it."""
    for name, text in ENGINE.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.base_prefix) / "bin"), os.environ["PATH"]]))
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with Server(files) as server:
        folder = write_lock(tmp_path / "locks", files, server.url)
        common = ["--locks", folder, "--root", tmp_path / "root", "--accelerator", "cpu", "--online"]
        yield server, ["--folder", tmp_path / "the engine", *common]


def test_the_worker_installs_and_removes(started, tmp_path):
    task = Task("install")
    task.start(ROOT, started[1])
    wait(task)
    assert task.state == "done", task
    assert task.result["record"]["torch"] == "1.0+tiny" and task.result["notes"]
    task = Task("uninstall")
    task.start(ROOT, started[1][:2])
    wait(task)
    assert task.result == {"left": []} and not (tmp_path / "the engine").exists()


def test_the_worker_is_cancelled_and_needs_leave_for_the_network(started, tmp_path):
    server, arguments = started
    server.slow = 0.05
    task = Task("install")
    task.start(ROOT, arguments)
    wait(task, lambda task: task.stage == "download" and task.done > 100_000)
    assert "Downloading · torch 1.0+tiny" in task.describe() and 0 < task.fraction < 1
    task.cancel()
    assert task.describe() == "Cancelling"
    wait(task)
    assert task.state == "stopped" and list((tmp_path / "the engine/downloads").glob("torch*.part"))
    server.requests.clear()
    task = Task("install")
    task.start(ROOT, [a for a in arguments if a != "--online"])
    wait(task)
    assert task.state == "failed" and "was not downloaded yet" in task.message and server.requests == []


def test_the_worker_ends_when_its_host_is_killed(started, tmp_path):
    server, arguments = started
    server.slow = 0.2
    host = (
        "import subprocess, sys\n"
        "child = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE)\n"
        "print('pid', child.pid, flush=True)\nchild.wait()\n"
    )
    from facediff.facediff_blender.installer.process import BOOT

    worker = [sys.executable, "-I", "-c", BOOT, str(ROOT), "install", "--host", *map(str, arguments)]
    parent = subprocess.Popen([sys.executable, "-c", host, *worker], stdout=subprocess.PIPE, text=True)
    pid = 0
    for line in parent.stdout:
        pid = pid or (int(line.split()[1]) if line.startswith("pid") else 0)
        if '"stage": "download"' in line:
            break
    parent.kill()
    parent.wait()
    end = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
        assert time.monotonic() < end
        time.sleep(0.05)
    parent.stdout.close()
    assert not (tmp_path / "the engine/engine.json").exists()


def test_a_worker_that_cannot_start_or_dies_says_so(tmp_path):
    task = Task("install")
    task.start(ROOT, [], python=str(tmp_path / "no python"))
    assert task.state == "failed" and "cannot be started" in task.message
    task = Task("look")
    task.start(tmp_path, [])  # no add-on there
    wait(task)
    assert task.state == "failed" and "press Install again" in task.message
    task = Task("look")
    task.start(ROOT, [])
    wait(task)
    assert task.state == "done" and json.dumps(task.result["choices"])


def test_the_worker_needs_nothing_but_the_standard_library():
    code = "import sys, facediff_blender.installer.worker; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and not {"bpy", "numpy", "torch", "engine"} & set(done.stdout.split()), done.stderr
