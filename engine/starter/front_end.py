"""What the starter's encoder hears: log-mel frames twice, as they are and as they stand out from the noise. NumPy only."""

from __future__ import annotations

import numpy as np

from ..audio import MEL_BANDS, log_mel

BANDS = 2 * MEL_BANDS
SMOOTHED = 5  # frames of 10 ms averaged before a band's noise and speech levels are read
NOISE_PERCENTILE, SPEECH_PERCENTILE = 15, 95
# Noise taken away per band, in units of its level (Berouti et al. 1979), and what is left at least, in the band's speech.
OVERSUBTRACTION = 1.3
FLOOR = 0.005


def hear(samples: np.ndarray, bands: int = BANDS) -> np.ndarray:
    """(S,) float32 at 16 kHz to (1 + S // 160, bands) float32 at 100 Hz: `log_mel`, and `above_noise` beside it where the
    encoder asks for twice as many bands."""
    mel = log_mel(samples)
    return both(mel) if bands == BANDS else mel


def both(mel: np.ndarray) -> np.ndarray:
    """(T, 80) `log_mel` frames to (T, 160): themselves and `above_noise`."""
    return np.concatenate([mel, above_noise(mel)], axis=1)


def above_noise(mel: np.ndarray) -> np.ndarray:
    """(T, 80) `log_mel` frames to (T, 80) float32, about -1.6..1: every band without its own steady noise and relative to
    its own speech, so that neither a hiss nor a telephone's or a microphone's colour matters (spectral subtraction, Boll
    1979; the levels are percentiles over the clip)."""
    power = np.maximum(np.exp(4 * (mel.astype(np.float64) - 1)) - 1e-6, 0)
    padded = np.pad(power, ((SMOOTHED // 2, SMOOTHED // 2), (0, 0)), mode="edge")
    sums = np.cumsum(np.pad(padded, ((1, 0), (0, 0))), axis=0)
    smooth = np.maximum(sums[SMOOTHED:] - sums[:-SMOOTHED], 0) / SMOOTHED
    noise, speech = np.percentile(smooth, (NOISE_PERCENTILE, SPEECH_PERCENTILE), axis=0)
    left = np.maximum(power - OVERSUBTRACTION * noise, 0) / np.maximum(speech - noise, 1e-6)
    return (np.log(left + FLOOR) / 4 + 0.3).astype(np.float32)
