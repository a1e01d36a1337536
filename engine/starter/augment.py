"""Making studio-clean synthetic speech sound like the recordings people have. All NumPy, 16 kHz mono float32 in and out."""

from __future__ import annotations

import io

import numpy as np
from scipy.fft import dct, idct
from scipy.signal import butter, fftconvolve, lfilter, sosfilt

from ..audio import MEL_RANGE, SAMPLE_RATE

LOWEST_MEL, HIGHEST_MEL = (2595 * float(np.log10(1 + f / 700)) for f in MEL_RANGE)
MEL_PER_DB = np.log(10) / 10 / 4  # `log_mel` is a quarter of the natural logarithm of power


def augment(samples: np.ndarray, babble: np.ndarray | None, echoing: bool, rng: np.random.Generator) -> np.ndarray:
    """A random chain of level changes, a room (where `echoing`), EQ, noise, babble, telephone band, clipping, gain and
    codec; no step moves the sound in time."""
    x = samples
    if rng.random() < 0.35:
        x = x * drifting_gain(len(x), rng)
    if echoing:
        x = room(x, rng)
    if rng.random() < 0.5:
        x = equalise(x, rng)
    if rng.random() < 0.75:
        x = add_noise(x, coloured_noise(len(x), rng), rng.uniform(0, 35))
    if babble is not None and rng.random() < 0.6:
        x = add_noise(x, babble[: len(x)], rng.uniform(5, 30))
    if rng.random() < 0.12:
        x = telephone(x, rng)
    if rng.random() < 0.05:
        limit = np.abs(x).max() * rng.uniform(0.3, 0.8) + 1e-9
        x = np.clip(x, -limit, limit)
    x = at_any_level(x, rng)
    if rng.random() < 0.04:
        x = through_codec(x, rng)
    return x.astype(np.float32)


def at_any_level(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The sound with its peak 0.5 to 25 dB under full scale."""
    return (x / (np.abs(x).max() + 1e-6) * 10 ** (rng.uniform(-25, -0.5) / 20)).astype(np.float32)


def augment_mel(mel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(T, 80) `log_mel` frames as another throat and microphone might give them: the frequency axis stretched (`other_throat`),
    a hoarser voice with sharper or duller formants (`other_voice`), a smooth random EQ of some dB, a wider or narrower
    dynamic range, and bands and moments blanked out (SpecAugment, Park et al. 2019). Times stay."""
    bands = mel.shape[1]
    if rng.random() < 0.7:
        mel = other_throat(mel, rng)
    if rng.random() < 0.5:
        mel = other_voice(mel, rng.uniform(0, 1), rng.uniform(0.75, 1.2))
    if rng.random() < 0.6:
        knots = rng.normal(0, 4.0, rng.integers(3, 8))  # dB
        curve = np.interp(np.linspace(0, 1, bands), np.linspace(0, 1, len(knots)), knots)
        mel = mel + (curve * MEL_PER_DB).astype(np.float32)
    if rng.random() < 0.3:
        mel = (mel - 1) * rng.uniform(0.8, 1.15) + 1
    mel = np.array(mel, np.float32)
    if rng.random() < 0.5:
        for _ in range(rng.integers(1, 3)):
            width = int(rng.integers(2, 10))
            first = int(rng.integers(0, bands - width))
            mel[:, first : first + width] = mel[:, first : first + width].mean()
    if rng.random() < 0.5:
        for _ in range(rng.integers(1, 8)):
            width = int(rng.integers(2, 10))
            first = int(rng.integers(0, max(1, len(mel) - width)))
            mel[first : first + width] = mel.mean(axis=0)
    return mel


def other_throat(mel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The frequency axis stretched by up to 14 % (vocal tract length perturbation, Jaitly & Hinton 2013), and by some per
    cent more or less from region to region, as mouths and throats differ in their proportions."""
    bands = mel.shape[1]
    regions = rng.uniform(-0.13, 0.13) + rng.normal(0, 0.035, 6)
    factor = np.exp(np.interp(np.linspace(0, 1, bands), np.linspace(0, 1, len(regions)), regions))
    hertz = 700 * (10 ** (np.linspace(LOWEST_MEL, HIGHEST_MEL, bands) / 2595) - 1)
    wanted = 2595 * np.log10(1 + hertz * factor / 700)
    at = np.clip((wanted - LOWEST_MEL) / (HIGHEST_MEL - LOWEST_MEL) * (bands - 1), 0, bands - 1)
    low = np.minimum(at.astype(int), bands - 2)
    part = (at - low).astype(np.float32)
    return mel[:, low] * (1 - part) + mel[:, low + 1] * part


def other_voice(mel: np.ndarray, harmonics: float, formants: float) -> np.ndarray:
    """(T, 80) log-mel frames with two parts of each frame's cosine transform scaled: `harmonics` what varies faster along
    the frequencies than formants do, `formants` the rest but for the mean (cepstral liftering)."""
    cepstrum = dct(mel, norm="ortho", axis=1)
    cepstrum[:, 20:] *= harmonics
    cepstrum[:, 1:20] *= formants
    return idct(cepstrum, norm="ortho", axis=1).astype(np.float32)


def speaking_pace(frames: int, rng: np.random.Generator) -> np.ndarray:
    """(frames + 1,) where in a sound of as many frames each frame, and the end, is taken from: slower by 0 to 15 % on the
    whole, and by turns slower and faster every some 300 ms, as people drawl and hurry."""
    speed = np.exp(rng.normal(0, 0.18, max(2, frames // 30)))
    speed = np.interp(np.arange(frames), np.linspace(0, frames, len(speed)), speed)
    speed *= rng.uniform(0.85, 1.0) / max(speed.mean(), 1e-6)
    return np.concatenate([[0.0], np.cumsum(speed)])


def at_frames(mel: np.ndarray, at: np.ndarray) -> np.ndarray:
    """(T, n) frames read at the places `at`, linear between."""
    at = np.clip(at, 0, len(mel) - 1)
    first = np.minimum(at.astype(int), len(mel) - 2)
    part = (at - first).astype(np.float32)[:, None]
    return mel[first] * (1 - part) + mel[first + 1] * part


def warp(samples: np.ndarray, factor: float) -> np.ndarray:
    """Play `factor` times faster: pitch and formants move up together and times divide by `factor`."""
    positions = np.arange(0, len(samples) - 1, factor)
    return np.interp(positions, np.arange(len(samples)), samples).astype(np.float32)


def add_noise(x: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """x plus noise (S,) at a signal-to-noise ratio over the whole clip."""
    signal, level = np.sqrt(np.mean(x**2)) + 1e-6, np.sqrt(np.mean(noise**2)) + 1e-9
    return x + noise * (signal / level * 10 ** (-snr_db / 20))


def coloured_noise(count: int, rng: np.random.Generator) -> np.ndarray:
    """(count,) noise whose spectrum falls by 0 to 12 dB per octave, often by none, a microphone's own; sometimes with hum."""
    pole = rng.uniform(0, 0.98) if rng.random() < 0.6 else 0.0
    noise = lfilter([1 - pole], [1, -pole], rng.standard_normal(count))
    if rng.random() < 0.15:
        hum = rng.choice([50, 60])
        noise = noise / (noise.std() + 1e-9) + np.sin(2 * np.pi * hum * np.arange(count) / SAMPLE_RATE)
    return noise


def drifting_gain(count: int, rng: np.random.Generator) -> np.ndarray:
    """(count,) a speaker turning away and coming back: a gain that wanders by some dB over seconds."""
    knots = rng.normal(0, rng.uniform(1, 5), max(3, count // (SAMPLE_RATE * 3 // 2)))
    return 10 ** (np.interp(np.arange(count), np.linspace(0, count, len(knots)), knots) / 20)


def telephone(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """300 to 3400 Hz (ITU-T G.712), in half of the cases with G.711's 8-bit mu-law steps."""
    x = sosfilt(butter(4, [300, 3400], "bandpass", fs=SAMPLE_RATE, output="sos"), x)
    if rng.random() < 0.5:
        top = np.abs(x).max() + 1e-9
        steps = np.round(np.sign(x) * np.log1p(255 * np.abs(x) / top) / np.log(256) * 127) / 127
        x = top * np.sign(steps) * np.expm1(np.abs(steps) * np.log(256)) / 255
    return x


def breath(count: int, rng: np.random.Generator) -> np.ndarray:
    """(count,) float32, peak about 1: air drawn in or let out, hissing noise with two broad resonances that swells."""
    time = np.linspace(0, 1, count)
    noise = rng.standard_normal(count)
    x = np.zeros(count)
    for centre in (rng.uniform(700, 1600), rng.uniform(1800, 4500)):
        low, high = centre / 1.5, min(centre * 1.5, 7800)
        x += rng.uniform(0.4, 1) * sosfilt(butter(2, [low, high], "bandpass", fs=SAMPLE_RATE, output="sos"), noise)
    x *= np.sin(np.pi * time ** rng.uniform(0.6, 1.6)) ** 1.5
    return (x / (np.abs(x).max() + 1e-9)).astype(np.float32)


def room(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Through a room: direct sound at time 0, at first in half of the rooms a few single echoes, then exponentially
    decaying noise of RT60 0.15 to 0.9 s, shorter above 2 kHz as walls and air swallow more there."""
    rt60 = rng.uniform(0.15, 0.9)
    length = int(rt60 * SAMPLE_RATE)
    decays = 10 ** (-3 * np.arange(length) / length)
    noise = rng.standard_normal(length)
    dull = sosfilt(butter(1, 2000, "lowpass", fs=SAMPLE_RATE, output="sos"), noise)
    tail = dull * decays + (noise - dull) * decays ** (1 / rng.uniform(0.4, 1.0))
    tail[: int(rng.uniform(0.002, 0.02) * SAMPLE_RATE)] = 0
    tail *= 10 ** (-rng.uniform(-6, 9) / 20) / np.sqrt((tail**2).sum() + 1e-9)
    if rng.random() < 0.5:
        first = rng.integers(SAMPLE_RATE // 500, SAMPLE_RATE // 33, rng.integers(1, 7))
        tail[first] += rng.uniform(-0.5, 0.5, len(first))
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
    """Through MP3, Vorbis or Opus and back (libsndfile adds no delay)."""
    import soundfile

    kind, subtype = [("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("OGG", "OPUS")][rng.integers(3)]
    buffer = io.BytesIO()
    soundfile.write(buffer, x, SAMPLE_RATE, format=kind, subtype=subtype)
    buffer.seek(0)
    decoded, _ = soundfile.read(buffer, dtype="float32")
    return np.pad(decoded, (0, max(0, len(x) - len(decoded))))[: len(x)]
