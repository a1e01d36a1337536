"""Moving vertices -> few shape keys and their weights, by a singular value decomposition. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..engine.motion import Blocks

MAX_KEYS = 120  # more cost more than a point cache does
BASIS_FRAMES = 1000  # frames that the components come from; the error is always that of all frames
CHUNK = 128  # frames at once, which bounds memory


class TooManyKeys(ValueError):
    """No MAX_KEYS components stay below the tolerance. error: greatest vertex error (m) that MAX_KEYS would leave."""

    def __init__(self, error: float) -> None:
        self.error = error
        super().__init__(f"{MAX_KEYS} components leave an error of {error} m")


@dataclass(frozen=True)
class VertexKeys:
    """deltas: (K, V, 3) float32 m at weight 1. weights: (T, K) float32 in [-1, 1]. error: greatest distance (m) of any
    vertex in any frame between what was given and weights times deltas."""

    deltas: np.ndarray
    weights: np.ndarray
    error: float


def compress(displacements: np.ndarray | Blocks, tolerance: float, max_keys: int = MAX_KEYS) -> VertexKeys:
    """The fewest leading components that keep every vertex of every frame within the tolerance.

    displacements: (T, V, 3) float32 m from the rest. tolerance: m. Raises TooManyKeys.
    """
    frames, vertices = displacements.shape[:2]

    def flat(frames_wanted: slice | np.ndarray) -> np.ndarray:
        part = np.ascontiguousarray(displacements[frames_wanted], np.float32)
        return part.reshape(len(part), -1)

    parts = [slice(start, min(start + CHUNK, frames)) for start in range(0, frames, CHUNK)]
    chosen = flat(np.linspace(0, frames - 1, min(frames, BASIS_FRAMES)).round().astype(int))
    values, vectors = np.linalg.eigh(np.asarray(chosen @ chosen.T, np.float64))
    strongest = np.argsort(values)[::-1][:max_keys]
    strongest = strongest[values[strongest] > values.max(initial=0.0) * 1e-12]
    basis = np.linalg.qr(chosen.T.astype(np.float64) @ vectors[:, strongest])[0].astype(np.float32)  # (3V, K)
    weights = np.concatenate([flat(part) @ basis for part in parts])
    largest = np.maximum(np.abs(weights).max(axis=0, initial=0.0), np.float32(1e-12))
    deltas, weights = (basis * largest).T, weights / largest

    def error(count: int) -> float:
        worst = 0.0
        for part in parts:
            left = flat(part) - weights[part, :count] @ deltas[:count]
            worst = max(worst, float(np.square(left).reshape(len(left), vertices, 3).sum(-1).max()))
        return worst**0.5

    low, high = 0, len(deltas)
    found = error(high)
    if found > tolerance:
        raise TooManyKeys(found)
    while low < high:
        middle = (low + high) // 2
        if (now := error(middle)) <= tolerance:
            high, found = middle, now
        else:
            low = middle + 1
    return VertexKeys(np.ascontiguousarray(deltas[:high]).reshape(high, vertices, 3), weights[:, :high].copy(), found)
