"""Follow an actor's face through a video, what is hidden filled in from the sound, and write a motion file."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np

from . import __version__
from .errors import Cancelled, InputError
from .motion import FaceMotion
from .occlufacediff.occlusion import NamedPart, named_visibility

if TYPE_CHECKING:
    from .detection import Detections, Detector
    from .occlufacediff.model import OccluModel

KIND = "occlufacediff"
PARTS = get_args(NamedPart)
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class TrackOptions:
    """occlusion: one of PARTS, or a mask picture or a folder of them. audio: a sound file instead of the video's own; both
    begin together. steps: None is the model's own. device: auto, cuda, mps or cpu."""

    occlusion: str = "none"
    audio: Path | None = None
    seed: int = 0
    steps: int | None = None
    device: str = "auto"


def track(
    video: Path,
    options: TrackOptions,
    model: Path,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
    detector: Detector | None = None,
) -> FaceMotion:
    """The face in a video as motion, 25 frames per second from its first frame on. model: a converted model's folder.

    progress and cancelled as in `animate`, but that "detect" counts seconds of an unknown total, 0. detector: instead of
    FaceMesh. A video without sound is followed by what is visible alone. Raises InputError (one sentence) and Cancelled.
    """
    from .detection import detect_landmarks, face_mesh
    from .devices import pick_device
    from .occlufacediff.landmarks import frame_times, prepare
    from .occlufacediff.pipeline import STEPS, check_steps, generate, make_clip
    from .starter.pipeline import Stopwatch

    def report(stage: str, step: int, total: int) -> None:
        if cancelled is not None and cancelled():
            raise Cancelled
        if progress is not None:
            progress(stage, step, total)

    masks = _masks(options.occlusion)
    steps = STEPS if options.steps is None else options.steps
    clock = Stopwatch()
    report("load", 0, 1)
    loaded = load_tracker(model, str(pick_device(options.device)))
    check_steps(loaded, steps)
    clock.lap("load")
    if options.occlusion == "audio_only":
        seconds = _length(video, report)
        count = len(frame_times(seconds))
        landmarks, visible = np.zeros((count, 468, 2), np.float32), np.zeros((count, 468), bool)
    else:
        with face_mesh() if detector is None else contextlib.nullcontext(detector) as find:
            found = detect_landmarks(video, find, lambda time: report("detect", int(time), 0))
        seconds = found.seconds
        seen = visible_points(found, options.occlusion, masks)
        landmarks, visible = prepare(found.points, found.times, found.detected, seen, seconds)
    clock.lap("detect")
    samples, sound = _sound(video, options, seconds)
    clock.lap("audio")
    clip = make_clip(landmarks, visible, samples, loaded.device)
    motion = generate(loaded, clip, options.seed, report, steps=steps)
    motion.meta["seconds"] = {**clock.laps, **motion.meta["seconds"]}
    motion.meta["occlusion"] = options.occlusion if masks is None else Path(options.occlusion).name
    motion.meta["audio"] = sound
    motion.meta["engine_version"] = __version__
    motion.meta["audio_sha256"] = hashlib.sha256(samples.tobytes()).hexdigest()
    return motion


def visible_points(found: Detections, occlusion: str, masks: Path | None) -> np.ndarray:
    """(N, 478) bool of a detection: inside the frame, and hidden neither by name nor by masks. Raises InputError."""
    from .occlufacediff.mask_pictures import mask_pictures, visible_in_pictures

    points = np.nan_to_num(found.points, nan=-1.0)
    inside = ((points >= 0) & (points < found.size)).all(axis=-1)
    if masks is None:
        return inside & named_visibility(occlusion)  # type: ignore[arg-type]
    return inside & visible_in_pictures(mask_pictures(masks, len(points)), points, found.size)


def load_tracker(folder: Path, device: str) -> OccluModel:
    """The model in a folder. Raises InputError where there is none that follows faces."""
    import torch

    from .occlufacediff.pipeline import load

    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8"))["kind"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"There is no model in '{folder}': it has no config.json that names its kind.") from error
    if kind != KIND:
        raise InputError(f"The model in '{folder}' is of the kind '{kind}', which does not follow faces; '{KIND}' does.")
    return load(folder, torch.device(device))


def _masks(occlusion: str) -> Path | None:
    """The mask picture or folder, or None for a part by its name. Raises InputError."""
    if occlusion in PARTS:
        return None
    if not Path(occlusion).exists():
        raise InputError(f"'{occlusion}' is neither a mask nor one of {', '.join(PARTS)}.")
    return Path(occlusion)


def _length(video: Path, report: Progress) -> float:
    from .video import read_frames, video_seconds

    times = []
    for frame in read_frames(video):
        report("detect", int(frame.time), 0)
        times.append(frame.time)
    return video_seconds(np.array(times))


def _sound(video: Path, options: TrackOptions, seconds: float) -> tuple[np.ndarray, str]:
    from .audio import load_audio
    from .video import read_soundtrack

    if options.audio is not None:
        return load_audio(options.audio), options.audio.name
    samples = read_soundtrack(video, seconds)
    if samples is not None:
        return samples, "the video's own"
    if options.occlusion == "audio_only":
        raise InputError(f"The video '{video.name}' has no sound, and nothing else was to be used.")
    return np.zeros(0, np.float32), "none"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("video", type=Path, help="a video of one person talking")
    parser.add_argument("--out", required=True, type=Path, help="the motion file to write, .npz")
    parser.add_argument("--model", required=True, type=Path, metavar="DIR", help="a model folder, see convert")
    parser.add_argument("--audio", type=Path, metavar="FILE", help="the sound, where it is not the video's own")
    told = f"{', '.join(PARTS)}, a mask picture, or a folder with one per frame; default: none"
    parser.add_argument("--occlusion", default="none", metavar="WHAT", help=f"what hides the face: {told}")
    parser.add_argument("--seed", type=int, default=0, help="another number is another take; default: 0")
    parser.add_argument("--steps", type=int, help="sampler steps; default: the model's own")
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu; default: %(default)s")


def run(options: argparse.Namespace) -> int:
    """Write the motion file; exit status 0. Raises InputError, and then nothing is written."""
    out: Path = options.out
    if not out.parent.is_dir() or out.is_dir():
        raise InputError(f"'{out}' cannot be written: it is a folder, or in none.")
    wanted = TrackOptions(options.occlusion, options.audio, options.seed, options.steps, options.device)
    motion = track(options.video, wanted, options.model)
    motion.save(out)
    print(f"{out}: {motion.frames} frames at {motion.fps:g} per second, sound: {motion.meta['audio']}")
    return 0
