"""The noise schedule of a DDPM (Ho et al. 2020) with the cosine betas of Nichol & Dhariwal 2021.

Computed by NumPy and given as its arrays (`cosine_schedule_arrays`) or as tensors; only the latter need torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Schedule:
    """Per-timestep factors, each (T,) float32 unless asked otherwise; computed in float64 so that they match the released
    buffers to 1e-6."""

    betas: Tensor
    alphas_cumprod: Tensor
    alphas_cumprod_prev: Tensor
    sqrt_alphas_cumprod: Tensor
    sqrt_one_minus_alphas_cumprod: Tensor
    log_one_minus_alphas_cumprod: Tensor
    sqrt_recip_alphas_cumprod: Tensor
    sqrt_recipm1_alphas_cumprod: Tensor
    posterior_variance: Tensor
    posterior_log_variance_clipped: Tensor
    posterior_mean_coef1: Tensor
    posterior_mean_coef2: Tensor

    def __len__(self) -> int:
        return len(self.betas)

    def add_noise(self, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """q(x_t | x_0): x0 and noise (B, ...), t (B,) int64."""
        shape = (-1,) + (1,) * (x0.dim() - 1)
        return (
            self.sqrt_alphas_cumprod.to(x0)[t].view(shape) * x0
            + self.sqrt_one_minus_alphas_cumprod.to(x0)[t].view(shape) * noise
        )


def cosine_schedule(timesteps: int = 1000, offset: float = 0.008) -> Schedule:
    """The cosine schedule with betas clipped to [0, 0.9999], as tensors."""
    return _as_tensors(_factors(_cosine_betas(timesteps, offset)))


def cosine_schedule_arrays(timesteps: int = 1000, offset: float = 0.008) -> Schedule:
    """The same as NumPy arrays, for the samplers to work on NumPy arrays. `add_noise` needs the tensors."""
    arrays: dict[str, Any] = _factors(_cosine_betas(timesteps, offset))
    return Schedule(**{name: value.astype(np.float32) for name, value in arrays.items()})


def schedule_from_betas(betas: Tensor, dtype: torch.dtype | None = None) -> Schedule:
    """All factors from (T,) float64 betas, given as `dtype` (None: float32)."""
    return _as_tensors(_factors(betas.numpy()), dtype)


def _cosine_betas(timesteps: int, offset: float) -> np.ndarray:
    k = np.arange(timesteps + 1, dtype=np.float64)
    bar = np.cos((k / timesteps + offset) / (1 + offset) * math.pi / 2) ** 2
    return np.clip(1 - bar[1:] / bar[:-1], 0, 0.9999)


def _factors(betas: np.ndarray) -> dict[str, np.ndarray]:
    """Every field of `Schedule`, float64."""
    alphas = 1 - betas
    bar = np.cumprod(alphas)
    previous = np.concatenate([np.ones(1), bar[:-1]])
    variance = betas * (1 - previous) / (1 - bar)
    return {
        "betas": betas,
        "alphas_cumprod": bar,
        "alphas_cumprod_prev": previous,
        "sqrt_alphas_cumprod": np.sqrt(bar),
        "sqrt_one_minus_alphas_cumprod": np.sqrt(1 - bar),
        "log_one_minus_alphas_cumprod": np.log(1 - bar),
        "sqrt_recip_alphas_cumprod": np.sqrt(1 / bar),
        "sqrt_recipm1_alphas_cumprod": np.sqrt(1 / bar - 1),
        "posterior_variance": variance,
        "posterior_log_variance_clipped": np.log(np.maximum(variance, 1e-20)),
        "posterior_mean_coef1": betas * np.sqrt(previous) / (1 - bar),
        "posterior_mean_coef2": (1 - previous) * np.sqrt(alphas) / (1 - bar),
    }


def _as_tensors(factors: dict[str, np.ndarray], dtype: torch.dtype | None = None) -> Schedule:
    import torch

    return Schedule(**{name: torch.from_numpy(value).to(dtype or torch.float32) for name, value in factors.items()})
