"""Speech with known phone times from espeak-ng, flite and festival, and the corpus of it on disk.

The label conventions of the three engines differ; the corrections were measured against acoustic landmarks (see
VOICES.md). `python -m engine.starter.synthesis --out DIR --minutes N --seed S --workers W` writes a corpus.
"""

import argparse
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from random import Random

import numpy as np

from .phones import PHONE_INDEX
from .segments import Segment, SynthesisError, check_speech, cover
from .speakers import SAMPLE_RATE, Speech, Style, draw_style, speak_espeak, speak_festival, speak_flite
from .text import sentence
from .voices import Voice, find_voices

UTTERANCES_PER_SHARD = 120
MEAN_UTTERANCE_S = 3.9
HELD_OUT_SHARE = 0.027


@dataclass(frozen=True)
class Utterance:
    """One utterance of the corpus: samples (N,) float32 mono at 16 kHz, segments covering all of it."""

    voice: Voice
    text: str
    samples: np.ndarray
    segments: list[Segment]


def synthesise(voice: Voice, text: str, style: Style) -> tuple[np.ndarray, list[Segment]]:
    """One sentence -> (samples (N,) float32 mono 16 kHz in [-1, 1], segments covering them).

    Raises SynthesisError when the engine fails or the result does not pass the quality gate.
    """
    if voice.engine == "espeak":
        return _finished(speak_espeak(voice, text, style))
    if voice.engine == "flite":
        return _finished(speak_flite(voice, text, style))
    [result] = speak_festival(voice, [(text, style)])
    return _finished(result)


def _finished(speech: Speech | SynthesisError) -> Speech:
    if isinstance(speech, SynthesisError):
        raise speech
    samples, segments = speech
    segments = cover(segments, len(samples) / SAMPLE_RATE)
    check_speech(samples, SAMPLE_RATE, segments)
    return samples, segments


def plan_shard(voices: tuple[Voice, ...], seed: int, shard: int) -> list[tuple[Voice, str, Style]]:
    """What one shard says: voices by their shares, texts and styles; depends on the arguments only."""
    rng = Random(f"{seed}/{shard}")
    trained = [voice for voice in voices if not voice.held_out]
    held_out = [voice for voice in voices if voice.held_out]
    plan: list[tuple[Voice, str, Style]] = []
    said: set[str] = set()
    while len(plan) < UTTERANCES_PER_SHARD:
        if held_out and rng.random() < HELD_OUT_SHARE:
            voice = rng.choice(held_out)
        else:
            voice = rng.choices(trained, [voice.share for voice in trained])[0]
        text = sentence(rng, voice.language)
        if text not in said:
            said.add(text)
            plan.append((voice, text, draw_style(rng)))
    return plan


def speak_shard(seed: int, shard: int) -> tuple[list[Utterance], dict[str, int]]:
    """The utterances of a shard that passed the gate, in the order of its plan, and how many failed by reason."""
    plan = plan_shard(find_voices(), seed, shard)
    results: dict[int, Speech | SynthesisError] = {}
    batches: dict[Voice, list[int]] = {}
    for i, (voice, text, style) in enumerate(plan):
        if voice.engine == "festival":
            batches.setdefault(voice, []).append(i)
            continue
        try:
            results[i] = (speak_flite if voice.engine == "flite" else speak_espeak)(voice, text, style)
        except SynthesisError as error:
            results[i] = error
    for voice, indices in batches.items():
        spoken = speak_festival(voice, [plan[i][1:] for i in indices])
        results.update(zip(indices, spoken, strict=True))
    utterances: list[Utterance] = []
    failures: dict[str, int] = {}
    for i, (voice, text, _) in enumerate(plan):
        try:
            samples, segments = _finished(results[i])
            utterances.append(Utterance(voice, text, samples, segments))
        except SynthesisError as error:
            reason = f"{voice.engine} {voice.name}: {error}"
            failures[reason] = failures.get(reason, 0) + 1
    return utterances, failures


def save_shard(path: Path, utterances: list[Utterance]) -> None:
    """Write the utterances as one npz, whole or not at all.

    audio (N,) int16 at 16 kHz; utterance_start (U+1,) int64 sample offsets; voice ("engine:name"), language, text (U,)
    str; held_out (U,) bool; segment_utterance (S,) int32; segment_phone (S,) int16, index in PHONES; segment_start,
    segment_end (S,) float32, seconds in the utterance.
    """
    rows = [(u, *segment) for u, utterance in enumerate(utterances) for segment in utterance.segments]
    lengths = [len(utterance.samples) for utterance in utterances]
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(
            file,
            audio=np.concatenate([np.round(u.samples * 32767).astype(np.int16) for u in utterances]),
            utterance_start=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            voice=np.array([f"{u.voice.engine}:{u.voice.name}" for u in utterances]),
            language=np.array([u.voice.language for u in utterances]),
            held_out=np.array([u.voice.held_out for u in utterances]),
            text=np.array([u.text for u in utterances]),
            segment_utterance=np.array([row[0] for row in rows], np.int32),
            segment_phone=np.array([PHONE_INDEX[row[1]] for row in rows], np.int16),
            segment_start=np.array([row[2] for row in rows], np.float32),
            segment_end=np.array([row[3] for row in rows], np.float32),
        )
    part.replace(path)


def _make_shard(out_dir: Path, seed: int, shard: int) -> dict[str, int]:
    utterances, failures = speak_shard(seed, shard)
    if not utterances:
        raise SynthesisError(f"No utterance of shard {shard} could be used: {next(iter(failures), 'no voices')}")
    save_shard(shard_path(out_dir, shard), utterances)
    return failures


def shard_path(out_dir: Path, shard: int) -> Path:
    return out_dir / f"shard_{shard:04d}.npz"


def build_corpus(
    out_dir: Path,
    minutes: float,
    seed: int = 0,
    workers: int = 1,
    progress: Callable[[int, int, dict[str, int]], None] | None = None,
) -> list[Path]:
    """Write about `minutes` of speech as shards `shard_XXXX.npz` (`save_shard`) and return their paths in order.

    Every shard holds all engines, mixed. Shards already there are kept, so a run that was cut off goes on where it
    stopped. The same seed, engines and voices give the same shards. `progress(done, total, failures)` is called after
    each shard. Raises SynthesisError when no synthesiser is installed.
    """
    if not find_voices():
        raise SynthesisError(
            "No speech synthesiser was found: install the Debian packages espeak-ng, flite and festival with its voices."
        )
    out_dir.mkdir(parents=True, exist_ok=True)
    total = max(1, ceil(minutes * 60 / (UTTERANCES_PER_SHARD * MEAN_UTTERANCE_S)))
    missing = [shard for shard in range(total) if not shard_path(out_dir, shard).is_file()]
    failures: dict[str, int] = {}
    with ProcessPoolExecutor(workers) as pool:
        jobs = [pool.submit(_make_shard, out_dir, seed, shard) for shard in missing]
        for done, job in enumerate(as_completed(jobs), total - len(missing) + 1):
            for reason, count in job.result().items():
                failures[reason] = failures.get(reason, 0) + count
            if progress is not None:
                progress(done, total, failures)
    return [shard_path(out_dir, shard) for shard in range(total)]


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Synthesise the speech corpus of the starter model.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the shards")
    parser.add_argument("--minutes", type=float, default=360.0, help="how much speech, about")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2, help="processes")
    options = parser.parse_args(arguments)

    def show(done: int, total: int, failures: dict[str, int]) -> None:
        print(f"shard {done} of {total}, {sum(failures.values())} utterances dropped", flush=True)

    try:
        build_corpus(options.out, options.minutes, options.seed, options.workers, show)
    except SynthesisError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
