"""Every figure that the starter model is judged by, in one go (about ten minutes on two cores).

    .venv/bin/python scripts/measure_starter.py ../shared/human_speech [--only sync,steps,...] [--json OUT.json]

RECORDINGS is a folder as `python -m engine report` takes it: sounds with NAME.phones.csv beside them, and one with
Rhubarb's cues. Sections: sync, steps, seeds, alike, robustness, emotions, classifier, intensity, cost.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import soundfile  # noqa: E402
from scipy.signal import butter, fftconvolve, sosfilt  # noqa: E402

from engine import report as sync_report  # noqa: E402
from engine.animate import AnimateOptions, animate  # noqa: E402
from engine.audio import SAMPLE_RATE, load_audio  # noqa: E402
from engine.motion import FaceMotion  # noqa: E402
from engine.starter.articulation import mouth_controls, random_style, to_frames  # noqa: E402
from engine.starter.performance import EMOTIONS, FRAME_RATE, LEARNED, Feeling, perform, pose_weights  # noqa: E402
from engine.starter.phones import PHONES, VOWELS  # noqa: E402
from engine.sync import blinks_per_minute, cue_figures, lip_gap, read_cues, read_phones  # noqa: E402

STEPS = (1, 2, 4, 8, 16, 50, 100)
BROWS = ("browInnerUp", "browOuterUpLeft", "browOuterUpRight")
Clip = tuple[Path, Path | None, Path | None]
Change = Callable[[np.ndarray], np.ndarray]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=Path)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, default: all")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = sync_report.recordings(argparse.Namespace(source=options.recordings, phones=None, cues=None))
    # The longest recording with cues stands for the story.
    story = max((c for c in found if c[2]), key=lambda clip: len(load_audio(clip[0])))
    clips = [c for c in found if c[1]] + [story]
    results = {}
    for name in options.only.split(","):
        print(f"\n== {name}", flush=True)
        results[name] = SECTIONS[name](clips, options.model)
        print(json.dumps(results[name], indent=1), flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return 0


def made(clip: Path, model: str, **choices: object) -> FaceMotion:
    """The motion of a sound file with landmarks."""
    return animate(clip, AnimateOptions(landmarks=True, **choices), model)  # type: ignore[arg-type]


def quality(clips: list[Clip], model: str, **choices: object) -> dict[str, float]:
    """Pooled closures of the labelled clips, r and A recall of the story, blinks a minute of all."""
    pool = sync_report.Pool()
    out: dict[str, float] = {}
    blinks = minutes = 0.0
    for sound, phones, cues in clips:
        motion = made(sound, model, **choices)
        gap = lip_gap(motion)
        minutes += motion.frames / motion.fps / 60
        blinks += blinks_per_minute(motion) * motion.frames / motion.fps / 60
        if phones is not None:
            pool.add(sync_report.clip_pool(motion, gap, read_phones(phones)))
        if cues is not None:
            figures = cue_figures(gap, motion.fps, read_cues(cues))
            out |= {
                "story_r": figures["r"],
                "story_a_recall": figures["a_recall"],
                "story_rest": figures["gap_in_rest"],
            }
    return rounded({**pool.figures(), **out, "blinks_per_minute": blinks / minutes})


def rounded(figures: dict[str, float]) -> dict[str, float]:
    """Four digits are enough."""
    return {name: round(float(value), 4) for name, value in figures.items()}


def sync(clips: list[Clip], model: str) -> dict[str, float]:
    """At the default settings."""
    return quality(clips, model)


def steps(clips: list[Clip], model: str) -> dict[str, dict[str, float]]:
    """Quality and time at each number of denoiser evaluations."""
    table = {}
    for count in STEPS:
        start = time.process_time()
        figures = quality(clips, model, steps=count)
        spent = time.process_time() - start
        seconds = sum(len(load_audio(clip[0])) / SAMPLE_RATE for clip in clips)
        kept = ("recall", "precision", "f1", "story_r", "story_a_recall", "blinks_per_minute")
        table[str(count)] = {k: figures[k] for k in kept} | {"cpu_seconds_per_second": round(spent / seconds, 4)}
        print(count, table[str(count)], flush=True)
    return table


def above_the_mouth(motion: FaceMotion) -> dict[str, np.ndarray]:
    """(T,) curves that should differ from performance to performance."""
    return {
        "brow": np.mean([motion.channel(name) for name in BROWS], axis=0),
        "head_pitch": motion.rotation("head")[:, 0],
        "head_yaw": motion.rotation("head")[:, 1],
        "gaze_pitch": motion.rotation("left_eye")[:, 0],
        "gaze_yaw": motion.rotation("left_eye")[:, 1],
    }


def correlations(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> dict[str, float]:
    """Pearson r of each pair of curves over their common length."""
    out = {}
    for name in a:
        length = min(len(a[name]), len(b[name]))
        out[name] = float(np.corrcoef(a[name][:length], b[name][:length])[0, 1])
    return rounded(out)


def seeds(clips: list[Clip], model: str) -> dict[str, float]:
    """Two seeds on the story: one mouth, two performances."""
    a, b = (made(clips[-1][0], model, seed=seed) for seed in (0, 1))
    return {"gap": round(float(np.corrcoef(lip_gap(a), lip_gap(b))[0, 1]), 4)} | correlations(
        above_the_mouth(a), above_the_mouth(b)
    )


def alike(clips: list[Clip], model: str) -> dict[str, float]:
    """Two recordings with the same seed: the two halves of the story."""
    samples = load_audio(clips[-1][0])
    with tempfile.TemporaryDirectory() as folder:
        halves = []
        for i, half in enumerate(np.array_split(samples, 2)):
            soundfile.write(Path(folder) / f"{i}.wav", half, SAMPLE_RATE, subtype="FLOAT")
            halves.append(above_the_mouth(made(Path(folder) / f"{i}.wav", model)))
    return correlations(*halves)


def noisy(samples: np.ndarray) -> np.ndarray:
    """White noise 15 dB under the speech."""
    level = np.sqrt(np.mean(samples**2)) * 10 ** (-15 / 20)
    return samples + level * np.random.default_rng(0).standard_normal(len(samples))


def telephone(samples: np.ndarray) -> np.ndarray:
    """300 to 3400 Hz."""
    return sosfilt(butter(4, [300, 3400], "bandpass", fs=SAMPLE_RATE, output="sos"), samples)


def reverberant(samples: np.ndarray) -> np.ndarray:
    """A room of RT60 0.45 s, the direct sound 3 dB under the reverberation."""
    length = int(0.45 * SAMPLE_RATE)
    tail = np.random.default_rng(1).standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
    tail[: SAMPLE_RATE // 500] = 0
    tail *= 10 ** (3 / 20) / np.sqrt((tail**2).sum())
    tail[0] = 1
    return fftconvolve(samples, tail)[: len(samples)]


def robustness(clips: list[Clip], model: str) -> dict[str, dict[str, float]]:
    """Recall and precision when the labelled recordings are degraded; and of the story."""
    changes: dict[str, Change] = {
        "clean": lambda x: x,
        "noise 15 dB": noisy,
        "telephone": telephone,
        "reverb": reverberant,
    }
    table = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, change in changes.items():
            degraded = []
            for i, (sound, phones, cues) in enumerate(clips):
                path = Path(folder) / f"{i}.wav"
                x = change(load_audio(sound))
                soundfile.write(path, x / max(1.0, float(np.abs(x).max())), SAMPLE_RATE, subtype="FLOAT")
                degraded.append((path, phones, cues))
            figures = quality(degraded, model)
            table[name] = {k: figures[k] for k in ("recall", "precision", "f1", "story_r", "story_a_recall")}
            print(name, table[name], flush=True)
    return table


def emotions(clips: list[Clip], model: str) -> dict[str, dict[str, float]]:
    """Closures at full intensity of each emotion."""
    table = {}
    for emotion in ("neutral", *EMOTIONS):
        figures = quality(clips[:-1], model, emotion={emotion: 1.0})
        table[emotion] = {k: figures[k] for k in ("recall", "precision", "labiodental_rate", "gap_in_pauses")}
        print(emotion, table[emotion], flush=True)
    return table


def summary(weights: np.ndarray) -> np.ndarray:
    """(T, len(LEARNED)) face to what the classifier sees: each channel's mean and upper decile over the clip."""
    return np.concatenate([weights.mean(axis=0), np.percentile(weights, 90, axis=0)])


def random_target(emotion: str, intensity: float, rng: np.random.Generator) -> np.ndarray:
    """(T, len(LEARNED)) a training target: 4 s of random phones spoken with an emotion."""
    names, at = ["sil"], [0.0, 0.2]
    while at[-1] < 3.8:
        names.append(PHONES[rng.integers(1, len(PHONES))])
        at.append(at[-1] + rng.uniform(0.05, 0.16))
    names, edges = [*names, "sil"], np.array([*at, 4.2])
    frames = 100
    curves = mouth_controls(names, edges[:-1], edges[1:], 4.2, random_style(rng), rng)
    middles = (edges[:-1] + edges[1:]) / 2
    loud = np.array([1.0 if n in VOWELS else 0.0 if n == "sil" else 0.5 for n in names])
    energy = np.interp(np.arange(frames) / FRAME_RATE, middles, loud)
    weights = np.zeros(len(EMOTIONS), np.float32)
    if emotion != "neutral":
        weights[EMOTIONS.index(emotion)] = intensity
    motion = perform(to_frames(curves, FRAME_RATE, frames), energy, Feeling(weights), rng)
    return motion[:, : len(LEARNED)]


def classifier(clips: list[Clip], model: str) -> dict[str, float]:
    """Softmax regression trained on targets alone names the emotion of samples (labelled clips, three seeds each)."""
    rng = np.random.default_rng(0)
    names = ("neutral", *EMOTIONS)
    rows = [(summary(random_target(n, rng.uniform(0.5, 1.0), rng)), i) for i, n in enumerate(names) for _ in range(150)]
    x, y = np.stack([r[0] for r in rows]), np.array([r[1] for r in rows])
    mean, deviation = x.mean(0), x.std(0) + 0.02
    x = np.concatenate([(x - mean) / deviation, np.ones((len(x), 1))], axis=1)
    weights = np.zeros((x.shape[1], len(names)))
    for _ in range(800):
        p = np.exp(x @ weights - (x @ weights).max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        p[np.arange(len(y)), y] -= 1
        weights -= 0.1 * (x.T @ p / len(x) + 1e-3 * weights)
    out: dict[str, float] = {"targets": float(((x @ weights).argmax(1) == y).mean())}
    right = []
    for strength in (1.0, 0.5):
        for i, name in enumerate(names):
            hits = []
            for seed in range(2):
                for sound, _, _ in clips[:-1]:
                    choice = {} if name == "neutral" else {name: strength}
                    motion = animate(sound, AnimateOptions(emotion=choice, seed=seed), model)
                    face = np.stack([motion.channel(channel) for channel in LEARNED], axis=1)
                    seen = np.append((summary(face) - mean) / deviation, 1)
                    hits.append(int((seen @ weights).argmax() == i))
            out[f"{name} at {strength}"] = float(np.mean(hits))
            if strength == 1.0:
                right += hits
        out[f"all at {strength}"] = float(np.mean([v for k, v in out.items() if k.endswith(f"at {strength}")]))
    return rounded(out)


def intensity(clips: list[Clip], model: str) -> dict[str, list[float]]:
    """How strongly each emotion's own channels show at intensity 0, 0.5 and 1 (mean weight over a clip)."""
    table = {}
    for emotion in EMOTIONS:
        pose = pose_weights(emotion)
        row = []
        for strength in (0.0, 0.5, 1.0):
            motion = animate(clips[0][0], AnimateOptions(emotion={emotion: 1.0}, intensity=strength), model)
            face = np.stack([motion.channel(channel) for channel in LEARNED], axis=1)
            row.append(round(float(face.mean(axis=0) @ pose / pose.sum()), 4))
        table[emotion] = row
    return table


# The engine, and then the kernel's account of its memory. (What getrusage says of a child begins at its parent's peak.)
MEASURED = """
import sys
from pathlib import Path
from engine.cli import main
status = main(sys.argv[1:])
print(Path("/proc/self/status").read_text())
sys.exit(status)
"""


def cost(clips: list[Clip], model: str) -> dict[str, object]:
    """Seconds for 60 s of speech, and memory and the largest jumps for 10 minutes, in a process of its own."""
    samples = load_audio(clips[-1][0])
    out: dict[str, object] = {"threads": os.environ.get("OMP_NUM_THREADS", "all"), "cores": os.cpu_count()}
    with tempfile.TemporaryDirectory() as folder:
        for name, seconds in (("60 s", 60), ("10 minutes", 600)):
            sound, result = Path(folder) / "a.wav", Path(folder) / "a.npz"
            soundfile.write(sound, np.resize(samples, seconds * SAMPLE_RATE), SAMPLE_RATE)
            command = [sys.executable, "-c", MEASURED, "animate", str(sound), "--out", str(result), "--landmarks"]
            done = subprocess.run([*command, "--model", model], check=True, cwd=ROOT, capture_output=True, text=True)
            motion = FaceMotion.load(result)
            spent = motion.meta["seconds"]
            working = sum(v for k, v in spent.items() if k not in ("load", "audio"))
            out[name] = {"seconds": spent, "realtime_factor": round(working / seconds, 4)}
        out["peak_memory_mb"] = round(int(done.stdout.split("VmHWM:")[1].split()[0]) / 1024)  # of the ten minutes
        head = np.linalg.norm(np.diff(motion.rotation("head"), n=2, axis=0), axis=1)
        out["largest_head_jerk_over_its_99.9_percentile"] = round(float(head.max() / np.percentile(head, 99.9)), 2)
    return out


SECTIONS: dict[str, Callable[[list[Clip], str], object]] = {
    "sync": sync, "steps": steps, "seeds": seeds, "alike": alike, "robustness": robustness, "emotions": emotions,
    "classifier": classifier, "intensity": intensity, "cost": cost,
}  # fmt: skip

if __name__ == "__main__":
    sys.exit(main())
