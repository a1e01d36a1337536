"""Enable, disable, enable: nothing is left behind, and the root package is harmless without Blender."""

from __future__ import annotations

import subprocess
import sys

import bpy
import pytest
from addon_from_tree import ROOT
from facediff_tree.facediff_blender import session

ADDON = sys.modules["facediff_tree"]


def traces() -> dict[str, object]:
    """Everything in Blender that could be ours."""
    handlers = {
        name: [h for h in getattr(bpy.app.handlers, name) if "facediff" in getattr(h, "__module__", "")]
        for name in dir(bpy.app.handlers)
        if isinstance(getattr(bpy.app.handlers, name), list)
    }
    return {
        "classes": [name for name in dir(bpy.types) if "facediff" in name.lower()],
        "properties": "facediff" in bpy.types.Scene.bl_rna.properties,
        "operators": dir(bpy.ops.facediff),
        "handlers": [h for found in handlers.values() for h in found],
        "timer": bpy.app.timers.is_registered(session._on_timer),
    }


NOTHING = {"classes": [], "properties": False, "operators": [], "handlers": [], "timer": False}


def test_enable_and_disable_three_times():
    for _ in range(3):
        assert traces() == NOTHING
        ADDON.register()
        found = traces()
        assert {"generate", "install_engine"} <= set(found["operators"]) and found["properties"] and len(found["handlers"]) == 1
        assert {"FACEDIFF_PT_head", "FACEDIFF_PT_speech", "FACEDIFF_PT_advanced", "FACEDIFF_PT_takes"} <= set(found["classes"])
        assert bpy.ops.facediff.add_head() == {"FINISHED"}
        session.start_timer()
        ADDON.unregister()
    assert traces() == NOTHING


def test_a_failure_half_way_takes_back_what_was_registered(monkeypatch):
    from facediff_tree.facediff_blender import panels

    def broken() -> None:
        raise RuntimeError("no panels today")

    monkeypatch.setattr(panels, "register", broken)
    with pytest.raises(RuntimeError, match="no panels today"):
        ADDON.register()
    assert traces() == NOTHING


def test_without_blender_the_package_does_nothing():
    code = (
        "import importlib.util, sys\n"
        "sys.modules['bpy'] = None\n"
        f"spec = importlib.util.spec_from_file_location('root', {str(ROOT / '__init__.py')!r}, "
        f"submodule_search_locations=[{str(ROOT)!r}])\n"
        "root = importlib.util.module_from_spec(spec); sys.modules['root'] = root; spec.loader.exec_module(root)\n"
        "import root.facediff_blender.engine_client, root.facediff_blender.jobs, root.facediff_blender.resample\n"
        "assert callable(root.register) and callable(root.unregister)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
