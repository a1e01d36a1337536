"""The schedule with fewer timesteps: known numbers, and the sampler on it."""

from __future__ import annotations

import pytest
import torch

from engine.diffusion.respacing import cosine_betas, improved_schedule, respaced_betas, spaced_timesteps
from engine.diffusion.samplers import ddim


def test_the_cosine_betas_have_their_known_values():
    betas = cosine_betas(1000)
    known = {0: 4.12842248e-5, 1: 4.61417527e-5, 499: 3.14588623e-3, 998: 0.749999393, 999: 0.999}
    assert {t: betas[t].item() for t in known} == pytest.approx(known, rel=1e-8)
    bar = improved_schedule(betas, torch.float64).alphas_cumprod
    assert bar[999].item() == pytest.approx(2.42876691e-9, rel=1e-8)


def test_a_hundred_timesteps_are_spread_from_the_first_to_the_last():
    kept = spaced_timesteps(1000, 100)
    assert kept[:8] == [0, 10, 20, 30, 40, 50, 61, 71] and kept[-3:] == [979, 989, 999]
    assert spaced_timesteps(7, 7) == list(range(7)) and spaced_timesteps(9, 1) == [0]
    for wrong in (0, 8):
        with pytest.raises(ValueError):
            spaced_timesteps(7, wrong)


def test_the_respaced_process_has_the_whole_one_s_noise_at_the_kept_timesteps():
    betas = cosine_betas(1000)
    kept = spaced_timesteps(1000, 100)
    whole = improved_schedule(betas, torch.float64)
    few = improved_schedule(respaced_betas(betas, kept), torch.float64)
    assert torch.allclose(few.alphas_cumprod, whole.alphas_cumprod[kept], rtol=1e-10)
    assert few.posterior_log_variance_clipped[0] == few.posterior_log_variance_clipped[1]


def test_ddim_visits_the_kept_timesteps_and_ends_at_the_last_prediction():
    seen = []

    def denoise(x, t):
        seen.append(t)
        return 0.5 * x

    schedule = improved_schedule(cosine_betas(1000))
    kept = spaced_timesteps(1000, 10)
    noise = torch.randn(1, 4, generator=torch.Generator().manual_seed(0))
    early = ddim(denoise, noise, schedule, len(kept), kept=kept, stop_before_last=True)
    assert seen == kept[::-1]
    assert torch.equal(ddim(denoise, noise, schedule, len(kept), kept=kept), 0.5 * early)
