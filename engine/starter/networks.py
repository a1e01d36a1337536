"""What the starter's pipeline asks of its networks. `networks_torch` and `networks_numpy` both answer it.

Everything that crosses is a NumPy float32 array of one clip, without a batch axis. T: model frames (25 Hz), C: numbers
of a condition, E: emotions, M: motion channels, D: latent numbers per frame.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

Denoise = Callable[[np.ndarray, int], np.ndarray]


class Networks(Protocol):
    """The loaded networks of the starter on one device."""

    runtime: str  # "torch" or "numpy"
    device: str  # "cpu", "cuda", "mps"
    latent_dim: int  # D
    codebook: np.ndarray  # (codes, numbers per code)

    def conditions(self, mel: np.ndarray, frames: int) -> np.ndarray:
        """Frames of `front_end.hear` (T100, bands) at 100 Hz to (frames, C): speech features and phone posteriors."""

    def silence(self, conditions: np.ndarray) -> np.ndarray:
        """(T, C) to (T,): how sure the phone head is that nobody speaks, 0..1."""

    def mouth(self, conditions: np.ndarray, felt: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(T, C) and emotion (T, E) to mouth weights (T, mouth channels) and contact logits (2 T, 2) at CONTACT_RATE: close, fv."""

    def denoiser(self, conditions: np.ndarray, felt: np.ndarray) -> Denoise:
        """denoise(x, t) for this clip: the noisy latent (T, D) and a timestep to the prediction of the clean one."""

    def encode(self, motion: np.ndarray) -> np.ndarray:
        """Motion (T, M), divided by its scale, to the un-quantised latent (T, D)."""

    def decode(self, latent: np.ndarray) -> np.ndarray:
        """Latent (T, D) to motion (T, M), to be multiplied by its scale."""
