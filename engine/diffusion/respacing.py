"""The schedule of Improved DDPM (Nichol & Dhariwal 2021) as OccluFaceDiff uses it: cosine betas, fewer timesteps kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from .schedule import Schedule, schedule_from_betas

MAX_BETA = 0.999


def cosine_betas(timesteps: int = 1000, max_beta: float = MAX_BETA) -> Tensor:
    """(T,) float64: 1 - bar(t + 1) / bar(t), bar(t) = cos^2((t / T + 0.008) / 1.008 * pi / 2), at most `max_beta`."""

    def bar(share: float) -> float:
        return math.cos((share + 0.008) / 1.008 * math.pi / 2) ** 2

    betas = [min(1 - bar((t + 1) / timesteps) / bar(t / timesteps), max_beta) for t in range(timesteps)]
    return torch.tensor(betas, dtype=torch.float64)


def spaced_timesteps(total: int, count: int) -> list[int]:
    """`count` of `total` timesteps, ascending, the first and the last among them: a fractional stride, rounded.

    The stride is added up step by step, so that halves round as in the reference. Raises ValueError unless
    1 <= count <= total.
    """
    if not 1 <= count <= total:
        raise ValueError(f"{count} of {total} timesteps cannot be kept")
    stride = (total - 1) / (count - 1) if count > 1 else 1.0
    kept, position = [], 0.0
    for _ in range(count):
        kept.append(round(position))
        position += stride
    return kept


def respaced_betas(betas: Tensor, kept: Sequence[int]) -> Tensor:
    """(len(kept),) float64 betas of the process that visits only `kept`, ascending: 1 - bar(t) / bar(the one before)."""
    bar = torch.cumprod(1 - betas, dim=0)[list(kept)]
    return 1 - bar / torch.cat([torch.ones(1, dtype=bar.dtype), bar[:-1]])


def improved_schedule(betas: Tensor, dtype: torch.dtype = torch.float32) -> Schedule:
    """All factors from (T,) float64 betas; the variance of the first step, which is 0, counts as the second's in the logarithm."""
    schedule = schedule_from_betas(betas, torch.float64)
    variance = schedule.posterior_variance
    clipped = torch.cat([variance[1:2], variance[1:]]).log()
    schedule = replace(schedule, posterior_log_variance_clipped=clipped)
    return Schedule(**{name: value.to(dtype) for name, value in vars(schedule).items()})
