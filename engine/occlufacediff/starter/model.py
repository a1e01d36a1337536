"""The starter tracker: OccluFaceDiff's denoiser and FLINT prior, small, on ARKit weights, with the starter's ears.

`model.safetensors` holds `ears.`, `flint.`, `denoiser.` in half precision, and `latent.` and `motion.` statistics. The
ears are a copy of the starter's speech encoder as it was when the tracker was trained, so that either can change.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...diffusion.respacing import cosine_betas, improved_schedule
from ...diffusion.schedule import Schedule
from ...model_folder import WEIGHTS, read_config, whole_model, write_folder
from ...onednn import quickened
from ...starter.encoder import EncoderConfig, SpeechEncoder
from ..denoiser import Denoiser, DenoiserConfig
from ..flint import Flint, FlintConfig
from .channels import CHANNELS

KIND = "occlufacediff-starter"
FORMAT = 1


@dataclass(frozen=True)
class TrackerConfig:
    """Everything but the weights; `origin` says where those came from."""

    ears: EncoderConfig
    flint: FlintConfig
    denoiser: DenoiserConfig
    origin: str = ""

    def to_json(self) -> dict[str, Any]:
        """As written in config.json."""
        return {"kind": KIND, "format": FORMAT, "channels": list(CHANNELS), **asdict(self)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> TrackerConfig:
        """Raises KeyError, TypeError or ValueError where the values do not fit."""
        if values["kind"] != KIND or values["format"] != FORMAT or tuple(values["channels"]) != CHANNELS:
            raise ValueError("not a starter tracker's configuration of this format")
        ears: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values["ears"].items()}
        return cls(
            EncoderConfig(**ears), FlintConfig(**values["flint"]), DenoiserConfig(**values["denoiser"]), values["origin"]
        )


@dataclass
class Tracker:
    """The loaded tracker, every part on one device in evaluation mode.

    latent_mean, latent_deviation: (C,), what the denoiser's standardised latents were. motion_scale: (47,), what the prior's
    motion was divided by.
    """

    name: str
    config: TrackerConfig
    ears: SpeechEncoder
    flint: Flint
    denoiser: Denoiser
    latent_mean: Tensor
    latent_deviation: Tensor
    motion_scale: Tensor
    schedule: Schedule
    device: torch.device

    def decode(self, latent: Tensor) -> Tensor:
        """Standardised latents (B, L, C) to motion (B, 8 L, 47)."""
        return self.flint.decode(latent * self.latent_deviation + self.latent_mean) * self.motion_scale


def save_tracker(folder: Path, config: TrackerConfig, tensors: dict[str, Tensor]) -> None:
    """Write a model folder, whole or not at all. Raises InputError when something else is in its place."""
    write_folder(folder, config.to_json(), tensors)


def load_tracker(folder: Path, device: torch.device) -> Tracker:
    """Read a model folder. Raises InputError when it is incomplete, damaged, or does not fit together."""
    from safetensors.torch import load_file

    with whole_model(folder):
        config = TrackerConfig.from_json(read_config(folder))
        tensors = {k: v.float() if v.is_floating_point() else v for k, v in load_file(folder / WEIGHTS).items()}
        parts: dict[str, nn.Module] = {
            "ears": SpeechEncoder(config.ears),
            "flint": Flint(config.flint),
            "denoiser": Denoiser(config.denoiser),
        }
        for name, part in parts.items():
            own = {k.removeprefix(name + "."): v for k, v in tensors.items() if k.startswith(name + ".")}
            part.load_state_dict(own, strict=True)
            quickened(part).eval().requires_grad_(False).to(device)
        return Tracker(
            name=folder.name,
            config=config,
            **parts,  # type: ignore[arg-type]
            latent_mean=tensors["latent.mean"].to(device),
            latent_deviation=tensors["latent.deviation"].to(device),
            motion_scale=tensors["motion.scale"].to(device),
            schedule=improved_schedule(cosine_betas(config.denoiser.timesteps)),
            device=device,
        )
