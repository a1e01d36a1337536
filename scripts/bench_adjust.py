"""Milliseconds per step of a slider of Adjust, and seconds to thin, on a take of 60 s; prints JSON.

The take is the tests' (the starter's, of the demo's speech) repeated to 1800 frames at 30 per second: 52 shape keys, head and
eyes. Seconds are this process's own, so that other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path

import bpy
from addon_from_tree import load_addon

SECONDS, FPS = 60.0, 30.0
STEPS = {"mouth": 1.3, "upper": 0.7, "head": 0.5, "blinks": 0.8, "closure": 1.5, "smoothing": 60.0, "offset": -45.0}
TOLERANCE = 0.02


def bench(runs: int = 5) -> dict[str, object]:
    """The median of `runs` steps of each slider, the others as the step before left them; one Reset; one thinning."""
    addon = load_addon()
    addon.register()
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "blender"))
    import real_take

    package = addon.__name__
    thin_take = __import__(f"{package}.facediff_blender.thin_take", fromlist=["_"])
    head = real_take.perform(real_take.motion(SECONDS, FPS))
    action = head.data.shape_keys.animation_data.action
    action.facediff_adjust.mouth = 1.1  # the first step sets the original aside
    steps = {}
    for name, value in STEPS.items():
        took = []
        for run in range(runs):
            start = time.process_time()
            setattr(action.facediff_adjust, name, value * (1 + 0.01 * run))
            took.append(1000 * (time.process_time() - start))
        steps[name] = statistics.median(took)
    start = time.process_time()
    bpy.ops.facediff.reset_adjustment()
    reset = 1000 * (time.process_time() - start)
    start = time.process_time()
    report = thin_take.thin_take(head, action, TOLERANCE)
    thinning = time.process_time() - start
    return {
        "blender": bpy.app.version_string,
        "frames": int(SECONDS * FPS),
        "curves": len(real_take.curves(head)),
        "slider_milliseconds": steps,
        "slowest_slider_milliseconds": max(steps.values()),
        "reset_milliseconds": reset,
        "thin_seconds": thinning,
        "keys_before": report.before,
        "keys_after": report.after,
        "greatest_error": max(report.errors.values()),
        "lips_mm": 1000 * report.lips,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    status = 1
    try:
        print(json.dumps(bench(arguments.runs)))
        status = 0
    finally:
        sys.stdout.flush()
        os._exit(status)  # a plain exit of the bpy module can hang
