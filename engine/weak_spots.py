"""Where the lips do not follow the speech: the closures of one motion that were missed, and the figures of the sync report.

The phones are those that the starter model's own phone head hears, so that any recording can be checked in any language;
a closure it mishears is not its mouth's fault.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from .animate import load_model, with_geometry
from .audio import SAMPLE_RATE, load_audio
from .devices import starter_device
from .errors import Cancelled, InputError
from .motion import FaceMotion
from .sync import BILABIALS, CLOSED, TOLERANCE, Phones, blinks_per_minute, closures, lip_gap
from .sync_measures import articulation, envelope_figures

Progress = Callable[[str, int, int], None]


def check(
    audio_path: str | os.PathLike[str],
    motion_path: str | os.PathLike[str],
    device: str = "auto",
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> FaceMotion:
    """The motion with landmarks, and in its meta "sync": {"figures": {name: value}, "missed": [...]}.

    motion_path: a motion file of ARKit's weights whose frame 0 is second 0 of the sound. missed: one entry per p, b or m
    without closed lips within 60 ms of it: {"phone", "start", "end" (s), "gap" (smallest, of the clip's 95th percentile)}.
    Figures that the clip says nothing about are left out. Raises InputError, MotionError, OSError and Cancelled.
    """
    from .starter.hearing import hear_phones
    from .starter.pipeline import Starter

    def report(stage: str, step: int, total: int) -> None:
        if cancelled is not None and cancelled():
            raise Cancelled
        if progress is not None:
            progress(stage, step, total)

    report("load", 0, 1)
    model = load_model("starter", starter_device(device))
    if not isinstance(model, Starter):
        raise InputError("Only the starter model can hear the phones that lips are checked against.")
    motion, samples = FaceMotion.load(motion_path), load_audio(audio_path)
    if "jawOpen" not in motion.channels:
        raise InputError("Only a motion of ARKit's weights can be checked.")
    report("features", 0, 1)
    phones = hear_phones(model, samples)
    report("geometry", 0, 1)
    motion = with_geometry(motion, landmarks=True, vertices=False)
    gap = lip_gap(motion)
    figures: dict[str, float] = {**closures(gap, motion.fps, phones).figures()}
    figures |= articulation(motion, gap, phones).figures() | envelope_figures(gap, motion.fps, samples, SAMPLE_RATE)
    if {"eyeBlinkLeft", "eyeBlinkRight"} <= set(motion.channels):
        figures["blinks_per_minute"] = blinks_per_minute(motion)
    known = {name: float(value) for name, value in figures.items() if math.isfinite(value)}
    report("geometry", 1, 1)
    return replace(motion, meta={"sync": {"figures": known, "missed": missed_closures(gap, motion.fps, phones)}})


def missed_closures(gap: np.ndarray, fps: float, phones: Phones) -> list[dict[str, Any]]:
    """The bilabials that `sync.closures` does not count as reached. gap: (T,) of `lip_gap`."""
    time = np.arange(len(gap)) / fps
    found = []
    for name, start, end in zip(phones.names, phones.starts, phones.ends, strict=True):
        if name in BILABIALS:
            near = gap[(time >= start - TOLERANCE) & (time <= end + TOLERANCE)]
            if not (near < CLOSED).any():
                smallest = float(near.min()) if len(near) else 1.0
                found.append({"phone": name, "start": float(start), "end": float(end), "gap": smallest})
    return found
