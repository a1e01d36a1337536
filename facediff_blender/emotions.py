"""How something is said: one emotion for all of it, or emotions that change from frame to frame."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ..engine.motion import FaceMotion
from . import compat
from .strips import Timing

NAMES = ("angry", "contempt", "disgusted", "fear", "happy", "sad", "surprised")
INTENSITY = "intensity"
STILL = 1e-6  # a weight that moves by less does not change


@dataclass(frozen=True)
class Feeling:
    """emotion: weights by name, empty for neutral; intensity: 0..1. curve: (F, 7) float32 weights of NAMES (times the
    intensity) at one sample per scene frame from the sound's second 0 on, instead of both; None when nothing changes."""

    emotion: dict[str, float] = field(default_factory=dict)
    intensity: float = 1.0
    curve: np.ndarray | None = None

    def label(self) -> str:
        """A word or two for a list: "happy", "happy + sad", "changing"."""
        if self.curve is not None:
            return "changing"
        felt = [name for name, weight in self.emotion.items() if weight > 0 and name != "neutral"]
        return " + ".join(felt) if felt and self.intensity > 0 else "neutral"

    def options(self, folder: Path, rate: float) -> dict[str, Any]:
        """The fields of `Generate` that say it. A curve becomes a file in the folder; rate: its samples per second."""
        if self.curve is None:
            return {"emotion": self.emotion, "intensity": self.intensity}
        path = next(p for n in range(1, 10**6) if not (p := folder / f"emotion{n}.npz").exists())
        FaceMotion(fps=rate, channels=NAMES, weights=self.curve).save(path)
        return {"emotion_curve": str(path)}

    def to_facts(self) -> dict[str, Any]:
        """What a take keeps of it, as JSON allows."""
        if self.curve is None:
            return {"emotion": self.emotion, "intensity": self.intensity}
        packed = base64.b64encode(zlib.compress(self.curve.astype("<f4").tobytes(), 9)).decode("ascii")
        return {"emotion_curve": packed}

    @classmethod
    def from_facts(cls, facts: dict[str, Any]) -> Feeling:
        """The inverse of `to_facts`."""
        if "emotion_curve" not in facts:
            return cls(dict(facts["emotion"]), float(facts["intensity"]))
        raw = zlib.decompress(base64.b64decode(facts["emotion_curve"]))
        return cls(curve=np.frombuffer(raw, "<f4").reshape(-1, len(NAMES)).copy())


def of_strip(strip: bpy.types.Strip) -> Feeling | None:
    """The emotion that the strip carries itself, or None."""
    own = strip.facediff
    return None if own.emotion == "HEAD" else Feeling({own.emotion: 1.0}, own.intensity)


def of_head(head: bpy.types.Object, scene: bpy.types.Scene, timing: Timing, seconds: float) -> Feeling:
    """The emotion weights and intensity of the head while the sound lasts, frame by frame.

    timing: in frames of the head's scene. F-curves are evaluated without moving the scene's time; where a driver or the
    NLA has a say only Blender's own evaluation is right, so then the scene is stepped through the frames and put back.
    """
    frames = timing.start + np.arange(int(np.ceil(seconds * timing.rate)) + 1)
    paths = [f"facediff.{name}" for name in (*NAMES, INTENSITY)]
    values = (_stepped if _needs_stepping(head, paths) else _evaluated)(head, scene, paths, frames)
    values = np.clip(values, 0.0, 1.0)
    if np.ptp(values, axis=0).max() <= STILL:
        emotion = {name: round(float(v), 6) for name, v in zip(NAMES, values[0]) if v > 0}
        return Feeling(emotion, round(float(values[0, -1]), 6))
    return Feeling(curve=(values[:, :-1] * values[:, -1:]).astype(np.float32))


def _needs_stepping(head: bpy.types.Object, paths: Sequence[str]) -> bool:
    data = head.animation_data
    if data is None:
        return False
    return any(driver.data_path in paths for driver in data.drivers) or (data.use_nla and len(data.nla_tracks) > 0)


def _evaluated(
    head: bpy.types.Object, scene: bpy.types.Scene, paths: Sequence[str], frames: np.ndarray
) -> np.ndarray:
    """(F, P) float64 values of the properties from their F-curves; of those without a curve the present value."""
    curves = compat.curves_of(head)
    values = np.empty((len(frames), len(paths)))
    for k, path in enumerate(paths):
        curve = curves.get((path, 0))
        values[:, k] = head.path_resolve(path) if curve is None else [curve.evaluate(f) for f in frames]
    return values


def _stepped(
    head: bpy.types.Object, scene: bpy.types.Scene, paths: Sequence[str], frames: np.ndarray
) -> np.ndarray:
    """As `_evaluated`, from the head as Blender evaluates it at each frame, a fraction of a frame included."""
    values = np.empty((len(frames), len(paths)))
    before = scene.frame_current, scene.frame_subframe
    layer = next((layer for layer in scene.view_layers if head.name in layer.objects), scene.view_layers[0])
    try:
        for row, frame in enumerate(frames):
            scene.frame_set(int(np.floor(frame)), subframe=float(frame - np.floor(frame)))
            shown = head.evaluated_get(layer.depsgraph)
            values[row] = [shown.path_resolve(path) for path in paths]
    finally:
        scene.frame_set(before[0], subframe=before[1])
    return values
