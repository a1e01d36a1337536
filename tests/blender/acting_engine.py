"""A stand-in for the engine that acts: `python acting_engine.py FPS LOG_FOLDER`. Each job's motion follows from the length
of its sound, its seed, its emotions and, for a part of a base, from the base, exactly as the messages promise it.

Every request is kept in LOG_FOLDER as NUMBER.json, with its emotion curve and base beside it.
"""

import json
import shutil
import sys
import wave
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from engine.face.arkit import ARKIT_52  # noqa: E402
from engine.motion import FaceMotion  # noqa: E402

ROTATIONS = ("head", "jaw", "left_eye", "right_eye")


def say(**event: object) -> None:
    """One event line."""
    print(json.dumps(event), flush=True)


def act(fps: float, frames: int, seed: int, felt: np.ndarray) -> FaceMotion:
    """Noise of the seed, smooth in time; the corners of the mouth show how happy it is. felt: (T,)"""
    rng = np.random.default_rng(seed)
    t = np.arange(frames)[:, None] / fps
    weights = 0.4 + 0.3 * np.sin(2 * np.pi * (t * rng.uniform(0.2, 2, 52) + rng.uniform(size=52)))
    for name in ("mouthSmileLeft", "mouthSmileRight"):
        weights[:, ARKIT_52.index(name)] = felt
    turns = 0.3 * np.sin(2 * np.pi * (t * rng.uniform(0.2, 1, 12) + rng.uniform(size=12))).reshape(frames, 4, 3)
    meta = {"seed": seed, "steps": 8, "device": "cpu", "mouth_variation": 0.3}
    return FaceMotion(fps, ARKIT_52, weights, ROTATIONS, turns, meta=meta)


def part(request: dict, new: FaceMotion) -> FaceMotion:
    """The base with the frames and channels asked for taken from the new motion, but for pinned frames."""
    base = FaceMotion.load(request["base"])
    weights, rotations = base.weights.copy(), base.rotations.copy()
    seconds = np.arange(base.frames) / base.fps
    inside = (seconds >= (request["start"] or 0)) & (seconds < (request["end"] or np.inf))
    pinned = base.meta.get("pinned", {})
    for k, name in enumerate(base.channels + base.rotation_names):
        if request["channels"] is None or name in request["channels"]:
            free = inside.copy()
            free[pinned.get(name, [])] = False
            values, source = (weights, new.weights) if name in base.channels else (rotations, new.rotations)
            names = new.channels if name in base.channels else new.rotation_names
            place = k if name in base.channels else k - len(base.channels)
            values[free, place] = source[free, names.index(name)]
    return FaceMotion(base.fps, base.channels, weights, base.rotation_names, rotations, meta=new.meta)


def check(request: dict, number: int) -> None:
    """The phones m at 0.5 s and p at 1 s are missed where the jaw is open by more than 0.05 there."""
    log = Path(sys.argv[2])
    (log / f"{number}.json").write_text(json.dumps(request))
    motion = FaceMotion.load(request["motion"])
    missed = []
    for phone, start in (("m", 0.5), ("p", 1.0)):
        near = motion.channel("jawOpen")[round(start * motion.fps) : round((start + 0.1) * motion.fps) + 1]
        if near.min() > 0.05:
            missed.append({"phone": phone, "start": start, "end": start + 0.1, "gap": float(near.min())})
    sync = {"figures": {"recall": 1 - len(missed) / 2, "bilabials": 2.0}, "missed": missed}
    FaceMotion(motion.fps, motion.channels, motion.weights, meta={"sync": sync}).save(request["out"])
    say(type="result", id=request["id"], path=request["out"], seconds={"features": 0.5})


def answer(request: dict, number: int) -> None:
    """One job."""
    log = Path(sys.argv[2])
    (log / f"{number}.json").write_text(json.dumps(request))
    with wave.open(request["audio"]) as sound:
        seconds = sound.getnframes() / sound.getframerate()
    fps, frames = float(sys.argv[1]), round(seconds * float(sys.argv[1]))
    if request["base"] is not None:
        shutil.copyfile(request["base"], log / f"{number}.base.npz")
        base = FaceMotion.load(request["base"])
        fps, frames = base.fps, base.frames
    felt = np.full(frames, request["emotion"].get("happy", 0.0) * request["intensity"])
    if request["emotion_curve"] is not None:
        shutil.copyfile(request["emotion_curve"], log / f"{number}.emotion.npz")
        curve = FaceMotion.load(request["emotion_curve"])
        felt = np.interp(np.arange(frames) / fps, np.arange(curve.frames) / curve.fps, curve.channel("happy"))
    motion = act(fps, frames, request["seed"], felt)
    say(type="progress", id=request["id"], stage="sampling", step=1, total=2, fraction=0.5)
    (part(request, motion) if request["base"] is not None else motion).save(request["out"])
    say(type="result", id=request["id"], path=request["out"], seconds={"sampling": 0.25})


if __name__ == "__main__":
    device = {"id": "cpu", "label": "CPU", "usable": True, "reason": "Always works."}
    jobs = 0
    for line in sys.stdin:
        message = json.loads(line)
        if message["type"] == "hello":
            say(type="hello", protocol=1, engine_version="0.1.0", devices=[device], default_device="cpu")
        elif message["type"] == "generate":
            answer(message, jobs)
            jobs += 1
        elif message["type"] == "check":
            check(message, jobs)
            jobs += 1
