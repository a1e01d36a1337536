"""What the tests of takes share: a stand-in engine that acts, strips that can be heard, and all that a scene holds."""

from __future__ import annotations

import json
import sys
import time
import wave
from pathlib import Path

import bpy
import numpy as np
from facediff_tree.engine.motion import FaceMotion
from facediff_tree.facediff_blender import bake, compat, heads, keyframes, preferences, session, written
from facediff_tree.facediff_blender.engine_client import EngineClient, Limits
from facediff_tree.facediff_blender.jobs import Jobs

ENGINE = Path(__file__).resolve().parent / "acting_engine.py"


def engine(folder: Path, fps: float = 24.0) -> Path:
    """Let the session talk to the stand-in; returns the folder where it keeps every request."""
    log = folder / "log"
    log.mkdir(exist_ok=True)
    preferences.get(bpy.context).engine_python = sys.executable
    command = [sys.executable, str(ENGINE), str(fps), str(log)]
    limits = Limits(job_silence=20.0, stop_grace=0.1)
    session.current.jobs = Jobs(EngineClient(sys.executable, preferences.ROOT, limits=limits, command=command))
    return log


def request(log: Path, number: int) -> dict:
    """A request that the stand-in got, the first of them 0."""
    return json.loads((log / f"{number}.json").read_text())


def motion(log: Path, number: int, kind: str) -> FaceMotion:
    """The emotion curve ("emotion") or the base ("base") of a request."""
    return FaceMotion.load(log / f"{number}.{kind}.npz")


def strip(folder: Path, frame: int = 11, seconds: float = 2.0, name: str = "Speech", channel: int = 1) -> bpy.types.Strip:
    """A strip that can be heard."""
    path = folder / f"{name}.wav"
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        noise = np.random.default_rng(len(name)).normal(0, 3000, int(16_000 * seconds))
        out.writeframes(noise.astype("<i2").tobytes())
    return bpy.context.scene.sequence_editor_create().strips.new_sound(name, str(path), channel, frame)


def run(seconds: float = 40.0) -> None:
    """Tick by hand until nothing is waited for."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not session.tick() and session.current.generation is None:
            return
        time.sleep(0.003)
    raise AssertionError("it did not end")


def generate(**options: int) -> bpy.types.Action:
    """Press Generate, wait, and return the take."""
    assert bpy.ops.facediff.generate(**options) == {"FINISHED"}
    run()
    assert not session.current.failed, session.current.message
    return bake.current_take(head())


def head() -> bpy.types.Object:
    """The panel's head, or the scene's one."""
    return bpy.context.scene.facediff.chosen_head(bpy.context)


def curve(name: str, action: bpy.types.Action | None = None) -> bpy.types.FCurve:
    """The curve of a shape key in a take; in the current one when none is named."""
    action = action if action is not None else bake.current_take(head())
    return compat.curves_in(action, "KEY")[(bake.key_path(name), 0)]


def keys_of(action: bpy.types.Action) -> dict:
    """Every attribute of every key of the action, as bytes."""
    return {
        name[1:]: {a: v.tobytes() for a, v in keyframes.read(c).items()} for name, c in written.curves_of(action).items()
    }


def everything() -> dict:
    """What undo has to bring back: takes and their keys and facts, who plays what, values, markers, ranges."""
    scene = bpy.context.scene
    state: dict = {"actions": {}, "scene": (scene.frame_start, scene.frame_end, scene.frame_current)}
    for action in bpy.data.actions:
        facts = {name: v.to_dict() if hasattr(v, "to_dict") else v for name, v in action.items()}
        state["actions"][action.name] = (keys_of(action), facts, tuple(action.frame_range), action.use_fake_user)
    for obj in scene.objects:
        for owner in (obj, obj.data.shape_keys if heads.is_head(obj) else None):
            if owner is not None and owner.animation_data is not None:
                data = owner.animation_data
                slot = data.action_slot.identifier if data.action_slot is not None else None
                state[owner.name] = (data.action.name if data.action is not None else None, slot)
    state["markers"] = [(m.name, m.frame, m.select) for m in scene.timeline_markers]
    return state
