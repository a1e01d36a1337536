"""Stage 1 and stage 2: what batches, positions, windows and conditions must and must not change."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from engine.lgldm.denoiser import Denoiser, DenoiserConfig, attention_slopes
from engine.lgldm.vqvae import VQVAE

from .conftest import VERTICES, config_of


def random_denoiser(config: DenoiserConfig) -> Denoiser:
    torch.manual_seed(1)
    model = Denoiser(config).eval()
    torch.nn.init.normal_(model.latent_out.weight)
    return model


@pytest.mark.parametrize("dataset", ["mead", "vocaset", "biwi"])
def test_a_batch_is_its_clips_one_by_one(dataset):
    torch.manual_seed(0)
    model = VQVAE(config_of(dataset).vqvae).eval()
    torch.nn.init.normal_(model.quantiser.codebook.weight)
    motion = torch.randn(3, 10, 3 * VERTICES)
    emotion = torch.eye(7)[[2, 6, 0]] if dataset == "mead" else None
    out, quantised = model(motion, emotion)
    for i in range(3):
        one, alone = model(motion[i : i + 1], None if emotion is None else emotion[i : i + 1])
        assert torch.equal(quantised.indices[i], alone.indices[0])
        assert torch.allclose(out[i], one[0], atol=1e-5)


def test_each_emotion_uses_its_own_slice_and_neutral_the_first():
    model = VQVAE(config_of("mead").vqvae).eval()
    latent = torch.randn(1, 6, 16)
    book = model.quantiser.codebook.weight
    for emotion, start in ((torch.eye(7)[3:4], 24), (torch.zeros(1, 7), 0)):
        quantised = model.quantiser(latent, emotion)
        rows = book[start : start + 8]
        assert torch.allclose(quantised.latent.reshape(-1, 2), rows[quantised.indices.reshape(-1)], atol=1e-6)
        assert quantised.indices.max() < 8


def test_one_frame_is_refused_by_the_instance_norm():
    model = VQVAE(config_of("biwi").vqvae).eval()
    with pytest.raises(ValueError):
        model(torch.randn(1, 1, 3 * VERTICES))


def test_the_denoiser_sees_no_future_and_one_audio_frame_each():
    config = config_of("mead").denoiser
    model = random_denoiser(config)
    x, audio = torch.randn(1, 9, 16), torch.randn(1, 9, 16)
    t, emotion, identity = torch.tensor([500]), torch.eye(7)[:1], torch.eye(25)[:1]
    before = model(x, t, audio, emotion, identity)
    later = x.clone()
    later[:, 6:] += 1
    assert torch.allclose(model(later, t, audio, emotion, identity)[:, :6], before[:, :6], atol=1e-6)
    heard = audio.clone()
    heard[:, 4] += 1
    changed = (model(x, t, heard, emotion, identity) - before).abs().amax(-1)[0] > 1e-6
    assert changed.tolist()[:4] == [False] * 4
    assert changed[4]


def test_a_denoiser_batch_mixes_timesteps_and_conditions():
    model = random_denoiser(config_of("mead").denoiser)
    x, audio = torch.randn(2, 5, 16), torch.randn(2, 7, 16)
    t, emotion, identity = torch.tensor([3, 900]), torch.eye(7)[[1, 4]], torch.eye(25)[[0, 24]]
    both = model(x, t, audio, emotion, identity)
    for i in range(2):
        one = slice(i, i + 1)
        assert torch.allclose(both[one], model(x[one], t[one], audio[one], emotion[one], identity[one]), atol=1e-5)


def test_windowed_attention_in_blocks_is_the_masked_attention():
    config = dataclasses.replace(config_of("mead").denoiser, window=4, bias_period=1)
    layer = random_denoiser(config).layers[0].self_attention
    x = torch.randn(2, 19, 16)
    q, k, v = layer.to_qkv(x).view(2, 19, 3, 4, -1).permute(2, 0, 3, 1, 4)
    frames = torch.arange(19)
    whole = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=layer.bias(frames, frames))
    assert layer.whole_bias(x) is None
    assert torch.allclose(layer(x, None), layer.to_out(whole.transpose(1, 2).reshape(2, 19, 16)), atol=1e-5)


def test_dropout_is_for_training_and_drops_whole_heads_of_the_audio():
    model = random_denoiser(config_of("mead").denoiser)
    lookup = model.layers[0].audio
    audio = torch.randn(1, 200, 16)
    lookup.train()
    lookup.to_out = torch.nn.Identity()
    with torch.no_grad():
        ratio = (lookup(audio) / lookup.value(audio)).view(200, 4, 4)
    assert torch.allclose(ratio, ratio[..., :1].expand_as(ratio), atol=1e-4)
    dropped, kept = ratio.abs() < 1e-3, (ratio - 1 / 0.9).abs() < 1e-3
    assert (dropped | kept).all() and 0.05 < dropped.float().mean() < 0.15
    assert torch.equal(lookup.eval()(audio), lookup.value(audio))


def test_slopes_of_any_number_of_heads():
    assert attention_slopes(4) == [0.25, 0.0625, 0.015625, 0.00390625]
    assert attention_slopes(8) == [2.0**-n for n in range(1, 9)]
    assert attention_slopes(6) == [0.25, 0.0625, 0.015625, 0.00390625, 0.5, 0.125]
