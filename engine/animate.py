"""Speech to a moving face: the one function behind the command line, the server and the tests."""

from __future__ import annotations

import hashlib
import importlib
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from . import __version__
from .audio import load_audio
from .devices import FULL_ENGINE, NUMPY, starter_device
from .emotion_curve import EMOTIONS, checked, facts, weights_at
from .errors import Cancelled, InputError
from .model_folder import read_config, whole_model
from .motion import FaceMotion
from .parts import find_part, frame_range

if TYPE_CHECKING:
    from .lgldm.model import LgldmModel
    from .starter.pipeline import Starter

ASSETS = Path(__file__).parent / "assets"
DEFAULT_FPS = 25.0
MAX_STEPS = 1000
# What "kind" in a model's config.json means: the module whose load(folder, device) reads it.
KINDS = {"starter": ".starter.pipeline", "lgldm": ".lgldm.pipeline"}
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class AnimateOptions:
    """What the user chooses. None means the model's own default.

    emotion: weights 0..1 by name; empty is neutral. intensity: 0..1, a factor on all of them. fps: frames per second of
    the result. mouth_variation: 0 (the same mouth for every seed) to 1 (sampled). device: auto, cuda, mps, cpu, or numpy
    (the starter model without PyTorch). emotion_curve: emotions over time (see `emotion_curve.py`) in place of emotion and
    intensity. base: a motion of which only the part from second `start` to before second `end` of `channels` is made anew,
    see `messages.Generate`; its meta lists what is pinned.
    """

    emotion: Mapping[str, float] = field(default_factory=dict)
    intensity: float = 1.0
    seed: int = 0
    steps: int | None = None
    fps: float | None = None
    mouth_variation: float | None = None
    device: str = "auto"
    landmarks: bool = False
    vertices: bool = False
    emotion_curve: FaceMotion | None = None
    base: FaceMotion | None = None
    start: float | None = None
    end: float | None = None
    channels: Sequence[str] | None = None


def animate(
    audio_path: str | os.PathLike[str],
    options: AnimateOptions,
    model: str = "starter",
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> FaceMotion:
    """Animate the speech in a file. `progress(stage, step, total)` follows it; `cancelled()` is asked between steps.

    Raises InputError (one sentence: bad sound, unknown emotion or model, option out of range) and Cancelled.
    """
    from .starter.pipeline import Starter, Stopwatch

    emotion = check_options(options)

    def report(stage: str, step: int, total: int) -> None:
        if cancelled is not None and cancelled():
            raise Cancelled
        if progress is not None:
            progress(stage, step, total)

    clock = Stopwatch()
    report("load", 0, 1)
    loaded = load_model(model, starter_device(options.device))
    clock.lap("load")
    samples = load_audio(audio_path)
    clock.lap("audio")
    if isinstance(loaded, Starter):
        motion = _animate_starter(loaded, samples, emotion, options, report)
    else:
        motion = _animate_lgldm(loaded, samples, emotion, options, report)
    motion.meta["seconds"] = {**clock.laps, **motion.meta["seconds"]}
    motion.meta["emotion"] = emotion
    motion.meta["intensity"] = options.intensity
    if options.emotion_curve is not None:
        motion.meta["emotion_curve"] = facts(options.emotion_curve)
    motion.meta["engine_version"] = __version__
    motion.meta["audio_sha256"] = hashlib.sha256(samples.tobytes()).hexdigest()
    return motion


def _animate_starter(
    model: Starter, samples: np.ndarray, emotion: dict[str, float], options: AnimateOptions, report: Progress
) -> FaceMotion:
    from .starter.pipeline import (
        DEFAULT_STEPS,
        DEFAULT_VARIATION,
        Stopwatch,
        constant_emotion,
        generate,
        model_frames,
    )

    frames = model_frames(model, samples)
    felt = constant_emotion(model, emotion, frames)
    if options.emotion_curve is not None:
        felt = weights_at(options.emotion_curve, model.emotions, model.frame_rate, frames)
    steps = options.steps or DEFAULT_STEPS
    variation = DEFAULT_VARIATION if options.mouth_variation is None else options.mouth_variation
    if options.base is None:
        fps = options.fps or DEFAULT_FPS
        motion = generate(model, samples, felt, options.seed, steps, fps, variation, report)
    else:
        from .starter.editing import MAKES, regenerate

        part = find_part(options.base, options.start, options.end, options.channels, MAKES)
        motion = regenerate(model, samples, felt, options.base, part, options.seed, steps, variation, report)
    clock = Stopwatch()
    report("geometry", 0, 1)
    motion = with_geometry(motion, options.landmarks, options.vertices)
    clock.lap("geometry")
    report("geometry", 1, 1)
    motion.meta["seconds"] = {**motion.meta["seconds"], **clock.laps}
    return motion


def _animate_lgldm(
    model: LgldmModel, samples: np.ndarray, emotion: dict[str, float], options: AnimateOptions, report: Progress
) -> FaceMotion:
    from .lgldm.pipeline import generate

    if options.landmarks:
        raise InputError(f"The model '{model.name}' speaks vertices of its own mesh; it has no 68 landmarks.")
    if options.mouth_variation is not None:
        raise InputError(f"The model '{model.name}' samples the whole face; mouth variation is the starter model's.")
    if options.base is None:
        return generate(
            model, samples, emotion, options.seed, report, steps=options.steps, fps=options.fps, curve=options.emotion_curve
        )
    from .lgldm.editing import regenerate

    if options.channels is not None:
        raise InputError(f"The model '{model.name}' moves all vertices together; a part of its motion has no channels.")
    part = slice(*frame_range(options.base, options.start, options.end))
    curve = options.emotion_curve
    return regenerate(model, samples, emotion, options.base, part, options.seed, report, steps=options.steps, curve=curve)


def check_options(options: AnimateOptions) -> dict[str, float]:
    """The emotion weights that the model gets, intensity applied; none where there is a curve instead.

    Raises InputError when an option is out of range.
    """
    unknown = [name for name in options.emotion if name not in EMOTIONS]
    if unknown:
        raise InputError(f"There is no emotion '{unknown[0]}'; choose from {', '.join(EMOTIONS)}.")
    for name, value in {**options.emotion, "intensity": options.intensity}.items():
        if not 0 <= value <= 1:
            raise InputError(f"The strength of '{name}' must be between 0 and 1, not {value}.")
    if options.mouth_variation is not None and not 0 <= options.mouth_variation <= 1:
        raise InputError(f"The mouth variation must be between 0 and 1, not {options.mouth_variation}.")
    if options.steps is not None and not 1 <= options.steps <= MAX_STEPS:
        raise InputError(f"The number of steps must be between 1 and {MAX_STEPS}, not {options.steps}.")
    if options.fps is not None and not (math.isfinite(options.fps) and 1 <= options.fps <= 240):
        raise InputError(f"The frame rate must be between 1 and 240, not {options.fps}.")
    if options.base is None and (options.start, options.end, options.channels) != (None, None, None):
        raise InputError("A part can be made anew only of a motion that is there already: give it as the base.")
    if options.base is not None and options.fps is not None and abs(options.fps - options.base.fps) > 1e-3:
        raise InputError(f"A part is made anew at its motion's own {options.base.fps:g} frames per second.")
    if options.emotion_curve is not None:
        checked(options.emotion_curve, "emotion_curve")
        return {}
    return {n: w * options.intensity for n, w in options.emotion.items() if n != "neutral" and w * options.intensity > 0}


def load_model(name: str, device: str) -> Starter | LgldmModel:
    """The model `name`: "starter", or a folder with a converted or trained model; kept in memory between calls.

    device: "numpy" (starter-format models only), "cpu", "cuda" or "mps". Raises InputError.
    """
    folder = model_folder(name)
    return _load(folder.resolve(), device, (folder / "config.json").stat().st_mtime_ns)


def model_folder(name: str) -> Path:
    """Where the model `name` is. Raises InputError when it is not there."""
    folder = ASSETS / "starter" if name == "starter" else Path(name)
    if not (folder / "config.json").is_file():
        raise InputError(f"There is no model '{name}': '{folder}' has no config.json.")
    return folder


@lru_cache(maxsize=1)
def _load(folder: Path, device: str, written: int) -> Starter | LgldmModel:
    """`written` makes a model that was converted or trained anew load anew."""
    with whole_model(folder):
        kind = read_config(folder).get("kind", "starter")
    if not isinstance(kind, str) or kind not in KINDS:
        raise InputError(f"The model in '{folder}' is of the kind '{kind}', which this engine does not know.")
    if kind == "starter":
        from .starter.pipeline import load

        return load(folder, device)
    if device == NUMPY:
        raise InputError(f"The model '{folder.name}' {FULL_ENGINE}.")
    import torch

    return importlib.import_module(KINDS[kind], __package__).load(folder, torch.device(device))


def with_geometry(motion: FaceMotion, landmarks: bool, vertices: bool) -> FaceMotion:
    """The motion with the starter head's landmarks (T, 68, 3) and vertices (T, V, 3), metres, where asked for."""
    if not (landmarks or vertices):
        return motion
    from .face.starter_head import load_starter_head, pose_landmarks68, pose_vertices

    head = load_starter_head()
    rotations = {name: motion.rotation(name) for name in motion.rotation_names}
    weights = np.zeros((motion.frames, len(head.blendshape_names)), np.float32)  # a motion need not have every channel
    for column, name in enumerate(head.blendshape_names):
        if name in motion.channels:
            weights[:, column] = motion.channel(name)
    return replace(
        motion,
        landmarks68=pose_landmarks68(head, weights, rotations) if landmarks else None,
        vertices=pose_vertices(head, weights, rotations) if vertices else None,
    )
