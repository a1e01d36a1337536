"""Speed and memory of the published system's full-size architecture with random weights, on one clip.

    .venv/bin/python scripts/bench_lgldm.py [--dataset mead] [--seconds 4] [--device auto] [--json OUT.json]

Measures, each in a process of its own: the audio network, one evaluation of the denoiser alone and with the audio network
re-run (as the reference's code does at every step), and whole animations by DDPM 1000, DDIM 50 and DPM-Solver++ 8 with
every condition computed once. Needs about 4 GB and some minutes; `--width` makes the networks narrower.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from bench import describe_machine

SAMPLERS = {"ddpm": 1000, "ddim": 50, "dpm++": 8}
PARTS = ("denoiser", *SAMPLERS)
# Seconds that the reference needed on 2 CPU threads for 4 s of MEAD, by its authors' code run once (random weights).
REFERENCE = {"ddpm, audio network at every step": 1062.5, "ddpm, audio network once": 51.0}


def main() -> int:
    """Print a table; write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", choices=["mead", "vocaset", "biwi"], default="mead")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--width", type=int, help="of all networks; default: as released")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)  # what a process of its own measures
    options = parser.parse_args()
    if options.part:
        print(json.dumps(measure(options)))
        return 0
    machine = describe_machine(options.device)
    print("  ".join(f"{k}: {v}" for k, v in machine.items()))
    rows: dict[str, dict[str, float]] = {}
    for part in PARTS:
        command = [sys.executable, __file__, *sys.argv[1:], "--part", part]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        rows |= json.loads(lines[-1])
    print(f"{'':<44}{'seconds':>10}{'x realtime':>12}{'peak MB':>10}")
    for name, row in rows.items():
        print(f"{name:<44}{row['seconds']:>10.3f}{row['realtime_factor']:>12.2f}{row['peak_memory_mb']:>10.0f}")
    for name, seconds in REFERENCE.items():
        print(f"{f'reference, {name} (4 s, 2 threads)':<60}{seconds:>8.1f} s")
    if options.json:
        figures = {"machine": machine, "dataset": options.dataset, "clip_seconds": options.seconds, "rows": rows,
                   "reference_seconds": REFERENCE}  # fmt: skip
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


def measure(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """One part's figures."""
    import torch

    from engine.audio import SAMPLE_RATE
    from engine.devices import pick_device
    from engine.lgldm.pipeline import embed, generate, joined_denoiser

    device = pick_device(options.device)
    model = random_model(options.dataset, options.width, device)
    t = np.arange(int(options.seconds * SAMPLE_RATE)) / SAMPLE_RATE
    samples = (0.3 * np.sin(2 * np.pi * 150 * t) * np.sin(2 * np.pi * 2 * t)).astype(np.float32)
    emotion = {"happy": 1.0} if model.config.facts.emotions else {}

    def row(seconds: float) -> dict[str, float]:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
        if device.type == "cuda":
            peak = torch.cuda.max_memory_allocated() / 1e6
        return {"seconds": seconds, "realtime_factor": seconds / options.seconds, "peak_memory_mb": peak}

    def timed(run: Any, repeats: int) -> float:
        run()
        start = time.perf_counter()
        for _ in range(repeats):
            run()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter() - start) / repeats

    if options.part in SAMPLERS:
        start = time.perf_counter()
        generate(model, samples, emotion, 0, lambda *_: None, sampler=options.part, steps=SAMPLERS[options.part])
        return {f"animate, {options.part} {SAMPLERS[options.part]}": row(time.perf_counter() - start)}
    with torch.inference_mode():
        frames = int(options.seconds * model.config.facts.fps)
        audio = embed(model, samples, frames)
        felt = torch.eye(len(emotion) and 7, device=device)[:1] if emotion else None
        style = torch.eye(model.config.denoiser.identities, device=device)[:1]
        x = torch.randn(1, audio.shape[1], model.vqvae.config.latent_dim, device=device)
        denoise = joined_denoiser(model, audio, felt, style)
        alone = timed(lambda: denoise(x, 500), 10)
        network = timed(lambda: embed(model, samples, frames), 2)
    return {
        "audio network, once per clip": row(network),
        "denoiser, one evaluation": row(alone),
        "the same with the audio network re-run": row(alone + network),
    }


def random_model(dataset: str, width: int | None, device: Any) -> Any:
    """The released architecture, random weights; the last layer is not left at zero."""
    import torch

    from engine.diffusion.schedule import cosine_schedule
    from engine.lgldm.audio_encoders import AudioEncoder
    from engine.lgldm.datasets import DATASETS
    from engine.lgldm.denoiser import Denoiser
    from engine.lgldm.model import LgldmModel, released_config
    from engine.lgldm.vqvae import VQVAE

    torch.manual_seed(0)
    changes: dict[str, dict[str, int]] = {}
    if width:
        changes = {p: {n: width} for p, n in (("audio", "hidden"), ("vqvae", "width"), ("denoiser", "width"))}
        changes["audio"] |= {"heads": 4, "ffn": width}
    if width and dataset == "vocaset":
        changes["vqvae"]["code_dim"] = width // 16
    config = released_config(dataset, 3 * DATASETS[dataset].vertices, changes)
    parts = {"audio": AudioEncoder(config.audio), "vqvae": VQVAE(config.vqvae), "denoiser": Denoiser(config.denoiser)}
    torch.nn.init.normal_(parts["denoiser"].latent_out.weight, std=0.02)
    for part in parts.values():
        part.eval().requires_grad_(False).to(device)
    schedule = cosine_schedule(config.denoiser.timesteps)
    template = torch.zeros(config.vqvae.motion_dim, device=device)
    return LgldmModel(name="random", config=config, **parts, schedule=schedule, template=template, flame=None, device=device)


if __name__ == "__main__":
    sys.exit(main())
