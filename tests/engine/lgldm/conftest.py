"""Small models of every dataset's architecture with random weights, as the engine's own and as released files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.lgldm.audio_encoders import AudioEncoder, AudioEncoderConfig
from engine.lgldm.datasets import DATASETS
from engine.lgldm.denoiser import Denoiser, DenoiserConfig
from engine.lgldm.model import ModelConfig
from engine.lgldm.reference_names import schedule_layout, stage1_layout, stage2_layout
from engine.lgldm.vqvae import VQVAE, VQVAEConfig

PARITY = Path(__file__).resolve().parents[4] / "shared" / "parity"
VERTICES = 12


@pytest.fixture(scope="session")
def parity() -> Path:
    if not PARITY.is_dir():
        pytest.skip("no ../shared folder with the reference's numbers")
    return PARITY


def config_of(dataset: str) -> ModelConfig:
    """The dataset's architecture, tiny."""
    facts = DATASETS[dataset]
    width, code_dim, codes = 16, 2, 8
    audio = AudioEncoderConfig(
        family=facts.audio_family, hidden=16, layers=2, heads=4, ffn=24, conv_channels=(8,) * 7,
        conv_bias=facts.audio_family == "hubert", layer_norm=facts.audio_family == "hubert",
        position_kernel=16, position_groups=4, paired=facts.audio_paired, fps=facts.audio_fps,
    )  # fmt: skip
    vqvae = VQVAEConfig(
        motion_dim=3 * VERTICES, width=width, layers=2, heads=4, mlp_width=24, codes_per_frame=codes, code_dim=code_dim,
        codebook_size=7 * 8 if facts.emotions else 16, emotions=len(facts.emotions),
        codebook_slices=len(facts.emotions) or 1, conv_norm="instance", position="constant_row", attention_scale="width",
        latent_projection=dataset != "vocaset", output_bias=dataset == "vocaset", dropout=0.1,
    )  # fmt: skip
    denoiser = DenoiserConfig(
        latent_dim=16, audio_dim=audio.frame_dim, width=16, heads=4, layers=2, ffn=24, emotions=len(facts.emotions),
        identities=len(facts.identities), norm_first=False, activation="relu", dropout=0.1, attention_dropout=0.1,
        bias_period=facts.bias_period, position=facts.position, latent_activation=dataset != "biwi",
        identity_activation=dataset == "biwi",
    )  # fmt: skip
    return ModelConfig(dataset, audio, vqvae, denoiser)


def tensors_of(config: ModelConfig, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights under the names of a model folder; the denoiser's last layer is not left at zero."""
    torch.manual_seed(seed)
    parts = {"audio": AudioEncoder(config.audio), "vqvae": VQVAE(config.vqvae), "denoiser": Denoiser(config.denoiser)}
    torch.nn.init.normal_(parts["denoiser"].latent_out.weight, std=0.2)
    torch.nn.init.normal_(parts["vqvae"].quantiser.codebook.weight)
    return {f"{p}.{n}": v.detach() for p, module in parts.items() for n, v in module.state_dict().items()}


def released_files(
    folder: Path, config: ModelConfig, tensors: dict[str, torch.Tensor], old_names: bool = False
) -> tuple[Path, Path]:
    """The same weights as the two files that the reference's trainers write."""
    states: list[dict[str, torch.Tensor]] = []
    for part, layout in (("vqvae", stage1_layout(config.vqvae)), ("denoiser", stage2_layout(config.denoiser))):
        state = {}
        for theirs, entry in layout.items():
            if entry.ours is None:
                state[theirs] = entry.expected()
                continue
            value = tensors[f"{part}.{entry.ours}"]
            if entry.take is not None:  # query and key rows, which nothing reads
                value = torch.cat([torch.randn(entry.shape[0] - len(value), *value.shape[1:]), value])
            state[theirs] = value
        states.append(state)
    second = {n: e.expected() for n, e in schedule_layout(config.denoiser.timesteps).items()}
    second |= {f"denoise_fn.{n}": v for n, v in states[1].items()}
    for name, value in tensors.items():
        if name.startswith("audio.network."):
            theirs = "denoise_fn.audio_encoder." + name.removeprefix("audio.network.")
            if old_names:
                theirs = theirs.replace("parametrizations.weight.original0", "weight_g")
                theirs = theirs.replace("parametrizations.weight.original1", "weight_v")
            second[theirs] = value
    paths = folder / f"{config.dataset}_stage1.mpt", folder / f"{config.dataset}_stage2.mpt"
    key = "state_dict" if config.dataset == "vocaset" else "model"
    torch.save({"epoch": 3, key: states[0]}, paths[0])
    torch.save({"epoch": 3, "model": second, "opt": {"state": {}, "param_groups": []}}, paths[1])
    return paths
