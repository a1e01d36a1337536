"""LG-LDM's two networks, its schedule and samplers, each against recorded inputs and outputs."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from engine.diffusion.samplers import ddim
from engine.diffusion.schedule import cosine_schedule
from engine.lgldm.checkpoints import infer_denoiser, infer_stage1, shapes, take_denoiser, take_stage1
from engine.lgldm.datasets import DATASETS
from engine.lgldm.denoiser import Denoiser
from engine.lgldm.vqvae import VQVAE, perplexity

from .rows import Arrays, Comparison, Row, best_heads, error_between

FORWARD = 1e-5
SAMPLED = 1e-4


def stage1(path: Path) -> list[Row]:
    """Encoder, quantiser, decoder, losses; the head count is not in the file and is found by fit."""
    arrays = Arrays(path)
    check = Comparison(arrays)
    facts = DATASETS[path.name.split("_")[0]]
    state = arrays.state()

    def build(heads: int) -> VQVAE:
        model = VQVAE(infer_stage1(facts, shapes(state), heads, path.name))
        model.load_state_dict(take_stage1(model.config, state, path.name, tables=False))
        return model.eval()

    motion = arrays.tensor("x") - arrays.tensor("template")[:, None]
    emotion = arrays.tensor("onehot") if facts.emotions else None
    with torch.inference_mode():
        rows = arrays["latent"]
        model = build(
            best_heads(
                state["encoder.vertice_mapping.0.weight"].shape[0],
                lambda heads: error_between(build(heads).encode(motion, emotion).reshape(rows.shape), rows),
            )
        )
        latent = model.encode(motion, emotion)
        out, quantised = model(motion, emotion)
        check.close("latent", latent.reshape(rows.shape), FORWARD)
        check.close("quant", channels_first(quantised.latent, model.config.code_dim), FORWARD)
        check.exact("idx", quantised.indices.reshape(-1, 1))
        check.close("loss", quantised.loss, FORWARD)
        used = perplexity(quantised.indices, model.quantiser.slice_size)
        check.close("perplexity", used, FORWARD, relative=True)
        check.close("out", out + arrays.tensor("template")[:, None], FORWARD)
        if emotion is not None:
            out, quantised = model(motion, torch.zeros_like(emotion))
            check.exact("idx_neutral", quantised.indices.reshape(-1, 1))
            check.close("out_neutral", out + arrays.tensor("template")[:, None], FORWARD)
    return check.finish()


def stage2(path: Path) -> list[Row]:
    """The denoiser at several timesteps, its mask, the posterior, forward noising, DDIM."""
    arrays = Arrays(path)
    check = Comparison(arrays)
    facts = DATASETS[path.name.split("_")[0]]
    state = arrays.state()
    x_rows = arrays.tensor("x")
    audio = arrays.tensor("audio_feat")
    if facts.audio_paired:
        audio = audio[:, : audio.shape[1] // 2 * 2].reshape(1, audio.shape[1] // 2, -1)
    emotion = arrays.tensor("emotion") if facts.emotions else None
    identity = arrays.tensor("identity")

    def build(heads: int) -> Denoiser:
        model = Denoiser(infer_denoiser(facts, shapes(state), heads, path.name))
        model.load_state_dict(take_denoiser(model.config, state, path.name))
        return model.eval()

    def predict(model: Denoiser, rows: Tensor, t: int) -> Tensor:
        embedded = model.embed_audio(audio)
        x = frames_of(rows, model.config.latent_dim)[:, : audio.shape[1]]
        return model(x, torch.tensor([t]), embedded, emotion, identity).reshape(1, -1, rows.shape[2])

    with torch.inference_mode():
        outputs = arrays.matching(r"out_t(\d+)")
        first, match = outputs[0]
        width = state["latent_decoder.weight"].shape[1]
        model = build(best_heads(width, lambda h: error_between(predict(build(h), x_rows, int(match[1])), arrays[first])))
        schedule = cosine_schedule(model.config.timesteps)
        for name, match in outputs:
            check.close(name, predict(model, x_rows, int(match[1])), FORWARD)
        if "mask" in arrays:
            frames = torch.arange(arrays["mask"].shape[-1])
            check.exact("mask", model.layers[0].self_attention.bias(frames, frames))
        for name, match in arrays.matching(r"pmean_t(\d+)"):
            t = int(match[1])
            mean = schedule.posterior_mean_coef1[t] * predict(model, x_rows, t) + schedule.posterior_mean_coef2[t] * x_rows
            check.close(name, mean, FORWARD)
        for name, match in arrays.matching(r"plogvar_t(\d+)"):
            check.exact(name, schedule.posterior_log_variance_clipped[int(match[1])].reshape(arrays[name].shape))
        for name, match in arrays.matching(r"qsample_t(\d+)"):
            noised = schedule.add_noise(x_rows, torch.tensor([int(match[1])]), torch.ones_like(x_rows))
            check.close(name, noised, FORWARD)
        for name, match in arrays.matching(r"ddim(\d+)"):
            noise, steps = arrays.tensor("init_noise"), int(match[1])
            got = ddim(lambda x, t: predict(model, x, t), noise, schedule, steps, stop_before_last=True)
            check.close(name, got, SAMPLED)
    return check.finish()


def schedule(path: Path) -> list[Row]:
    """The schedule's buffers."""
    arrays = Arrays(path)
    check = Comparison(arrays)
    ours = vars(cosine_schedule(len(arrays["betas"])))
    for name, values in ours.items():
        check.close(name, values, 1e-6, relative=True)
    return check.finish()


def channels_first(latent: Tensor, code_dim: int) -> Tensor:
    """(1, T, q * d) to the reference's (1, d, T * q)."""
    return latent.reshape(1, -1, code_dim).transpose(1, 2)


def frames_of(rows: Tensor, latent_dim: int) -> Tensor:
    """The reference's (1, T * q, d) to (1, T, q * d)."""
    return rows.reshape(1, -1, latent_dim)
