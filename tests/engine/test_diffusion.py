"""Schedule and samplers against closed forms."""

import numpy as np
import pytest
import torch

from engine.diffusion.samplers import ddim, ddim_timesteps, ddpm
from engine.diffusion.schedule import cosine_schedule


def test_the_cosine_schedule_has_its_known_values():
    s = cosine_schedule(1000)
    known = {("betas", 0): 4.12842e-05, ("betas", 499): 3.14589e-03, ("betas", 999): 0.9999,
             ("alphas_cumprod", 9): 0.999369, ("alphas_cumprod", 499): 0.493844, ("alphas_cumprod", 999): 2.42877e-10,
             ("posterior_log_variance_clipped", 0): -46.0517, ("posterior_log_variance_clipped", 1): -10.7341}  # fmt: skip
    for (name, t), value in known.items():
        assert getattr(s, name)[t].item() == pytest.approx(value, rel=2e-5)


def test_noise_is_added_with_the_variance_of_its_timestep():
    s = cosine_schedule(1000)
    x0, noise = torch.ones(2, 3), torch.full((2, 3), 2.0)
    t = torch.tensor([0, 700])
    out = s.add_noise(x0, t, noise)
    for row, step in enumerate(t):
        bar = s.alphas_cumprod[step]
        np.testing.assert_allclose(out[row], bar.sqrt() + 2 * (1 - bar).sqrt(), rtol=1e-5)


def test_timesteps_reach_the_clean_end():
    assert ddim_timesteps(1000, 50)[:2] == [999, 979] and ddim_timesteps(1000, 50)[-2:] == [19, -1]
    assert ddim_timesteps(1000, 8)[0] == 999 and ddim_timesteps(1000, 8)[-1] == -1


def gaussian_denoiser(schedule, mean, deviation):
    """The exact x0 predictor when the data are one Gaussian: E[x0 | x_t]."""

    def denoise(x, t):
        bar = schedule.alphas_cumprod[t]
        gain = bar.sqrt() * deviation**2 / (bar * deviation**2 + 1 - bar)
        return mean + gain * (x - bar.sqrt() * mean)

    return denoise


@pytest.mark.parametrize("steps", [50, 200])
def test_ddim_maps_noise_to_the_data_distribution(steps):
    s = cosine_schedule(1000)
    noise = torch.randn(20000, generator=torch.Generator().manual_seed(0))
    out = ddim(gaussian_denoiser(s, 1.5, 0.4), noise, s, steps)
    assert out.mean().item() == pytest.approx(1.5, abs=0.02)
    assert out.std().item() == pytest.approx(0.4, rel=0.12)
    assert np.corrcoef(out, noise)[0, 1] > 0.999  # eta 0: a deterministic, monotone map


def test_ddpm_draws_from_the_data_distribution():
    s = cosine_schedule(300)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(8000, generator=generator)
    out = ddpm(gaussian_denoiser(s, -0.5, 0.7), noise, s, generator=generator)
    assert out.mean().item() == pytest.approx(-0.5, abs=0.03)
    assert out.std().item() == pytest.approx(0.7, rel=0.05)


def test_the_reference_ending_stops_one_update_early():
    s = cosine_schedule(1000)
    denoise = gaussian_denoiser(s, 1.0, 0.2)
    noise = torch.randn(500, generator=torch.Generator().manual_seed(1))
    whole, early = ddim(denoise, noise, s, 50), ddim(denoise, noise, s, 50, stop_before_last=True)
    last = ddim_timesteps(1000, 50)[-2]
    np.testing.assert_allclose(whole, denoise(early, last), rtol=1e-5)


def test_every_step_is_reported():
    seen = []
    s = cosine_schedule(1000)
    ddim(lambda x, t: x, torch.zeros(3), s, 7, step_done=lambda a, b: seen.append((a, b)))
    assert seen == [(i, 7) for i in range(1, 8)]
