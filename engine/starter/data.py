"""The synthesised corpus as training chunks: utterances of one voice joined with pauses, phones with their times."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..audio import SAMPLE_RATE, log_mel
from .articulation import GRID, Style, mouth_controls, to_frames
from .augment import at_any_level, at_frames, augment, augment_mel, breath, speaking_pace, warp
from .dereverberation import dry_log_mel
from .front_end import both
from .performance import FRAME_RATE
from .phones import PHONES

CHUNK_SECONDS = 10.24
CHUNK_SAMPLES = round(CHUNK_SECONDS * SAMPLE_RATE)
ENCODER_RATE = 50  # Hz
# How often a chunk comes from each engine: recorded-human voices carry the generalisation to people.
ENGINE_SHARE = {"flite": 0.44, "festival": 0.38, "espeak": 0.18}

ECHOING = 0.5  # of the spoiled sounds are in a room


@dataclass(frozen=True)
class Utterance:
    """One sentence: int16 samples at 16 kHz and its segments (phone index, start s, end s)."""

    samples: np.ndarray
    phones: np.ndarray
    starts: np.ndarray
    ends: np.ndarray


@dataclass(frozen=True)
class Chunk:
    """CHUNK_SECONDS of one voice: float32 samples, and phones (N,) names with starts and ends (N,) in seconds."""

    samples: np.ndarray
    phones: list[str]
    starts: np.ndarray
    ends: np.ndarray


def load_corpus(folder: Path, held_out: bool = False) -> dict[str, list[Utterance]]:
    """All utterances by voice from the shards that `synthesis.build_corpus` wrote; training or held-out voices."""
    voices: dict[str, list[Utterance]] = {}
    for path in sorted(Path(folder).glob("shard_*.npz")):
        with np.load(path, allow_pickle=False) as shard:
            audio, starts = shard["audio"], shard["utterance_start"]
            owner = shard["segment_utterance"]
            bounds = np.searchsorted(owner, np.arange(len(starts)))
            for u, voice in enumerate(shard["voice"].tolist()):
                if bool(shard["held_out"][u]) != held_out:
                    continue
                span = slice(bounds[u], bounds[u + 1])
                voices.setdefault(voice, []).append(
                    Utterance(
                        audio[starts[u] : starts[u + 1]],
                        shard["segment_phone"][span],
                        shard["segment_start"][span],
                        shard["segment_end"][span],
                    )
                )
    if not voices:
        raise FileNotFoundError(f"There is no corpus in '{folder}'; make one with python -m engine.starter.synthesis.")
    return voices


class ChunkMaker:
    """Draws chunks: an engine, a voice, then utterances with pauses between them until the chunk is full."""

    def __init__(self, voices: dict[str, list[Utterance]]):
        self.voices = voices
        self.engines: dict[str, list[str]] = {}
        for voice in sorted(voices):
            self.engines.setdefault(voice.split(":")[0], []).append(voice)
        share = np.array([ENGINE_SHARE[e] for e in self.engines])
        self.share = share / share.sum()

    def draw_voice(self, rng: np.random.Generator) -> str:
        """An engine by its share, then one of its voices in proportion to the square root of its utterances."""
        voices = self.engines[list(self.engines)[rng.choice(len(self.engines), p=self.share)]]
        size = np.sqrt([len(self.voices[v]) for v in voices])
        return voices[rng.choice(len(voices), p=size / size.sum())]

    def draw(self, rng: np.random.Generator, warped: bool = False) -> Chunk:
        """A chunk; `warped` also shifts pitch, formants and speed together by up to 15 %."""
        utterances = self.voices[self.draw_voice(rng)]
        factor = float(np.exp(rng.uniform(-0.14, 0.14))) if warped and rng.random() < 0.5 else 1.0
        samples = np.zeros(CHUNK_SAMPLES, np.float32)
        phones: list[str] = []
        starts: list[float] = []
        ends: list[float] = []
        position = rng.uniform(0, 0.5)
        while position < CHUNK_SECONDS - 0.3:
            u = utterances[rng.integers(len(utterances))]
            audio = u.samples.astype(np.float32) / 32768
            audio = warp(audio, factor) if factor != 1 else audio
            at = round(position * SAMPLE_RATE)
            part = audio[: CHUNK_SAMPLES - at]
            samples[at : at + len(part)] += part
            phones += [PHONES[p] for p in u.phones]
            starts += list(position + u.starts / factor)
            ends += list(position + u.ends / factor)
            position += len(audio) / SAMPLE_RATE
            pause = rng.uniform(0.7, 1.6) if rng.random() < 0.1 else rng.uniform(0.05, 0.7)
            if pause > 0.25 and rng.random() < 0.35:
                add_breath(samples, position + 0.03, pause - 0.06, rng)
            position += pause
        return fill_pauses(Chunk(samples, phones, np.array(starts), np.array(ends)))


def add_breath(samples: np.ndarray, start: float, longest: float, rng: np.random.Generator) -> None:
    """A breath 10 to 35 dB under the speech into the pause [start, start + longest) s of (S,) samples, in place."""
    sound = breath(round(min(longest, rng.uniform(0.18, 0.6)) * SAMPLE_RATE), rng)
    at = round(start * SAMPLE_RATE)
    room = max(0, len(samples) - at)
    samples[at : at + len(sound)] += (sound * 0.3 * 10 ** (-rng.uniform(10, 35) / 20))[:room]


def fill_pauses(chunk: Chunk) -> Chunk:
    """Add silence segments wherever no phone is, and cut everything to the chunk."""
    phones: list[str] = []
    starts: list[float] = []
    ends: list[float] = []
    clock = 0.0
    for phone, start, end in zip(chunk.phones, chunk.starts, chunk.ends, strict=True):
        if start >= CHUNK_SECONDS:
            break
        if start > clock + 1e-3:
            phones, starts, ends = [*phones, "sil"], [*starts, clock], [*ends, start]
        phones, starts, ends = [*phones, phone], [*starts, start], [*ends, min(end, CHUNK_SECONDS)]
        clock = ends[-1]
    if clock < CHUNK_SECONDS:
        phones, starts, ends = [*phones, "sil"], [*starts, clock], [*ends, CHUNK_SECONDS]
    return Chunk(chunk.samples, phones, np.array(starts), np.array(ends))


def phone_frames(chunk: Chunk, rate: int, frames: int) -> np.ndarray:
    """(frames,) int64 phone index at n / rate seconds."""
    at = np.searchsorted(chunk.starts, np.arange(frames) / rate, side="right") - 1
    return np.array([PHONES.index(p) for p in chunk.phones])[np.clip(at, 0, None)]


def loudness(samples: np.ndarray) -> np.ndarray:
    """(frames,) at 25 Hz, 0 at 35 dB under the clip's loud speech (95th percentile) to 1 at it."""
    size = SAMPLE_RATE // FRAME_RATE
    padded = np.pad(samples, (size // 2, size))
    frames = len(samples) // size + 1
    blocks = padded[: frames * size].reshape(frames, size)
    decibels = 10 * np.log10((blocks**2).mean(1) + 1e-10)
    top = max(np.percentile(decibels, 95), -50)
    return np.clip((decibels - top + 35) / 35, 0, 1).astype(np.float32)


class EncoderExamples:
    """Map-style dataset: example i is made from (seed, i) alone. Items: frames of `front_end` (T100, 160), phones (T50,),
    controls (T50, 9)."""

    def __init__(self, folder: Path, count: int, seed: int):
        self.maker = ChunkMaker(load_corpus(folder))
        self.count, self.seed = count, seed

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rng = np.random.default_rng([self.seed, index])
        sounded = self.maker.draw(rng, warped=True)
        samples = sounded.samples
        steps = round(CHUNK_SECONDS * GRID)
        pace = speaking_pace(steps, rng) if rng.random() < 0.6 else np.arange(steps + 1.0)
        starts, ends = (np.interp(at * GRID, pace, np.arange(steps + 1)) / GRID for at in (sounded.starts, sounded.ends))
        spoken = ends > starts
        phones_left = [p for p, s in zip(sounded.phones, spoken, strict=True) if s]
        chunk = fill_pauses(Chunk(samples, phones_left, starts[spoken], ends[spoken]))
        frames = round(CHUNK_SECONDS * ENCODER_RATE)
        curves = mouth_controls(chunk.phones, chunk.starts, chunk.ends, CHUNK_SECONDS, Style())
        controls, phones = to_frames(curves, ENCODER_RATE, frames), phone_frames(chunk, ENCODER_RATE, frames)
        if rng.random() < 0.02:  # no speech at all: noise must leave the mouth at rest
            samples, phones = np.zeros_like(samples), np.zeros_like(phones)
            controls = np.zeros_like(controls)
        babble = self.maker.draw(rng).samples if rng.random() < 0.25 else None
        # A third of the sounds stay clean: with fewer, clean speech itself was heard less well.
        spoiled = rng.random() < 0.67
        echoing = spoiled and rng.random() < ECHOING
        samples = augment(samples, babble, echoing, rng) if spoiled else at_any_level(samples, rng)
        mel = at_frames(dry_log_mel(samples)[0] if echoing else log_mel(samples), pace[:-1])
        return both(augment_mel(mel, rng) if rng.random() < 0.7 else mel), phones, controls
