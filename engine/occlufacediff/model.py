"""A whole OccluFaceDiff: audio network, FLINT, denoiser, and the folder they live in.

`model.safetensors` holds the prefixes `audio.`, `flint.` and `denoiser.`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..diffusion.respacing import cosine_betas, improved_schedule
from ..diffusion.schedule import Schedule
from ..lgldm.audio_encoders import AudioEncoder, AudioEncoderConfig
from ..model_folder import WEIGHTS, read_config, whole_model, write_folder
from ..onednn import quickened
from .denoiser import Denoiser, DenoiserConfig
from .flint import Flint, FlintConfig

KIND = "occlufacediff"
FORMAT = 1


@dataclass(frozen=True)
class ModelConfig:
    """Everything but the weights; `origin` says where those came from."""

    audio: AudioEncoderConfig
    flint: FlintConfig
    denoiser: DenoiserConfig
    origin: str = ""

    def to_json(self) -> dict[str, Any]:
        """As written in config.json."""
        return {"kind": KIND, "format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> ModelConfig:
        """Raises KeyError, TypeError or ValueError where the values do not fit."""
        if values["kind"] != KIND or values["format"] != FORMAT:
            raise ValueError("not an OccluFaceDiff configuration of this format")
        audio = {k: tuple(v) if isinstance(v, list) else v for k, v in values["audio"].items()}
        return cls(
            audio=AudioEncoderConfig(**audio),
            flint=FlintConfig(**values["flint"]),
            denoiser=DenoiserConfig(**values["denoiser"]),
            origin=values.get("origin", ""),
        )


@dataclass
class OccluModel:
    """The loaded model, every part on one device in evaluation mode."""

    name: str
    config: ModelConfig
    audio: AudioEncoder
    flint: Flint
    denoiser: Denoiser
    schedule: Schedule
    device: torch.device


def save_model(folder: Path, config: ModelConfig, tensors: dict[str, Tensor]) -> None:
    """Write a model folder, whole or not at all. Raises InputError when something else is in its place."""
    write_folder(folder, config.to_json(), tensors)


def load_model(folder: Path, device: torch.device) -> OccluModel:
    """Read a model folder. Raises InputError when it is incomplete, damaged, or does not fit together."""
    from safetensors.torch import load_file

    with whole_model(folder):
        config = ModelConfig.from_json(read_config(folder))
        tensors = load_file(folder / WEIGHTS)
        with torch.device("meta"):
            parts: dict[str, nn.Module] = {
                "audio": AudioEncoder(config.audio),
                "flint": Flint(config.flint),
                "denoiser": Denoiser(config.denoiser),
            }
        for name, part in parts.items():
            own = {k.removeprefix(name + "."): v for k, v in tensors.items() if k.startswith(name + ".")}
            part.load_state_dict(own, strict=True, assign=True)
            quickened(part).eval().requires_grad_(False).to(device)
        return OccluModel(
            name=folder.name,
            config=config,
            **parts,  # type: ignore[arg-type]
            schedule=improved_schedule(cosine_betas(config.denoiser.timesteps)),
            device=device,
        )
