"""DPM-Solver++ and DDPM with given noise, on data N(mean, s^2) whose exact path is known."""

from __future__ import annotations

import pytest
import torch

from engine.diffusion.samplers import ddim, ddpm, dpm_solver_pp_2m
from engine.diffusion.schedule import cosine_schedule

MEAN, DEVIATION = 0.7, 0.3
SCHEDULE = cosine_schedule(1000)
NOISE = torch.linspace(-2, 2, 9, dtype=torch.float64)


def denoise(x: torch.Tensor, t: int) -> torch.Tensor:
    alpha, sigma = SCHEDULE.sqrt_alphas_cumprod[t].double(), SCHEDULE.sqrt_one_minus_alphas_cumprod[t].double()
    return MEAN + DEVIATION**2 * alpha * (x - alpha * MEAN) / (alpha**2 * DEVIATION**2 + sigma**2)


def error(sampler, steps: int) -> float:
    """From the exact solution of the probability flow."""
    alpha = SCHEDULE.sqrt_alphas_cumprod[-1].double()
    marginal = (alpha**2 * DEVIATION**2 + 1 - alpha**2).sqrt()
    exact = MEAN + DEVIATION * (NOISE - alpha * MEAN) / marginal
    return (sampler(denoise, NOISE, SCHEDULE, steps) - exact).abs().max().item()


def test_it_converges_to_the_exact_solution_and_with_second_order():
    assert error(dpm_solver_pp_2m, 50) < 5e-4
    assert error(dpm_solver_pp_2m, 20) < error(dpm_solver_pp_2m, 10) / 3
    for steps in (8, 20, 50):
        assert error(dpm_solver_pp_2m, steps) < error(ddim, steps)


def test_every_step_is_one_evaluation_and_may_stop_it():
    seen, told = [], []
    dpm_solver_pp_2m(lambda x, t: seen.append(t) or x, torch.zeros(3), SCHEDULE, 8, step_done=lambda *a: told.append(a))
    assert len(seen) == 8 and seen[0] == 999
    assert told == [(n, 8) for n in range(1, 9)]

    def stop(step: int, total: int) -> None:
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dpm_solver_pp_2m(denoise, NOISE, SCHEDULE, 9, step_done=stop)


def test_ddpm_takes_the_noise_it_is_given_for_every_step_but_the_last():
    asked = []
    with_given = ddpm(denoise, NOISE, SCHEDULE, fresh_noise=lambda t: asked.append(t) or torch.zeros_like(NOISE))
    assert asked == list(range(999, 0, -1))
    assert not torch.allclose(with_given, ddpm(denoise, NOISE, SCHEDULE, generator=torch.Generator().manual_seed(0)))
