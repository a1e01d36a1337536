"""Log-mel frames without a room's echoes. NumPy only.

Weighted prediction error (WPE; Nakatani, Yoshioka, Kinoshita, Miyoshi & Juang 2010, "Speech dereverberation based on
variance-normalized delayed linear prediction"), one channel: in every frequency, what the last TAPS frames predict of a
frame is echo, and goes; frames count the more the quieter they are, so that speech itself is not predicted away.
"""

from __future__ import annotations

import numpy as np

from ..audio import MEL_BANDS, frame_spectra, mel_filters, mel_frames, normalise_level

# Frames of 10 ms: how far back echoes come from, and how near they begin (that near, neighbouring windows share sound).
TAPS, DELAY = 24, 1
ROUNDS = 2  # each takes the quietness of the frames from the round before
SMOOTHED = 7  # frames over which that quietness is averaged
DIAGONAL = 1e-4  # added to the correlations' diagonal, of its mean: a processor's rounding hardly shows
# How much fainter the whole sound becomes, dB: up to the first it is taken for dry and left alone (people close to the
# microphone or on the telephone: 0.9 to 2.4, with few exceptions), from the second on all that was predicted goes (the
# same in a room of 0.45 s: 3.1 to 5.8).
ECHO_RANGE = (2.4, 3.1)
# Frames cleaned together, and how many of them blend into the next block: a room is learned in seconds.
BLOCK, BLEND = 2000, 100


def dry_log_mel(samples: np.ndarray) -> tuple[np.ndarray, float]:
    """(S,) float32 at 16 kHz to (1 + S // 160, 80) float32 like `audio.log_mel`, the echoes of a room taken away where
    there are any (dry sound gives what `audio.log_mel` gives), and how sure it is that there are echoes, 0..1."""
    total = mel_frames(len(samples))
    mel = np.zeros((total, MEL_BANDS), np.float32)
    echoes = 0.0
    blocks = max(1, round(total / BLOCK))
    edges = np.linspace(0, total, blocks + 1).astype(int)
    for first, last in zip(edges[:-1], edges[1:], strict=True):
        low, high = max(0, first - BLEND // 2), min(total, last + BLEND // 2)
        share = np.ones(high - low, np.float32)
        ramp = (np.arange(BLEND, dtype=np.float32) + 0.5) / BLEND
        if low > 0:
            share[:BLEND] = ramp
        if high < total:
            share[-BLEND:] = ramp[::-1]
        power, echoing = dry_power(frame_spectra(samples, low, high))
        mel[low:high] += (power @ mel_filters()) * share[:, None]
        echoes += echoing * (last - first) / total
    return normalise_level(mel), echoes


def dry_power(spectra: np.ndarray) -> tuple[np.ndarray, float]:
    """(T, F) complex64 spectra of frames of 10 ms to their (T, F) float32 powers with the echoes taken away, and how much of
    them was, 0 (the sound is dry) to 1."""
    echo = predicted_echo(spectra)
    power, left = energy(spectra), energy(spectra - echo)
    gone = 10 * np.log10((power.sum(dtype=np.float64) + 1e-9) / (left.sum(dtype=np.float64) + 1e-9))
    share = float(np.interp(gone, ECHO_RANGE, (0, 1)))
    return (energy(spectra - np.float32(share) * echo) if share > 0 else power), share


def predicted_echo(spectra: np.ndarray) -> np.ndarray:
    """(T, F) complex64: the part of every frame that the frames DELAY to DELAY + TAPS - 1 before it predict."""
    frames = len(spectra)
    echo = np.zeros_like(spectra)
    faintest = np.float32(1e-8) * energy(spectra).max(initial=0) + np.float32(1e-12)
    stack = np.zeros((TAPS + 1, frames), np.complex64)  # the frames before, and the frame itself
    for k in range(spectra.shape[1]):
        heard = stack[TAPS] = spectra[:, k]
        for tap in range(min(TAPS, frames - DELAY)):
            stack[tap, DELAY + tap :] = heard[: frames - DELAY - tap]
        dry = heard
        for _ in range(ROUNDS):
            weighted = stack[:TAPS] / np.maximum(smoothed(energy(dry)), faintest)
            correlation = (weighted @ stack.conj().T).astype(np.complex128)
            square = correlation[:, :TAPS]
            square[np.diag_indices(TAPS)] += DIAGONAL * np.trace(square).real / TAPS + 1e-9
            filters = np.linalg.solve(square, correlation[:, TAPS]).astype(np.complex64)
            echo[:, k] = filters.conj() @ stack[:TAPS]
            dry = heard - echo[:, k]
    return echo


def energy(spectra: np.ndarray) -> np.ndarray:
    """Squared magnitude, float32."""
    return spectra.real**2 + spectra.imag**2


def smoothed(power: np.ndarray) -> np.ndarray:
    """(T,) float32: mean over SMOOTHED frames."""
    padded = np.pad(power, SMOOTHED // 2, mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, SMOOTHED).mean(axis=1)
