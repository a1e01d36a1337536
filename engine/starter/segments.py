"""Phone segments of one utterance: from an engine's labels to a gapless cover of the sound, and the quality gate."""

from collections.abc import Callable, Sequence

import numpy as np

from .phones import PHONE_INDEX, UNKNOWN, VOWELS, part_shares

#: (phone of PHONES, start in s, end in s)
Segment = tuple[str, float, float]

SHORTEST_S = 0.004
LONGEST_PHONE_S = 0.9


class SynthesisError(ValueError):
    """An utterance (or an engine) that cannot be used; one clear sentence says why."""


def expand(labels: Sequence[tuple[str, float, float]], to_phones: Callable[[str], list[str]]) -> list[Segment]:
    """Segments from an engine's (label, start_s, end_s); labels of several phones are split, empty ones join the last.

    Raises SynthesisError for a label without a known phone.
    """
    segments: list[Segment] = []
    for name, start, end in labels:
        phones = to_phones(name)
        if phones == [UNKNOWN]:
            raise SynthesisError(f"The label {name!r} has no phone class.")
        if not phones:
            if segments:
                segments[-1] = (*segments[-1][:2], end)
            continue
        edges = start + (end - start) * np.cumsum([0.0, *part_shares(phones)])
        segments += [(p, float(a), float(b)) for p, a, b in zip(phones, edges[:-1], edges[1:], strict=True)]
    return segments


def start_earlier(segments: Sequence[Segment], lead_s: Callable[[str, str], float]) -> list[Segment]:
    """Each segment begins `lead_s(phone before, phone)` seconds earlier, at the cost of the phone before (at most half)."""
    moved = list(segments)
    for i in range(1, len(moved)):
        phone, start, end = moved[i]
        before, before_start, before_end = moved[i - 1]
        if abs(before_end - start) < 1e-6:
            start -= min(lead_s(before, phone), 0.5 * (before_end - before_start))
            moved[i - 1] = (before, before_start, start)
            moved[i] = (phone, start, end)
    return moved


def cover(segments: Sequence[Segment], duration_s: float) -> list[Segment]:
    """The segments clipped to [0, duration_s], sorted, gaps and both ends filled with "sil", neighbouring "sil" joined.

    Of two that overlap the later one keeps its start. Pieces shorter than 4 ms go to the segment before them (the
    first one: after it). The result starts at 0 and ends at `duration_s` exactly.
    """
    ordered = sorted(segments, key=lambda segment: segment[1])
    pieces: list[Segment] = []
    at = 0.0
    for i, (phone, start, end) in enumerate(ordered):
        next_start = ordered[i + 1][1] if i + 1 < len(ordered) else duration_s
        start, end = max(start, at), min(end, next_start, duration_s)
        if end - start < SHORTEST_S:
            continue
        if start - at >= SHORTEST_S:
            pieces.append(("sil", at, start))
        pieces.append((phone, start, end))
        at = end
    if duration_s - at >= SHORTEST_S or not pieces:
        pieces.append(("sil", at, duration_s))
    joined: list[Segment] = []
    for phone, _, end in pieces:  # each starts where the last one ends, so short gaps close by themselves
        if joined and phone == "sil" and joined[-1][0] == "sil":
            joined[-1] = (phone, joined[-1][1], end)
        else:
            joined.append((phone, joined[-1][2] if joined else 0.0, end))
    joined[-1] = (*joined[-1][:2], duration_s)
    return joined


def check_speech(samples: np.ndarray, sample_rate: int, segments: Sequence[Segment]) -> None:
    """The quality gate of the corpus.

    samples (N,) float32 in [-1, 1], segments as `cover` returns them. Raises SynthesisError when the sound is clipped,
    silent, shorter than 0.8 s or longer than 14 s, has a phone longer than 0.9 s, or does not fit its labels (vowels
    where there is no sound, or sound in the labelled silences).
    """
    duration = len(samples) / sample_rate
    if not 0.8 <= duration <= 14.0:
        raise SynthesisError(f"The utterance lasts {duration:.1f} s.")
    if np.mean(np.abs(samples) >= 0.999) > 5e-4:
        raise SynthesisError("The utterance is clipped.")
    if np.sqrt(np.mean(samples**2)) < 2e-3:
        raise SynthesisError("The utterance is silent.")
    if any(phone not in PHONE_INDEX for phone, _, _ in segments):
        raise SynthesisError("The utterance has a phone outside the inventory.")
    if any(end - start > LONGEST_PHONE_S for phone, start, end in segments if phone != "sil"):
        raise SynthesisError("A phone of the utterance is too long.")
    hop = sample_rate // 100
    frames = samples[: len(samples) // hop * hop].reshape(-1, hop)
    level = 10 * np.log10(np.mean(frames**2, axis=1) + 1e-9)
    level -= np.percentile(level, 95)

    def middle(start: float, end: float) -> float:
        return float(level[min(int((start + end) / 2 * 100), len(level) - 1)])

    vowels = [middle(start, end) for phone, start, end in segments if phone in VOWELS]
    silences = [middle(start, end) for phone, start, end in segments if phone == "sil" and end - start > 0.12]
    if len(vowels) < 2 or np.mean(np.array(vowels) < -32) > 0.12 or np.mean(np.array(silences or [-99]) > -18) > 0.34:
        raise SynthesisError("The sound of the utterance does not fit its labels.")
