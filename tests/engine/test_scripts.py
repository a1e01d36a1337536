"""The scripts that set up and test: what they install, what they say when they cannot, and how they count."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def environment(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import environment

    return environment


@pytest.fixture
def runner(environment):
    """scripts/test.py as a module."""
    spec = importlib.util.spec_from_file_location("facediff_test_script", ROOT / "scripts" / "test.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


# --- environment.py


def test_every_dependency_is_pinned_and_the_three_blenders_are_the_supported_ones(environment):
    for blender in environment.BLENDERS.values():
        pins = environment.read_pins(blender.groups)
        assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", pin) for pin in pins), pins
    pinned = {version: environment.read_pins(e.groups) for version, e in environment.BLENDERS.items()}
    for version, pins in pinned.items():
        assert any(pin.startswith(f"bpy=={version}") for pin in pins)


def test_this_environment_is_the_pinned_one(environment):
    from importlib.metadata import version

    for pin in environment.read_pins(environment.MAIN.groups):
        name, wanted = pin.split("==")
        assert version(name).split("+")[0] == wanted


def test_a_python_is_found_by_version_and_one_that_is_not_there_is_not(environment):
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert environment._version(environment.find_python(here)) == here
    assert environment.find_python("2.99") is None


def test_a_shim_that_leads_nowhere_is_no_python(environment, tmp_path):
    shim = tmp_path / "python3.13"
    shim.write_text("#!/bin/sh\necho 'python3.13: command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    assert environment._version(shim) is None
    assert environment._version(tmp_path / "nothing") is None


@pytest.fixture
def scratch(environment, tmp_path, monkeypatch):
    """An environment in a tree of its own whose one package comes from a folder of wheels, not from the network."""
    (tmp_path / "pyproject.toml").write_text('[dependency-groups]\nsmall = ["facediff-sample==1.0"]\n')
    (tmp_path / "wheels").mkdir()
    _write_wheel(tmp_path / "wheels")
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS"):
        monkeypatch.setenv(name, {"PIP_NO_INDEX": "1"}.get(name, str(tmp_path / "wheels")))
    return environment.Environment(".venv", f"{sys.version_info.major}.{sys.version_info.minor}", ("small",))


def _write_wheel(folder: Path) -> None:
    import zipfile

    about = "facediff_sample-1.0.dist-info"
    with zipfile.ZipFile(folder / "facediff_sample-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("facediff_sample.py", "answer = 42\n")
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: facediff-sample\nVersion: 1.0\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", f"facediff_sample.py,,\n{about}/METADATA,,\n{about}/WHEEL,,\n{about}/RECORD,,\n")


def answer(environment) -> str:
    question = "import facediff_sample; print(facediff_sample.answer)"
    return subprocess.run([environment.executable, "-I", "-c", question], capture_output=True, text=True).stdout


def test_it_installs_once_completes_what_was_interrupted_and_says_what_cannot_be_had(environment, scratch, capfd):
    environment.prepare(scratch)
    assert answer(scratch) == "42\n" and "is ready" in capfd.readouterr().out
    environment.prepare(scratch)
    assert capfd.readouterr().out == ""

    # as a killed pip leaves it: no stamp, a package without its code and without its list of files
    (scratch.path / environment.STAMP).unlink()
    for path in scratch.path.rglob("facediff_sample.py"):
        path.unlink()
    for path in scratch.path.rglob("facediff_sample-1.0.dist-info/RECORD"):
        path.unlink()
    environment.prepare(scratch)
    assert answer(scratch) == "42\n"

    # a package that cannot be had is one sentence, and no stamp says otherwise
    (environment.ROOT / "pyproject.toml").write_text('[dependency-groups]\nsmall = ["facediff-sample==2.0"]\n')
    with pytest.raises(environment.SetupError, match=r"could not be installed: No matching distribution found for"):
        environment.prepare(scratch)
    assert not (scratch.path / environment.STAMP).exists()


def test_a_debian_python_without_venv_is_told_what_to_install(environment, scratch, tmp_path, monkeypatch):
    bare = tmp_path / "python"
    bare.write_text("#!/bin/sh\necho 'The virtual environment was not created: ensurepip is not available.'\nexit 1\n")
    bare.chmod(0o755)
    monkeypatch.setattr(environment, "find_python", lambda version: bare)
    with pytest.raises(environment.SetupError, match=r"apt-get install python3\.\d+-venv"):
        environment.prepare(scratch)
    assert not scratch.path.exists()


def test_a_missing_python_is_one_sentence(environment, scratch):
    with pytest.raises(environment.SetupError, match=r"^Python 2\.99 is needed for \.venv and was not found\.$"):
        environment.prepare(environment.Environment(".venv", "2.99", ("small",)))


# --- test.py


def count(runner, folder: Path, body: str, limit: float = 60, extra: tuple[str, ...] = ()) -> str:
    """The count of a run of one file in this interpreter."""
    file = folder / "test_sample.py"
    file.write_text(textwrap.dedent(body))
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, ROOT / "scripts" / "run_bpy_tests.py"]
    arguments = ["--rootdir", str(folder), "-c", str(folder / "pytest.ini"), *extra]
    return str(runner._run("sample", command, [str(file)], arguments, limit, {"4.5": Path(sys.executable)}, []))


@pytest.mark.parametrize(
    ("body", "counted"),
    [
        ("def test_a(): pass\ndef test_b(): assert 0", "1 passed, 1 failed, 0 skipped"),
        ("import pytest\ndef test_a(): pytest.skip('no GPU')", "0 passed, 0 failed, 1 skipped"),
        ("import os\ndef test_a(): pass\ndef test_b(): os.abort()", "0 passed, 1 failed, 0 skipped"),
        ("import nothing_of_that_name", "0 passed, 1 failed, 0 skipped"),
        ("", "0 passed, 0 failed, 0 skipped"),
        ("import atexit, time\natexit.register(time.sleep, 60)\ndef test_a(): pass", "1 passed, 0 failed, 0 skipped"),
    ],
)
def test_every_way_a_file_may_end_is_counted(runner, tmp_path, body, counted):
    assert count(runner, tmp_path, body) == counted


@pytest.mark.skipif(os.name != "posix", reason="process groups are a POSIX matter")
def test_a_file_that_hangs_is_ended_with_everything_it_started(runner, tmp_path):
    body = f"""
        import subprocess, time
        def test_a():
            child = subprocess.Popen(["sleep", "60"])
            open({str(tmp_path / "child")!r}, "w").write(str(child.pid))
            time.sleep(60)
    """
    assert count(runner, tmp_path, body, limit=3) == "0 passed, 1 failed, 0 skipped"
    state = Path(f"/proc/{(tmp_path / 'child').read_text()}/stat")
    end = time.monotonic() + 30
    while state.exists() and state.read_text().split()[2] != "Z":
        assert time.monotonic() < end, "the child was left behind"
        time.sleep(0.05)


def test_tests_get_a_blender_folder_of_their_own_and_the_engines_python(runner, tmp_path):
    body = """
        import os
        def test_a():
            assert "facediff-test-" in os.environ["BLENDER_USER_RESOURCES"]
            assert os.path.exists(os.environ["FACEDIFF_ENGINE_PYTHON"])
    """
    assert count(runner, tmp_path, body) == "1 passed, 0 failed, 0 skipped"


def test_arguments_that_name_tests_choose_and_the_others_go_to_pytest(runner):
    chosen, extra = runner._split(["-k", "curve", "tests/blender/test_bake.py::test_x", "-q", "tests/engine"])
    assert chosen == ["tests/blender/test_bake.py::test_x", "tests/engine"]
    assert extra == ["-k", "curve", "-q"]
    assert runner._bpy_files(chosen) == ["tests/blender/test_bake.py::test_x"]
    assert runner._bpy_files(["tests/engine"]) == []
    everything = [f"tests/blender/{p.name}" for p in sorted((ROOT / "tests" / "blender").glob("test_*.py"))]
    assert runner._bpy_files([]) == runner._bpy_files(["tests/blender"]) == everything
