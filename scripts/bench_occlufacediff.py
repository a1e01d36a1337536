"""Speed of OccluFaceDiff's full-size architecture with random weights, of the landmarks, and of the starter tracker.

    .venv/bin/python scripts/bench_occlufacediff.py [--runs 5] [--threads 2] [--device cpu] [--video FILE] [--json OUT.json]

The model: a clip of 4 s (two windows) at 100 steps, every condition computed once, with the windows side by side, as the
reference has them, and overlapping, as `track` has them; and "all at every step": our own code working out every condition
again at each of the 100 steps, as the reference does (three of them are timed). The tracker: `python -m engine track`, from
the process's start to the motion file. Without a video one is made of a picture of the starter head that drifts, with the
demo's speech.
Wall seconds are the least of all runs; `cpu` is processor time, of all threads and processes, of the least busy run.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "scripts"))

from bench import SPEECH, describe_machine, peak_of_this  # noqa: E402

SECONDS, STEPS, FPS = 4.0, 100, 25
REFERENCE = 39.0  # s that the authors' code takes for this clip on 2 threads, running wav2vec2 at every step
PORTRAITS, PORTRAIT = ROOT / "docs" / "head.jpg", 200  # pictures of the starter head; the first one's size, pixels


def main() -> int:
    """Print tables; write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--video", type=Path, help="of one person talking")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the engine's own process sets it, before PyTorch is loaded
    import torch

    torch.set_num_threads(options.threads)
    machine = describe_machine(options.device)
    print("  ".join(f"{k}: {v}" for k, v in machine.items()))
    figures: dict[str, Any] = {"machine": machine, "clip_seconds": SECONDS, "steps": STEPS, "reference_seconds": REFERENCE}
    figures["model"] = bench_model(options.runs, options.device)
    print(f"{f'{SECONDS:g} s, {STEPS} steps':<22}{'total':>9}{'features':>10}{'sampling':>10}{'decode':>9}{'cpu':>9}")
    for name, row in figures["model"].items():
        stages = f"{row['features']:>10.3f}{row['sampling']:>10.3f}{row['decode']:>9.3f}"
        print(f"{name:<22}{row['total']:>9.3f}{stages}{row['cpu']:>9.3f}")
    print(f"{'reference':<22}{REFERENCE:>9.1f}   x{REFERENCE / figures['model']['side by side']['total']:.0f}")
    figures["peak_memory_mb"] = peak_of_this() / 1e6
    print(f"peak memory {figures['peak_memory_mb']:.0f} MB")
    with tempfile.TemporaryDirectory() as folder:
        video = options.video or write_portrait(Path(folder) / "portrait.mp4")
        figures["landmarks"] = bench_landmarks(video, options.runs)
        print("landmarks: {per_second:.0f} frames of {width} x {height} per second".format(**figures["landmarks"]))
        figures["tracker"] = bench_tracker(video, options.runs)
        tracker = figures["tracker"]
        print(
            f"starter tracker: {tracker['total']:.2f} s (cpu {tracker['cpu']:.2f} s) for {tracker['video_seconds']:.2f} s of video,"
            f" {tracker['realtime_factor']:.2f} x its length; without starting and loading {tracker['warm_factor']:.2f}"
        )
        print("  ".join(f"{stage} {seconds:.2f}" for stage, seconds in tracker["stages"].items()))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


def bench_model(runs: int, device: str) -> dict[str, dict[str, float]]:
    """Seconds by stage, for both ways to cut the clip."""
    import torch

    from engine.devices import pick_device
    from engine.occlufacediff.pipeline import generate, make_clip

    model = random_model(pick_device(device))
    generator = np.random.default_rng(0)
    frames = round(SECONDS * FPS)
    landmarks = generator.normal(0, 0.4, (frames, 468, 2)).astype(np.float32)
    visible = np.ones((frames, 468), bool)
    visible[:, :100] = False
    clip = make_clip(landmarks, visible, generator.normal(0, 0.1, round(16_000 * SECONDS)), model.device)
    rows = {}
    for name, overlapping in (("side by side", False), ("overlapping", True)):
        found: list[dict[str, float]] = []

        def once(overlapping: bool = overlapping, found: list[dict[str, float]] = found) -> None:
            motion = generate(model, clip, 0, lambda *_: None, steps=STEPS, overlapping=overlapping)
            if model.device.type == "cuda":
                torch.cuda.synchronize()
            found.append(motion.meta["seconds"])

        once()
        total, busy = least(once, runs)
        stages = min(found[1:], key=lambda row: sum(row.values()))
        rows[name] = {"total": total, "cpu": busy, **stages}
    rows["all at every step"] = bench_everything_every_step(model, clip)
    return rows


def bench_everything_every_step(model: Any, clip: Any, timed: int = 3) -> dict[str, float]:
    """Seconds of STEPS steps of which each hears, looks and looks up again, from the least of a few."""
    import torch

    from engine.occlufacediff.pipeline import memories
    from engine.occlufacediff.windows import WINDOW, cut

    frames = cut(len(clip)).frames
    x = torch.zeros(len(frames), WINDOW // 8, model.config.denoiser.latent_channels, device=model.device)

    @torch.inference_mode()
    def once() -> None:
        ((_, memory),) = memories(model, clip, frames)
        model.denoiser(x, torch.full((len(x),), 500, device=x.device), memory).cpu()

    wall, busy = least(once, timed)
    return {"total": STEPS * wall, "cpu": STEPS * busy, "features": 0.0, "sampling": STEPS * wall, "decode": 0.0}


def random_model(device: Any) -> Any:
    """The published architecture, random weights."""
    import torch

    from engine.diffusion.respacing import cosine_betas, improved_schedule
    from engine.lgldm.audio_encoders import AudioEncoder
    from engine.occlufacediff.denoiser import Denoiser, DenoiserConfig
    from engine.occlufacediff.flint import Flint, FlintConfig
    from engine.occlufacediff.model import ModelConfig, OccluModel
    from engine.occlufacediff.stages import WAV2VEC2
    from engine.onednn import quickened

    torch.manual_seed(0)
    config = ModelConfig(WAV2VEC2, FlintConfig(), DenoiserConfig())
    parts = {"audio": AudioEncoder(config.audio), "flint": Flint(config.flint), "denoiser": Denoiser(config.denoiser)}
    for part in parts.values():
        quickened(part).eval().requires_grad_(False).to(device)
    schedule = improved_schedule(cosine_betas(config.denoiser.timesteps))
    return OccluModel(name="random", config=config, **parts, schedule=schedule, device=device)


def bench_landmarks(video: Path, runs: int) -> dict[str, float]:
    """Frames per second that FaceMesh, in its own process, is given and answers; decoding is not in it."""
    from engine.detection import face_mesh
    from engine.video import read_frames

    images = [frame.image for frame, _ in zip(read_frames(video), range(50))]
    with face_mesh() as detector:
        if not detector(images[0]):
            raise SystemExit(f"No face was found in '{video.name}'.")
        seconds, _ = least(lambda: [detector(image) for image in images], runs)
    return {"per_second": len(images) / seconds, "width": images[0].shape[1], "height": images[0].shape[0]}


def bench_tracker(video: Path, runs: int) -> dict[str, Any]:
    """Seconds of the command, and the stages that its motion file tells."""
    from engine.motion import FaceMotion

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "m.npz"
        command = [sys.executable, "-m", "engine", "track", str(video), "--out", str(out), "--device", "cpu"]
        told: list[dict[str, float]] = []

        def once() -> None:
            subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
            told.append(FaceMotion.load(out).meta["seconds"])

        total, busy = least(once, runs)
        motion = FaceMotion.load(out)
    stages = min(told, key=lambda row: row["detect"] + row["model"])
    seconds = motion.frames / motion.fps
    warm = sum(stages[n] for n in ("detect", "audio", "model", "geometry"))
    return {
        "total": total, "cpu": busy, "video_seconds": seconds, "realtime_factor": total / seconds,
        "warm_factor": warm / seconds, "stages": stages,
    }  # fmt: skip


def least(run: Callable[[], object], runs: int) -> tuple[float, float]:
    """The least wall and processor seconds of `runs` runs, of this process and those that it starts and that end."""
    walls, busy = [], []
    for _ in range(runs):
        wall, cpu = time.perf_counter(), _cpu()
        run()
        walls.append(time.perf_counter() - wall)
        busy.append(_cpu() - cpu)
    return min(walls), min(busy)


def _cpu() -> float:
    usages = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def write_portrait(path: Path, size: int = 480) -> Path:
    """SECONDS of the starter head's picture, drifting, with the demo's speech."""
    import av

    from engine.audio import SAMPLE_RATE, load_audio

    with av.open(str(PORTRAITS)) as picture:
        frame = next(picture.decode(video=0))
        scale = 1.1 * size / PORTRAIT
        larger = frame.reformat(width=round(frame.width * scale), height=round(frame.height * scale), format="rgb24").to_ndarray()
    whole = larger[: round(PORTRAIT * scale), : round(PORTRAIT * scale)]
    speech = np.resize(load_audio(SPEECH), round(SECONDS * SAMPLE_RATE))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(FPS), options={"crf": "20"})
        stream.width, stream.height, stream.pix_fmt = size, size, "yuv420p"
        sound = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        room = np.array(whole.shape[:2]) - size
        for i in range(round(SECONDS * FPS)):
            y, x = (room * (0.5 + 0.4 * np.sin(np.array([0.1, 0.07]) * i))).astype(int)
            image = np.ascontiguousarray(whole[y : y + size, x : x + size])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
        block = av.AudioFrame.from_ndarray(speech[None].astype(np.float32), format="fltp", layout="mono")
        block.sample_rate, block.pts = SAMPLE_RATE, 0
        fifo = av.AudioFifo()
        fifo.write(block)
        for part in fifo.read_many(1024, partial=True):
            container.mux(sound.encode(part))
        container.mux(sound.encode())
    return path


if __name__ == "__main__":
    sys.exit(main())
