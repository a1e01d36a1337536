"""The prepared MEAD (see `mead.py`, `preparation.py`), clip by clip and in training batches with the occluder's masks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from .denoiser import SAMPLES_PER_FRAME
from .geometry import Subject
from .landmarks import LANDMARKS
from .mead import WHERE_EMOTE, WHERE_MEAD, Place, split_of
from .occlusion import Phase, RandomDraws, training_visibility
from .preparation import POINTS, PUBLISHED, load_arrays, load_index, load_sentences

TRAIN_REPEATS, VALIDATION_REPEATS = 5, 10  # random windows of every clip in an epoch


@dataclass(frozen=True)
class Clip:
    """motion (n, 103): expression, then jaw in rad; shape (n, 300); rotation, camera (n, 3); landmarks (n, 468, 2) in the
    crop's -1..1; samples (n, 640) normalised over the utterance. All float32, 25 frames per second."""

    name: str
    motion: np.ndarray
    shape: np.ndarray
    rotation: np.ndarray
    camera: np.ndarray
    landmarks: np.ndarray
    samples: np.ndarray

    def __len__(self) -> int:
        return len(self.motion)

    def part(self, frames: slice) -> Clip:
        """Some of its frames."""
        arrays = (self.motion, self.shape, self.rotation, self.camera, self.landmarks, self.samples)
        return Clip(self.name, *(a[frames] for a in arrays))


@dataclass(frozen=True)
class Batch:
    """Arrays of `Clip`, batched (B, T, ...), and visible (B, T, 468) bool; all on one device."""

    motion: Tensor
    subject: Subject
    landmarks: Tensor
    samples: Tensor
    visible: Tensor


class OccluData:
    """The clips of a part of MEAD. Raises InputError, naming what is missing and where it comes from."""

    def __init__(self, folder: Path, split: Literal["train", "test"], shortest: int = 1):
        """shortest: frames; shorter clips are left out."""
        if not folder.is_dir():
            raise InputError(f"There is no folder '{folder}' with MEAD; it is {WHERE_MEAD}, its reconstructions {WHERE_EMOTE}.")
        self.folder = folder
        index = load_index(folder / "processed" / "video_list.pkl")
        sentences = load_sentences(folder / "processed" / "video_id_to_sent_id.npy")
        self.clips = [c for c, n in index if n >= shortest and split_of(c, sentences.get(c, -1)) == split]
        if not self.clips:
            raise InputError(f"'{folder}' holds no clips of the {split} part of MEAD with at least {shortest} frames.")
        places = [Place(folder, clip) for clip in self.clips]
        missing = [p for place in places for p in (place.sound, place.landmarks, place.reconstruction) if not p.is_file()]
        if missing:
            raise InputError(
                f"{len(missing)} prepared files of MEAD are missing, the first is '{missing[0]}'; "
                "make them with python -m engine prepare mead."
            )

    def __len__(self) -> int:
        return len(self.clips)

    def clip(self, index: int) -> Clip:
        """Read one clip; what is longer, sound, landmarks or reconstruction, is cut to the others, sound also padded."""
        place = Place(self.folder, self.clips[index])
        found = load_arrays(place.reconstruction, {name: (width,) for name, width in PUBLISHED.items()})
        landmarks = load_arrays(place.landmarks, {"lmk_2d": (POINTS, 2)})["lmk_2d"]
        frames = min(len(landmarks), len(found["exp"]))
        samples = np.zeros(frames * SAMPLES_PER_FRAME, np.float32)
        heard = _samples(place.sound)[: len(samples)]
        samples[: len(heard)] = heard
        return Clip(
            name=self.clips[index],
            motion=np.concatenate([found["exp"], found["jaw"]], axis=1),
            shape=found["shape"],
            rotation=found["global_pose"],
            camera=found["cam"],
            landmarks=landmarks[:, :LANDMARKS],
            samples=samples.reshape(frames, SAMPLES_PER_FRAME),
        ).part(slice(frames))


def batches(
    data: OccluData,
    size: int,
    frames: int,
    rng: np.random.Generator,
    device: torch.device,
    phase: Phase,
    repeats: int,
    share: tuple[int, int] = (0, 1),
    shuffle: bool = True,
) -> Iterator[Batch]:
    """Batches of `size` random windows; every clip comes `repeats` times. Clips left over at the end are dropped, unless
    they are all there are. share: (rank, processes); each process gets its own windows of the same shuffle."""
    order = np.tile(np.arange(len(data)), repeats)
    order = rng.permutation(order) if shuffle else order
    rank, count = share
    order = np.resize(order, -(-len(order) // count) * count)[rank::count]
    starts = range(0, len(order) - size + 1, size) if len(order) >= size else range(1)
    for start in starts:
        clips = [data.clip(int(i)) for i in order[start : start + size]]
        yield make_batch([window(clip, frames, rng) for clip in clips], rng, device, phase)


def window(clip: Clip, frames: int, rng: np.random.Generator) -> Clip:
    """`frames` of it from a random start; its very last window is left out, as in the published loader."""
    spare = len(clip) - frames
    start = int(rng.integers(spare)) if spare > 0 else 0
    return clip.part(slice(start, start + frames))


def make_batch(windows: list[Clip], rng: np.random.Generator, device: torch.device, phase: Phase) -> Batch:
    """Windows of one length with one mask for them all, drawn on the first, as in the published training."""

    def stacked(name: str) -> Tensor:
        return torch.from_numpy(np.stack([getattr(w, name) for w in windows])).to(device)

    mask = training_visibility(windows[0].landmarks, phase, RandomDraws(rng))
    return Batch(
        motion=stacked("motion"),
        subject=Subject(stacked("shape"), stacked("rotation"), stacked("camera")),
        landmarks=stacked("landmarks"),
        samples=stacked("samples"),
        visible=torch.from_numpy(mask).to(device).expand(len(windows), -1, -1),
    )


def _samples(path: Path) -> np.ndarray:
    try:
        samples = np.load(path, allow_pickle=False)
        if samples.ndim != 1 or not np.isfinite(samples).all():
            raise ValueError("other shape")
        return samples.astype(np.float32)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"'{path}' is no prepared sound; remove it and run python -m engine prepare mead again.") from error
