"""Making studio-clean synthetic speech sound like the recordings people have. All NumPy, 16 kHz mono float32 in and out."""

from __future__ import annotations

import io

import numpy as np
from scipy.signal import butter, fftconvolve, lfilter, sosfilt

from ..audio import SAMPLE_RATE


def augment(samples: np.ndarray, babble: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
    """A random chain of room, EQ, noise, telephone band, clipping, codec and gain; no step moves the sound in time."""
    x = samples
    if rng.random() < 0.35:
        x = room(x, rng)
    if rng.random() < 0.5:
        x = equalise(x, rng)
    if rng.random() < 0.75:
        x = add_noise(x, coloured_noise(len(x), rng), rng.uniform(3, 40))
    if babble is not None and rng.random() < 0.2:
        x = add_noise(x, babble[: len(x)], rng.uniform(8, 30))
    if rng.random() < 0.10:
        x = sosfilt(butter(4, [300, 3400], "bandpass", fs=SAMPLE_RATE, output="sos"), x)
    if rng.random() < 0.05:
        limit = np.abs(x).max() * rng.uniform(0.3, 0.8) + 1e-9
        x = np.clip(x, -limit, limit)
    x = x / (np.abs(x).max() + 1e-6) * 10 ** (rng.uniform(-25, -0.5) / 20)
    if rng.random() < 0.06:
        x = through_codec(x, rng)
    return x.astype(np.float32)


def warp(samples: np.ndarray, factor: float) -> np.ndarray:
    """Play `factor` times faster: pitch and formants move up together and times divide by `factor`."""
    positions = np.arange(0, len(samples) - 1, factor)
    return np.interp(positions, np.arange(len(samples)), samples).astype(np.float32)


def add_noise(x: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """x plus noise (S,) at a signal-to-noise ratio over the whole clip."""
    signal, level = np.sqrt(np.mean(x**2)) + 1e-6, np.sqrt(np.mean(noise**2)) + 1e-9
    return x + noise * (signal / level * 10 ** (-snr_db / 20))


def coloured_noise(count: int, rng: np.random.Generator) -> np.ndarray:
    """(count,) noise whose spectrum falls by 0 to 12 dB per octave; sometimes with hum."""
    pole = rng.uniform(0, 0.98)
    noise = lfilter([1 - pole], [1, -pole], rng.standard_normal(count))
    if rng.random() < 0.15:
        hum = rng.choice([50, 60])
        noise = noise / (noise.std() + 1e-9) + np.sin(2 * np.pi * hum * np.arange(count) / SAMPLE_RATE)
    return noise


def room(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exponentially decaying noise as a room response: RT60 0.15 to 0.8 s, direct sound kept at time 0."""
    rt60 = rng.uniform(0.15, 0.8)
    length = int(rt60 * SAMPLE_RATE)
    tail = rng.standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
    tail[: int(0.002 * SAMPLE_RATE)] = 0
    tail *= 10 ** (-rng.uniform(-2, 15) / 20) / np.sqrt((tail**2).sum() + 1e-9)
    tail[0] = 1
    return fftconvolve(x, tail)[: len(x)]


def equalise(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Microphone colour: a tilt and sometimes a low or high cut."""
    pole = rng.uniform(-0.6, 0.6)
    x = lfilter([1, pole], [1], x)
    if rng.random() < 0.4:
        x = sosfilt(butter(2, rng.uniform(60, 250), "highpass", fs=SAMPLE_RATE, output="sos"), x)
    if rng.random() < 0.4:
        x = sosfilt(butter(2, rng.uniform(3000, 7500), "lowpass", fs=SAMPLE_RATE, output="sos"), x)
    return x


def through_codec(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Through MP3 or Vorbis and back (libsndfile adds no delay)."""
    import soundfile

    kind, subtype = [("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS")][rng.integers(2)]
    buffer = io.BytesIO()
    soundfile.write(buffer, x, SAMPLE_RATE, format=kind, subtype=subtype)
    buffer.seek(0)
    decoded, _ = soundfile.read(buffer, dtype="float32")
    return np.pad(decoded, (0, max(0, len(x) - len(decoded))))[: len(x)]
