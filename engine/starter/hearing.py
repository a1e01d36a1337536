"""The starter's own phone labels of a recording that has none. NumPy only."""

from __future__ import annotations

import numpy as np

from ..sync import Phones
from .front_end import hear
from .phones import PHONES
from .pipeline import Starter, model_frames

RATE = 50  # Hz of the phone head: two of its frames to a model frame
SHORTEST = 2  # of its frames, 40 ms: shorter runs are joined to the one before


def hear_phones(model: Starter, samples: np.ndarray) -> Phones:
    """The phones the model's phone head hears in (S,) samples at 16 kHz, most likely one per 20 ms (averaged over three).

    They are the model's opinion: a report on them measures whether the mouth follows what the model heard.
    """
    conditions = model.networks.conditions(hear(samples, model.bands).frames, model_frames(model, samples))
    halves = conditions.reshape(2 * len(conditions), -1)
    sure = np.pad(halves[:, -len(PHONES) :], ((1, 1), (0, 0)), mode="edge")
    likely = (sure[:-2] + sure[1:-1] + sure[2:]).argmax(axis=1)
    edges = np.concatenate([[0], np.flatnonzero(np.diff(likely)) + 1, [len(likely)]])
    names: list[str] = []
    bounds: list[int] = []
    for first, last in zip(edges[:-1], edges[1:], strict=True):
        name = PHONES[likely[first]]
        if names and (last - first < SHORTEST or name == names[-1]):
            continue  # its time goes to the run before
        names.append(name)
        bounds.append(int(first))
    times = np.array([*bounds, len(likely)]) / RATE - 0.5 / RATE  # frame m is centred on m * 20 ms
    times = np.clip(times, 0, len(samples) / 16000)
    return Phones(names, times[:-1], times[1:])
