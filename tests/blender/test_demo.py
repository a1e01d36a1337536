"""The demo's scene with the real engine, at a size that is quick to render: every file is there and can be read again."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import bpy
import numpy as np
import pytest
from addon_from_tree import ROOT
from facediff_tree.facediff_blender import preferences

SCRIPT = """
import os, sys
sys.path.insert(0, {scripts!r})
import demo_pictures, demo_scene
demo_pictures.CELL, demo_pictures.FILM = 40, 64
sys.argv = ["demo.py", *sys.argv[1:]]
status = demo_scene.main()
sys.stdout.flush()
os._exit(status)
"""


def demo(*arguments: object, cwd) -> subprocess.CompletedProcess:
    """Run it as scripts/demo.py does, in this environment's Blender and with the real engine."""
    python = sys.executable if find_spec("torch") else preferences.find_python()
    return subprocess.run(
        [sys.executable, "-c", SCRIPT.format(scripts=str(ROOT / "scripts")), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=500,
        cwd=cwd,
        env={**os.environ, "FACEDIFF_ENGINE_PYTHON": python},
    )


def test_every_file_is_made_and_can_be_read(tmp_path):
    done = demo("--film-seconds", 0.4, "--emotion", "surprised", "--out", tmp_path / "out ü", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    out = tmp_path / "out ü"
    assert sorted(p.suffix for p in out.iterdir()) == [".abc", ".blend", ".fbx", ".mp4", ".png"]
    for stage in ("Generate", "Contact sheet", "Film"):
        assert stage in done.stdout
    assert str(out / "facediff_demo.mp4") in done.stdout

    image = bpy.data.images.load(str(out / "facediff_demo.png"))
    assert tuple(image.size) == (160, 160)
    pixels = np.empty(160 * 160 * 4, np.float32)
    image.pixels.foreach_get(pixels)
    cells = pixels.reshape(4, 40, 4, 40, 4).swapaxes(1, 2).reshape(16, -1)
    assert np.abs(cells[1:] - cells[:-1]).mean(axis=1).min() > 1e-4 and cells.std() > 0.05, "16 different pictures"

    film = (out / "facediff_demo.mp4").read_bytes()
    assert b"avc1" in film and b"mp4a" in film, "H.264 pictures and AAC sound"

    bpy.ops.wm.open_mainfile(filepath=str(out / "facediff_demo.blend"))
    scene = bpy.context.scene
    assert scene.sequence_editor.strips[0].sound.packed_file is not None, "the file is complete in itself"
    head = next(o for o in scene.objects if "facediff_head" in o)
    take = head.data.shape_keys.animation_data.action
    assert take["facediff_take"]["emotion"] == "surprised" and take.frame_range[1] > 200


@pytest.mark.parametrize("arguments", [("--audio", "nowhere.wav"), ("--audio", "not sound.wav")])
def test_bad_sound_is_one_sentence_and_no_files(tmp_path, arguments):
    (tmp_path / "not sound.wav").write_bytes(b"no sound at all")
    done = demo(*arguments, "--out", tmp_path / "out", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.strip().count("\n") == 0 and "demo: " in done.stderr, done.stderr
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
