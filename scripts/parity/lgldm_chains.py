"""Whole chains: the two checkpoint files are converted, saved, loaded, and speak; everything on the way is compared."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.audio import load_audio
from engine.diffusion.samplers import ddim, ddim_timesteps, ddpm
from engine.lgldm.audio_encoders import AudioEncoder, normalise, pair
from engine.lgldm.checkpoints import Heads, convert
from engine.lgldm.losses import stage_two_losses
from engine.lgldm.model import LgldmModel, load_model, save_model

from .lgldm_stages import channels_first, frames_of
from .rows import Arrays, Comparison, Row

FORWARD = 1e-5
SAMPLED = 1e-4
DEMO_SILENCE = 16_000  # samples that the MEAD demo appends after normalising


def chain_input(path: Path) -> list[Row]:
    """The sound file's samples, normalised."""
    arrays = Arrays(path)
    check = Comparison(arrays)
    sound = _only(path.parent, "*.wav")
    check.close("input_values", normalise(load_audio(sound)), 1e-6)
    arrays["template"]  # used by the chains
    return check.finish()


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if not found:
        raise FileNotFoundError(f"there is no {pattern} beside the case")
    return found[0]


class Chain:
    """One dataset's model from its checkpoint files, and one clip's conditions."""

    def __init__(self, path: Path, dataset: str):
        folder = path.parent
        config = json.loads(_only(folder, "*chain_config.json").read_text(encoding="utf-8"))[dataset]
        heads = Heads(config["stage1"]["heads"], config["stage2"]["heads"], config["audio_encoder"]["num_attention_heads"])
        with tempfile.TemporaryDirectory() as scratch:
            made = convert(dataset, folder / config["stage1_file"], folder / config["stage2_file"], heads)
            save_model(Path(scratch) / dataset, *made)
            self.model: LgldmModel = load_model(Path(scratch) / dataset, torch.device("cpu"))
        self.arrays = Arrays(path)
        self.check = Comparison(self.arrays)
        inputs = Arrays(_only(folder, "*chain_input.npz"))
        self.samples = inputs.tensor("input_values")[None]
        self.template = inputs.tensor("template")[:, None]
        self.seen: dict[int, Tensor] = {}
        self.answers: dict[int, Tensor] = {}
        self.gap = float("inf")

    def rows(self, x: Tensor) -> Tensor:
        """(1, T, q * d) to the reference's (1, T * q, d)."""
        return x.reshape(1, -1, self.model.vqvae.config.code_dim)

    def frames(self, rows: Tensor) -> Tensor:
        """The other way."""
        return frames_of(rows, self.model.vqvae.config.latent_dim)

    def denoiser(self, audio: Tensor, emotion: Tensor | None, identity: Tensor):  # noqa: ANN201
        """A denoiser for the samplers that remembers every state it saw and answered."""
        embedded = self.model.denoiser.embed_audio(audio)
        self.seen, self.answers = {}, {}

        def denoise(x: Tensor, t: int) -> Tensor:
            self.seen[t] = x
            self.answers[t] = self.model.denoiser(x, torch.tensor([t]), embedded, emotion, identity)
            return self.answers[t]

        return denoise

    def decode(self, latent: Tensor, emotion: Tensor | None, prefix: str = "") -> Tensor:
        """Compare code indices and quantised latent; return the vertices (1, T, 3 V)."""
        vqvae = self.model.vqvae
        quantised = vqvae.quantiser(latent, emotion)
        if f"{prefix}code_idx" in self.arrays:
            self.check.exact(f"{prefix}code_idx", quantised.indices.reshape(-1, 1))
            self.check.close(f"{prefix}quant", channels_first(quantised.latent, vqvae.config.code_dim), SAMPLED)
            self.gap = min(self.gap, code_gap(self, latent, emotion))
        return vqvae.decode(quantised.latent) + self.template

    def visited(self) -> None:
        """Compare the remembered states with the recorded ones."""
        for name, match in self.arrays.matching(r"x_before_t(\d+)"):
            self.check.close(name, self.rows(self.seen[int(match[1])]), SAMPLED)
        for name, match in self.arrays.matching(r"x0hat_at_t(\d+)"):
            self.check.close(name, self.rows(self.answers[int(match[1])]), SAMPLED)


@torch.no_grad()
def mead(path: Path) -> list[Row]:
    """Both MEAD cases (sampling script and demo) by DDPM with the recorded noise, and one training step."""
    chain = Chain(path, "mead")
    arrays, check, model = chain.arrays, chain.check, chain.model
    emotion = arrays.tensor("emotion")
    table = arrays.tensor("noise_table")
    silence = torch.zeros(1, DEMO_SILENCE)
    for case, samples in {"sampler": chain.samples, "demo": torch.cat([chain.samples, silence], 1)}.items():
        hidden = model.audio.hidden_states(samples)
        check.close(f"{case}_audio_features", hidden, FORWARD)
        start = arrays.tensor(f"{case}_x_T")
        denoise = chain.denoiser(pair(hidden), emotion, arrays.tensor(f"{case}_identity"))
        if case == "sampler":
            for name, match in arrays.matching(r"denoiser_out_t(\d+)"):
                check.close(name, chain.rows(denoise(chain.frames(start), int(match[1]))), FORWARD)
        latent = ddpm(
            denoise,
            chain.frames(start),
            model.schedule,
            fresh_noise=lambda t, n=start.shape[1]: chain.frames(table[t % len(table)][None, :n]),
        )
        for name, match in arrays.matching(rf"{case}_x_after_t(\d+)"):
            t = int(match[1])
            check.close(name, chain.rows(latent if t == 0 else chain.seen[t - 1]), SAMPLED)
        check.close(f"{case}_latent", chain.rows(latent), SAMPLED)
        check.close(f"{case}_vertices", chain.decode(latent, emotion, f"{case}_"), SAMPLED)
    check.close("min_code_gap", chain.gap, SAMPLED)
    training_step(chain, pair(model.audio.hidden_states(chain.samples)), emotion, arrays.tensor("sampler_identity"))
    return check.finish()


def training_step(chain: Chain, audio: Tensor, emotion: Tensor, identity: Tensor) -> None:
    """Both losses of stage 2 and a gradient, through the straight-through quantiser."""
    arrays, check, model = chain.arrays, chain.check, chain.model
    t = arrays.tensor("train_t").reshape(1)
    with torch.enable_grad():
        x0 = chain.frames(arrays.tensor("train_x0"))
        x = model.schedule.add_noise(x0, t, chain.frames(arrays.tensor("train_noise")))
        weight = model.denoiser.latent_out.weight.requires_grad_(True)
        embedded = model.denoiser.embed_audio(audio)
        predicted = model.denoiser(x, t, embedded, emotion, identity)
        motion = arrays.tensor("train_motion") - chain.template
        losses = stage_two_losses(model.vqvae, predicted, x0, motion, emotion)
        losses.total.backward()
    check.close("train_pred", chain.rows(predicted), FORWARD)
    check.close("train_loss_latent", losses.latent, FORWARD)
    check.close("train_loss_motion", losses.motion, FORWARD)
    check.close("train_grad_latent_decoder_weight", weight.grad, FORWARD)
    check.close("train_code_gap", code_gap(chain, predicted.detach(), emotion), FORWARD)


@torch.no_grad()
def vocaset(path: Path) -> list[Row]:
    """DDIM with the reference's ending; features interpolated before the projection, and after (the other reading)."""
    chain = Chain(path, "vocaset")
    check, model = chain.check, chain.model
    features = model.audio(chain.samples)
    check.close("audio_features", features, FORWARD)
    check.close("audio_features_50hz_no_interp", variant(model, fps=0).hidden_states(chain.samples), FORWARD)
    ddim_chain(chain, features, "")
    check.close("min_code_gap", chain.gap, SAMPLED)
    other = variant(model, interpolate="hidden")(chain.samples)
    check.close("alt_post_audio_features", other, FORWARD)
    ddim_chain(chain, other, "alt_post_")
    return check.finish()


@torch.no_grad()
def biwi(path: Path) -> list[Row]:
    """DDIM with the reference's ending on the intended model."""
    chain = Chain(path, "biwi")
    hidden = chain.model.audio.hidden_states(chain.samples)
    chain.check.close("audio_features", hidden, FORWARD)
    ddim_chain(chain, pair(hidden), "")
    chain.check.close("min_code_gap", chain.gap, SAMPLED)
    return chain.check.finish()


def ddim_chain(chain: Chain, audio: Tensor, prefix: str) -> None:
    """Sample, compare the way there, the latent and the vertices."""
    arrays, check = chain.arrays, chain.check
    steps = int(arrays["ddim_steps"])
    if not prefix:
        check.exact("ddim_times", np.array(ddim_timesteps(len(chain.model.schedule), steps)))
    denoise = chain.denoiser(audio, None, arrays.tensor("identity"))
    latent = ddim(denoise, chain.frames(arrays.tensor("x_T")), chain.model.schedule, steps, stop_before_last=True)
    if not prefix:
        chain.visited()
    check.close(f"{prefix}latent", chain.rows(latent), SAMPLED)
    check.close(f"{prefix}vertices", chain.decode(latent, None, prefix), SAMPLED)


def variant(model: LgldmModel, **changes: object) -> AudioEncoder:
    """The same audio network with another way to motion frames."""
    encoder = AudioEncoder(replace(model.config.audio, **changes))
    encoder.network.load_state_dict(model.audio.network.state_dict())
    return encoder.eval()


def code_gap(chain: Chain, latent: Tensor, emotion: Tensor | None) -> float:
    """Smallest difference of squared distance between the best and the second-best code."""
    quantiser = chain.model.vqvae.quantiser
    start = int(quantiser.slice_start(emotion, 1)[0])
    book = quantiser.codebook.weight[start : start + quantiser.slice_size].double()
    distance = (chain.rows(latent)[0].double()[:, None] - book).square().sum(-1)
    best = distance.topk(2, largest=False).values
    return float((best[:, 1] - best[:, 0]).min())
