"""Training of FLINT and of the denoiser with the published losses and settings as defaults.

A run writes into its folder what `training_run` says; `model/` is, of the denoiser, a model that `track` speaks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import InputError
from ..lgldm.train import load_audio_weights
from ..model_folder import check_folder, write_folder
from ..training_run import TrainingRun, mean_losses, seed_everything
from .data import Batch, OccluData, batches
from .denoiser import DenoiserConfig
from .flint import FACTOR, FlintConfig
from .geometry import load_face
from .model import KIND, ModelConfig, save_model
from .occlusion import phase_of
from .stages import PRIOR_KIND, WAV2VEC2, DenoiserStage, PriorStage, load_prior

Stage = Literal["flint", "occlufacediff"]
WEIGHT_DECAY = 1e-3


@dataclass(frozen=True)
class Settings:
    """What the two stages do differently. frames: of a window; accumulate: batches per step of the optimiser; repeats,
    validation_repeats: windows of every clip in an epoch and in a validation."""

    epochs: int
    batch: int
    frames: int
    accumulate: int
    repeats: int
    validation_repeats: int


# FLINT's are those of its authors' training code as far as that tells; its released weights are of epoch 758.
SETTINGS: dict[str, Settings] = {
    "flint": Settings(epochs=759, batch=32, frames=32, accumulate=1, repeats=1, validation_repeats=1),
    "occlufacediff": Settings(epochs=50, batch=16, frames=64, accumulate=4, repeats=5, validation_repeats=10),
}


@dataclass(frozen=True)
class OccluTrainOptions:
    """A run; None is the stage's own of SETTINGS. prior: a trained FLINT. ema: decay of the averaged weights that are saved
    and validated (0: the weights themselves, as in the reference). every: epochs between validations and saves."""

    stage: Stage
    data: Path
    out: Path
    flame: Path | None = None
    embedding: Path | None = None
    prior: Path | None = None
    audio_weights: Path | None = None
    epochs: int | None = None
    batch: int | None = None
    crop: int | None = None
    accumulate: int | None = None
    repeats: int | None = None
    lr: float = 1e-4
    ema: float = 0.0
    precision: Literal["fp32", "bf16"] = "fp32"
    seed: int = 10
    every: int = 1
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def fingerprint(self) -> str:
        """What must be the same for a resumed run to continue this one."""
        free = ("out", "data", "epochs", "every", "flame", "embedding", "prior", "audio_weights")
        return json.dumps({k: v for k, v in asdict(self).items() if k not in free}, sort_keys=True, default=str)

    def settings(self) -> Settings:
        """The stage's, with what was chosen. Raises InputError."""
        own = SETTINGS[self.stage]
        chosen = {"epochs": self.epochs, "batch": self.batch, "frames": self.crop, "accumulate": self.accumulate}
        given = {k: v for k, v in chosen.items() if v is not None}
        if self.repeats is not None:
            given |= {"repeats": self.repeats, "validation_repeats": self.repeats}
        if given.get("frames", FACTOR) % FACTOR:
            raise InputError(f"A window of {given['frames']} frames is no multiple of {FACTOR}.")
        return replace(own, **given)


class OccluTrainer(TrainingRun):
    """A run of either stage. `stepped(step, steps)` is told within an epoch."""

    options: OccluTrainOptions
    module: PriorStage | DenoiserStage

    def __init__(self, options: OccluTrainOptions, device: torch.device, stepped: Callable[[int, int], None] | None = None):
        super().__init__(options, device)
        self.stepped = stepped
        self.settings = options.settings()
        if options.out.exists():
            check_folder(options.out / "model", PRIOR_KIND if options.stage == "flint" else KIND)
        self.train_data = OccluData(options.data, "train", self.settings.frames)
        self.held_out = OccluData(options.data, "test", self.settings.frames)
        seed_everything(options.seed, 0)
        self.begin(lambda: self._make(options), self._optimizer, self.settings.epochs)
        for module in self.module.frozen:
            module.to(self.device)

    def validate(self) -> dict[str, float]:
        """Mean losses on the test part, as the published training validates, with the weights that would be saved; the same
        windows, masks, timesteps and noise every time."""
        self.module.eval()
        generator = torch.Generator().manual_seed(1)
        own = self.settings
        drawn = batches(
            self.held_out, own.batch, own.frames, np.random.default_rng(1), self.device, "visual", own.validation_repeats
        )
        with torch.no_grad(), self.averaged():
            return mean_losses(self.module(batch, generator) for batch in drawn)

    def _save_model(self, folder: Path, tensors: dict[str, Tensor]) -> None:
        if isinstance(self.module, DenoiserStage):
            tensors |= {f"flint.{n}": v for n, v in self.module.frozen[0].state_dict().items()}
            save_model(folder, self.config, tensors)
        else:
            write_folder(folder, {"kind": PRIOR_KIND, "flint": asdict(self.module.flint.config)}, tensors)

    def _optimizer(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        if self.options.stage == "flint":
            return torch.optim.Adam(parameters, lr=self.options.lr)
        return torch.optim.AdamW(parameters, lr=self.options.lr, weight_decay=WEIGHT_DECAY)

    def _make(self, options: OccluTrainOptions) -> PriorStage | DenoiserStage:
        layer, embedding = load_face(options.flame, options.embedding)
        if options.stage == "flint":
            return PriorStage(FlintConfig(**options.overrides.get("flint", {})), layer)
        if options.prior is None:
            raise InputError("Training the denoiser needs a trained FLINT prior: --flint DIR_OR_FILE.")
        flint = load_prior(options.prior)
        changed = options.overrides.get("audio", {})
        audio = replace(WAV2VEC2, **{k: tuple(v) if isinstance(v, list) else v for k, v in changed.items()})
        sizes = {**options.overrides.get("denoiser", {}), "latent_channels": flint.config.width, "audio_dim": audio.hidden}
        self.config = ModelConfig(audio, flint.config, DenoiserConfig(**sizes), "trained by python -m engine train occlufacediff")
        stage = DenoiserStage(self.config, flint, layer, embedding)
        if options.audio_weights is not None:
            load_audio_weights(stage.audio, options.audio_weights)
        return stage

    def _epoch(self, epoch: int) -> dict[str, float]:
        rng = seed_everything(self.options.seed, epoch + 1, self.processes.rank)
        own, phase = self.settings, phase_of(epoch)
        self.module.train()
        self.module.freeze_for(phase)
        share = (self.processes.rank, self.processes.count)
        found = []
        steps = max(1, -(-len(self.train_data) * own.repeats // share[1]) // own.batch)
        self.optimizer.zero_grad(set_to_none=True)
        drawn: Iterator[Batch] = batches(
            self.train_data, own.batch, own.frames, rng, self.device, phase, own.repeats, share
        )
        for step, batch in enumerate(drawn, 1):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.options.precision == "bf16"):
                named = self.wrapped(batch)
            self.processes.backward(named["loss"] / own.accumulate)
            if step % own.accumulate == 0 or step == steps:
                self.optimizer.step()
                self.optimizer.zero_grad(set_to_none=True)
                self.follow()
            found.append({n: v.detach() for n, v in named.items()})
            if self.stepped is not None and self.processes.main:
                self.stepped(step, steps)
        return mean_losses(found)
