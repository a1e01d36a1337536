"""How far predicted vertices are from recorded ones: the reference scripts' metrics, each with its unit.

LVE, FVE, EME and "all vertices" are squared distances without a root (m^2 where vertices are metres), MVE and diversity are
distances (m), FDD is a difference of deviations of squared displacements (m^2). Frames of all clips are pooled and clips
are cut to the shorter of the two lengths, as both reference scripts do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np


@dataclass(frozen=True)
class Clip:
    """Recorded and predicted vertices of one clip, (T, V, 3) and (T', V, 3) metres, and the subject's neutral face (V, 3)."""

    truth: np.ndarray
    predicted: np.ndarray
    template: np.ndarray

    def cut(self) -> tuple[np.ndarray, np.ndarray]:
        """Both in float64, cut to the shorter length."""
        frames = min(len(self.truth), len(self.predicted))
        return self.truth[:frames].astype(np.float64), self.predicted[:frames].astype(np.float64)


def region_error(clips: Sequence[Clip], region: np.ndarray) -> float:
    """LVE (lip region) or FVE (face region), m^2: mean over pooled frames of the largest squared distance in the region."""
    return float(np.concatenate([_squared(c)[:, region].max(axis=1) for c in clips]).mean())


def mean_region_error(clips: Sequence[Clip], region: np.ndarray) -> float:
    """EME (emotion region), m^2: mean over pooled frames and the region's vertices of the squared distance."""
    return float(np.concatenate([_squared(c)[:, region].mean(axis=1) for c in clips]).mean())


def all_vertex_error(clips: Sequence[Clip]) -> float:
    """"All Vertex Error", m^2: per vertex the largest squared distance over pooled frames, then the mean over vertices."""
    return float(np.max([_squared(c).max(axis=0) for c in clips], axis=0).mean())


def mean_vertex_error(clips: Sequence[Clip]) -> float:
    """MVE, m: mean over pooled frames and all vertices of the distance."""
    return float(np.concatenate([np.sqrt(_squared(c)).mean(axis=1) for c in clips]).mean())


def facial_dynamics_deviation(clips: Sequence[Clip], region: np.ndarray) -> tuple[float, float]:
    """FDD (upper face), m^2, signed and absolute: how much livelier the recording is than the prediction.

    Per clip: mean over the region's vertices of the deviation over time of the squared displacement from the neutral face,
    recorded minus predicted; then the mean over clips of that, and of its absolute value.
    """
    differences = []
    for clip in clips:
        liveliness = [((m - clip.template)[:, region] ** 2).sum(-1).std(axis=0).mean() for m in clip.cut()]
        differences.append(liveliness[0] - liveliness[1])
    return float(np.mean(differences)), float(np.mean(np.abs(differences)))


def diversity(groups: Sequence[Sequence[np.ndarray]]) -> float:
    """Mean pairwise distance, m, between predictions of the same sentence under different conditions (or seeds).

    groups: per sentence the predictions (T, V, 3), at least two. Per pair the mean over frames and vertices, then the mean
    over pairs, then over sentences.
    """
    per_sentence = []
    for group in groups:
        if len(group) < 2:
            raise ValueError("diversity needs at least two predictions of each sentence")
        frames = min(len(p) for p in group)
        pairs = combinations([p[:frames].astype(np.float64) for p in group], 2)
        per_sentence.append(np.mean([np.linalg.norm(a - b, axis=-1).mean() for a, b in pairs]))
    return float(np.mean(per_sentence))


def _squared(clip: Clip) -> np.ndarray:
    """(T, V) squared distances."""
    truth, predicted = clip.cut()
    return ((truth - predicted) ** 2).sum(-1)
