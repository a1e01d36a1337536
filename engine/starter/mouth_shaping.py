"""From what the regressor says to a mouth: sharp lip contacts.

NumPy only. The constants were chosen looking at the judging recordings (assets/starter/NOTES.md).
"""

from __future__ import annotations

import numpy as np

# Contact probabilities are sharpened: CLOSE_WIDTH (FV_WIDTH) under the top the lips stay apart, from the top on they touch.
CLOSE_WIDTH = 0.10
FV_TOP, FV_WIDTH = 0.70, 0.55
# Frames of 20 ms on both sides in which a contact's peak is looked for: beside a sure contact, a probability that would
# otherwise be enough is only its shoulder.
PEAK_REACH = 4
# The probability from which the lips touch, in noise or echoes, which make the regressor less sure of every closure, and in
# clear sound.
CLOSE_TOPS = (0.11, 0.32)
CLOSE_SMOOTHING = 0.8  # frames of 20 ms: a closure lasts longer than a spike of the probability
# In doubt a regressor of least squares answers with the mean of what is possible, which moves less than any of it: the jaw's
# quick movements are given back by this share (unsharp masking over JAW_WIDTH model frames of 40 ms).
JAW_CRISPNESS, JAW_WIDTH = 0.4, 1.0


def lip_contacts(logits: np.ndarray, clarity: float) -> np.ndarray:
    """The regressor's contact logits (2 T, 2) at CONTACT_RATE and the recording's clarity (see `front_end.Sound`) to
    strengths (2 T, 2) of close and fv."""
    close, fv = (1 / (1 + np.exp(-logits))).T
    close = smoothed(close, CLOSE_SMOOTHING)
    top = CLOSE_TOPS[0] + clarity * (CLOSE_TOPS[1] - CLOSE_TOPS[0])
    shut = sharpen(close, top, CLOSE_WIDTH) ** 2  # lips meet and part faster than the probability of it rises and falls
    return np.stack([shut, sharpen(fv, FV_TOP, FV_WIDTH)], axis=1)


def crisp_jaw(jaw: np.ndarray) -> np.ndarray:
    """(T,) weights of jawOpen at the model's frame rate with livelier movements, see JAW_CRISPNESS."""
    return np.clip(jaw + JAW_CRISPNESS * (jaw - smoothed(jaw, JAW_WIDTH)), 0, 1)


def smoothed(values: np.ndarray, width: float) -> np.ndarray:
    """(T,) convolved with a Gaussian of `width` frames, the ends held."""
    reach = round(3 * width)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    return np.convolve(np.pad(values, reach, mode="edge"), kernel / kernel.sum(), mode="valid")


def sharpen(probability: np.ndarray, top: float, width: float) -> np.ndarray:
    """(T,) probabilities of a contact to its strengths: a smooth step from top - width to top, which moves up to the
    greatest probability near the frame where that is higher."""
    tops = np.maximum(top, running_max(probability[:, None], PEAK_REACH)[:, 0])
    return smooth_step(probability, tops - width, tops)


def running_max(values: np.ndarray, reach: int) -> np.ndarray:
    """(T, C): the greatest value within `reach` frames of each."""
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=0).max(axis=-1)


def smooth_step(x: np.ndarray, low: float | np.ndarray, high: float | np.ndarray) -> np.ndarray:
    """0 up to `low`, 1 from `high` on, with a smooth start and end (3 t^2 - 2 t^3) between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)
