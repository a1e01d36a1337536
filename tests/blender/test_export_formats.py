"""Every format from a real take: read back, ranges, frame rates, presets, and that the user's file is left as it was."""

from __future__ import annotations

import json
import os
import re
import struct
import sys
from pathlib import Path

import bpy
import numpy as np
import pytest
import real_take
from facediff_tree.engine.face.livelink import read_csv
from facediff_tree.facediff_blender import bake, formats, heads, read_back, resample
from facediff_tree.facediff_blender.operators import export
from io_scene_fbx import parse_fbx

FORMATS = {"fbx": ".fbx", "alembic": ".abc", "gltf": ".glb", "usd": ".usdc", "csv": ".csv"}
FIRST, LAST = 5, 64


@pytest.fixture(autouse=True)
def head(empty_file):
    """A head with 2.4 s of speech at 25 fps on frames 5 to 64, in a scene of frames 1 to 20."""
    package = sys.modules["facediff_tree"]
    package.register()
    made = real_take.motion(2.4)
    head = real_take.perform(made, FIRST)
    bpy.context.scene.frame_end = 20
    yield head
    package.unregister()


def run(name: str, path: Path, **choices) -> str:
    assert getattr(bpy.ops.facediff, f"export_{name}")(filepath=str(path), **choices) == {"FINISHED"}
    return export.said


def off(words: str) -> float:
    """The number that is said, mm or weight."""
    return float(re.search(r"at most ([0-9.]+) (mm )?off", words)[1])


def everything() -> dict[str, list[str]]:
    return {str(k): sorted(b.name for b in collection) for k, collection in enumerate(read_back._collections())}


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_read_back_is_what_was_shown(head, tmp_path, name):
    scene = bpy.context.scene
    cube = bpy.data.objects.new("Other", bpy.data.meshes.new("Other"))
    scene.collection.objects.link(cube)
    for obj in bpy.context.selected_objects:
        obj.select_set(False)
    cube.select_set(True)
    bpy.context.view_layer.objects.active = cube
    scene.frame_set(17)
    before, blocks = real_take.bits(head), everything()
    words = run(name, tmp_path / f"größe{FORMATS[name]}")
    print(f"\n{bpy.app.version_string}: {words}")
    assert off(words) < (1e-4 if name == "csv" else 0.01)
    assert real_take.bits(head) == before and everything() == blocks
    assert (scene.frame_start, scene.frame_end, scene.frame_current, scene.render.fps) == (1, 20, 17, 25)
    assert bpy.context.selected_objects == [cube] and bpy.context.view_layer.objects.active == cube
    assert bpy.context.window.scene == scene
    assert os.listdir(tmp_path) == [f"größe{FORMATS[name]}"]


def test_the_comparison_sees_a_frame_of_delay(head, tmp_path):
    """What would be said of a file that is a frame late, so that the small numbers above mean something."""
    path = tmp_path / "a.abc"
    run("alembic", path, compare=False)
    scene = bpy.context.scene
    made = read_back.sample(scene, head, FIRST, LAST)
    assert read_back.difference(path, (25, 1.0), formats.read_alembic, made) < 1e-6
    late = read_back.Sample([f - 1 for f in made.frames[1:]], made.vertices[1:], made.rest)
    assert read_back.difference(path, (25, 1.0), formats.read_alembic, late) > 5e-4


@pytest.mark.parametrize("preset", ["UNREAL", "UNITY", "BLENDER"])
def test_fbx_presets_say_what_each_engine_expects(head, tmp_path, preset):
    words = run("fbx", tmp_path / "a.fbx", preset=preset)
    assert off(words) < 0.01
    root, _ = parse_fbx.parse(str(tmp_path / "a.fbx"))
    settings = next(e for e in root.elems if e.id == b"GlobalSettings")
    facts = {p.props[0]: p.props[4] for p in settings.elems[-1].elems if len(p.props) > 4}
    axes = [(facts[b + b"Axis"], facts[b + b"AxisSign"]) for b in (b"Up", b"Front", b"Coord")]
    assert axes == ([(2, 1), (1, -1), (0, 1)] if preset == "UNREAL" else [(1, 1), (2, 1), (0, 1)])
    assert facts[b"UnitScaleFactor"] == (100.0 if preset == "UNITY" else 1.0)
    objects = next(e for e in root.elems if e.id == b"Objects")
    smoothing = [e for m in objects.elems if m.id == b"Geometry" for e in m.elems if e.id == b"LayerElementSmoothing"]
    assert bool(smoothing) == (preset != "BLENDER")
    names = {e.props[1].split(b"\x00")[0].decode() for e in objects.elems if e.id == b"Model"}
    assert {"head", "left_eye", "right_eye", "neck"} <= names and not any(n.endswith("_end") for n in names), "no leaf bones"


def test_a_range_of_frames(head, tmp_path):
    run("csv", tmp_path / "part.csv", use_range=True, frame_start=20, frame_end=39)
    part = read_csv(tmp_path / "part.csv")
    assert part.frames == 20 and part.fps == 25
    jaw = real_take.weights(head, np.arange(20, 40))["jawOpen"]
    assert np.abs(part.channel("jawOpen") - jaw).max() < 1e-5
    run("alembic", tmp_path / "part.abc", use_range=True, frame_start=20, frame_end=39)
    bpy.ops.wm.alembic_import(filepath=str(tmp_path / "part.abc"), as_background_job=False, set_frame_range=True)
    assert (bpy.context.scene.frame_start, bpy.context.scene.frame_end) == (20, 39)


@pytest.mark.parametrize("fps", [24.0, 30.0, 60.0, 30000 / 1001])
def test_another_frame_rate_is_resampled_and_closures_stay(head, tmp_path, fps):
    before = real_take.bits(head)
    words = run("csv", tmp_path / "a.csv", fps=fps)
    again = read_csv(tmp_path / "a.csv")
    assert abs(again.fps / fps - 1) < 1e-3 and abs(again.frames - 59 / 25 * fps - 1) <= 0.5
    made = real_take.weights(head, np.arange(FIRST, LAST + 1))
    seconds, shown = np.arange(60) / 25, np.arange(again.frames) / fps
    expected = np.interp(shown, seconds, made["browInnerUp"])
    assert np.abs(again.channel("browInnerUp") - expected).max() < 1e-3, "the same second shows the same face"
    gap, found = made["jawOpen"] - made["mouthClose"], again.channel("jawOpen") - again.channel("mouthClose")
    for i in resample.closures(gap):
        near = np.abs(shown - seconds[i]) <= 0.51 / fps
        assert not near.any() or found[near].min() <= gap[i] + 0.006
    assert again.channel("eyeBlinkLeft").max() <= made["eyeBlinkLeft"].max() + 1e-6
    assert off(words) < 1e-4 and real_take.bits(head) == before
    assert bpy.context.scene.render.fps == 25 and len(bpy.data.actions) == 1


@pytest.mark.parametrize("name", ["fbx", "gltf", "usd", "alembic"])
def test_another_frame_rate_in_geometry(head, tmp_path, name):
    words = run(name, tmp_path / f"a{FORMATS[name]}", fps=30.0)
    assert off(words) < 0.01, words
    if name == "gltf":
        data = (tmp_path / "a.glb").read_bytes()
        facts = json.loads(data[20 : 20 + struct.unpack("<I", data[12:16])[0]])
        assert len(facts["animations"]) == 1, "shapes and bones play together"
        weights = next(c for c in facts["animations"][0]["channels"] if c["target"]["path"] == "weights")
        times = facts["accessors"][facts["animations"][0]["samplers"][weights["sampler"]]["input"]]
        assert times["count"] == 72 and abs(times["max"][0] - times["min"][0] - 71 / 30) < 1e-5


def test_thinned_files_are_smaller_and_as_near(head, tmp_path):
    for name, suffix in (("fbx", ".fbx"), ("gltf", ".glb")):
        run(name, tmp_path / f"all{suffix}")
        words = run(name, tmp_path / f"thin{suffix}", thin=True)
        sizes = [(tmp_path / f"{stem}{suffix}").stat().st_size for stem in ("all", "thin")]
        print(f"\n{bpy.app.version_string}: {name} {sizes[0]} bytes, thinned {sizes[1]}. {words}")
        assert sizes[1] < sizes[0] and off(words) < 0.1


def test_undo_finds_nothing_changed(head, tmp_path):
    bpy.ops.ed.undo_push(message="made")
    before, blocks = real_take.bits(head), everything()
    head.location.x = 1.0
    bpy.ops.ed.undo_push(message="moved")
    run("fbx", tmp_path / "a.fbx", fps=30.0)
    bpy.ops.ed.undo()
    head = bpy.context.scene.facediff.head
    assert head.location.x == 0.0 and real_take.bits(head) == before and everything() == blocks


def test_what_cannot_be_written_is_one_sentence_and_no_file(head, tmp_path, monkeypatch):
    with pytest.raises(RuntimeError, match="before its start"):
        bpy.ops.facediff.export_csv(filepath=str(tmp_path / "a.csv"), use_range=True, frame_start=9, frame_end=3)
    with pytest.raises(RuntimeError, match="does not exist"):
        bpy.ops.facediff.export_gltf(filepath=str(tmp_path / "no" / "a.glb"))
    options = bpy.app.build_options
    lacking = next(n for n in dir(options) if not n.startswith("_") and getattr(options, n) is False)
    monkeypatch.setattr(formats, "BUILD_OPTIONS", {".usdc": (lacking, "USD")})
    assert formats.why_not(".usdc") == "This build of Blender has no USD."
    with pytest.raises(RuntimeError, match="This build of Blender has no USD"):
        bpy.ops.facediff.export_usd(filepath=str(tmp_path / "a.usdc"))
    monkeypatch.undo()
    assert formats.why_not(".usdc") == "" and bake.current_take(head) is not None
    for block in list(head.data.shape_keys.key_blocks)[1:]:
        block.name = f"my {block.name}"
    with pytest.raises(RuntimeError, match="none of ARKit's channels"):
        bpy.ops.facediff.export_csv(filepath=str(tmp_path / "a.csv"))
    assert not os.listdir(tmp_path) and heads.is_head(head)
