"""The noise schedule of a DDPM (Ho et al. 2020) with the cosine betas of Nichol & Dhariwal 2021."""

from __future__ import annotations

import math
from dataclasses import dataclass

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
    """The cosine schedule with betas clipped to [0, 0.9999]."""
    k = torch.linspace(0, timesteps, timesteps + 1, dtype=torch.float64)
    bar = torch.cos((k / timesteps + offset) / (1 + offset) * math.pi / 2) ** 2
    bar = bar / bar[0]
    return schedule_from_betas(torch.clip(1 - bar[1:] / bar[:-1], 0, 0.9999))


def schedule_from_betas(betas: Tensor, dtype: torch.dtype = torch.float32) -> Schedule:
    """All factors from (T,) float64 betas, given as `dtype`."""
    alphas = 1 - betas
    bar = torch.cumprod(alphas, dim=0)
    previous = torch.cat([torch.ones(1, dtype=torch.float64), bar[:-1]])
    variance = betas * (1 - previous) / (1 - bar)
    factors = {
        "betas": betas,
        "alphas_cumprod": bar,
        "alphas_cumprod_prev": previous,
        "sqrt_alphas_cumprod": bar.sqrt(),
        "sqrt_one_minus_alphas_cumprod": (1 - bar).sqrt(),
        "log_one_minus_alphas_cumprod": (1 - bar).log(),
        "sqrt_recip_alphas_cumprod": (1 / bar).sqrt(),
        "sqrt_recipm1_alphas_cumprod": (1 / bar - 1).sqrt(),
        "posterior_variance": variance,
        "posterior_log_variance_clipped": variance.clamp(min=1e-20).log(),
        "posterior_mean_coef1": betas * previous.sqrt() / (1 - bar),
        "posterior_mean_coef2": (1 - previous) * alphas.sqrt() / (1 - bar),
    }
    return Schedule(**{name: value.to(dtype) for name, value in factors.items()})
