"""How well lips follow speech, measured from the posed face alone. NumPy only.

The lip gap is the distance of the inner lips' centres (iBUG points 62 and 66) over its 95th percentile in the clip, so
that heads of every size compare.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import InputError
from .motion import FaceMotion
from .starter.phones import UNKNOWN, VOWELS, from_labels

CLOSED = 0.15  # of the gap's 95th percentile: the lips count as closed
TOLERANCE = 0.060  # s: a closure this far from its phone still counts
LONG_PAUSE = 0.3  # s
BILABIALS = frozenset("pbm")
# Mouth openness of Rhubarb Lip Sync's cues, 0 (closed) to 1.
CUE_OPENNESS = {"A": 0.0, "X": 0.0, "G": 0.1, "B": 0.15, "F": 0.3, "H": 0.5, "C": 0.5, "E": 0.6, "D": 1.0}
OPEN_VOWELS = frozenset({"a", "ɑ", "ɒ", "æ", "ʌ", "ɛ", "ɔ"})


@dataclass(frozen=True)
class Phones:
    """N segments in time order: canonical names, starts and ends (N,) in seconds."""

    names: list[str]
    starts: np.ndarray
    ends: np.ndarray


@dataclass(frozen=True)
class Closures:
    """Counts that can be pooled over clips: bilabials and how many have a closure; closures in speech and how many
    belong to a bilabial; frames inside open vowels and how many are closed; pause frames and the sum of their gaps."""

    bilabials: int = 0
    reached: int = 0
    closures: int = 0
    rightful: int = 0
    vowel_frames: int = 0
    vowel_closed: int = 0
    pause_frames: int = 0
    pause_gap: float = 0.0

    def __add__(self, other: Closures) -> Closures:
        return Closures(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))

    def figures(self) -> dict[str, float]:
        """recall, precision, F1, false closure in open vowels (share of frames), mean gap in long pauses."""
        recall = self.reached / self.bilabials if self.bilabials else float("nan")
        precision = self.rightful / self.closures if self.closures else float("nan")
        return {
            "recall": recall,
            "precision": precision,
            "f1": 2 * recall * precision / (recall + precision) if recall + precision > 0 else 0.0,
            "closed_in_open_vowels": self.vowel_closed / max(self.vowel_frames, 1),
            "gap_in_pauses": self.pause_gap / max(self.pause_frames, 1),
            "bilabials": self.bilabials,
        }


def lip_gap(motion: FaceMotion) -> np.ndarray:
    """(T,) gap over its 95th percentile. Raises InputError when the motion has no landmarks."""
    if motion.landmarks68 is None:
        raise InputError("This motion has no landmarks; make it with --landmarks.")
    gap = np.linalg.norm(motion.landmarks68[:, 62] - motion.landmarks68[:, 66], axis=1)
    return gap / max(float(np.percentile(gap, 95)), 1e-6)


def read_phones(path: Path) -> Phones:
    """A CSV with columns start_s, end_s, phone in ARPAbet, MRPA or IPA labels. Raises InputError."""
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            rows = [(float(r["start_s"]), float(r["end_s"]), r["phone"]) for r in csv.DictReader(stream)]
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise InputError(f"'{path.name}' is not a table of phones (start_s, end_s, phone).") from error
    names: list[str] = []
    starts: list[float] = []
    ends: list[float] = []
    for (start, end, label), parts in zip(rows, from_labels([r[2] for r in rows]), strict=True):
        if UNKNOWN in parts:
            raise InputError(f"'{path.name}' has the phone '{label}', which is not known.")
        cuts = np.linspace(start, end, len(parts) + 1)
        names += parts
        starts += list(cuts[:-1])
        ends += list(cuts[1:])
    return Phones(names, np.array(starts), np.array(ends))


def closures(gap: np.ndarray, fps: float, phones: Phones, closed: float = CLOSED) -> Closures:
    """Count closures of one clip. closed: under which gap the lips count as closed.

    A bilabial is reached when some frame within TOLERANCE of it is closed. A closure is a run of closed frames that
    touches speech; a run in a pause is rest, not a closure. It is rightful within TOLERANCE of a bilabial.
    """
    time = np.arange(len(gap)) / fps
    shut = gap < closed
    lips = [(s, e) for n, s, e in zip(phones.names, phones.starts, phones.ends, strict=True) if n in BILABIALS]
    reached = sum(bool(shut[(time >= s - TOLERANCE) & (time <= e + TOLERANCE)].any()) for s, e in lips)
    silent = silence_mask(time, phones, margin=TOLERANCE)
    edges = np.diff(np.concatenate([[0], shut.astype(np.int8), [0]]))
    count = rightful = 0
    for first, last in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1, strict=True):
        if silent[first : last + 1].any():
            continue
        count += 1
        rightful += any(time[first] <= e + TOLERANCE and time[last] >= s - TOLERANCE for s, e in lips)
    vowels = inside(time, phones, OPEN_VOWELS & VOWELS)
    pauses = np.zeros(len(gap), bool)
    for s, e in merged_silences(phones):
        if e - s > LONG_PAUSE:
            pauses |= (time >= s) & (time < e)
    return Closures(
        len(lips), reached, count, rightful, int(vowels.sum()), int((vowels & shut).sum()),
        int(pauses.sum()), float(gap[pauses].sum()),
    )  # fmt: skip


def inside(time: np.ndarray, phones: Phones, names: frozenset[str]) -> np.ndarray:
    """(T,) bool: frames inside a phone of `names`."""
    mask = np.zeros(len(time), bool)
    for n, s, e in zip(phones.names, phones.starts, phones.ends, strict=True):
        if n in names:
            mask |= (time >= s) & (time < e)
    return mask


def merged_silences(phones: Phones) -> list[tuple[float, float]]:
    """Stretches (start, end) in seconds of adjoining silence segments."""
    out: list[tuple[float, float]] = []
    for n, s, e in zip(phones.names, phones.starts, phones.ends, strict=True):
        if n != "sil":
            continue
        if out and s - out[-1][1] < 0.02:
            out[-1] = (out[-1][0], e)
        else:
            out.append((s, e))
    return out


def silence_mask(time: np.ndarray, phones: Phones, margin: float) -> np.ndarray:
    """(T,) bool: frames in silence (widened by `margin` s) or outside the labelled part."""
    first, last = (phones.starts[0], phones.ends[-1]) if len(phones.names) else (0.0, 0.0)
    mask = (time < first + margin) | (time > last - margin)
    for s, e in merged_silences(phones):
        if e - s >= 0.05:
            mask |= (time >= s - margin) & (time < e + margin)
    return mask


def read_cues(path: Path) -> list[tuple[float, float, str]]:
    """Rhubarb's JSON mouth cues as (start, end, letter). Raises InputError."""
    try:
        cues = json.loads(path.read_text(encoding="utf-8"))["mouthCues"]
        return [(float(c["start"]), float(c["end"]), str(c["value"])) for c in cues]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"'{path.name}' is not a file of Rhubarb mouth cues.") from error


def cue_figures(gap: np.ndarray, fps: float, cues: list[tuple[float, float, str]]) -> dict[str, float]:
    """Pearson r of the gap with the cues' openness, the share of A cues with a closure within TOLERANCE, and the mean
    gap in X (rest) cues longer than LONG_PAUSE."""
    time = np.arange(len(gap)) / fps
    openness = np.zeros(len(gap))
    known = np.zeros(len(gap), bool)
    hits = total = 0
    rest: list[float] = []
    for start, end, value in cues:
        span = (time >= start) & (time < end)
        openness[span], known[span] = CUE_OPENNESS[value], True
        if value == "A":
            total += 1
            hits += bool((gap[(time >= start - TOLERANCE) & (time <= end + TOLERANCE)] < CLOSED).any())
        elif value == "X" and end - start > LONG_PAUSE:
            rest += gap[span].tolist()
    return {
        "r": float(np.corrcoef(gap[known], openness[known])[0, 1]),
        "a_recall": hits / total if total else float("nan"),
        "gap_in_rest": float(np.mean(rest)) if rest else float("nan"),
    }


def blinks_per_minute(motion: FaceMotion) -> float:
    """How often both lids pass half closed, per minute."""
    lids = np.minimum(motion.channel("eyeBlinkLeft"), motion.channel("eyeBlinkRight")) > 0.5
    starts = int((np.diff(lids.astype(np.int8), prepend=0) == 1).sum())
    return starts / (motion.frames / motion.fps) * 60
