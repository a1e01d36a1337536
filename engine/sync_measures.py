"""What else a face that speaks should do, measured from its landmarks, channels and the phones. NumPy only.

`gap` is `sync.lip_gap`: the lips' distance over its 95th percentile in the clip. Times are seconds, frame i is at i / fps.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .motion import FaceMotion
from .sync import BILABIALS, CLOSED, LONG_PAUSE, TOLERANCE, Phones, inside, merged_silences

LABIODENTALS = frozenset("fv")
TUCKED = 0.35  # of the gap's 95th percentile: the lower lip is near the upper teeth
ROUNDED = frozenset({"u", "ʊ", "o", "ɔ", "y", "ø", "w"})
SPREAD = frozenset({"i", "ɪ", "e", "ɛ", "æ", "j"})
# Vowels by height (International Phonetic Association 2020): close, mid and open mouths.
HEIGHTS = (
    frozenset({"i", "y", "u", "ɪ", "ʊ"}),
    frozenset({"e", "ø", "o", "ɛ", "ɔ", "ɜ"}),
    frozenset({"æ", "a", "ɑ", "ɒ"}),
)
# ITU-R BT.1359-1: viewers detect sound earlier than the picture by 45 ms and later by 125 ms; they accept 90 and 185 ms.
# A positive offset of ours is a late mouth, which is early sound.
DETECTED = (-0.125, 0.045)  # s
LAGS = 0.2  # s searched to both sides


@dataclass(frozen=True)
class Articulation:
    """Figures that can be pooled over clips: labiodentals and how many are reached; offsets (s) of the closures that
    reached a bilabial; mouth widths in rounded and spread phones and gaps in the vowels' middles by height, both in units
    of their clip."""

    labiodentals: int = 0
    tucked: int = 0
    offsets: list[float] = field(default_factory=list)
    rounded: list[float] = field(default_factory=list)
    spread: list[float] = field(default_factory=list)
    openings: tuple[list[float], list[float], list[float]] = field(default_factory=lambda: ([], [], []))

    def __add__(self, other: Articulation) -> Articulation:
        low, middle, high = (a + b for a, b in zip(self.openings, other.openings, strict=True))
        return Articulation(
            self.labiodentals + other.labiodentals, self.tucked + other.tucked, self.offsets + other.offsets,
            self.rounded + other.rounded, self.spread + other.spread, (low, middle, high),
        )  # fmt: skip

    def figures(self) -> dict[str, float]:
        """labiodental_rate: share of f and v with the lower lip at the teeth. offset_ms: median of the closures' offsets,
        positive when the mouth is late (limits: DETECTED). rounding_contrast: how much narrower the mouth is in rounded
        than in spread phones, over the clip's range of widths. vowel_height_order: how often the more open of two vowels
        of different height shows the wider gap (0.5 is chance)."""
        pairs = [
            (np.array(low)[:, None] < np.array(high)[None]).mean()
            for i, low in enumerate(self.openings)
            for high in self.openings[i + 1 :]
            if low and high
        ]
        nothing = float("nan")
        return {
            "labiodental_rate": self.tucked / self.labiodentals if self.labiodentals else nothing,
            "offset_ms": 1000 * float(np.median(self.offsets)) if self.offsets else nothing,
            "rounding_contrast": (
                float(np.mean(self.spread) - np.mean(self.rounded)) if self.spread and self.rounded else nothing
            ),
            "vowel_height_order": float(np.mean(pairs)) if pairs else nothing,
        }


def articulation(motion: FaceMotion, gap: np.ndarray, phones: Phones) -> Articulation:
    """Measure one clip. motion: with landmarks; gap: (T,) of `lip_gap`."""
    time = np.arange(len(gap)) / motion.fps
    spans = list(zip(phones.names, phones.starts, phones.ends, strict=True))
    lips = [(time >= s - TOLERANCE) & (time <= e + TOLERANCE) for n, s, e in spans if n in LABIODENTALS]
    tucked = sum(bool((gap[near] < TUCKED).any()) for near in lips)
    width = mouth_width(motion)
    openings: tuple[list[float], list[float], list[float]] = ([], [], [])
    for name, start, end in spans:
        for height, names in zip(openings, HEIGHTS, strict=True):
            if name in names:
                height.append(float(np.interp((start + end) / 2, time, gap)))
    return Articulation(
        len(lips), tucked, closure_offsets(gap, motion.fps, phones), width[inside(time, phones, ROUNDED)].tolist(),
        width[inside(time, phones, SPREAD)].tolist(), openings,
    )  # fmt: skip


def mouth_width(motion: FaceMotion) -> np.ndarray:
    """(T,) distance of the mouth's corners (48, 54) between its 5th (0) and 95th (1) percentile in the clip."""
    assert motion.landmarks68 is not None
    width = np.linalg.norm(motion.landmarks68[:, 48] - motion.landmarks68[:, 54], axis=1)
    low, high = np.percentile(width, [5, 95])
    return (width - low) / max(float(high - low), 1e-6)


def closure_offsets(gap: np.ndarray, fps: float, phones: Phones) -> list[float]:
    """Seconds by which the middle of the nearest closure is later than the middle of each reached p, b and m.

    The gap is taken as linear between frames. Closures longer than 0.3 s are rests and say nothing about timing.
    """
    fine = np.arange(0, max(len(gap) - 1, 0) / fps, 0.001)
    shut = np.interp(fine, np.arange(len(gap)) / fps, gap) < CLOSED
    edges = np.diff(np.concatenate([[0], shut.astype(np.int8), [0]]))
    starts, ends = np.flatnonzero(edges == 1) * 0.001, np.flatnonzero(edges == -1) * 0.001
    short = ends - starts < 0.3
    starts, ends = starts[short], ends[short]
    offsets = []
    for name, start, end in zip(phones.names, phones.starts, phones.ends, strict=True):
        near = (starts <= end + TOLERANCE) & (ends >= start - TOLERANCE) if name in BILABIALS else np.zeros(0, bool)
        if near.any():
            distance = (starts[near] + ends[near]) / 2 - (start + end) / 2
            offsets.append(float(distance[np.abs(distance).argmin()]))
    return offsets


def stillness(gap: np.ndarray, fps: float, phones: Phones) -> float:
    """Mean speed of the gap, 1/s, in pauses longer than 0.3 s (their first and last 0.1 s left out); nan without any."""
    time = (np.arange(len(gap) - 1) + 0.5) / fps
    speed = np.abs(np.diff(gap)) * fps
    quiet = np.zeros(len(speed), bool)
    for start, end in merged_silences(phones):
        if end - start > LONG_PAUSE:
            quiet |= (time >= start + 0.1) & (time < end - 0.1)
    return float(speed[quiet].mean()) if quiet.any() else float("nan")


def jitter(motion: FaceMotion) -> float:
    """Trembling: root mean square over the 68 landmarks of what a 5-frame median does not keep, mm."""
    assert motion.landmarks68 is not None
    positions = motion.landmarks68.reshape(motion.frames, -1)
    if len(positions) < 5:
        return float("nan")
    windows = np.lib.stride_tricks.sliding_window_view(positions, 5, axis=0)
    left = positions[2:-2] - np.median(windows, axis=-1)
    return float(np.sqrt(3 * np.square(left).mean()) * 1000)


def envelope_figures(gap: np.ndarray, fps: float, samples: np.ndarray, rate: int) -> dict[str, float]:
    """envelope_r: greatest Pearson r of the gap with the sound's loudness (RMS of each frame's time, square root, as
    loudness grows) within 0.2 s; envelope_lag_ms: the gap's delay there, positive when the mouth is late.

    samples: (S,) at `rate` Hz.
    """
    edges = np.round((np.arange(len(gap) + 1) - 0.5) / fps * rate).astype(int).clip(0, len(samples))
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    count = np.maximum(np.diff(edges), 1)
    loud = ((energy[edges[1:]] - energy[edges[:-1]]) / count) ** 0.25
    reach = min(round(LAGS * fps), len(gap) // 2)
    best = (-2.0, 0)
    for lag in range(-reach, reach + 1):
        a, b = (gap[lag:], loud[: len(loud) - lag]) if lag >= 0 else (gap[:lag], loud[-lag:])
        if len(a) > 2 and a.std() > 1e-9 and b.std() > 1e-9:
            best = max(best, (float(np.corrcoef(a, b)[0, 1]), lag), key=lambda pair: pair[0])
    nothing = best[0] < -1
    return {"envelope_r": float("nan") if nothing else best[0], "envelope_lag_ms": 1000 * best[1] / fps}
