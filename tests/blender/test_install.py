"""The buttons that install the full engine: what they show, what they refuse and why, and that they do it, on a tiny index."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import bpy
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "engine"))

from facediff_tree.facediff_blender import installation, preferences, session
from facediff_tree.facediff_blender.installer import hardware, locks
from facediff_tree.facediff_blender.operators import install
from facediff_tree.facediff_blender.panels import engine as panel
from tiny_index import ENGINE, PACKAGES, Server, write_lock, write_uv, write_wheel

CHOICES = [
    hardware.Choice("cuda", "NVIDIA GPU (CUDA)", False, "The driver of the RTX 4090 is too old (535)."),
    hardware.Choice("cpu", "CPU only", True, "Works on every computer."),
]


class Texts:
    """A layout that remembers the texts drawn on it."""

    def __init__(self, texts: list[str]) -> None:
        object.__setattr__(self, "texts", texts)

    def __setattr__(self, name: str, value: object) -> None:
        pass

    def __getattr__(self, name: str):
        def call(*args: object, **options: object) -> object:
            self.texts.extend(str(part) for part in (*args[:1], options.get("text", "")) if isinstance(part, str))
            return SimpleNamespace() if name == "operator" else Texts(self.texts)

        return call


def drawn() -> str:
    texts: list[str] = []
    panel.draw_installation(Texts(texts), bpy.context)
    return " ".join(text.strip() for text in texts if text)


@pytest.fixture(autouse=True)
def registered(empty_file, tmp_path):
    addon = sys.modules["facediff_tree"]
    addon.register()
    preferences.get(bpy.context).engine_folder = str(tmp_path / "the éngine")
    yield
    bpy.context.preferences.system.use_online_access = False
    addon.unregister()


def online(allowed: bool) -> None:
    bpy.context.preferences.system.use_online_access = allowed
    assert bpy.app.online_access is allowed


def wait(seconds: float = 100.0) -> None:
    end = time.monotonic() + seconds
    while installation.tick():
        assert time.monotonic() < end, installation.current.task
        time.sleep(0.02)


def test_before_anything_is_installed():
    text = drawn()
    assert "Not installed. The built-in engine animates" in text and "facediff.plan_engine" in text
    assert "facediff.uninstall_engine" not in text
    assert install.why_not_installed(bpy.context) == "The full engine is not installed in this folder"
    for name in ("repair_engine", "uninstall_engine", "install_engine", "cancel_installation"):
        assert not getattr(bpy.ops.facediff, name).poll(), name


def test_it_says_size_place_and_source_before_it_starts_and_asks_for_the_network(tmp_path):
    assert bpy.ops.facediff.plan_engine() == {"FINISHED"} and "facediff.cancel_installation" in drawn()
    wait()
    assert installation.current.planning and installation.current.recommended
    installation.current.choices, installation.current.recommended = CHOICES, "cpu"
    online(False)
    text = drawn()
    lock = locks.read(locks.this_system(), "cpu")
    for wanted in (
        f"Downloads {lock.download_bytes / 1e6:.0f} MB: PyTorch {lock.torch}",
        "The driver of the RTX 4090 is too old (535).",
        "the éngine",
        "pinned by its checksum",
        "Allow Online Access",
    ):
        assert wanted in text, (wanted, text)
    assert not bpy.ops.facediff.install_engine.poll() and not bpy.ops.facediff.download_engine.poll()
    assert bpy.ops.facediff.install_from_folder.poll()
    online(True)
    assert bpy.ops.facediff.install_engine.poll() and "Allow Online Access" not in drawn()
    preferences.get(bpy.context).build = "cuda"
    assert install.why_not_online_install(bpy.context) == "The driver of the RTX 4090 is too old (535)."
    preferences.get(bpy.context).build = "mps"
    assert "no build for 'mps'" in install.why_not_online_install(bpy.context)
    preferences.get(bpy.context).build = "auto"
    assert bpy.ops.facediff.close_plan() == {"FINISHED"} and "facediff.install_engine" not in drawn()


def test_vendors_own_licences_and_the_users_index_are_named(monkeypatch):
    lock = locks.read("linux-x86_64", "cuda")
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    said = " ".join(panel.plan_sentences(lock, "/folder", int(50e9)))
    assert "NVIDIA's own licence" in said and "files.pythonhosted.org" in said and "50 GB are free" in said
    assert "pinned by its checksum." in said
    rocm = " ".join(panel.plan_sentences(locks.read("linux-x86_64", "rocm"), "/folder", int(50e9)))
    assert "about 4900 MB" in rocm and "that https://download.pytorch.org/whl/rocm7.2 states" in rocm
    monkeypatch.setenv("PIP_INDEX_URL", "https://ada:secret@packages.example/simple")
    said = " ".join(panel.plan_sentences(lock, "/folder", int(50e9)))
    assert "packages.example" in said and "secret" not in said


def test_installed_used_cancelled_repaired_and_removed(tmp_path, monkeypatch):
    files, root = tmp_path / "files", tmp_path / "root"
    files.mkdir()
    for name, (version, content) in PACKAGES.items():
        write_wheel(files, name, version, content)
    uv = Path(preferences.find_python()).parent / "uv"
    assert uv.is_file(), "the tests need the uv of .venv"
    write_uv(files, uv)
    for name, text in ENGINE.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    base = Path(os.path.realpath(uv.parent / "python")).parent
    monkeypatch.setenv("PATH", os.pathsep.join([str(base), os.environ["PATH"]]))
    online(True)
    installation.current.choices, installation.current.recommended, installation.current.planning = CHOICES, "cpu", True
    with Server(files, slow=0.05) as server:
        folder = write_lock(tmp_path / "locks", files, server.url)
        plain = installation.arguments
        more = ["--locks", folder, "--root", root]
        monkeypatch.setattr(installation, "arguments", lambda context: [*plain(context), *more])
        assert bpy.ops.facediff.install_engine() == {"FINISHED"}
        assert not bpy.ops.facediff.install_engine.poll() and "another" in install.why_not_online_install(bpy.context).lower()
        while installation.current.task.stage != "download" or installation.current.task.done < 100_000:
            assert installation.tick(), installation.current.message
        assert bpy.ops.facediff.cancel_installation() == {"FINISHED"}
        wait()
        assert installation.current.message == "Cancelled. Press Install again to go on where it stopped."
        server.slow = 0
        assert bpy.ops.facediff.install_engine() == {"FINISHED"}
        wait()
        assert installation.current.message.startswith("The full engine works (PyTorch 1.0+tiny"), installation.current
        assert "Installed: PyTorch 1.0+tiny" in drawn() and "CPU: Always works." in drawn()
        assert "another version of this add-on" in drawn()  # the tiny lock is not the one that is shipped
        python = preferences.engine_python(preferences.folder(bpy.context))
        monkeypatch.setattr(preferences, "ROOT", tmp_path)  # no .venv beside
        monkeypatch.delenv(preferences.ENVIRONMENT_VARIABLE, raising=False)
        assert preferences.find_python() == str(python) and session.engine(bpy.context).client.python == str(python)
        monkeypatch.undo()
        monkeypatch.setenv("PATH", os.pathsep.join([str(base), os.environ["PATH"]]))
        monkeypatch.setattr(installation, "arguments", lambda context: [*plain(context), *more])
        next(python.parents[1].glob("lib/python*/site-packages/soundfile.py")).unlink()
        assert bpy.ops.facediff.repair_engine() == {"FINISHED"}
        wait()
        assert "soundfile has lost soundfile.py; it was put back." in installation.current.message
        preferences.get(bpy.context).engine_python = str(python)
        assert bpy.ops.facediff.use_environment() == {"FINISHED"}
        wait()
        assert installation.current.message.startswith("This environment works (PyTorch 1.0+tiny")
        preferences.get(bpy.context).engine_python = ""
        assert bpy.ops.facediff.uninstall_engine() == {"FINISHED"}
        wait()
        assert installation.current.message == "The full engine was removed."
        assert not preferences.folder(bpy.context).exists()


def test_a_failure_is_said_and_the_next_press_works(monkeypatch):
    online(True)
    installation.current.choices, installation.current.recommended = CHOICES, "cpu"
    monkeypatch.setattr(installation, "own_python", lambda: "/no/python")
    bpy.ops.facediff.install_engine()
    wait()
    assert installation.current.failed and "cannot be started" in drawn()
    assert bpy.ops.facediff.install_engine.poll()


def test_disabling_the_add_on_ends_the_worker():
    bpy.ops.facediff.plan_engine()
    child = installation.current.task._child
    sys.modules["facediff_tree"].unregister()
    assert child.poll() is not None and installation.current.task is None
    sys.modules["facediff_tree"].register()
