"""A whole LG-LDM: audio encoder, stage 1, stage 2, the neutral face, and the folder they live in.

A model folder holds `config.json` and `model.safetensors` with the prefixes `audio.`, `vqvae.` and `denoiser.`, and,
where the neutral face is known, `template`; where the user gave their FLAME file, its arrays under `flame.`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from ..diffusion.schedule import Schedule, cosine_schedule
from ..errors import InputError
from ..face.flame import FlameModel
from ..model_folder import WEIGHTS, read_config, whole_model, write_folder
from .audio_encoders import AudioEncoder, AudioEncoderConfig
from .datasets import DATASETS, Dataset
from .denoiser import Denoiser, DenoiserConfig
from .vqvae import VQVAE, VQVAEConfig

KIND = "lgldm"
STAGE_ONE_KIND = "lgldm-vq"  # a folder with stage 1 alone, between the two trainings
FORMAT = 1
PARTS = ("audio", "vqvae", "denoiser")


@dataclass(frozen=True)
class ModelConfig:
    """Everything but the weights. `dataset` names the facts in `datasets.py`; `origin` says where the weights came from."""

    dataset: str
    audio: AudioEncoderConfig
    vqvae: VQVAEConfig
    denoiser: DenoiserConfig
    origin: str = ""
    # Released VOCASET, BIWI: float16. The reference rounds the neutral face so before it adds the displacements to it.
    template_precision: Literal["float32", "float16"] = "float32"

    @property
    def facts(self) -> Dataset:
        """The dataset's fixed facts."""
        return DATASETS[self.dataset]

    def to_json(self) -> dict[str, Any]:
        """As written in config.json."""
        return {"kind": KIND, "format": FORMAT, **asdict(self)}

    def neutral(self, template: Tensor) -> Tensor:
        """A neutral face (3 V,) float32 as displacements are added to it."""
        return template.half().float() if self.template_precision == "float16" else template

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> ModelConfig:
        """Raises KeyError, TypeError or ValueError where the values do not fit."""
        if values["kind"] != KIND or values["format"] != FORMAT or values["dataset"] not in DATASETS:
            raise ValueError("not an LG-LDM configuration of this format")
        audio = {k: tuple(v) if isinstance(v, list) else v for k, v in values["audio"].items()}
        return cls(
            dataset=values["dataset"],
            audio=AudioEncoderConfig(**audio),
            vqvae=VQVAEConfig(**values["vqvae"]),
            denoiser=DenoiserConfig(**values["denoiser"]),
            origin=values.get("origin", ""),
            template_precision=values.get("template_precision", "float32"),
        )


def released_config(dataset: str, motion_dim: int, overrides: Mapping[str, Mapping[str, Any]] | None = None) -> ModelConfig:
    """The architecture of the released model of a dataset, on meshes of motion_dim numbers per frame.

    overrides: fields of "audio", "vqvae" and "denoiser" to change. Sizes that follow from others are set to fit.
    Raises InputError for a field that does not exist.
    """
    facts = DATASETS[dataset]
    changes = {part: dict((overrides or {}).get(part, {})) for part in PARTS}
    if set(overrides or {}) - set(PARTS):
        raise InputError(f"A model's configuration has the parts {', '.join(PARTS)}, not {', '.join(overrides or {})}.")
    large = facts.audio_family == "hubert"
    audio: dict[str, Any] = {
        "family": facts.audio_family, "paired": facts.audio_paired, "fps": facts.audio_fps, "heads": facts.audio_heads,
        "layer_norm": large, "conv_bias": large,
    }  # fmt: skip
    if not large:
        audio |= {"hidden": 768, "layers": 12, "ffn": 3072}
    codes = {"mead": (8, 64, 1792), "vocaset": (16, 64, 256), "biwi": (8, 128, 256)}[dataset]
    emotions = len(facts.emotions)
    vqvae: dict[str, Any] = {
        "motion_dim": motion_dim, "width": 1024, "layers": 6, "heads": facts.stage1_heads, "mlp_width": 1536,
        "codes_per_frame": codes[0], "code_dim": codes[1], "codebook_size": codes[2], "emotions": emotions,
        "codebook_slices": emotions or 1, "conv_norm": "instance", "position": "constant_row", "attention_scale": "width",
        "latent_projection": dataset != "vocaset", "output_bias": dataset == "vocaset", "dropout": 0.1,
    }  # fmt: skip
    wide = dataset != "mead"
    denoiser: dict[str, Any] = {
        "width": 1024 if wide else 512, "heads": facts.stage2_heads, "layers": 8, "ffn": 2048 if wide else 1024,
        "emotions": emotions, "identities": len(facts.identities), "norm_first": False, "activation": "relu", "dropout": 0.1,
        "attention_dropout": 0.1,
        "bias_period": facts.bias_period, "position": facts.position, "latent_activation": dataset != "biwi",
        "identity_activation": dataset == "biwi",
    }  # fmt: skip
    try:
        lists = {k: tuple(v) for k, v in changes["audio"].items() if isinstance(v, list)}
        audio_config = AudioEncoderConfig(**{**audio, **changes["audio"], **lists})
        vqvae_config = VQVAEConfig(**{**vqvae, **changes["vqvae"]})
        for part, width, heads in (
            ("audio", audio_config.hidden, audio_config.heads), ("vqvae", vqvae_config.width, vqvae_config.heads)
        ):  # fmt: skip
            _check_heads(part, width, heads)
        fitting = {"latent_dim": vqvae_config.latent_dim, "audio_dim": audio_config.frame_dim}
        denoiser_config = DenoiserConfig(**{**denoiser, **fitting, **changes["denoiser"]})
        _check_heads("denoiser", denoiser_config.width, denoiser_config.heads)
        return ModelConfig(dataset, audio_config, vqvae_config, denoiser_config)
    except TypeError as error:
        raise InputError(f"The model's configuration does not fit: {error}.") from error


@dataclass
class LgldmModel:
    """The loaded model, every part on one device in evaluation mode; `template`: (3 V,) metres or None; `flame`: the
    user's FLAME, with which vertices become expression and jaw, or None."""

    name: str
    config: ModelConfig
    audio: AudioEncoder
    vqvae: VQVAE
    denoiser: Denoiser
    schedule: Schedule
    template: Tensor | None
    flame: FlameModel | None
    device: torch.device


def save_model(folder: Path, config: ModelConfig, tensors: dict[str, Tensor]) -> None:
    """Write a model folder, whole or not at all. tensors: as in the file, prefixes included. Raises as `write_folder`."""
    write_folder(folder, config.to_json(), {name: value.float() for name, value in tensors.items()})


def flame_tensors(flame: FlameModel) -> dict[str, Tensor]:
    """As stored in a model folder; the identity basis, which animation does not use, is left out."""
    slim = replace(flame, shape_basis=flame.shape_basis[:, :, :0])
    return {f"flame.{f.name}": torch.from_numpy(np.array(getattr(slim, f.name), np.float32)) for f in fields(slim)}


def _flame(tensors: Mapping[str, Tensor]) -> FlameModel | None:
    if "flame.template" not in tensors:
        return None
    arrays = {f.name: tensors[f"flame.{f.name}"].double().numpy() for f in fields(FlameModel)}
    return FlameModel(**{n: a.astype(np.int64) if n in ("parents", "faces") else a for n, a in arrays.items()})


def load_model(folder: Path, device: torch.device) -> LgldmModel:
    """Read a model folder. Raises InputError when it is incomplete, damaged, or does not fit together."""
    from safetensors.torch import load_file

    with whole_model(folder):
        config = ModelConfig.from_json(read_config(folder))
        tensors = load_file(folder / WEIGHTS)
        with torch.device("meta"):
            parts: dict[str, nn.Module] = {
                "audio": AudioEncoder(config.audio),
                "vqvae": VQVAE(config.vqvae),
                "denoiser": Denoiser(config.denoiser),
            }
        for name, part in parts.items():
            own = {k.removeprefix(name + "."): v for k, v in tensors.items() if k.startswith(name + ".")}
            part.load_state_dict(own, strict=True, assign=True)
            part.eval().requires_grad_(False).to(device)
        template = tensors.get("template")
        if template is not None and template.shape != (config.vqvae.motion_dim,):
            raise ValueError("the neutral face has another number of vertices")
        return LgldmModel(
            name=folder.name,
            config=config,
            **parts,  # type: ignore[arg-type]
            schedule=cosine_schedule(config.denoiser.timesteps),
            template=None if template is None else config.neutral(template).to(device),
            flame=_flame(tensors),
            device=device,
        )


def _check_heads(part: str, width: int, heads: int) -> None:
    if heads < 1 or width % heads:
        raise InputError(f"The sizes of '{part}' do not fit: its width ({width}) is no multiple of its heads ({heads}).")
