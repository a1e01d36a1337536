"""Seconds to bake a take of 1800 frames and 60 channels in bulk, and by `keyframe_insert`, in the same run. Prints JSON."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time

import bpy
import numpy as np
from addon_from_tree import load_addon

FRAMES, CHANNELS = 1800, 60


def bench(frames: int = FRAMES, channels: int = CHANNELS, runs: int = 5) -> dict[str, float | int | str]:
    """Bulk: the median of `runs` whole `bake` calls, resampling included. keyframe_insert: one run over every value."""
    package = load_addon().__name__
    bake, heads, motion, starter, strips = (
        __import__(f"{package}.{name}", fromlist=["_"])
        for name in (
            "facediff_blender.bake",
            "facediff_blender.heads",
            "engine.motion",
            "engine.face.starter_head",
            "facediff_blender.strips",
        )
    )
    head = heads.add_head(starter.load_starter_head(), bpy.context.scene)
    for number in range(channels - len(starter.ARKIT_52)):
        head.shape_key_add(name=f"extra {number}", from_mix=False)
    blocks = [block for block in head.data.shape_keys.key_blocks[1:] if "*" not in block.name][:channels]  # none that is driven
    weights = np.random.default_rng(0).uniform(size=(frames, channels)).astype(np.float32)
    take = motion.FaceMotion(fps=24, channels=tuple(b.name for b in blocks), weights=weights)
    bulk = []
    for _ in range(runs):
        start = time.perf_counter()
        bake.bake(head, take, strips.Timing(1.0, 24.0))
        bulk.append(time.perf_counter() - start)
    head.data.shape_keys.animation_data_clear()
    start = time.perf_counter()
    for frame in range(frames):
        for block, value in zip(blocks, weights[frame].tolist()):
            block.value = value
            block.keyframe_insert("value", frame=frame + 1)
    single = time.perf_counter() - start
    return {
        "blender": bpy.app.version_string,
        "frames": frames,
        "channels": channels,
        "bulk_seconds": statistics.median(bulk),
        "keyframe_insert_seconds": single,
        "times_faster": single / statistics.median(bulk),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--channels", type=int, default=CHANNELS)
    arguments = parser.parse_args()
    print(json.dumps(bench(arguments.frames, arguments.channels)))
    sys.stdout.flush()
    os._exit(0)  # a plain exit of the bpy module can hang
