"""Which engine the add-on starts: the full one where there is one, else the built-in one on Blender's own Python."""

import sys
from pathlib import Path

import pytest
from facediff.facediff_blender import engine_process
from facediff.facediff_blender.engine_client import EngineClient
from facediff.facediff_blender.engine_process import EngineChoice, choose_engine, own_python


def test_a_full_engine_counts_then_blenders_own_python():
    assert choose_engine("/chosen/python") == EngineChoice("/chosen/python", False)
    assert choose_engine("") == EngineChoice(sys.executable, True)


@pytest.mark.parametrize("place", ["bin/python3.{minor}", "bin/python3", "python.exe"])
@pytest.mark.parametrize("executable", ["", "/opt/blender/blender"])
def test_blenders_python_is_found_where_sys_executable_does_not_name_it(monkeypatch, tmp_path, place, executable):
    python = tmp_path / place.format(minor=sys.version_info[1])
    monkeypatch.setattr(engine_process.sys, "executable", executable)
    monkeypatch.setattr(engine_process.sys, "prefix", str(tmp_path))
    assert own_python() == ""
    python.parent.mkdir(exist_ok=True)
    python.touch()
    assert Path(own_python()) == python


@pytest.mark.parametrize("name", ["python.exe", "python3.11", "python3", "Python"])
def test_blenders_python_is_sys_executable_where_that_is_a_python(monkeypatch, name):
    monkeypatch.setattr(engine_process.sys, "executable", f"/blender/4.5/python/bin/{name}")
    assert own_python() == f"/blender/4.5/python/bin/{name}"


def test_only_the_built_in_engine_is_started_as_such(tmp_path):
    for built_in in (True, False):
        client = EngineClient("python", tmp_path, built_in=built_in)
        assert ("--built-in" in client._argv()) is built_in
        client.stop()
