"""What a motion says decides how it is written: ARKit's weights, which a FLAME head takes as FLAME's coefficients where it has
a table for that; FLAME's coefficients; or the vertices of a mesh."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import bpy

from ..engine.face.arkit import ARKIT_52
from ..engine.motion import FaceMotion
from . import flame_arkit, flame_head, point_cache
from .bake import Take, bake
from .strips import Timing
from .vertex_takes import EXACT_KEYS, VertexOptions, still_keys, write_cache, write_keys


def write(
    head: bpy.types.Object,
    motion: FaceMotion,
    timing: Timing,
    label: str = "take",
    facts: dict[str, Any] | None = None,
    options: VertexOptions = EXACT_KEYS,
) -> Take:
    """Write the motion on the head, or on any mesh of the motion's vertex count, as a new action; see `bake.bake`.

    Raises BakeError with one sentence and nothing changed.
    """
    if flame_arkit.speaks(head) and set(motion.channels) & set(ARKIT_52):
        motion = flame_arkit.in_flame(head, motion)
    if motion.channels:
        return bake(head, motion, timing, label, facts)
    if motion.expression is not None and flame_head.is_flame(head):
        moved, note = flame_head.expression_motion(head, motion)
        take = bake(head, moved, timing, label, facts, still_keys(head, moved.channels))
        point_cache.mute(head)
        return replace(take, note=note)
    if options.kind == "CACHE":
        return write_cache(head, motion, timing, label, facts)
    return write_keys(head, motion, timing, label, facts, options.tolerance)
