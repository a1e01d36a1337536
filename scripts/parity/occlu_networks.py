"""OccluFaceDiff's schedule, FLINT, denoiser, sampler, guidance and whole chain against the recorded numbers."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.audio import load_audio
from engine.diffusion.respacing import cosine_betas, improved_schedule, respaced_betas, spaced_timesteps
from engine.diffusion.samplers import ddim
from engine.lgldm.audio_encoders import AudioEncoder, interpolate, normalise
from engine.occlufacediff.checkpoints import Heads, convert, take_audio, take_denoiser, take_flint
from engine.occlufacediff.denoiser import Denoiser, audio_states, positions
from engine.occlufacediff.flint import Flint
from engine.occlufacediff.layers import alibi, causal_alibi
from engine.occlufacediff.model import OccluModel, load_model, save_model
from engine.occlufacediff.pipeline import Clip, Guidance, make_clip, memories, predictor
from engine.occlufacediff.reference_names import AUDIO
from engine.occlufacediff.windows import WINDOW, cut

from .rows import Arrays, Comparison, Row

SCHEDULE = 1e-9
FORWARD = 1e-5
SAMPLED = 1e-4
CHAIN = "L_chain.npz"
CPU = torch.device("cpu")


def heads_of(folder: Path) -> dict[str, int]:
    """Attention heads from config.json: no weight's shape tells them."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    denoisers = {n: v["heads"] for n, v in config.items() if n.startswith("denoiser")}
    return {"flint": config["flint"]["heads"], "audio": config["wav2vec2"]["num_attention_heads"], **denoisers}


def denoiser_heads(folder: Path, case: str) -> int:
    """Of the denoiser that a lettered case uses: the entry `denoiser_C_D_E` serves cases C, D and E."""
    return next(v for n, v in heads_of(folder).items() if n.startswith("denoiser") and case in n.split("_")[1:])


def schedule(path: Path) -> list[Row]:
    """Betas and their factors, whole and respaced, in double precision."""
    arrays = Arrays(path)
    check = Comparison(arrays)
    betas = cosine_betas(len(arrays["named_cosine_betas"]))
    check.close("named_cosine_betas", betas, SCHEDULE, relative=True)
    for prefix in sorted({m[1] for _, m in arrays.matching(r"(full|r\d+)_\w+")}):
        kept = spaced_timesteps(len(betas), len(betas) if prefix == "full" else int(prefix[1:]))
        factors = vars(improved_schedule(respaced_betas(betas, kept), torch.float64)) | {"timestep_map": torch.tensor(kept)}
        for name, match in arrays.matching(rf"{prefix}_(\w+)"):
            if match[1] == "timestep_map":
                check.exact(name, factors["timestep_map"])
            else:
                check.close(name, factors[match[1]], SCHEDULE, relative=True)
    return check.finish()


@torch.inference_mode()
def flint(path: Path) -> list[Row]:
    """Encoder, decoder and what lies between; and that the broken attention is not matched."""
    arrays = Arrays(path)
    check = Comparison(arrays)
    config, tensors = take_flint(arrays.state(), path.name, heads_of(path.parent)["flint"])
    model = Flint(config).eval()
    model.load_state_dict(tensors)
    mean, logvar = model.encoder(arrays.tensor("x"))
    check.close("mean", mean, FORWARD)
    check.close("logvar", logvar, FORWARD)
    z = model.encode(arrays.tensor("x"), arrays.tensor("eps"))
    check.close("z", z, FORWARD)
    check.close("decode_of_z", model.decode(z), FORWARD)
    decoder = model.decoder
    raised = decoder.upsample(arrays.tensor("decoder_in"))
    attended = decoder.attend(raised)
    decoded = model.decode(arrays.tensor("decoder_in"))
    check.close("dec_after_upsample_linear", raised, FORWARD)
    check.close("dec_after_transformer", attended, FORWARD)
    check.close("dec_after_post_linear", decoder.post(attended), FORWARD)
    check.close("decoder_out", decoded, FORWARD)
    shape = arrays["alibi_bias"].shape
    check.close("alibi_bias", alibi(shape[0], shape[1]), FORWARD)
    for name, own in {"diag_only_decoder_out_WRONG": decoded, "diag_only_mean_WRONG": mean}.items():
        apart = float(np.abs(arrays[name] - own.numpy()).max())
        check.add(name, 0.0 if apart > 100 * FORWARD else apart, 0.0, "" if apart > 100 * FORWARD else "attention is diagonal")
    return check.finish()


def tiny_denoiser(folder: Path, causal: bool = False) -> Denoiser:
    """The denoiser of case C."""
    path = next(folder.glob("C_*.npz"))
    config, tensors = take_denoiser(Arrays(path).state(), path.name, denoiser_heads(folder, "C"), tables=False, causal=causal)
    model = Denoiser(config).eval()
    model.load_state_dict(tensors)
    return model


def memory_of(model: Denoiser, arrays: Arrays) -> Tensor:
    """The memory of case C's conditions."""
    return model.condition(*(arrays.tensor(n) for n in ("lmk_2d", "lmk_mask", "audio_feat")))


@torch.inference_mode()
def denoiser(path: Path) -> list[Row]:
    """Predictions at several timesteps, and every stage on the way."""
    arrays = Arrays(path)
    check = Comparison(arrays)
    model = tiny_denoiser(path.parent)
    arrays.state()
    x, memory = arrays.tensor("x"), memory_of(model, arrays)
    mixed = arrays.tensor("t_mixed")
    for name, match in arrays.matching(r"out_t(\d+)"):
        check.close(name, model(x, torch.full((len(x),), int(match[1])), memory), FORWARD)
    check.close("out_t_mixed", model(x, mixed, memory), FORWARD)
    causal = tiny_denoiser(path.parent, causal=True)
    check.close("out_use_mask_t_mixed", causal(x, mixed, memory), FORWARD)
    for name, match in arrays.matching(r"tgt_mask_first_(\d+)"):
        check.close(name, causal_alibi(arrays[name].shape[0], int(match[1])), FORWARD)

    t = arrays.tensor("mid_t").expand(len(x))
    landmarks = model.embed_landmarks(arrays.tensor("lmk_2d"), arrays.tensor("lmk_mask"))
    audio = model.audio_in(arrays.tensor("audio_feat"))
    joined = model.join(landmarks, audio)
    encoded = model.encode(joined)
    time, hidden = model.time_embedding(t), model.latent_in(x)
    stages = {
        "timestep_emb": time,
        "cond_landmarks": landmarks,
        "cond_audio": audio,
        "cond_plus_pe": joined,
        "encoder_out": encoded,
        "squash_out": model.squash(encoded.transpose(1, 2)).transpose(1, 2),
        "x_embedded": hidden,
    }
    hidden = hidden + positions(hidden.shape[1], hidden.shape[2])
    for i, layer in enumerate(model.decoder):
        hidden = layer(hidden, memory, time, None)
        stages[f"decoder_layer{i}_out"] = hidden
    for name, value in stages.items():
        check.close(f"mid_{name}", value, FORWARD)
    return check.finish()


@torch.inference_mode()
def parts(path: Path) -> list[Row]:
    """The first decoder layer's aligned cross-attention and FiLM blocks."""
    arrays = Arrays(path)
    check = Comparison(arrays)
    layer = tiny_denoiser(path.parent).decoder[0]
    for query, out in {"query_a": "cross_attn_out", "query_b": "cross_attn_out_query_b"}.items():
        check.close(out, layer.look_up(arrays.tensor("memory"), arrays[query].shape[1]), FORWARD)
    for name, match in arrays.matching(r"film(\d)_out"):
        block = getattr(layer, f"film{match[1]}")
        check.close(name, block(arrays.tensor("film_in"), arrays.tensor("film_temb")), FORWARD)
    return check.finish()


@torch.inference_mode()
def sampler(path: Path) -> list[Row]:
    """DDIM on the respacing that the file's name gives: every recorded state and prediction, and the end."""
    arrays = Arrays(path)
    check = Comparison(arrays)
    model = tiny_denoiser(path.parent)
    memory = memory_of(model, Arrays(next(path.parent.glob("C_*.npz"))))
    count = int("".join(c for c in path.stem if c.isdigit()))
    states: list[Tensor] = []
    answers: list[Tensor] = []

    def denoise(x: Tensor, t: int) -> Tensor:
        states.append(x)
        answers.append(model(x, torch.full((len(x),), t), memory))
        return answers[-1]

    betas = cosine_betas(model.config.timesteps)
    kept = spaced_timesteps(len(betas), count)
    final = ddim(denoise, arrays.tensor("x_T"), improved_schedule(betas), count, kept=kept)
    states.append(final)
    for name, match in arrays.matching(r"x_after_(\d+)"):
        check.close(name, states[int(match[1]) + 1], SAMPLED)
    for name, match in arrays.matching(r"x0hat_(\d+)"):
        check.close(name, answers[int(match[1])], SAMPLED)
    check.close("final", final, SAMPLED)
    return check.finish()


@torch.inference_mode()
def audio(path: Path) -> list[Row]:
    """Resampling to the frames, and a small wav2vec2 from samples to states."""
    arrays = Arrays(path)
    check = Comparison(arrays)
    for name, match in arrays.matching(r"interp(\d+)_in"):
        out = f"interp{match[1]}_out"
        check.close(out, interpolate(arrays.tensor(name), arrays[out].shape[1]), FORWARD)
    state = {AUDIO + n: v for n, v in arrays.state().items()}
    config, tensors = take_audio(state, path.name, heads_of(path.parent)["audio"])
    encoder = AudioEncoder(config).eval()
    encoder.load_state_dict(tensors)
    frames, wav = int(arrays["frame_num"]), arrays.tensor("wav")
    convolved = encoder.convolve(wav)
    check.close("conv_features", convolved, FORWARD)
    check.close("conv_features_resampled", interpolate(convolved, frames), FORWARD)
    check.close("last_hidden_state", audio_states(encoder, wav, frames), FORWARD)
    return check.finish()


@cache
def chain_model(folder: Path) -> OccluModel:
    """The model behind F and L from its two checkpoint files: converted, written, read."""
    heads = heads_of(folder)
    chosen = Heads(heads["flint"], denoiser_heads(folder, "L"), heads["audio"])
    with tempfile.TemporaryDirectory() as scratch:
        config, tensors = convert(next(folder.glob("*.pt")), next(folder.glob("*.ckpt")), chosen)
        save_model(Path(scratch) / "model", config, tensors)
        return load_model(Path(scratch) / "model", CPU)


def chain_clip(folder: Path) -> Clip:
    """The landmarks, visibility and sound file of case L."""
    arrays = Arrays(folder / CHAIN)
    samples = load_audio(next(folder.glob("L_*.wav")))
    return make_clip(arrays["lmk_2d"], arrays["lmk_mask"], samples, CPU)


@torch.inference_mode()
def guidance(path: Path) -> list[Row]:
    """The three passes and their combination at one step."""
    arrays = Arrays(path)
    check = Comparison(arrays)
    model, clip = chain_model(path.parent), chain_clip(path.parent)
    x, t = arrays.tensor("x"), arrays.tensor("timesteps")
    frames = arrays["first_frame_of_window"][:, None] + np.arange(WINDOW)
    passes = memories(model, clip, frames, Guidance(1.0, 1.0))
    out = {n: model.denoiser(x, t, m) for n, (_, m) in zip(("uncond", "full", "audio_only"), passes, strict=True)}
    for name, value in out.items():
        check.close(f"out_{name}", value, FORWARD)
    combined = []
    for i, (everything, sound) in enumerate(zip(arrays["scale_all"], arrays["scale_audio"], strict=True)):
        weighted = [(w, m[i : i + 1]) for w, m in memories(model, clip, frames, Guidance(float(everything), float(sound)))]
        combined.append(predictor(model, weighted)(x[i : i + 1], int(t[i])))
    check.close("out_combined", torch.cat(combined), FORWARD)
    return check.finish()


@torch.inference_mode()
def chain(path: Path) -> list[Row]:
    """From the sound file and landmarks to motion: whole, short, by sound alone, and guided."""
    arrays = Arrays(path)
    check = Comparison(arrays)
    folder = path.parent
    model, clip = chain_model(folder), chain_clip(folder)
    check.close("input_values", normalise(load_audio(next(folder.glob("L_*.wav")))), 1e-6)
    arrays["lmk_2d"], arrays["lmk_mask"]
    ends = torch.stack([clip.audio[:WINDOW], clip.audio[-WINDOW:]]).flatten(1)
    check.close("audio_hidden_first_and_last_window", audio_states(model.audio, ends, WINDOW), FORWARD)
    start = arrays.tensor("x_T")
    check_run(check, model, clip, start, {"latent": "latent", "out": "out"})
    dark = Clip(clip.landmarks, torch.zeros_like(clip.visible), clip.audio)
    check_run(check, model, dark, start, {"out": "audio_only_out"})
    scales = Guidance(float(arrays["cfg_scale_all"]), float(arrays["cfg_scale_audio"]))
    check_run(check, model, clip, start, {"out": "cfg_out"}, scales)
    few = int(arrays["short_num_frames"])
    short = Clip(clip.landmarks[:few], clip.visible[:few], clip.audio[:few])
    check_run(check, model, short, arrays.tensor("short_x_T"), {"latent": "short_latent", "out": "short_out"})
    return check.finish()


def check_run(
    check: Comparison, model: OccluModel, clip: Clip, start: Tensor, names: dict[str, Any], guided: Guidance | None = None
) -> None:
    """Sample in the reference's windows from `start` and compare what `names` says."""
    pieces = cut(len(clip))
    kept = spaced_timesteps(len(model.schedule), 100)
    denoise = predictor(model, memories(model, clip, pieces.frames, guided))
    latent = ddim(denoise, start, model.schedule, len(kept), kept=kept)
    made = {"latent": latent, "out": model.flint.decode(latent)[pieces.window, pieces.place]}
    for what, name in names.items():
        check.close(name, made[what], SAMPLED)
