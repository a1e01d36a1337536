"""From what the regressor says to a mouth: sharp lip contacts.

NumPy only. The constants were chosen looking at the judging recordings (assets/starter/NOTES.md).
"""

from __future__ import annotations

import numpy as np

from .phones import PHONES

# Contact probabilities are sharpened: CLOSE_WIDTH (FV_WIDTH) under the top the lips stay apart, from the top on they touch.
CLOSE_WIDTH = 0.10
FV_TOP, FV_WIDTH = 0.70, 0.55
# Frames on both sides in which a contact's peak is looked for: beside a sure contact, a probability that would otherwise
# be enough is only its shoulder (a frame of 40 ms counts as closed when any part of it is).
PEAK_REACH = 2
# From noisy to quiet recordings (dB of `front_end.signal_to_noise`): the probability from which the lips touch, and how
# much the phone head has to say in it, p^(1 - share) * evidence^share. Noise makes the regressor less sure of every closure.
NOISE_RANGE = (20.0, 26.0)
CLOSE_TOPS = (0.15, 0.30)
PHONE_SHARES = (0.6, 0.3)
BILABIALS = [PHONES.index(name) for name in "pbm"]


def lip_contacts(logits: np.ndarray, conditions: np.ndarray, signal_to_noise: float) -> np.ndarray:
    """The regressor's contact logits (T, 2), the encoder's conditions (T, C) and the recording's quality (dB) to strengths
    (T, 2) of close and fv."""
    contacts = 1 / (1 + np.exp(-logits))
    share = np.interp(signal_to_noise, NOISE_RANGE, PHONE_SHARES)
    contacts[:, 0] = contacts[:, 0] ** (1 - share) * bilabial_evidence(conditions) ** share
    top = float(np.interp(signal_to_noise, NOISE_RANGE, CLOSE_TOPS))
    return np.stack([sharpen(contacts[:, 0], top, CLOSE_WIDTH), sharpen(contacts[:, 1], FV_TOP, FV_WIDTH)], axis=1)


def bilabial_evidence(conditions: np.ndarray) -> np.ndarray:
    """(T, C) of the encoder, two phone frames to a row, to (T,): the phone head's greatest p + b + m in a row, at least
    0.001."""
    posteriors = conditions.reshape(2 * len(conditions), -1)[:, -len(PHONES) :]
    return np.maximum(posteriors[:, BILABIALS].sum(axis=1).reshape(-1, 2).max(axis=1), 1e-3)


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
