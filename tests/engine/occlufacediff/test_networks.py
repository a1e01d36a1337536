"""FLINT and the denoiser: attention that attends, conditions that count, hidden points that do not."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from engine.occlufacediff import layers
from engine.occlufacediff.denoiser import Denoiser, DenoiserConfig, Film
from engine.occlufacediff.flint import Flint, FlintConfig
from engine.occlufacediff.stepping import Stepper
from engine.onednn import laid_out, quickened

from .conftest import CONFIG, tensors_of


def part(name: str, module: torch.nn.Module) -> torch.nn.Module:
    module.load_state_dict({n.removeprefix(name + "."): v for n, v in tensors_of().items() if n.startswith(name + ".")})
    return module.eval()


@pytest.fixture(scope="module")
def flint() -> Flint:
    return part("flint", Flint(CONFIG.flint))


@pytest.fixture(scope="module")
def denoiser() -> Denoiser:
    return part("denoiser", Denoiser(CONFIG.denoiser))


def diagonal(heads: int, frames: int, device: object = None) -> torch.Tensor:
    """What PyTorch's fast path makes of the bias: a frame attends to itself alone."""
    return torch.zeros(heads, frames, frames).masked_fill(~torch.eye(frames, dtype=torch.bool), -torch.inf)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_flint_attends_to_other_frames_in_every_mode(flint, monkeypatch, mode):
    """The trap of the reference on a new PyTorch: in evaluation without gradients its attention fell on the diagonal."""
    latent, motion = torch.randn(2, 8, 16), torch.randn(2, 64, 103)
    with torch.enable_grad():
        truth, mean = flint.decode(latent).detach(), flint.encoder(motion)[0].detach()
    with mode():
        assert torch.allclose(flint.decode(latent), truth, atol=1e-6)
        assert torch.allclose(flint.encoder(motion)[0], mean, atol=1e-6)
        monkeypatch.setattr("engine.occlufacediff.flint.alibi", diagonal)
        assert (flint.decode(latent) - truth).abs().max() > 0.1 * truth.std()
        assert (flint.encoder(motion)[0] - mean).abs().max() > 0.1 * mean.std()


def test_attention_is_the_textbook_formula_with_the_bias_added():
    torch.manual_seed(0)
    attention = layers.SelfAttention(16, 8, 0.0).eval()
    x = torch.randn(1, 11, 16)
    q, k, v = (x[0] @ attention.in_proj_weight.T + attention.in_proj_bias).split(16, dim=1)
    mixed = []
    for h in range(8):
        own = slice(2 * h, 2 * h + 2)
        bias = torch.tensor([[-(2.0 ** -(h + 1)) * abs(i - j) for j in range(11)] for i in range(11)])
        weights = torch.softmax(q[:, own] @ k[:, own].T / 2**0.5 + bias, dim=1)
        mixed.append(weights @ v[:, own])
    expected = torch.cat(mixed, dim=1) @ attention.out_proj.weight.T + attention.out_proj.bias
    with torch.inference_mode():
        assert torch.allclose(attention(x, layers.alibi(8, 11))[0], expected, atol=1e-6)


def test_the_causal_bias_blocks_the_future_and_steps_by_two():
    bias = layers.causal_alibi(4, 6)
    assert torch.isinf(bias[:, 0, 1:]).all() and bias[0, 5].tolist() == [-0.5, -0.5, -0.25, -0.25, 0.0, 0.0]
    assert bias[3, 4, 0].item() == pytest.approx(-2 * 2**-8)


def test_flint_wants_whole_latents_and_draws_around_its_mean(flint):
    motion, noise = torch.randn(1, 16, 103), torch.randn(1, 2, 16)
    mean, logvar = flint.encoder(motion)
    assert torch.allclose(flint.encode(motion, noise), mean + (0.5 * logvar).exp() * noise)
    assert flint.decode(noise).shape == (1, 16, 103)
    with pytest.raises(ValueError, match="multiple of 8"):
        flint.encode(torch.randn(1, 15, 103), noise)


def test_published_sizes():
    with torch.device("meta"):
        flint, denoiser = Flint(FlintConfig()), Denoiser(DenoiserConfig())

    def count(module: torch.nn.Module) -> int:
        return sum(p.numel() for p in module.parameters())

    assert (count(flint.encoder), count(flint.decoder)) == (445_824, 511_335)
    assert len(flint.state_dict()) == 78
    # Query and key of the aligned cross-attention do not exist here: 2 d^2 + 2 d in each of 6 layers.
    assert count(denoiser) == 34_189_376 - 6 * (2 * 384**2 + 2 * 384)


def conditions(frames: int = 16) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    visible = torch.rand(2, frames, 468, generator=generator) > 0.4
    return (torch.randn(2, frames, 468, 2, generator=generator), visible, torch.randn(2, frames, 16, generator=generator))


def test_hidden_landmarks_have_no_influence_to_the_last_bit(denoiser):
    landmarks, visible, audio = conditions()
    memory = denoiser.condition(landmarks, visible, audio)
    for moved in (landmarks + 7.0, torch.full_like(landmarks, torch.nan)):
        other = torch.where(visible[..., None], landmarks, moved)
        assert torch.equal(denoiser.condition(other, visible, audio), memory)
    seen = landmarks + 0.1 * visible[..., None]
    assert not torch.allclose(denoiser.condition(seen, visible, audio), memory, atol=1e-3)
    assert not torch.allclose(denoiser.condition(landmarks, visible, audio + 0.1), memory, atol=1e-3)


def test_a_batch_is_its_clips_one_by_one(denoiser):
    landmarks, visible, audio = conditions()
    x, t = torch.randn(2, 2, 16), torch.tensor([5, 900])
    both = denoiser(x, t, denoiser.condition(landmarks, visible, audio))
    for i in range(2):
        one = slice(i, i + 1)
        alone = denoiser(x[one], t[one], denoiser.condition(landmarks[one], visible[one], audio[one]))
        assert torch.allclose(both[one], alone, atol=1e-5)
    assert not torch.allclose(denoiser(x, t + 1, denoiser.condition(landmarks, visible, audio)), both)


def test_each_latent_sees_its_own_memory_through_the_cross_attention(denoiser):
    layer = denoiser.decoder[0]
    memory = torch.randn(1, 5, 12)
    out = layer.look_up(memory, 4)
    changed = memory.clone()
    changed[:, 2] += 1
    difference = (layer.look_up(changed, 4) - out).abs().amax(dim=(0, 2))
    assert (difference > 0).tolist() == [False, False, True, False]


def test_in_training_the_aligned_attention_drops_whole_heads_and_nothing_else_is_lost():
    torch.manual_seed(0)
    layer = Denoiser(dataclasses.replace(CONFIG.denoiser, dropout=0.5)).decoder[0]
    for linear in (layer.memory.value, layer.memory.to_out):
        torch.nn.init.eye_(linear.weight)
        torch.nn.init.zeros_(linear.bias)
    memory = torch.ones(4, 50, 12)
    heads = layer.train().look_up(memory, 50).unflatten(-1, (4, 3))
    assert set(heads.unique().tolist()) == {0.0, 2.0} and torch.equal(heads.amin(-1), heads.amax(-1))
    assert torch.equal(layer.eval().look_up(memory, 50), memory)


def test_film_has_no_one_plus_scale():
    film = Film(6)
    torch.nn.init.zeros_(film.linear.weight)
    torch.nn.init.constant_(film.linear.bias, 0.0)
    assert torch.equal(film(torch.randn(1, 3, 6), torch.randn(1, 1, 6)), torch.zeros(1, 3, 6))


def test_the_causal_variant_sees_no_later_latent(denoiser):
    causal = Denoiser(dataclasses.replace(CONFIG.denoiser, causal=True)).eval()
    causal.load_state_dict(denoiser.state_dict())
    x, memory, t = torch.randn(1, 6, 16), torch.randn(1, 6, 12), torch.tensor([400])
    later = x.clone()
    later[:, 4:] += 1
    assert torch.allclose(causal(later, t, memory)[:, :4], causal(x, t, memory)[:, :4], atol=1e-6)
    assert not torch.allclose(denoiser(later, t, memory)[:, :4], denoiser(x, t, memory)[:, :4], atol=1e-5)


@pytest.mark.parametrize("causal", [False, True])
def test_a_stepper_is_the_denoiser_but_for_rounding(denoiser, causal):
    model = Denoiser(dataclasses.replace(denoiser.config, causal=causal)).eval()
    with torch.inference_mode():
        for value in model.parameters():
            value.copy_(torch.randn_like(value) * 0.3)
        memory, x = torch.randn(3, 5, model.config.width), torch.randn(3, 4, model.config.latent_channels)
        stepper = Stepper(model, memory, 4, (10, 500))
        for t in (10, 500, 999):  # the last was not told
            assert torch.allclose(stepper(x, t), model(x, torch.full((3,), t), memory), atol=1e-4, rtol=1e-4)


def test_onednn_multiplies_as_pytorch_does_and_leaves_training_alone():
    model = quickened(torch.nn.Sequential(torch.nn.Linear(20, 9), torch.nn.GELU(), torch.nn.Linear(9, 5, bias=False)))
    x = torch.randn(2, 3, 20)
    plain = model(x)  # with gradients
    plain.sum().backward()
    assert model[0].weight.grad.abs().sum() > 0
    with torch.inference_mode():
        assert torch.allclose(model(x), plain, atol=1e-6)
        own = laid_out(model[0].weight, model[0].bias, 6)
        assert torch.allclose(own(x), torch.nn.functional.linear(x, model[0].weight, model[0].bias), atol=1e-6)
