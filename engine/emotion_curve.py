"""Emotion over time: a motion file whose channels are emotions, or spans such as "happy@0..2,sad@2..4". NumPy only."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .errors import InputError
from .motion import FaceMotion, MotionError

EMOTIONS = ("neutral", "angry", "contempt", "disgusted", "fear", "happy", "sad", "surprised")
SPAN_FPS = 50.0  # of a curve that is made from spans
CHANGE = 0.4  # s in which one span's emotion gives way to the next
SLACK = 1e-4  # by which a weight may leave 0..1, as a sampled curve does


def load_curve(path: str | os.PathLike[str]) -> FaceMotion:
    """Read and check an emotion curve. Raises InputError with one sentence."""
    try:
        curve = FaceMotion.load(path)
    except (MotionError, OSError) as error:
        reason = str(error) if isinstance(error, MotionError) else f"{error.strerror or error}: '{path}'"
        raise InputError(f"The emotion curve cannot be read: {reason.rstrip('.')}.") from error
    return checked(curve, Path(path).name)


def checked(curve: FaceMotion, name: str) -> FaceMotion:
    """The curve, its weights within 0..1. Raises InputError where a channel is no emotion or a weight is out of range."""
    unknown = [n for n in curve.channels if n not in EMOTIONS]
    if unknown or not curve.channels:
        found = f"has the channel {unknown[0][:40]!r}, which is no emotion" if unknown else "names no emotion"
        raise InputError(f"The emotion curve '{name}' {found}; choose from {', '.join(EMOTIONS)}.")
    weights = np.stack([curve.channel(n) for n in curve.channels], axis=1)
    if not len(weights) or weights.min() < -SLACK or weights.max() > 1 + SLACK:
        raise InputError(f"The emotion curve '{name}' must hold values between 0 and 1.")
    return FaceMotion(curve.fps, curve.channels, np.clip(weights, 0, 1))


def weights_at(curve: FaceMotion, emotions: Sequence[str], rate: float, frames: int) -> np.ndarray:
    """(frames, E) float32 weights of the named emotions at `rate` Hz; linear between the curve's frames, its last one held."""
    index = np.arange(frames) * (curve.fps / rate)
    out = np.zeros((frames, len(emotions)), np.float32)
    for column, name in enumerate(emotions):
        if name in curve.channels:
            out[:, column] = np.interp(index, np.arange(curve.frames), curve.channel(name))
    return out


def from_spans(spans: Sequence[tuple[str, float, float, float]]) -> FaceMotion:
    """A curve from (name, weight, start, end) in seconds, in time's order or not; they fade in and out over CHANGE seconds
    around their ends, and where two of one emotion overlap the stronger counts."""
    time = np.arange(int(np.ceil((max(s[3] for s in spans) + CHANGE) * SPAN_FPS)) + 1) / SPAN_FPS
    names = tuple(dict.fromkeys(s[0] for s in spans))
    weights = np.zeros((len(time), len(names)), np.float32)
    for name, weight, start, end in spans:
        rising = np.clip((time - start) / CHANGE + 0.5, 0, 1) if start > 0 else np.ones(len(time))
        falling = np.clip((end - time) / CHANGE + 0.5, 0, 1)
        shape = np.minimum(rising, falling)
        column = names.index(name)
        weights[:, column] = np.maximum(weights[:, column], weight * shape * shape * (3 - 2 * shape))
    return FaceMotion(SPAN_FPS, names, weights)


def facts(curve: FaceMotion) -> dict[str, Any]:
    """What a motion made with the curve says of it in its meta."""
    felt: Mapping[str, float] = {n: float(curve.channel(n).mean()) for n in curve.channels}
    data = hashlib.sha256(np.float64(curve.fps).tobytes())
    for name in sorted(curve.channels):
        data.update(name.encode() + curve.channel(name).tobytes())
    return {"mean": {n: round(w, 4) for n, w in felt.items() if w > 0}, "fps": curve.fps, "sha256": data.hexdigest()}
