"""Generate and cancel over and over, and see whether anything grows: `python scripts/soak.py [--cycles 200] [--warm-up 20]`.

Blender as a module, the built-in engine, a short sound; every other job is cancelled at a random moment, the others finish and
their take is deleted. Prints memory, descriptors, processes and temporary files
after the warm-up and at the end; exit status 1 when memory grew by 5 % or more, or anything else at all.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import statistics
import tempfile
from pathlib import Path

import bpy
from job_stage import (
    PATIENCE,
    children,
    curves,
    enter,
    leave,
    memory,
    new_file,
    open_files,
    part,
    run_and_exit,
    tick_until,
    use,
    write_sound,
)

GROWTH = 0.05
WINDOW = 5  # cycles whose median counts at either end: one cycle more or less holds an undo step


def cycle(cancelled: bool, rng: random.Random) -> str:
    """One job; returns what is wrong, or ""."""
    session = part("session")
    if bpy.ops.facediff.generate() != {"FINISHED"}:
        return session.current.message
    if cancelled:
        share = rng.random()
        tick_until(PATIENCE, lambda: session.current.generation is None or session.current.generation.job.fraction >= share)
        if session.current.generation is not None:
            bpy.ops.facediff.cancel()
    if tick_until(PATIENCE):
        return "it did not end"
    if session.current.failed:
        return session.current.message
    for action in list(bpy.data.actions):
        bpy.data.actions.remove(action)
    bpy.ops.outliner.orphans_purge(do_recursive=True)
    return f"{curves()} curves are left" if curves() else ""


def measure(folder: Path) -> dict[str, float]:
    """What must not grow."""
    gc.collect()
    client = part("session").current.client
    return {
        "Blender, MiB": memory(),
        "engine, MiB": memory(client.pid),
        "descriptors of Blender": open_files(),
        "descriptors of the engine": len(os.listdir(f"/proc/{client.pid}/fd")),
        "processes": len(children()),
        "threads of Blender": len(os.listdir("/proc/self/task")),
        "temporary files": sum(1 for p in folder.rglob("*") if p.name != "engine.log"),
    }


def main() -> int:
    """Soak, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--cycles", type=int, default=200)
    parser.add_argument("--warm-up", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.cycles <= options.warm_up + WINDOW:
        parser.error("there must be more cycles than the warm-up takes")
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="soak-") as work:
        folder = Path(work) / "temporary"
        folder.mkdir()
        enter(folder)
        new_file(write_sound(Path(work) / "speech.wav"))
        bpy.context.preferences.edit.undo_steps = 8  # or Blender's own undo history would be what grows
        use(None)
        seen, problems = [], []
        for number in range(options.cycles):
            problem = cycle(number % 2 == 1, rng)
            if problem:
                problems.append(f"cycle {number}: {problem}")
            seen.append(measure(folder))
        part("session").stop_engine()
        left = [p.name for p in folder.rglob("facediff-*")]
        if left or children():
            problems.append(f"left at the end: {left} {len(children())} processes")
        leave()
    early, late = seen[options.warm_up : options.warm_up + WINDOW], seen[-WINDOW:]
    print(f"{options.cycles} cycles, {options.warm_up} of them to warm up; Blender {bpy.app.version_string}")
    print(f"{'':28}{'after warm-up':>14}{'at the end':>12}{'growth':>9}")
    for name in seen[0]:
        before, after = (statistics.median(m[name] for m in part_) for part_ in (early, late))
        growth = after / before - 1 if before else float(after > 0)
        print(f"{name:28}{before:>14.1f}{after:>12.1f}{growth:>9.1%}")
        if growth >= GROWTH if name.endswith("MiB") else after > before:
            problems.append(f"{name} grew from {before:.1f} to {after:.1f}")
    for problem in problems:
        print(f"bad: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    run_and_exit(main)
