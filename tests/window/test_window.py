"""The add-on in a real Blender window; only where `FACEDIFF_BLENDER` names a Blender that can open one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BLENDER = os.environ.get("FACEDIFF_BLENDER")


@pytest.mark.skipif(not BLENDER, reason="no window: FACEDIFF_BLENDER does not name a Blender")
def test_a_user_in_a_window(tmp_path):
    subprocess.run([sys.executable, ROOT / "scripts" / "build_extension.py", "--out", tmp_path], check=True, timeout=120)
    zip_file = next(tmp_path.glob("*.zip"))
    speech = ROOT / "engine" / "assets" / "demo" / "speech.flac"
    python = os.environ.get("FACEDIFF_ENGINE_PYTHON", sys.executable)
    command = [BLENDER, "--factory-startup", "--enable-event-simulate", "--window-geometry", "0", "0", "1400", "900"]
    command += ["--python", str(HERE / "drive_window.py"), "--", str(zip_file), str(speech), python, str(tmp_path)]
    environment = {**os.environ, "BLENDER_USER_RESOURCES": str(tmp_path / "user")}
    done = subprocess.run(command, env=environment, timeout=900, capture_output=True, text=True)
    assert (tmp_path / "result.json").is_file(), done.stdout[-3000:] + done.stderr[-3000:]
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert result["ok"], f"after {result['steps']}: {result.get('error')}"
    for name in ("1 tab", "2 head and strip", "3 progress", "4 curves", "5 cancelled"):
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000
    assert result["median seconds between looks"] < 1.0, "the window stood still"
