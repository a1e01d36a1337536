"""Follow an actor's face through a video, what is hidden filled in from the sound, and write a motion file."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np

from . import __version__
from .animate import ASSETS, with_geometry
from .errors import Cancelled, InputError
from .model_folder import read_config
from .motion import FaceMotion
from .occlufacediff.occlusion import NamedPart, named_visibility

if TYPE_CHECKING:
    from .detection import Detections, Detector
    from .occlufacediff.model import OccluModel
    from .occlufacediff.starter.model import Tracker

STARTER = "starter"
AUTO = "auto"
PARTS = get_args(NamedPart)
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class TrackOptions:
    """occlusion: one of PARTS, AUTO, or a mask picture or a folder of them. audio: a sound file instead of the video's own;
    both begin together. steps: None is the model's own. device: auto, cuda, mps or cpu. landmarks, vertices: of the starter
    head, too.

    start, end: s of the video between which the face is followed, the end None: to the video's own; the sound of `audio` and
    the motion begin at the start. masks_fps: pictures per second of a mask folder, the first shown at second masks_start of
    the video; None: one per frame of what is followed.
    """

    occlusion: str = "none"
    audio: Path | None = None
    seed: int = 0
    steps: int | None = None
    device: str = "auto"
    landmarks: bool = False
    vertices: bool = False
    start: float = 0.0
    end: float | None = None
    masks_fps: float | None = None
    masks_start: float = 0.0

    @property
    def span(self) -> tuple[float, float | None]:
        """The part of the video that is followed."""
        return self.start, self.end


def track(
    video: Path,
    options: TrackOptions,
    model: Path | str = STARTER,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
    detector: Detector | None = None,
    looked: Callable[[Looked], None] | None = None,
) -> FaceMotion:
    """The face in a video as motion, 25 frames per second from its first frame, or `options.start`, on.

    model: STARTER, or the folder of a converted or trained model.

    progress and cancelled as in `animate`; "detect" and "look" count seconds, of 0 where the file does not say. detector:
    instead of FaceMesh. looked: is told what was detected and what of it counts as visible. A video without sound is
    followed by what is visible alone. Raises InputError (one sentence) and Cancelled.
    """
    from .devices import pick_device
    from .occlufacediff.starter.model import Tracker

    def report(stage: str, step: int, total: int) -> None:
        if cancelled is not None and cancelled():
            raise Cancelled
        if progress is not None:
            progress(stage, step, total)

    _masks(options.occlusion)
    if options.start < 0 or (options.end is not None and options.end <= options.start):
        raise InputError(f"The part of the video ends ({options.end} s) before it begins ({options.start} s).")
    if options.start >= _told(video):
        raise InputError(f"The video '{video.name}' is over after {_told(video):g} s, before {options.start:g} s.")
    clock = _Clock()
    report("load", 0, 1)
    loaded = load_tracker(model, str(pick_device(options.device)))
    steps = _steps(loaded, options)
    clock.lap("load")
    seen = look(video, options, report, detector)
    jaw = _jaw(video, options, seen, report) if isinstance(loaded, Tracker) else None
    if looked is not None:
        looked(seen)
    clock.lap("detect")
    samples, sound = _sound(video, options, seen.seconds)
    clock.lap("audio")
    motion = _follow(loaded, seen, jaw, samples, options.seed, steps, report)
    clock.lap("model")
    motion = with_geometry(motion, options.landmarks, options.vertices)
    clock.lap("geometry")
    motion.meta["seconds"] = {**clock.laps, **motion.meta["seconds"]}
    motion.meta["occlusion"] = options.occlusion if options.occlusion in (*PARTS, AUTO) else Path(options.occlusion).name
    motion.meta["faces"] = seen.faces
    motion.meta["audio"] = sound
    motion.meta["engine_version"] = __version__
    motion.meta["audio_sha256"] = hashlib.sha256(samples.tobytes()).hexdigest()
    return motion


@dataclass(frozen=True)
class Looked:
    """What was found in a video. times: (N,) s; points: (N, 478, 2) px; detected: (N,); visible: (N, 478), also of points
    outside the frame or hidden; seconds: its length; faces: the most in one frame."""

    times: np.ndarray
    points: np.ndarray
    detected: np.ndarray
    visible: np.ndarray
    seconds: float
    faces: int


def look(video: Path, options: TrackOptions, report: Progress, detector: Detector | None = None) -> Looked:
    """Detect the face's points and tell which are visible. Raises InputError, and whatever `report` raises."""
    from .detection import detect_landmarks, face_mesh
    from .video import video_seconds

    total = _expected_seconds(video, options)
    if options.occlusion == "audio_only":  # nobody looks
        times = _times(video, options, report, total)
        nothing = np.zeros((len(times), 478), bool)
        return Looked(times, np.full((*nothing.shape, 2), np.nan), nothing[:, 0], nothing, video_seconds(times), 0)
    with face_mesh() if detector is None else contextlib.nullcontext(detector) as find:
        found = detect_landmarks(video, find, lambda time: report("detect", int(time), total), options.span)
    visible = visible_points(found, options, video, report)
    return Looked(found.times, found.points, found.detected, visible, found.seconds, int(found.faces.max()))


def _jaw(video: Path, options: TrackOptions, seen: Looked, report: Progress) -> np.ndarray | None:
    """(N, 2) how the jaw moves beside what hides the mouth in the pictures; a part hidden by its name hides nothing there."""
    from .occlufacediff.mask_pictures import mask_pictures
    from .occlufacediff.starter.jaw import covered_by_sight, covered_in_pictures, jaw_beside

    if (masks := _masks(options.occlusion)) is not None:
        times = seen.times + options.start - options.masks_start
        covered = covered_in_pictures(mask_pictures(masks, times, options.masks_fps))
    elif options.occlusion == AUTO:
        covered = covered_by_sight(video, seen.points, seen.detected, seen.visible, options.span)
    else:
        return None

    def done(time: float) -> None:
        report("look", int(time), round(seen.seconds))

    return jaw_beside(video, seen.points, seen.detected, seen.visible, covered, done, options.span)


def _follow(
    model: Tracker | OccluModel, seen: Looked, jaw: np.ndarray | None, samples: np.ndarray, seed: int, steps: int, report: Progress
) -> FaceMotion:
    from .occlufacediff.landmarks import at_times, frame_times, prepare, resampled
    from .occlufacediff.pipeline import generate, make_clip
    from .occlufacediff.starter.model import Tracker
    from .occlufacediff.starter.pipeline import follow

    count = len(frame_times(seen.seconds))
    gone = not seen.detected.any()
    if isinstance(model, Tracker):
        pixels, visible = np.zeros((count, 478, 2)), np.zeros((count, 478), bool)
        if not gone:
            pixels, visible = resampled(seen.points, seen.times, seen.detected, seen.visible, seen.seconds)
        if jaw is not None:
            jaw = at_times(jaw, seen.times, frame_times(seen.seconds))
        return follow(model, pixels, visible, samples, seed, report, steps, jaw)
    landmarks, visible = np.zeros((count, 468, 2), np.float32), np.zeros((count, 468), bool)
    if not gone:
        landmarks, visible = prepare(seen.points, seen.times, seen.detected, seen.visible, seen.seconds)
    return generate(model, make_clip(landmarks, visible, samples, model.device), seed, report, steps=steps)


def _steps(model: Tracker | OccluModel, options: TrackOptions) -> int:
    """The sampler's steps. Raises InputError for options that the model does not know."""
    from .occlufacediff import pipeline
    from .occlufacediff.model import OccluModel
    from .occlufacediff.starter import pipeline as starter_pipeline

    if isinstance(model, OccluModel) and (options.landmarks or options.vertices):
        raise InputError(f"The model '{model.name}' speaks FLAME; landmarks and vertices are the starter head's.")
    own = pipeline.STEPS if isinstance(model, OccluModel) else starter_pipeline.STEPS
    steps = own if options.steps is None else options.steps
    pipeline.check_steps(model, steps)
    return steps


def visible_points(found: Detections, options: TrackOptions, video: Path, report: Progress) -> np.ndarray:
    """(N, 478) bool of a detection: inside the frame, and hidden neither by name, nor by masks, nor by what is in the
    way. Raises InputError."""
    from .occlufacediff.mask_pictures import mask_pictures, visible_in_pictures

    points = np.nan_to_num(found.points, nan=-1.0)
    inside = ((points >= 0) & (points < found.size)).all(axis=-1)
    if (masks := _masks(options.occlusion)) is not None:
        times = found.times + options.start - options.masks_start
        return inside & visible_in_pictures(mask_pictures(masks, times, options.masks_fps), points, found.size)
    if options.occlusion == AUTO:
        from .occlufacediff.starter.automatic import unobstructed

        return inside & unobstructed(video, found, lambda time: report("look", int(time), round(found.seconds)), options.span)
    return inside & named_visibility(options.occlusion)  # type: ignore[arg-type]


def load_tracker(model: Path | str, device: str) -> Tracker | OccluModel:
    """STARTER, or the model in a folder; kept in memory between calls. Raises InputError where none there follows faces."""
    folder = ASSETS / "tracker" if str(model) == STARTER else Path(model)
    config = folder / "config.json"
    return _load(folder.resolve(), device, config.stat().st_mtime_ns if config.is_file() else 0)


@lru_cache(maxsize=1)
def _load(folder: Path, device: str, written: int) -> Tracker | OccluModel:
    """`written` makes a model that was converted or trained anew load anew."""
    import torch

    from .occlufacediff import model as published
    from .occlufacediff.starter import model as starter

    readers: dict[str, Callable[[Path, torch.device], Tracker | OccluModel]]
    readers = {published.KIND: published.load_model, starter.KIND: starter.load_tracker}
    try:
        kind = read_config(folder)["kind"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"There is no model in '{folder}': it has no config.json that names its kind.") from error
    if not isinstance(kind, str) or kind not in readers:
        known = "' and '".join(readers)
        raise InputError(f"The model in '{folder}' is of the kind '{kind}', which does not follow faces; '{known}' do.")
    return readers[kind](folder, torch.device(device))


def _masks(occlusion: str) -> Path | None:
    """The mask picture or folder, or None for a part by its name. Raises InputError."""
    if occlusion in (*PARTS, AUTO):
        return None
    if not Path(occlusion).exists():
        raise InputError(f"'{occlusion}' is neither a mask nor one of {', '.join((AUTO, *PARTS))}.")
    return Path(occlusion)


def _told(video: Path) -> float:
    """How long the file says it is, s; infinite when it does not say."""
    from .video import told_seconds

    return told_seconds(video) or float("inf")


def _expected_seconds(video: Path, options: TrackOptions) -> int:
    from .video import told_seconds

    told = told_seconds(video)
    return round(max(0.0, (told if options.end is None else min(told, options.end)) - options.start))


def _times(video: Path, options: TrackOptions, report: Progress, total: int) -> np.ndarray:
    from .video import read_frames

    times = []
    for frame in read_frames(video, options.span):
        report("detect", int(frame.time), total)
        times.append(frame.time)
    return np.array(times)


def _sound(video: Path, options: TrackOptions, seconds: float) -> tuple[np.ndarray, str]:
    from .audio import load_audio
    from .video import read_soundtrack

    if options.audio is not None:
        return load_audio(options.audio), options.audio.name
    samples = read_soundtrack(video, seconds, options.start)
    if samples is not None:
        return samples, "the video's own"
    if options.occlusion == "audio_only":
        raise InputError(f"The video '{video.name}' has no sound, and nothing else was to be used.")
    return np.zeros(0, np.float32), "none"


class _Clock:
    """Seconds spent per stage."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.laps[stage], self._last = now - self._last, now


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("video", type=Path, help="a video of one person talking")
    parser.add_argument("--out", required=True, type=Path, help="the motion file to write, .npz")
    parser.add_argument(
        "--model", default=STARTER, metavar="NAME_OR_DIR", help="starter, or a model folder, see convert; default: %(default)s"
    )
    parser.add_argument(
        "--audio", type=Path, metavar="FILE", help="the sound, where it is not the video's own; it begins at --start"
    )
    parser.add_argument("--start", type=float, default=0.0, metavar="SECONDS", help="follow from there on; default: 0")
    parser.add_argument("--end", type=float, metavar="SECONDS", help="follow up to there; default: the video's end")
    told = f"{', '.join(PARTS)}, {AUTO}, a mask picture, or a folder with one per frame; default: none"
    parser.add_argument("--occlusion", default="none", metavar="WHAT", help=f"what hides the face: {told}")
    parser.add_argument("--seed", type=int, default=0, help="another number is another take; default: 0")
    parser.add_argument("--steps", type=int, help="sampler steps; default: the model's own")
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu; default: %(default)s")
    parser.add_argument("--landmarks", action="store_true", help="also write the 68 landmarks of the starter head, metres")
    parser.add_argument("--vertices", action="store_true", help="also write all vertices of the starter head, metres")
    parser.add_argument(
        "--preview", type=Path, metavar="FILE", help="also write what was seen over the frames: .mp4, or .png of six of them"
    )


def run(options: argparse.Namespace) -> int:
    """Write the motion file; exit status 0. Raises InputError, and then nothing is written."""
    out: Path = options.out
    if not out.parent.is_dir() or out.is_dir():
        raise InputError(f"'{out}' cannot be written: it is a folder, or in none.")
    if options.preview is not None:
        from .occlufacediff.preview import check_preview, write_preview

        check_preview(options.preview)
    wanted = TrackOptions(
        options.occlusion, options.audio, options.seed, options.steps, options.device, options.landmarks, options.vertices,
        options.start, options.end,
    )  # fmt: skip
    looked: list[Looked] = []
    motion = track(options.video, wanted, options.model, looked=looked.append)
    if options.preview is not None:
        write_preview(options.preview, options.video, looked[0].points, looked[0].visible, wanted.span)
    motion.save(out)
    faces = f", {motion.meta['faces']} faces, followed one" if motion.meta["faces"] > 1 else ""
    print(f"{out}: {motion.frames} frames at {motion.fps:g} per second, sound: {motion.meta['audio']}{faces}")
    return 0
