"""Speed and memory: seconds per stage for clips of 4, 10 and 60 s, the engine's start, and the bake, in one table.

    .venv/bin/python scripts/bench.py [--json OUT.json] [--runs 3] [--device auto] [--no-bake] [--lgldm]
                                      [--occlufacediff] [--only-runtimes]

Every figure is the median of `--runs` warm runs; the clips are the demo's speech, repeated. Peak memory is that of a
fresh process that animates one clip. The bulk bake is measured against `keyframe_insert` in the same Blender. The table
of runtimes compares the built-in engine (NumPy, one thread) with the full one (PyTorch) on the CPU, each in a fresh
process; its `cpu` is processor time, which other work on the machine hardly changes.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

CLIPS = (4, 10, 60)  # seconds
RUNTIMES = (("numpy", 10), ("cpu", 10), ("numpy", 60), ("cpu", 60), ("numpy", 600))  # device, seconds
STAGES = ("audio", "features", "sampling", "decode")
SPEECH = ROOT / "engine" / "assets" / "demo" / "speech.flac"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--no-bake", action="store_true", help="leave out what needs bpy")
    parser.add_argument("--lgldm", action="store_true", help="also the published system's full-size architecture (4 GB, minutes)")
    parser.add_argument("--occlufacediff", action="store_true", help="also that system's full size, and the tracker")
    parser.add_argument("--only-runtimes", action="store_true", help="only the built-in engine against the full one")
    parser.add_argument("--alone", type=Path, help=argparse.SUPPRESS)  # the fresh process of `alone`
    arguments = parser.parse_args()
    if arguments.alone:
        return animate_alone(arguments.alone, arguments.device, arguments.runs)
    machine = describe_machine(arguments.device)
    print("  ".join(f"{k}: {v}" for k, v in machine.items()))
    figures: dict[str, Any] = {"runtimes": bench_runtimes(arguments.runs)}
    print_rows(figures["runtimes"])
    if not arguments.only_runtimes:
        figures |= bench_engine(arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine, **figures}, indent=1) + "\n", encoding="utf-8")
    return 0


def bench_engine(arguments: argparse.Namespace) -> dict[str, Any]:
    """Everything but the table of runtimes."""
    with tempfile.TemporaryDirectory() as folder:
        clips = {seconds: write_clip(Path(folder) / f"{seconds}.wav", seconds) for seconds in CLIPS}
        figures: dict[str, Any] = {
            "clips": [bench_clip(seconds, path, arguments) for seconds, path in clips.items()],
            "engine_start_seconds": engine_start(),
        }
    print_rows(figures["clips"])
    figures["built_in_start_seconds"] = engine_start(built_in=True)
    print(
        f"engine, start to ready: {figures['engine_start_seconds']:.2f} s;"
        f" built-in engine: {figures['built_in_start_seconds']:.2f} s"
    )
    if not arguments.no_bake:
        figures["bake"] = bench_bake()
        bake = figures["bake"]
        print(
            f"bake of {bake['frames']} frames x {bake['channels']} channels: {bake['bulk_seconds']:.3f} s in bulk,"
            f" {bake['keyframe_insert_seconds']:.1f} s by keyframe_insert, {bake['times_faster']:.0f} times faster"
        )
        figures["add_head"] = added = bench_heads()
        print(
            f"add a head of {added['vertices']} vertices, {added['keys']} keys: {added['add_seconds']:.2f} s;"
            f" its keys {added['keys_seconds']:.3f} s in bulk, {added['keys_one_by_one_seconds']:.1f} s point by point"
        )
        figures["adjust"] = bench_adjust()
        print_adjust(figures["adjust"])
    if arguments.lgldm:
        figures["lgldm"] = bench_system("lgldm", arguments.device)
    if arguments.occlufacediff:
        figures["occlufacediff"] = bench_system("occlufacediff", arguments.device)
    return figures


def describe_machine(device: str) -> dict[str, str | int]:
    """What every figure depends on."""
    import torch

    from engine.devices import pick_device

    chosen = pick_device(device)
    return {
        "machine": platform.machine(),
        "cores": os.cpu_count() or 0,
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(0) if chosen.type == "cuda" else chosen.type,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def write_clip(path: Path, seconds: int) -> Path:
    """The demo's speech, repeated and cut to `seconds`, as 16 kHz wav."""
    import soundfile

    from engine.audio import SAMPLE_RATE, load_audio

    speech = load_audio(SPEECH)
    soundfile.write(path, np.resize(speech, seconds * SAMPLE_RATE), SAMPLE_RATE)
    return path


def bench_clip(seconds: int, path: Path, arguments: argparse.Namespace) -> dict[str, float]:
    """Median seconds per stage, realtime factor (time over duration) from sound to saved motion file, peak memory."""
    from engine.animate import AnimateOptions, animate

    options = AnimateOptions(device=arguments.device)
    animate(path, options)  # warm: the model is in memory, as it is in the server
    totals, stages = [], []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(arguments.runs):
            start = time.perf_counter()
            motion = animate(path, options)
            motion.save(Path(folder) / "m.npz")
            totals.append(time.perf_counter() - start)
            stages.append(motion.meta["seconds"])
    total = statistics.median(totals)
    return {
        "clip_seconds": seconds,
        **{s: statistics.median(run[s] for run in stages) for s in STAGES},
        "total": total,
        "realtime_factor": total / seconds,
        "peak_memory_mb": peak_memory(path, arguments.device),
    }


def bench_runtimes(runs: int) -> list[dict[str, Any]]:
    """The rows of RUNTIMES: total and processor seconds per clip, warm, and peak memory. Ten minutes are run once."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for device, seconds in RUNTIMES:
            clip = write_clip(Path(folder) / f"{seconds}.wav", seconds)
            figures = alone(clip, device, runs if seconds < 600 else 1)
            rows.append({"runtime": "numpy" if device == "numpy" else "torch", "clip_seconds": seconds, **figures})
    return rows


def peak_memory(path: Path, device: str) -> float:
    """Megabytes (10^6) at most in a fresh process that animates one clip, PyTorch itself included."""
    return alone(path, device, 1)["peak_memory_mb"]


def alone(path: Path, device: str, runs: int) -> dict[str, float]:
    """The figures of a fresh process that animates one clip `runs` times."""
    command = [sys.executable, __file__, "--alone", str(path), "--device", device, "--runs", str(runs)]
    # As the engine's own process sets them: threads that spin while they wait slow a busy machine down many times.
    threads = {"OPENBLAS_NUM_THREADS": "1"} if device == "numpy" else {"OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **threads})
    return json.loads(done.stdout)


def animate_alone(path: Path, device: str, runs: int) -> int:
    """Print {"total", "cpu", "peak_memory_mb"}: medians of wall and processor seconds, with the model in memory already."""
    from engine.animate import AnimateOptions, animate, load_model
    from engine.devices import starter_device

    load_model("starter", starter_device(device))
    totals, busy = [], []
    for _ in range(runs):
        started, cpu = time.perf_counter(), time.process_time()
        animate(path, AnimateOptions(device=device))
        totals.append(time.perf_counter() - started)
        busy.append(time.process_time() - cpu)
    figures = {"total": statistics.median(totals), "cpu": statistics.median(busy), "peak_memory_mb": peak_of_this() / 1e6}
    print(json.dumps(figures))
    return 0


def peak_of_this() -> int:
    """Bytes of memory that this process has held at most."""
    if sys.platform == "linux":  # where ru_maxrss of a child counts its parent's memory at the fork
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def engine_start(built_in: bool = False) -> float:
    """Seconds from starting the engine's process, as Blender does, to its hello."""
    # The client needs no Blender, but its package's __init__ does: give the packages their folders without running it.
    for name, folder in {"facediff": ROOT, "facediff.facediff_blender": ROOT / "facediff_blender"}.items():
        sys.modules[name] = ModuleType(name)
        sys.modules[name].__path__ = [str(folder)]
    client_module = importlib.import_module("facediff.facediff_blender.engine_client")
    client = client_module.EngineClient(sys.executable, ROOT, built_in=built_in)
    start = time.perf_counter()
    client.start()
    try:
        while time.perf_counter() - start < 120:
            client.poll()
            if client.state == "ready":
                return time.perf_counter() - start
            time.sleep(0.005)
    finally:
        client.stop()
    raise SystemExit("The engine did not say hello within two minutes.")


def bench_bake() -> dict[str, Any]:
    """In a process of its own: Blender is not imported here."""
    command = [sys.executable, str(ROOT / "scripts" / "bench_bake.py")]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return json.loads(next(line for line in reversed(lines) if line.startswith("{")))


def bench_heads() -> dict[str, Any]:
    """In a process of its own, as `bench_bake`."""
    command = [sys.executable, str(ROOT / "scripts" / "bench_heads.py")]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def bench_adjust() -> dict[str, Any]:
    """In a process of its own, as `bench_bake`."""
    command = [sys.executable, str(ROOT / "scripts" / "bench_adjust.py")]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def print_adjust(figures: dict[str, Any]) -> None:
    """What a step of each slider takes, and the thinning."""
    sliders = "  ".join(f"{name} {took:.0f}" for name, took in figures["slider_milliseconds"].items())
    print(f"adjust {figures['frames']} frames x {figures['curves']} curves, ms of processor per step: {sliders}")
    print(f"thinning: {figures['thin_seconds']:.1f} s, {figures['keys_before']} keys to {figures['keys_after']}")


def bench_system(name: str, device: str) -> dict[str, Any]:
    """The figures of `bench_lgldm.py` or `bench_occlufacediff.py`, which print their own tables."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "figures.json"
        command = [sys.executable, str(ROOT / "scripts" / f"bench_{name}.py"), "--device", device, "--json", str(out)]
        subprocess.run(command, check=True)
        return json.loads(out.read_text(encoding="utf-8"))


def print_rows(rows: list[dict[str, Any]]) -> None:
    """One line per row under the names of the first; all rows have the same."""
    names = list(rows[0])
    print("  ".join(f"{n:>15}" for n in names))
    for row in rows:
        print("  ".join(f"{row[n]:>15.3f}" if isinstance(row[n], float) else f"{row[n]:>15}" for n in names))


if __name__ == "__main__":
    sys.exit(main())
