"""Samplers, each one plain function: noise in, x0 out, with a denoiser that predicts x0.

`denoise(x, t)` takes x (B, ...) and an integer timestep and returns the x0 prediction. `step_done(step, total)` is
called after each evaluation; it may raise to stop the sampling. x is a torch tensor or a NumPy array: with a schedule of
the same kind the arithmetic is the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .schedule import Schedule

if TYPE_CHECKING:
    import torch

Tensor = Any  # torch.Tensor or np.ndarray
Denoise = Callable[[Tensor, int], Tensor]
StepDone = Callable[[int, int], None]


def ddim_timesteps(total: int, steps: int) -> list[int]:
    """`steps` + 1 timesteps from total - 1 down to -1 (the clean end), equally spaced and truncated as in Song et al. 2021.

    Spaced in float32 from both ends to the middle, as torch.linspace does, because the truncation shows every rounding.
    """
    first, last = np.float32(-1), np.float32(total - 1)
    stride = (last - first) / np.float32(steps)
    i = np.arange(steps + 1, dtype=np.float32)
    spaced = np.where(i < (steps + 1) // 2, first + stride * i, last - stride * (steps - i))
    return [int(t) for t in spaced][::-1]


def ddim(
    denoise: Denoise,
    noise: Tensor,
    schedule: Schedule,
    steps: int,
    *,
    stop_before_last: bool = False,
    kept: Sequence[int] | None = None,
    step_done: StepDone | None = None,
) -> Tensor:
    """Deterministic DDIM (Song et al. 2021, eta 0) in `steps` evaluations; returns the last x0 prediction.

    stop_before_last reproduces a reference that computes the last x0 and returns x one update earlier. kept: the `steps`
    timesteps to visit, ascending (as from `respacing.py`); None spaces them as `ddim_timesteps` does.
    """
    times = ddim_timesteps(len(schedule), steps) if kept is None else [*reversed(kept), -1]
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
    fresh_noise: Callable[[int], Tensor] | None = None,
    step_done: StepDone | None = None,
) -> Tensor:
    """Ancestral sampling over every timestep (Ho et al. 2020, algorithm 2).

    fresh_noise(t) gives the noise added after step t (t > 0), in x's shape; without it, it is drawn from the generator.
    """
    import torch

    x, total = noise, len(schedule)
    for t in reversed(range(total)):
        x0 = denoise(x, t)
        x = schedule.posterior_mean_coef1[t].item() * x0 + schedule.posterior_mean_coef2[t].item() * x
        if t > 0:
            drawn = torch.randn(x.shape, generator=generator, dtype=x.dtype) if fresh_noise is None else fresh_noise(t)
            fresh = drawn.to(x.device)
            x = x + (0.5 * schedule.posterior_log_variance_clipped[t]).exp().item() * fresh
        if step_done:
            step_done(total - t, total)
    return x


def dpm_solver_pp_2m(
    denoise: Denoise,
    noise: Tensor,
    schedule: Schedule,
    steps: int,
    *,
    step_done: StepDone | None = None,
) -> Tensor:
    """DPM-Solver++ (2M), the second-order multistep solver for x0 predictions (Lu et al. 2022, algorithm 2).

    As many evaluations as `steps`; the first update and the last (to the clean end) are of first order.
    """
    times = ddim_timesteps(len(schedule), steps)
    x, previous, h_previous = noise, None, 0.0
    for step, (now, after) in enumerate(zip(times[:-1], times[1:], strict=True)):
        x0 = denoise(x, now)
        if step_done:
            step_done(step + 1, steps)
        if after < 0:
            return x0
        sigma, sigma_after = (schedule.sqrt_one_minus_alphas_cumprod[t].item() for t in (now, after))
        alpha, alpha_after = (schedule.sqrt_alphas_cumprod[t].item() for t in (now, after))
        h = math.log(alpha_after / sigma_after) - math.log(alpha / sigma)
        extrapolated = x0 if previous is None else x0 + (h / (2 * h_previous)) * (x0 - previous)
        x = (sigma_after / sigma) * x - alpha_after * math.expm1(-h) * extrapolated
        previous, h_previous = x0, h
    return x
