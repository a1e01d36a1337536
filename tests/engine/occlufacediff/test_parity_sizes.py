"""The comparison assumes no size: cases of other widths, lengths, layers, heads and steps, written by the engine itself.

The numbers are our own, so that only what the scripts read from the files is under test, not the reference's arithmetic.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from engine.diffusion.respacing import cosine_betas, improved_schedule, respaced_betas, spaced_timesteps
from engine.diffusion.samplers import ddim
from engine.lgldm.audio_encoders import normalise
from engine.occlufacediff.denoiser import Denoiser, audio_states, positions
from engine.occlufacediff.layers import causal_alibi
from engine.occlufacediff.model import ModelConfig, load_model, save_model
from engine.occlufacediff.pipeline import Guidance, make_clip, memories, predictor
from engine.occlufacediff.windows import cut

from .conftest import CONFIG, released_files, released_states, tensors_of

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

from parity.run import run_system

CPU = torch.device("cpu")
OTHER = replace(
    CONFIG,
    flint=replace(CONFIG.flint, width=24, heads=4, ff=20, layers=2),
    denoiser=replace(
        CONFIG.denoiser, latent_channels=24, landmark_width=12, audio_width=20, encoder_layers=1, encoder_ff=28, width=16,
        decoder_layers=3, decoder_ff=20, heads=2,
    ),
)  # fmt: skip


@pytest.fixture
def folder(tmp_path) -> Path:
    two = {"heads": 2}
    heads = {"flint": {"heads": 4}, "denoiser_C_D_E": two, "denoiser_F_L": two, "wav2vec2": {"num_attention_heads": 4}}
    (tmp_path / "config.json").write_text(json.dumps(heads))
    torch.manual_seed(0)
    return tmp_path


def numbers(values: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    return {n: np.asarray(v.detach() if torch.is_tensor(v) else v) for n, v in values.items()}


def all_pass(folder: Path, cases: int) -> None:
    rows = run_system("occlufacediff", folder)
    assert not [f"{r.case}: {r.error} {r.note}" for r in rows if not r.ok] and len(rows) >= cases


def test_another_schedule(folder):
    betas = cosine_betas(400)
    arrays = {"named_cosine_betas": betas, "full_alphas_cumprod": improved_schedule(betas, torch.float64).alphas_cumprod}
    for count in (25, 7):
        kept = spaced_timesteps(400, count)
        few = improved_schedule(respaced_betas(betas, kept), torch.float64)
        arrays |= {f"r{count}_timestep_map": torch.tensor(kept), f"r{count}_posterior_variance": few.posterior_variance}
    np.savez(folder / "A_schedule.npz", **numbers(arrays))
    all_pass(folder, 6)


def denoiser_case(folder: Path, config: ModelConfig) -> tuple[Denoiser, torch.Tensor]:
    tensors = {n: v for n, v in tensors_of(config).items() if n.startswith("denoiser.")}
    model = Denoiser(config.denoiser).eval()
    model.load_state_dict({n.removeprefix("denoiser."): v for n, v in tensors.items()})
    causal = Denoiser(replace(config.denoiser, causal=True)).eval()
    causal.load_state_dict(model.state_dict())
    given = {
        "lmk_2d": torch.randn(3, 40, 468, 2),
        "lmk_mask": (torch.rand(3, 40, 468) > 0.5).to(torch.uint8),
        "audio_feat": torch.randn(3, 40, 16),
        "x": torch.randn(3, 5, 24),
        "t_mixed": torch.tensor([1, 700, 30]),
        "mid_t": torch.tensor(250),
    }
    x, t = given["x"], given["t_mixed"]
    landmarks, audio = model.embed_landmarks(given["lmk_2d"], given["lmk_mask"]), model.audio_in(given["audio_feat"])
    joined = model.join(landmarks, audio)
    encoded = model.encode(joined)
    memory = model.condition(given["lmk_2d"], given["lmk_mask"], given["audio_feat"])
    time = model.time_embedding(given["mid_t"].expand(3))
    made = {
        "out_t12": model(x, torch.full((3,), 12), memory), "out_t_mixed": model(x, t, memory),
        "out_use_mask_t_mixed": causal(x, t, memory), "tgt_mask_first_9": causal_alibi(2, 9), "mid_timestep_emb": time,
        "mid_cond_landmarks": landmarks, "mid_cond_audio": audio, "mid_cond_plus_pe": joined, "mid_encoder_out": encoded,
        "mid_squash_out": model.squash(encoded.transpose(1, 2)).transpose(1, 2), "mid_x_embedded": model.latent_in(x),
    }  # fmt: skip
    hidden = model.latent_in(x) + positions(5, 16)
    for i, layer in enumerate(model.decoder):
        hidden = made[f"mid_decoder_layer{i}_out"] = layer(hidden, memory, time, None)
    state, _ = released_states(tensors, config)
    weights = {f"sd:{n}": v for n, v in state.items() if n != "tgt_mask" and not n.endswith(".pe")}
    np.savez(folder / "C_denoiser_other.npz", **numbers({**given, **made, **weights}))
    return model, memory


@torch.no_grad()
def test_another_denoiser_and_number_of_steps(folder):
    model, memory = denoiser_case(folder, OTHER)
    layer, query = model.decoder[0], torch.randn(3, 4, 16)
    film_in, temb = torch.randn(3, 4, 16), torch.randn(3, 1, 16)
    parts = {"query_a": query, "query_b": query + 1, "memory": memory, "film_in": film_in, "film_temb": temb}
    parts |= {n: layer.look_up(memory, 4) for n in ("cross_attn_out", "cross_attn_out_query_b")}
    parts |= {f"film{k}_out": getattr(layer, f"film{k}")(film_in, temb) for k in (1, 2, 3)}
    np.savez(folder / "D_parts.npz", **numbers(parts))

    seen = []
    start = torch.randn(3, 5, 24)

    def denoise(x, t):
        seen.append((x, model(x, torch.full((3,), t), memory)))
        return seen[-1][1]

    betas = cosine_betas(1000)
    final = ddim(denoise, start, improved_schedule(betas), 20, kept=spaced_timesteps(1000, 20))
    arrays = {"x_T": start, "final": final, "x_after_19": final, "x_after_4": seen[5][0], "x0hat_4": seen[4][1]}
    np.savez(folder / "E_ddim20.npz", **numbers(arrays))
    all_pass(folder, 23)


@torch.no_grad()
def test_another_chain(folder):
    config, tensors = OTHER, tensors_of(OTHER)
    made = released_files(folder, tensors, config=config)
    made[0].rename(folder / "model_3.pt")
    save_model(folder.parent / "chain_model", config, tensors)
    model = load_model(folder.parent / "chain_model", CPU)
    samples = (0.1 * np.sin(np.arange(90_000) / 20)).astype(np.float32)
    soundfile.write(folder / "L_chain_16k.wav", samples, 16000, subtype="PCM_16")
    samples = soundfile.read(folder / "L_chain_16k.wav", dtype="float32")[0]
    landmarks, visible = np.random.default_rng(0).normal(0, 0.4, (140, 468, 2)).astype(np.float32), np.ones((140, 468), np.uint8)
    clip = make_clip(landmarks, visible, samples, CPU)

    def sampled(own, start, guidance=None):
        pieces = cut(len(own))
        denoise = predictor(model, memories(model, own, pieces.frames, guidance))
        latent = ddim(denoise, start, model.schedule, 100, kept=spaced_timesteps(1000, 100))
        return latent, model.flint.decode(latent)[pieces.window, pieces.place]

    start, short_start = torch.randn(3, 8, 24), torch.randn(1, 8, 24)
    dark = replace(clip, visible=torch.zeros_like(clip.visible))
    short = replace(clip, landmarks=clip.landmarks[:9], visible=clip.visible[:9], audio=clip.audio[:9])
    latent, out = sampled(clip, start)
    short_latent, short_out = sampled(short, short_start)
    ends = torch.stack([clip.audio[:64], clip.audio[-64:]]).flatten(1)
    np.savez(folder / "L_chain.npz", **numbers({
        "input_values": normalise(samples), "lmk_2d": landmarks, "lmk_mask": visible, "x_T": start, "latent": latent, "out": out,
        "audio_hidden_first_and_last_window": audio_states(model.audio, ends, 64), "short_num_frames": np.array(9),
        "short_x_T": short_start, "short_latent": short_latent, "short_out": short_out, "audio_only_out": sampled(dark, start)[1],
        "cfg_scale_all": np.float32(1.2), "cfg_scale_audio": np.float32(0.4),
        "cfg_out": sampled(clip, start, Guidance(float(np.float32(1.2)), float(np.float32(0.4))))[1],
    }))  # fmt: skip
    all_pass(folder, 8)
