"""What the starter's encoder hears: log-mel frames twice, as they are and as they stand out from the noise. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..audio import MEL_BANDS
from .dereverberation import dry_log_mel

BANDS = 2 * MEL_BANDS
SMOOTHED = 5  # frames of 10 ms averaged before a band's noise and speech levels are read
NOISE_PERCENTILE, SPEECH_PERCENTILE = 15, 95
# Noise taken away per band, in units of its level (Berouti et al. 1979), and what is left at least, in the band's speech.
OVERSUBTRACTION = 1.3
FLOOR = 0.005
NOISE_RANGE = (20.0, 26.0)  # dB of `signal_to_noise`, from noisy to quiet recordings


@dataclass(frozen=True)
class Sound:
    """What the encoder hears. frames: (1 + S // 160, bands) float32 at 100 Hz. clarity: 0 (noise or a room's echoes lie over
    the speech) to 1 (neither)."""

    frames: np.ndarray
    clarity: float


def hear(samples: np.ndarray, bands: int = BANDS) -> Sound:
    """(S,) float32 at 16 kHz to what the encoder hears of them: `dry_log_mel`, and `above_noise` beside it where the encoder
    asks for twice as many bands."""
    mel, echoing = dry_log_mel(samples)
    quiet = float(np.interp(signal_to_noise(mel), NOISE_RANGE, (0, 1)))
    return Sound(both(mel) if bands == BANDS else mel, min(quiet, 1 - echoing))


def both(mel: np.ndarray) -> np.ndarray:
    """(T, 80) `log_mel` frames to (T, 160): themselves and `above_noise`."""
    return np.concatenate([mel, above_noise(mel)], axis=1)


def above_noise(mel: np.ndarray) -> np.ndarray:
    """(T, 80) `log_mel` frames to (T, 80) float32, about -1.6..1: every band without its own steady noise and relative to
    its own speech, so that neither a hiss nor a telephone's or a microphone's colour matters (spectral subtraction, Boll
    1979; the levels are percentiles over the clip)."""
    out = mel_power(mel)
    noise, speech = levels(mel)
    out -= (OVERSUBTRACTION * noise).astype(np.float32)
    np.maximum(out, 0, out=out)
    out /= np.maximum(speech - noise, 1e-6).astype(np.float32)
    out += np.float32(FLOOR)
    np.log(out, out=out)
    out /= 4
    out += np.float32(0.3)
    return out


def signal_to_noise(mel: np.ndarray) -> float:
    """How far speech stands out from steady noise in (T, 80) `log_mel` frames, dB, mean over the bands: about 30 to 45 in
    a quiet room or over a telephone, 15 to 20 with white noise 15 dB under the speech. Echoes do not count as noise."""
    noise, speech = levels(mel)
    return float(10 * np.log10((speech + 1e-7) / (noise + 1e-7)).mean())


def mel_power(mel: np.ndarray) -> np.ndarray:
    """(T, n) `log_mel` frames back to float32 powers, relative to the clip's loud speech."""
    power = (mel - np.float32(1)) * np.float32(4)
    np.exp(power, out=power)
    power -= np.float32(1e-6)
    return np.maximum(power, 0, out=power)


def levels(mel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The noise's and the speech's level (80,) of each band of (T, 80) `log_mel` frames; a few bands at a time, so that hours
    of sound need little memory."""
    found = []
    for first in range(0, mel.shape[1], 8):
        power = mel_power(mel[:, first : first + 8]).astype(np.float64)
        padded = np.pad(power, ((SMOOTHED // 2 + 1, SMOOTHED // 2), (0, 0)), mode="edge")
        padded[0] = 0
        sums = np.cumsum(padded, axis=0)
        smooth = np.maximum(sums[SMOOTHED:] - sums[:-SMOOTHED], 0) / SMOOTHED
        found.append(np.percentile(smooth, (NOISE_PERCENTILE, SPEECH_PERCENTILE), axis=0))
    noise, speech = np.concatenate(found, axis=1)
    return noise, speech
