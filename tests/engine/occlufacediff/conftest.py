"""Small models of the architecture with random weights, as the engine's own and as released files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.lgldm.audio_encoders import AudioEncoder, AudioEncoderConfig
from engine.occlufacediff.checkpoints import AUDIO
from engine.occlufacediff.denoiser import Denoiser, DenoiserConfig
from engine.occlufacediff.flint import Flint, FlintConfig
from engine.occlufacediff.model import ModelConfig
from engine.occlufacediff.reference_names import (
    DENOISER_RULES,
    FLINT_RULES,
    STACKED,
    computed_tables,
    to_theirs,
)

PARITY = Path(__file__).resolve().parents[4] / "shared" / "parity" / "occlufacediff"
KEYS = PARITY.parents[1] / "specs" / "keys"

CONFIG = ModelConfig(
    AudioEncoderConfig(
        family="wav2vec2", hidden=16, layers=2, heads=4, ffn=24, conv_channels=(8,) * 7, conv_bias=False,
        layer_norm=False, position_kernel=16, position_groups=4, paired=False,
    ),
    FlintConfig(width=16, heads=8, ff=24),
    DenoiserConfig(
        latent_channels=16, landmark_width=8, audio_dim=16, audio_width=16, encoder_layers=2, encoder_ff=24, width=12,
        decoder_layers=2, decoder_ff=24, heads=4,
    ),
)  # fmt: skip


@pytest.fixture(scope="session")
def parity() -> Path:
    if not PARITY.is_dir():
        pytest.skip("no ../shared folder with the reference's numbers")
    return PARITY


def tensors_of(config: ModelConfig = CONFIG, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights under the names of a model folder; attention is enlarged so that it matters."""
    torch.manual_seed(seed)
    parts = {"audio": AudioEncoder(config.audio), "flint": Flint(config.flint), "denoiser": Denoiser(config.denoiser)}
    for module in parts.values():
        for name, value in module.state_dict().items():
            if name.endswith("in_proj_weight"):
                torch.nn.init.normal_(value, std=0.5)
            elif name.endswith("running_mean"):
                torch.nn.init.normal_(value, std=0.1)
            elif name.endswith("running_var"):
                torch.nn.init.uniform_(value, 0.5, 1.5)
    return {f"{p}.{n}": v.detach() for p, module in parts.items() for n, v in module.state_dict().items()}


def released_states(
    tensors: dict[str, torch.Tensor], config: ModelConfig = CONFIG, old_names: bool = False
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The denoiser's and FLINT's state dicts under the reference's names."""
    denoiser, flint = {}, {}
    for name, value in tensors.items():
        part, _, own = name.partition(".")
        if part == "flint":
            flint[to_theirs(own, FLINT_RULES)] = value
        elif part == "audio":
            theirs = AUDIO + own.removeprefix("network.")
            if old_names:
                theirs = theirs.replace("parametrizations.weight.original0", "weight_g")
                theirs = theirs.replace("parametrizations.weight.original1", "weight_v")
            denoiser[theirs] = value
        else:
            theirs = to_theirs(own, DENOISER_RULES)
            if STACKED in theirs:  # query and key rows, which nothing reads
                value = torch.cat([torch.randn(2 * len(value), *value.shape[1:]), value])
            denoiser[theirs] = value
    sizes = config.denoiser
    for name, table in computed_tables(sizes.encoder_width, sizes.width, sizes.heads).items():
        columns = sizes.encoder_width if name == "sequence_pos_encoder.pe" else sizes.width
        denoiser[name] = table((sizes.heads, 20, 20) if name == "tgt_mask" else (50, 1, columns))
    return denoiser, flint


def released_files(
    folder: Path, tensors: dict[str, torch.Tensor], old_names: bool = False, config: ModelConfig = CONFIG
) -> tuple[Path, Path]:
    """The two files as the reference's trainers write them."""
    denoiser, flint = released_states(tensors, config, old_names)
    flint["preprocessor.flame.v_template"] = torch.zeros(5, 3)
    flint["postprocessor.flame.faces_tensor"] = torch.zeros(2, 3, dtype=torch.int64)
    paths = folder / "model_46.pt", folder / "flint.ckpt"
    torch.save(denoiser, paths[0])
    torch.save({"epoch": 758, "global_step": 1, "state_dict": flint}, paths[1])
    return paths
