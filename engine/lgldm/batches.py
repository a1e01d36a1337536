"""Clips to training batches: several clips of one length, cut at random where they are longer than the shortest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..audio import SAMPLE_RATE
from .audio_encoders import normalise
from .data import Clip, MotionData

TAIL = 0.1  # seconds of sound beyond the last frame, which the convolutions need to reach it


@dataclass(frozen=True)
class Batch:
    """samples (B, S), displacement (B, T, 3 V), emotion (B, E) or None, identity (B, I); all on one device."""

    samples: Tensor
    displacement: Tensor
    emotion: Tensor | None
    identity: Tensor


def batches(
    data: MotionData,
    size: int,
    crop: int | None,
    rng: np.random.Generator | None,
    device: torch.device,
    identities: int,
    share: tuple[int, int] = (0, 1),
) -> Iterator[Batch]:
    """Batches of `size` clips over the whole split. crop: longest length in frames; None keeps clips whole where size is 1.

    rng: shuffles and places the cuts; None keeps the order and cuts from the start (validation). share: (rank, processes);
    each process gets its own clips of the same shuffle, as many batches as the others (the first clips fill the last ones).
    """
    order = np.arange(len(data)) if rng is None else rng.permutation(len(data))
    rank, count = share
    order = np.resize(order, -(-len(order) // count) * count)[rank::count]
    for start in range(0, len(order), size):
        clips = [data.clip(int(i)) for i in order[start : start + size]]
        yield make_batch(clips, crop, rng, device, data.facts.fps, identities)


def make_batch(
    clips: list[Clip], crop: int | None, rng: np.random.Generator | None, device: torch.device, fps: int, identities: int
) -> Batch:
    """One batch of these clips; a speaker outside of the one-hot stands in its first column, as the demo's does."""
    frames = min(len(c.displacement) for c in clips)
    frames = min(frames, crop) if crop else frames
    whole = len(clips) == 1 and frames == len(clips[0].displacement)
    samples, motions = [], []
    for clip in clips:
        heard = normalise(clip.samples)
        if whole:
            samples.append(heard)
            motions.append(clip.displacement)
            continue
        spare = len(clip.displacement) - frames
        first = int(rng.integers(spare + 1)) if rng is not None and spare else 0
        begin, length = round(first * SAMPLE_RATE / fps), round((frames / fps + TAIL) * SAMPLE_RATE)
        part = heard[begin : begin + length]
        samples.append(np.pad(part, (0, length - len(part))))
        motions.append(clip.displacement[first : first + frames])
    columns = torch.tensor([c.item.identity or 0 for c in clips])
    emotion = torch.from_numpy(np.stack([c.emotion for c in clips])).to(device) if clips[0].emotion.size else None
    return Batch(
        torch.from_numpy(np.stack(samples)).to(device),
        torch.from_numpy(np.stack(motions)).to(device),
        emotion,
        torch.nn.functional.one_hot(columns, identities).float().to(device),
    )
