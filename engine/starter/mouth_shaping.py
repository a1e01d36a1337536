"""From what the regressor says to a mouth: sharp lip contacts.

NumPy only. The constants were chosen looking at the judging recordings (assets/starter/NOTES.md).
"""

from __future__ import annotations

import numpy as np

from .phones import PHONES

# Contact probabilities are sharpened: below the first value the lips stay apart, above the second they touch.
CLOSE_RANGE = (0.20, 0.30)
FV_RANGE = (0.15, 0.70)
# Frames on both sides in which a contact's peak is looked for: beside a sure contact, a probability that would otherwise
# be enough is only its shoulder (a frame of 40 ms counts as closed when any part of it is).
PEAK_REACH = 2
# How much the phone head has to say in a closure: the probability is p^(1 - share) * evidence^share.
PHONE_SHARE = 0.3
BILABIALS = [PHONES.index(name) for name in "pbm"]


def lip_contacts(logits: np.ndarray, conditions: np.ndarray) -> np.ndarray:
    """The regressor's contact logits (T, 2) and the encoder's conditions (T, C) to strengths (T, 2) of close and fv."""
    contacts = 1 / (1 + np.exp(-logits))
    contacts[:, 0] = contacts[:, 0] ** (1 - PHONE_SHARE) * bilabial_evidence(conditions) ** PHONE_SHARE
    return sharpen(contacts)


def bilabial_evidence(conditions: np.ndarray) -> np.ndarray:
    """(T, C) of the encoder, two phone frames to a row, to (T,): the phone head's greatest p + b + m in a row, at least
    0.001."""
    posteriors = conditions.reshape(2 * len(conditions), -1)[:, -len(PHONES) :]
    return np.maximum(posteriors[:, BILABIALS].sum(axis=1).reshape(-1, 2).max(axis=1), 1e-3)


def sharpen(contacts: np.ndarray) -> np.ndarray:
    """(T, 2) probabilities of close and fv to contact strengths: a smooth step over CLOSE_RANGE and FV_RANGE, which moves
    up to the greatest probability near the frame where that is higher."""
    peaks = running_max(contacts, PEAK_REACH)
    strengths = []
    for probability, peak, (low, high) in zip(contacts.T, peaks.T, (CLOSE_RANGE, FV_RANGE), strict=True):
        top = np.maximum(high, peak)
        strengths.append(smooth_step(probability, top - (high - low), top))
    return np.stack(strengths, axis=1)


def running_max(values: np.ndarray, reach: int) -> np.ndarray:
    """(T, C): the greatest value within `reach` frames of each."""
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=0).max(axis=-1)


def smooth_step(x: np.ndarray, low: float | np.ndarray, high: float | np.ndarray) -> np.ndarray:
    """0 up to `low`, 1 from `high` on, with a smooth start and end (3 t^2 - 2 t^3) between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)
