"""The starter's networks on PyTorch: CPU, CUDA or MPS."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..lgldm.denoiser import Denoiser, DenoiserConfig
from ..lgldm.vqvae import VQVAE, VQVAEConfig
from .encoder import EncoderConfig, MouthRegressor, RegressorConfig, SpeechEncoder
from .networks import Denoise

STRETCH = 2048  # frames denoised at once


class TorchNetworks:
    """See `networks.Networks`."""

    runtime = "torch"

    def __init__(self, config: dict[str, Any], tensors: dict[str, np.ndarray], device: str) -> None:
        """Raises KeyError, TypeError, ValueError or RuntimeError when the tensors do not fit the config."""
        self.device = torch.device(device).type
        self._device = torch.device(device)
        self.encoder = SpeechEncoder(EncoderConfig(**_tuples(config["encoder"])))
        self.regressor = MouthRegressor(RegressorConfig(**_tuples(config["regressor"])))
        self.vqvae = VQVAE(VQVAEConfig(**config["vqvae"]))
        self.predictor = Denoiser(DenoiserConfig(**config["denoiser"]))
        parts = {"encoder": self.encoder, "regressor": self.regressor, "vqvae": self.vqvae, "denoiser": self.predictor}
        for name, part in parts.items():
            own = {
                k.removeprefix(name + "."): torch.from_numpy(v) for k, v in tensors.items() if k.startswith(name + ".")
            }
            part.load_state_dict(own)
            part.eval().requires_grad_(False).to(self._device)
        self.latent_dim = self.vqvae.config.latent_dim
        self.codebook = tensors["vqvae.quantiser.codebook.weight"]

    def conditions(self, mel: np.ndarray, frames: int) -> np.ndarray:
        """See `networks.Networks`."""
        with torch.inference_mode():
            return _array(self.encoder.conditions(self._tensor(mel), frames))

    def silence(self, conditions: np.ndarray) -> np.ndarray:
        """See `networks.Networks`."""
        return _array(self.encoder.silence(torch.from_numpy(conditions)[None]))

    def mouth(self, conditions: np.ndarray, felt: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `networks.Networks`."""
        with torch.inference_mode():
            weights, contacts = self.regressor(self._tensor(conditions), self._tensor(felt))
        return _array(weights), _array(contacts)

    def denoiser(self, conditions: np.ndarray, felt: np.ndarray) -> Denoise:
        """See `networks.Networks`."""
        with torch.inference_mode():
            audio, emotion = self.predictor.embed_audio(self._tensor(conditions)), self._tensor(felt)

        shape = self.predictor.config
        # Attention that looks back a window per layer and knows no positions gives the same in stretches that overlap by
        # what a frame can see, in memory that does not grow with the clip.
        reach = shape.layers * shape.window if shape.window and shape.position == "none" else len(felt)

        def denoise(x: np.ndarray, t: int) -> np.ndarray:
            step = torch.tensor([t], device=self._device)
            parts = []
            with torch.inference_mode():
                for first in range(0, len(x), max(STRETCH, reach)):
                    low, high = max(0, first - reach), first + max(STRETCH, reach)
                    clean = self.predictor(self._tensor(x[low:high]), step, audio[:, low:high], emotion[:, low:high])
                    parts.append(_array(clean)[first - low :])
            return np.concatenate(parts)

        return denoise

    def encode(self, motion: np.ndarray) -> np.ndarray:
        """See `networks.Networks`."""
        with torch.inference_mode():
            return _array(self.vqvae.encode(self._tensor(motion)))

    def decode(self, latent: np.ndarray) -> np.ndarray:
        """See `networks.Networks`."""
        with torch.inference_mode():
            return _array(self.vqvae.decode(self._tensor(latent)))

    def _tensor(self, array: np.ndarray) -> Tensor:
        """(T, n) to (1, T, n) on the device."""
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))[None].to(self._device)


def _array(tensor: Tensor) -> np.ndarray:
    return tensor[0].float().cpu().numpy()


def _tuples(config: dict[str, Any]) -> dict[str, Any]:
    """JSON knows lists only; the configs hold tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in config.items()}
