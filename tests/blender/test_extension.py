"""The zip as a user gets it: built, validated, installed in a fresh Blender, enabled, disabled, enabled, and it works."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile

import pytest
from addon_from_tree import ROOT
from build_extension import build
from facediff_tree.engine import __version__

INSTALLED = """
import os, sys
import bpy, addon_utils
zip_path = sys.argv[1]
name = "bl_ext.user_default.facediff_blender"
bpy.ops.extensions.package_install_files(filepath=zip_path, repo="user_default", enable_on_install=True)
assert name in bpy.context.preferences.addons, "not enabled"
assert bpy.context.preferences.addons[name].preferences.device == "auto"
for _ in range(2):
    assert bpy.ops.facediff.add_head() == {"FINISHED"}
    addon_utils.disable(name, default_set=True)
    assert dir(bpy.ops.facediff) == [] and not hasattr(bpy.types.Scene, "facediff"), "disabling left something"
    addon_utils.enable(name, default_set=True, handle_error=lambda error: sys.exit(repr(error)))
head = bpy.context.scene.facediff.head
assert sum("*" not in key.name for key in head.data.shape_keys.key_blocks) == 53  # correctives are named by products
preferences = sys.modules[name + ".facediff_blender.preferences"]
print("root", preferences.ROOT)
assert (preferences.ROOT / "engine" / "__main__.py").is_file()
print("WORKS")
sys.stdout.flush()
os._exit(0)
"""

# The first minutes of a new user: nothing but the zip, no engine installed or chosen, a strip of speech, Generate.
FIRST_FACE = """
import os, sys, time
started = time.monotonic()
import bpy
zip_path, speech = sys.argv[1:]
name = "bl_ext.user_default.facediff_blender"
bpy.ops.extensions.package_install_files(filepath=zip_path, repo="user_default", enable_on_install=True)
bpy.ops.facediff.add_head()
scene = bpy.context.scene
scene.sequence_editor_create().strips.new_sound("Speech", speech, 1, 20)
scene.facediff.emotion = "happy"
session = sys.modules[name + ".facediff_blender.session"]
bpy.ops.facediff.generate()
while (session.tick() or session.current.generation is not None) and time.monotonic() - started < 150:
    time.sleep(0.02)
assert not session.current.failed, (session.current.message, session.current.detail)
hello = session.current.client.hello
assert hello.models == ["starter"] and hello.devices[-1].label == "CPU (built in)", hello
assert session.current.client.built_in
head = scene.facediff.head
bake = sys.modules[name + ".facediff_blender.bake"]
first, last = bake.current_take(head).frame_range
motion = bake.read_motion(head, scene.render.fps / scene.render.fps_base, int(first), int(last))
gap = motion.channel("jawOpen") - motion.channel("mouthClose")
assert gap.max() > 0.15 and gap.min() < 0.05, "the mouth opens and closes"
assert motion.channel("mouthSmileLeft").mean() > 0.05, "it smiles"

bpy.context.preferences.addons[name].preferences.device = "cuda"
bpy.ops.facediff.generate()
while (session.tick() or session.current.generation is not None) and time.monotonic() - started < 150:
    time.sleep(0.02)
assert session.current.failed and "needs the full engine" in session.current.message, session.current.message
pid = session.current.client.pid
bpy.ops.preferences.addon_disable(module=name)
try:
    os.kill(pid, 0)
except ProcessLookupError:
    print("WORKS in", round(time.monotonic() - started, 1), "s")
sys.stdout.flush()
os._exit(0)
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build(tmp_path_factory.mktemp("extension"), repository=True)


def test_the_zip_holds_what_ships_and_nothing_else(built):
    names = zipfile.ZipFile(built).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"blender_manifest.toml", "__init__.py", "LICENSE", "LICENSES.md", "README.md", "facediff_blender", "engine"}
    assert not [n for n in names if "__pycache__" in n or n.endswith(".pyc") or "/." in n]
    assert "engine/assets/starter_head/head.npz" in names and "facediff_blender/operators/generate.py" in names
    assert built.stat().st_size < 30e6


def test_versions_and_range_agree(built):
    manifest = tomllib.loads((ROOT / "blender_manifest.toml").read_text())
    assert manifest["version"] == __version__ and manifest["blender_version_min"] == "4.5.0"
    assert "blender_version_max" not in manifest and "wheels" not in manifest and "platforms" not in manifest
    assert built.name == f"facediff_blender-{__version__}.zip"
    index = json.loads((built.parent / "index.json").read_text())
    assert [(e["id"], e["version"]) for e in index["data"]] == [("facediff_blender", __version__)]


def test_installed_in_a_fresh_blender_it_enables_disables_and_enables(built, tmp_path):
    environment = {**os.environ, "BLENDER_USER_RESOURCES": str(tmp_path / "user resources ü")}
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:bl_ext", "-c", INSTALLED, str(built)],
        capture_output=True,
        text=True,
        timeout=180,
        env=environment,
        cwd=tmp_path,
    )
    assert done.returncode == 0 and "WORKS" in done.stdout, done.stdout + done.stderr
    assert str(tmp_path) in done.stdout, "it ran from the installed copy"


def test_the_zip_alone_makes_a_face_talk(built, tmp_path):
    """With no engine installed or chosen, in paths with a space and a letter beyond ASCII."""
    folder = tmp_path / "user resources ü"
    speech = tmp_path / "eine Rede ü.flac"
    shutil.copyfile(ROOT / "engine" / "assets" / "demo" / "speech.flac", speech)
    environment = {n: v for n, v in os.environ.items() if n != "FACEDIFF_ENGINE_PYTHON"}
    environment |= {"BLENDER_USER_RESOURCES": str(folder), "FACEDIFF_ENGINE_FOLDER": str(tmp_path / "none")}
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:bl_ext", "-c", FIRST_FACE, str(built), str(speech)],
        capture_output=True,
        text=True,
        timeout=240,
        env=environment,
        cwd=tmp_path,
    )
    assert done.returncode == 0 and "WORKS" in done.stdout, done.stdout + done.stderr
    print(done.stdout)
