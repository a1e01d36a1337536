"""Samplers, each one plain function: noise in, x0 out, with a denoiser that predicts x0.

`denoise(x, t)` takes x (B, ...) and an integer timestep and returns the x0 prediction. `step_done(step, total)` is
called after each evaluation; it may raise to stop the sampling.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .schedule import Schedule

Denoise = Callable[[Tensor, int], Tensor]
StepDone = Callable[[int, int], None]


def ddim_timesteps(total: int, steps: int) -> list[int]:
    """`steps` + 1 timesteps from total - 1 down to -1 (the clean end), equally spaced and truncated as in Song et al. 2021."""
    return [int(t) for t in torch.linspace(-1, total - 1, steps + 1)][::-1]


def ddim(
    denoise: Denoise,
    noise: Tensor,
    schedule: Schedule,
    steps: int,
    *,
    stop_before_last: bool = False,
    step_done: StepDone | None = None,
) -> Tensor:
    """Deterministic DDIM (Song et al. 2021, eta 0) in `steps` evaluations; returns the last x0 prediction.

    stop_before_last reproduces the reference, which computes the last x0 and returns x one update earlier.
    """
    times = ddim_timesteps(len(schedule), steps)
    x = noise
    for step, (now, after) in enumerate(zip(times[:-1], times[1:], strict=True)):
        x0 = denoise(x, now)
        if step_done:
            step_done(step + 1, steps)
        if after < 0:
            return x if stop_before_last else x0
        bar = schedule.alphas_cumprod[after].item()
        eps = (x * schedule.sqrt_recip_alphas_cumprod[now].item() - x0) / schedule.sqrt_recipm1_alphas_cumprod[now].item()
        x = bar**0.5 * x0 + (1 - bar) ** 0.5 * eps
    return x


def ddpm(
    denoise: Denoise,
    noise: Tensor,
    schedule: Schedule,
    *,
    generator: torch.Generator | None = None,
    step_done: StepDone | None = None,
) -> Tensor:
    """Ancestral sampling over every timestep (Ho et al. 2020, algorithm 2)."""
    x, total = noise, len(schedule)
    for t in reversed(range(total)):
        x0 = denoise(x, t)
        x = schedule.posterior_mean_coef1[t].item() * x0 + schedule.posterior_mean_coef2[t].item() * x
        if t > 0:
            fresh = torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)
            x = x + (0.5 * schedule.posterior_log_variance_clipped[t]).exp().item() * fresh
        if step_done:
            step_done(total - t, total)
    return x
