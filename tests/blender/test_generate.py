"""Generate as the user presses it, with stand-ins for the engine: what comes in is applied whole or not at all."""

from __future__ import annotations

import json
import os
import sys
import time
import wave
from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np
import pytest
from facediff_tree.engine.face.arkit import ARKIT_52
from facediff_tree.engine.motion import FaceMotion
from facediff_tree.facediff_blender import bake, compat, generation, heads, preferences, session
from facediff_tree.facediff_blender.engine_client import EngineClient, Limits
from facediff_tree.facediff_blender.jobs import Jobs

HERE = Path(__file__).resolve().parent
MOCK = HERE.parent / "engine" / "mock_engine.py"


pytestmark = pytest.mark.usefixtures("registered")


# Limits that a busy machine does not reach by itself, but where reaching one is the point.
LIMITS = Limits(start_silence=60.0, job_silence=60.0, cancel_grace=0.3, stop_grace=0.1)
QUICK = {"hang": replace(LIMITS, job_silence=1.0), "hang-at-start": replace(LIMITS, start_silence=1.0)}


def stand_in(*command: str | Path, limits: Limits = LIMITS) -> None:
    """Let the session talk to this instead of the real engine."""
    preferences.get(bpy.context).engine_python = sys.executable
    client = EngineClient(sys.executable, preferences.ROOT, limits=limits, command=[sys.executable, *map(str, command)])
    session.current.jobs = Jobs(client)


def scene_with_speech(folder: Path, seconds: float = 2.0) -> bpy.types.Strip:
    """A head, and a strip that can be heard, at frame 11 of a 24 fps scene."""
    bpy.ops.facediff.add_head()
    path = folder / "speech.wav"
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        noise = np.random.default_rng(0).normal(0, 3000, int(16_000 * seconds))
        out.writeframes(noise.astype("<i2").tobytes())
    return bpy.context.scene.sequence_editor_create().strips.new_sound("Speech", str(path), 1, 11)


def a_motion(folder: Path, frames: int = 48) -> Path:
    """A motion file at 24 fps whose jaw opens steadily."""
    weights = np.zeros((frames, 52), np.float32)
    weights[:, ARKIT_52.index("jawOpen")] = np.linspace(0, 1, frames)
    path = folder / "motion.npz"
    FaceMotion(fps=24, channels=ARKIT_52, weights=weights).save(path)
    return path


def run(seconds: float = 120.0) -> list[tuple[str, float]]:
    """Tick by hand until nothing is waited for; returns what the panel could have shown."""
    seen = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        more = session.tick()
        if session.current.generation is not None:
            job = session.current.generation.job
            seen.append((job.state.value, job.fraction))
        if not more and session.current.generation is None:
            return seen
        time.sleep(0.005)
    raise AssertionError("the generation did not end")


def jaw(head: bpy.types.Object) -> dict[int, float]:
    """The key frames of the jaw's curve."""
    curve = compat.curves_of(head.data.shape_keys).get(('key_blocks["jawOpen"].value', 0))
    return {} if curve is None else {int(k.co.x): k.co.y for k in curve.keyframe_points}


def head() -> bpy.types.Object:
    """The scene's one head."""
    return next(obj for obj in bpy.context.scene.objects if heads.is_head(obj))


def folders() -> set[str]:
    """Private folders that are left."""
    return {name for name in os.listdir(bpy.app.tempdir) if name.startswith("facediff-")}


def untouched() -> bool:
    """No take, no curve, nothing running, nothing left on disk."""
    return len(bpy.data.actions) == 0 and session.current.generation is None and not folders()


def test_a_take_from_strip_to_curves(tmp_path):
    scene_with_speech(tmp_path)
    stand_in(HERE / "motion_engine.py", a_motion(tmp_path), 20)
    settings = bpy.context.scene.facediff
    settings.emotion, settings.seed, settings.intensity = "happy", 7, 0.5
    assert bpy.ops.facediff.generate() == {"FINISHED"}
    assert not bpy.ops.facediff.generate.poll() and bpy.ops.facediff.cancel.poll()
    scratch = session.current.client.scratch
    seen = run()
    assert {"starting", "running"} <= {state for state, _ in seen}
    assert [f for _, f in seen] == sorted(f for _, f in seen) and max(f for _, f in seen) > 0.5
    keys = jaw(head())
    assert list(keys) == list(range(11, 59)) and keys[11] == 0.0 and keys[58] == pytest.approx(1.0)
    take = bake.current_take(head())
    assert take.name.startswith("FaceDiff Speech happy 7") and take["facediff_take"]["seed"] == 7
    assert not session.current.failed and session.current.message.startswith("Done")
    request = json.loads(next(scratch.glob("*.request")).read_text())
    assert request["emotion"] == {"happy": 1.0} and request["intensity"] == 0.5 and request["device"] == "auto"
    assert not folders() and not list(scratch.glob("*.npz")), "the sound and the motion file are gone"


def test_a_take_is_one_undo_step_and_the_earlier_one_comes_back(tmp_path):
    scene_with_speech(tmp_path)
    stand_in(HERE / "motion_engine.py", a_motion(tmp_path), 2)
    bpy.ops.ed.undo_push(message="before")
    for _ in range(2):
        bpy.ops.facediff.generate()
        run()
    assert len(bpy.data.actions) == 2
    bpy.ops.ed.undo()
    assert len(bpy.data.actions) == 1 and len(jaw(head())) == 48
    bpy.ops.ed.undo()
    assert len(bpy.data.actions) == 0 and jaw(head()) == {}
    assert heads.is_head(head())
    bpy.ops.ed.redo()
    assert len(jaw(head())) == 48


def test_a_user_may_undo_while_a_job_runs(tmp_path):
    strip = scene_with_speech(tmp_path)
    stand_in(HERE / "motion_engine.py", a_motion(tmp_path), 30)
    bpy.ops.ed.undo_push(message="before")
    strip.volume = 0.9
    bpy.ops.ed.undo_push(message="something")
    bpy.ops.facediff.generate()
    session.tick()
    bpy.ops.ed.undo()
    run()
    assert len(jaw(head())) == 48 and not session.current.failed


def test_undoing_the_head_away_while_a_job_runs_ends_the_job(tmp_path):
    bpy.ops.ed.undo_push(message="empty")
    scene_with_speech(tmp_path)
    bpy.ops.ed.undo_push(message="head and strip")
    stand_in(MOCK, "slow")
    bpy.ops.facediff.generate()
    session.tick()
    bpy.ops.ed.undo()
    run()
    assert "deleted" in session.current.message and untouched()


def test_extending_the_scene_is_asked_for(tmp_path):
    scene_with_speech(tmp_path)
    scene = bpy.context.scene
    scene.frame_end = 20
    stand_in(HERE / "motion_engine.py", a_motion(tmp_path), 2)
    bpy.ops.facediff.generate()
    run()
    assert scene.frame_end == 20
    scene.facediff.extend_range = True
    bpy.ops.facediff.generate()
    run()
    assert scene.frame_end == 58


def test_a_strip_that_is_moved_meanwhile_takes_the_face_along(tmp_path):
    strip = scene_with_speech(tmp_path)
    stand_in(HERE / "motion_engine.py", a_motion(tmp_path), 10)
    bpy.ops.facediff.generate()
    strip.channel = 2
    if hasattr(strip, "content_start"):
        strip.content_start += 100
    else:
        strip.frame_start += 100
    run()
    assert list(jaw(head())) == list(range(111, 159))


def test_cancel_ends_it_without_a_trace(tmp_path):
    scene_with_speech(tmp_path)
    for mode in ("slow", "deaf"):  # one that obeys, and one that has to be ended
        stand_in(MOCK, mode)
        bpy.ops.facediff.generate()
        for _ in range(20):
            session.tick()
            time.sleep(0.01)
        assert bpy.ops.facediff.cancel() == {"FINISHED"}
        run()
        assert session.current.message == "Cancelled." and not session.current.failed and untouched()
        assert bpy.ops.facediff.generate.poll()


@pytest.mark.parametrize(
    "mode, words",
    [
        ("crash-at-start", "stopped while it was starting"),
        ("crash-in-job", "unexpectedly"),
        ("hang", "has not answered"),
        ("hang-at-start", "did not start"),
        ("garbage", "nonsense"),
        ("wrong-version", "version"),
        ("wrong-protocol", "protocol"),
        ("disk-full", "disk is full"),
        ("no-file", "no motion file"),
        ("empty-file", "no motion file"),
        ("partial-file", "cannot be used"),
        ("ok", "cannot be used"),  # it sends something that is no motion
    ],
)
def test_an_engine_that_fails_is_one_sentence_and_changes_nothing(tmp_path, mode, words):
    scene_with_speech(tmp_path)
    own = head().data.shape_keys.key_blocks["jawOpen"]
    own.keyframe_insert("value", frame=3)
    stand_in(MOCK, mode, limits=QUICK.get(mode, LIMITS))
    bpy.ops.facediff.generate()
    run()
    state = session.current
    assert state.failed and words in state.message and "\n" not in state.message, state.message
    assert jaw(head()) == {3: 0.0} and len(bpy.data.actions) == 1 and not folders()
    if mode == "crash-in-job":
        assert any("crashes now" in line for line in state.detail), "the log's last lines are shown"


def test_a_missing_or_wrong_python_is_one_sentence(tmp_path):
    scene_with_speech(tmp_path)
    preferences.get(bpy.context).engine_python = str(tmp_path / "no python here")
    with pytest.raises(RuntimeError, match="was not found"):
        bpy.ops.facediff.generate()
    assert session.current.failed and "was not found" in session.current.message and untouched()
    with pytest.raises(RuntimeError, match="was not found"):
        bpy.ops.facediff.check_engine()


def delete_head() -> None:
    """What a user may delete while a job runs: the head,"""
    bpy.data.objects.remove(head())


def delete_strip() -> None:
    """the strip,"""
    strips_of_scene = bpy.context.scene.sequence_editor.strips
    strips_of_scene.remove(strips_of_scene[0])


def delete_scene() -> None:
    """or the whole scene."""
    other = bpy.data.scenes.new("Other")
    bpy.data.scenes.remove(next(s for s in bpy.data.scenes if s != other))


@pytest.mark.parametrize(
    "delete, start", [(delete_head, "The head"), (delete_strip, "The sound strip"), (delete_scene, "The scene")]
)
def test_a_deleted_head_strip_or_scene_ends_the_job(tmp_path, delete, start):
    scene_with_speech(tmp_path)
    stand_in(MOCK, "slow")
    bpy.ops.facediff.generate()
    session.tick()
    delete()
    run()
    assert session.current.message.startswith(start) and untouched()


def test_an_engine_that_has_to_be_ended_after_its_head_was_deleted_is_not_worth_a_word(tmp_path):
    """It was starting, so it could not obey; that is no failure to tell of, and nothing takes the place of what is said."""
    scene_with_speech(tmp_path)
    stand_in(MOCK, "hang-at-start")
    bpy.ops.facediff.generate()
    session.tick()
    delete_head()
    run()
    assert session.current.client.state == "stopped"
    assert session.current.message.startswith("The head was deleted") and not session.current.failed


def test_a_head_deleted_at_the_last_moment_is_noticed_by_the_operator(tmp_path):
    scene_with_speech(tmp_path)
    stand_in(HERE / "motion_engine.py", a_motion(tmp_path), 2)
    bpy.ops.facediff.generate()
    session.current.generation.motion = FaceMotion.load(a_motion(tmp_path))
    bpy.data.objects.remove(head())
    with pytest.raises(RuntimeError, match="head was deleted"):
        bpy.ops.facediff.apply_take()
    assert len(bpy.data.actions) == 0


def test_a_renamed_head_and_scene_are_found_again(tmp_path):
    scene_with_speech(tmp_path)
    stand_in(HERE / "motion_engine.py", a_motion(tmp_path), 10)
    bpy.ops.facediff.generate()
    head().name, bpy.context.scene.name = "Bob", "Shot 3"
    run()
    assert len(jaw(bpy.data.objects["Bob"])) == 48


def test_loading_another_file_ends_the_job_and_leaves_that_file_alone(tmp_path):
    scene_with_speech(tmp_path)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "same head.blend"))
    stand_in(MOCK, "slow")
    bpy.ops.facediff.generate()
    session.tick()
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "same head.blend"))
    assert "Another file" in session.current.message and untouched()
    run()
    assert untouched() and bpy.ops.facediff.generate.poll()


def test_disabling_the_add_on_ends_engine_and_job(tmp_path):
    scene_with_speech(tmp_path)
    stand_in(MOCK, "slow")
    bpy.ops.facediff.generate()
    session.tick()
    pid, scratch = session.current.client.pid, session.current.client.scratch
    sys.modules["facediff_tree"].unregister()
    end = time.monotonic() + 3
    while os.path.exists(f"/proc/{pid}/cmdline") and time.monotonic() < end:
        time.sleep(0.02)
    assert not os.path.exists(f"/proc/{pid}/cmdline") and not scratch.exists()
    assert session.current.jobs is None and untouched()
    sys.modules["facediff_tree"].register()


def test_a_tick_does_not_wait_for_the_end_of_an_endless_stream(tmp_path):
    """Its budget is 5 ms; ten times that leaves room for a machine that is busy with other tests."""
    scene_with_speech(tmp_path)
    stand_in(MOCK, "huge-output")
    bpy.ops.facediff.generate()
    spent = []
    for _ in range(60):
        start = time.perf_counter()
        session.tick()
        spent.append(time.perf_counter() - start)
        time.sleep(0.005)
    assert np.median(spent) < 0.05, spent
    session.abandon("enough")


def test_a_fault_of_our_own_ends_the_job_in_a_sentence(tmp_path, monkeypatch, capsys):
    scene_with_speech(tmp_path)
    stand_in(HERE / "motion_engine.py", a_motion(tmp_path), 2)

    def broken(*_: object) -> None:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr(generation.takes, "write", broken)
    bpy.ops.facediff.generate()
    run()
    assert session.current.failed and session.current.message == "ZeroDivisionError: a fault" and untouched()
    bpy.ops.facediff.generate()
    monkeypatch.setattr(generation.Generation, "what_is_gone", broken)
    assert session._on_timer() is None and "a fault" in capsys.readouterr().err
    assert "has a fault" in session.current.message and untouched()


def test_check_and_restart_show_the_engine(tmp_path):
    stand_in(MOCK, "ok")
    assert bpy.ops.facediff.check_engine() == {"FINISHED"}
    run()
    assert session.current.client.state == "ready" and session.current.client.hello.default_device == "cpu"
    assert not session.current.message


def test_why_generate_is_grey(tmp_path):
    def reason() -> str:
        with pytest.raises(RuntimeError) as caught:
            bpy.ops.facediff.generate()
        return str(caught.value)

    assert "Add a head" in reason()
    bpy.ops.facediff.add_head()
    assert "no sound strip" in reason()
    strip = scene_with_speech(tmp_path)
    bpy.context.scene.facediff.strip = "Gone"
    assert "no sound strip 'Gone'" in reason()
    bpy.context.scene.facediff.strip = ""
    strip.mute = True
    assert "is muted" in reason()
