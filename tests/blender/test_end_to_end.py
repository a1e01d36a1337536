"""The whole way with the real engine: a strip of speech, Generate, curves that close the lips where the speech does."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import bpy
import numpy as np
import pytest
from addon_from_tree import ROOT
from facediff_tree.engine.face.arkit import ARKIT_52
from facediff_tree.engine.motion import FaceMotion
from facediff_tree.facediff_blender import bake, compat, heads, keyframes, preferences, session, sync_check, written

SPEECH = ROOT / "engine" / "assets" / "demo" / "speech.flac"


def engine_python() -> str:
    """The environment that holds PyTorch: this one, or the .venv beside the tree, or what the variable says."""
    return sys.executable if find_spec("torch") else preferences.find_python()


@pytest.fixture
def scene(empty_file):
    """A head at 30 fps with the demo's speech on a strip at frame 20, and the add-on enabled."""
    addon = sys.modules["facediff_tree"]
    addon.register()
    preferences.get(bpy.context).engine_python = engine_python()
    scene = bpy.context.scene
    scene.render.fps = 30
    bpy.ops.facediff.add_head()
    scene.sequence_editor_create().strips.new_sound("Speech", str(SPEECH), 1, 20)
    yield scene
    addon.unregister()


def generate(press: Callable[[], set[str]] = bpy.ops.facediff.generate) -> list[str]:
    """Press Generate, or another button, and wait; returns the stages that the panel showed."""
    press()
    stages: list[str] = []
    end = time.monotonic() + 240
    while (session.tick() or session.current.generation is not None) and time.monotonic() < end:
        if session.current.generation is not None and session.current.generation.job.stage not in stages:
            stages.append(session.current.generation.job.stage)
        time.sleep(0.02)
    assert not session.current.failed, (session.current.message, session.current.detail)
    return stages


def baked(scene: bpy.types.Scene) -> FaceMotion:
    """What the head's curves say, frame by frame."""
    head = scene.facediff.head
    first, last = bake.current_take(head).frame_range
    return bake.read_motion(head, 30.0, int(first), int(last))


def test_speech_becomes_curves_with_the_real_engine(scene):
    assert engine_python(), "no Python with PyTorch was found"
    scene.facediff.emotion, scene.facediff.extend_range = "happy", True
    assert {"features", "sampling"} <= set(generate())
    head = scene.facediff.head
    take = bake.current_take(head)
    strip = scene.sequence_editor.strips[0]
    first, after_last = compat.strip_span(strip)
    assert abs(take.frame_range[0] - first) <= 1 and abs(take.frame_range[1] - after_last) <= 2
    assert scene.frame_end >= take.frame_range[1]
    curves = compat.curves_of(head.data.shape_keys)
    assert {path.split('"')[1] for path, _ in curves} == set(ARKIT_52)
    assert {path.split('"')[1] for path, _ in compat.curves_of(heads.rig_of(head))} == set(heads.JOINTS)
    motion = baked(scene)
    assert motion.weights.min() >= 0 and motion.weights.max() <= 1
    gap = motion.channel("jawOpen") - motion.channel("mouthClose")
    assert gap.max() > 0.15 and np.percentile(gap, 5) < 0.05, "the mouth opens and closes"
    smile = motion.channel("mouthSmileLeft").mean()

    scene.facediff.emotion = "neutral"
    generate()
    assert bake.current_take(head) != take and len(bpy.data.actions) == 2
    again = baked(scene)
    assert smile > again.channel("mouthSmileLeft").mean() + 0.05, "happy smiles more than neutral"
    assert np.corrcoef(gap, again.channel("jawOpen") - again.channel("mouthClose"))[0, 1] > 0.6, "and says the same"


def places(action: bpy.types.Action) -> dict[str, np.ndarray]:
    """Frame and value of every key by curve, (N, 2)."""
    curves = written.curves_of(action).items()
    return {f"{path} {index}": keyframes.read(c, ("co",))["co"] for (_, path, index), c in curves}


def test_a_part_with_an_edited_key_and_the_sync_report_with_the_real_engine(scene):
    generate()
    take = bake.current_take(scene.facediff.head)
    jaw = f"{bake.key_path('jawOpen')} 0"
    curve = compat.curves_in(take, "KEY")[(bake.key_path("jawOpen"), 0)]
    key = curve.keyframe_points[100]
    frame, key.co.y = int(key.co.x), 0.45
    scene.facediff.part.frame_start, scene.facediff.part.frame_end = frame - 20, frame + 25
    old = places(take)
    generate(bpy.ops.facediff.regenerate)
    new = places(bake.current_take(scene.facediff.head))
    assert places(take).keys() == new.keys() and all(np.array_equal(places(take)[n], old[n]) for n in old)
    changed = 0
    for name, co in old.items():
        outside = (co[:, 0] < frame - 20) | (co[:, 0] > frame + 25)
        assert co[outside].tobytes() == new[name][outside].tobytes(), name
        changed += bool(np.abs(co - new[name]).max() > 0.01)
    assert changed > 20
    row = np.flatnonzero(new[jaw][:, 0] == frame)[0]
    assert abs(new[jaw][row, 1] - 0.45) < 1e-4
    assert new[jaw][row - 1, 1] > old[jaw][row - 1, 1] + 0.05, "the frames around bend towards the key"
    generate(bpy.ops.facediff.repeat_take)
    again = places(bake.current_take(scene.facediff.head))
    assert all(again[name].tobytes() == new[name].tobytes() for name in new), "Repeat gives identical curves"
    generate(bpy.ops.facediff.check_sync)
    figures, missed, _ = sync_check.report_of(bake.current_take(scene.facediff.head))
    assert figures["bilabials"] >= 5 and figures["recall"] > 0.8
    assert len(scene.timeline_markers) == len(missed) == round(figures["bilabials"] * (1 - figures["recall"]))


def test_a_cancel_in_the_real_engine_leaves_nothing(scene):
    bpy.ops.facediff.generate()
    end = time.monotonic() + 120
    while session.tick() and session.current.generation.job.state.value != "running" and time.monotonic() < end:
        time.sleep(0.02)
    bpy.ops.facediff.cancel()
    while session.current.generation is not None and time.monotonic() < end:
        session.tick()
        time.sleep(0.02)
    assert session.current.message == "Cancelled." and len(bpy.data.actions) == 0


def test_the_engine_finds_no_path_of_this_process(scene):
    """The child's Python is clean of ours, so that Blender's packages cannot poison the engine's."""
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)
    try:
        session.engine(bpy.context).client.start()
        end = time.monotonic() + 120
        while session.current.client.state == "starting" and time.monotonic() < end:
            session.tick()
            time.sleep(0.05)
        assert session.current.client.state == "ready", session.current.message
    finally:
        del os.environ["PYTHONPATH"]
