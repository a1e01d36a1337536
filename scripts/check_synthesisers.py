"""Do the installed synthesisers (Debian's espeak-ng, flite, festival) still speak with labels that fit their sound?

Prints one row per training voice: how many of ten sentences pass the corpus' quality gate, and how far the band above
1 kHz falls at the labelled closures of p and m (dB under the vowel before, median). Exits 1 when a voice fails half of
its sentences or its closures are not quieter than its vowels. The tests use stand-ins and need none of this.

    .venv/bin/python scripts/check_synthesisers.py
"""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from engine.starter.phones import VOWELS  # noqa: E402
from engine.starter.segments import Segment, SynthesisError  # noqa: E402
from engine.starter.speakers import SAMPLE_RATE, Style  # noqa: E402
from engine.starter.synthesis import synthesise  # noqa: E402
from engine.starter.text import sentence  # noqa: E402
from engine.starter.voices import find_voices  # noqa: E402

SENTENCES = 10
LEAST_DROP_DB = 6.0


def main() -> int:
    voices = find_voices()
    if not voices:
        print("No synthesiser is installed.", file=sys.stderr)
        return 1
    failed = False
    for voice in voices:
        drops: list[float] = []
        good = 0
        for i in range(SENTENCES):
            try:
                samples, segments = synthesise(voice, sentence(Random(i), voice.language), Style())
            except SynthesisError:
                continue
            good += 1
            drops += closure_drops(samples, segments)
        drop = float(np.median(drops)) if drops else float("nan")
        bad = good <= SENTENCES / 2 or (len(drops) > 5 and drop < LEAST_DROP_DB)
        failed |= bad
        print(
            f"{voice.engine:<9} {voice.name:<24} {good:>2}/{SENTENCES}  {drop:5.1f} dB  {'FAIL' if bad else 'ok'}",
            flush=True,
        )
    return int(failed)


def closure_drops(samples: np.ndarray, segments: list[Segment]) -> list[float]:
    """dB by which the band above 1 kHz is quieter 30 % into each p or m than in the middle of the vowel before."""
    spectrum = np.fft.rfft(samples)
    spectrum[: int(1000 * len(samples) / SAMPLE_RATE)] = 0
    power = np.convolve(np.fft.irfft(spectrum, len(samples)) ** 2, np.ones(160) / 160, "same")
    level = 10 * np.log10(power + 1e-9)
    return [
        float(
            level[int((start + end) / 2 * SAMPLE_RATE)] - level[int((closed + 0.3 * (opened - closed)) * SAMPLE_RATE)]
        )
        for (before, start, end), (phone, closed, opened) in pairwise(segments)
        if before in VOWELS and phone in ("p", "m")
    ]


if __name__ == "__main__":
    sys.exit(main())
