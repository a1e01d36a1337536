"""Seconds to add a starter head to a scene, and what its shape keys would take point by point, in the same run. Prints JSON."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time

import bpy
import numpy as np
from addon_from_tree import load_addon

RUNS = 5


def bench(runs: int = RUNS) -> dict[str, float | int | str]:
    """add_seconds: the median of whole heads from the file, rig, materials, keys and drivers; keys_seconds: of its keys alone.

    keys_one_by_one_seconds: a tenth of the keys written through each point's `co`, times ten.
    """
    package = load_addon().__name__
    heads, starter = (
        __import__(f"{package}.{name}", fromlist=["_"]) for name in ("facediff_blender.heads", "engine.face.starter_head")
    )
    spent, keys = [], []
    for _ in range(runs):
        start = time.perf_counter()
        model = starter.load_starter_head()
        head = heads.add_head(model, bpy.context.scene)
        spent.append(time.perf_counter() - start)
        bare = bpy.data.objects.new("Bare", head.data.copy())
        bare.shape_key_clear()
        deltas = heads.to_blender(model.blendshapes)
        start = time.perf_counter()
        heads.add_shape_keys(bare, model.blendshape_names, deltas)
        keys.append(time.perf_counter() - start)
    rest = heads.rest_of(head)
    tenth = range(0, len(model.blendshape_names), 10)
    bare.shape_key_clear()
    bare.shape_key_add(name="Basis", from_mix=False)
    start = time.perf_counter()
    for k in tenth:
        block = bare.shape_key_add(name=model.blendshape_names[k], from_mix=False)
        for point, place in zip(block.data, np.asarray(rest + deltas[k]).tolist()):
            point.co = place
    one_by_one = (time.perf_counter() - start) * len(model.blendshape_names) / len(tenth)
    return {
        "blender": bpy.app.version_string,
        "vertices": len(rest),
        "keys": len(model.blendshape_names),
        "correctives": len(model.corrective_names),
        "add_seconds": statistics.median(spent),
        "keys_seconds": statistics.median(keys),
        "keys_one_by_one_seconds": one_by_one,
        "times_faster": one_by_one / statistics.median(keys),
    }


if __name__ == "__main__":
    print(json.dumps(bench()))
    sys.stdout.flush()
    os._exit(0)  # a plain exit of the bpy module can hang
