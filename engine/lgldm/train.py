"""Training of both stages with the reference's losses and settings as defaults.

A run writes into its folder what `training_run` says; `model/` is, for stage 2, a model that `animate` speaks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from ..diffusion.schedule import Schedule, cosine_schedule
from ..errors import InputError
from ..model_folder import WEIGHTS, check_folder, write_folder
from ..training_run import TrainingRun, mean_losses, seed_everything
from .audio_encoders import AudioEncoder, new_names
from .batches import Batch, batches
from .data import MotionData
from .denoiser import Denoiser
from .losses import stage_one_losses, stage_two_losses
from .model import (
    KIND,
    STAGE_ONE_KIND,
    ModelConfig,
    flame_tensors,
    released_config,
    save_model,
)
from .vqvae import VQVAE, VQVAEConfig

Stage = Literal["lgldm-vq", "lgldm-diffusion"]
EPOCHS = {"lgldm-vq": {"mead": 400, "vocaset": 300, "biwi": 300}, "lgldm-diffusion": {"mead": 100, "vocaset": 100, "biwi": 50}}


@dataclass(frozen=True)
class TrainOptions:
    """A run. Defaults are the reference's; epochs None is its number for the dataset.

    crop: longest clip in frames (None: whole clips, or the shortest of the batch). ema: decay of the averaged weights that
    are saved and validated (0: the weights themselves, as in the reference). every: epochs between validations and saves.
    """

    stage: Stage
    dataset: str
    data: Path
    out: Path
    flame: Path | None = None
    vqvae: Path | None = None
    audio_weights: Path | None = None
    epochs: int | None = None
    batch: int = 1
    crop: int | None = None
    lr: float = 1e-4
    ema: float = 0.0
    precision: Literal["fp32", "bf16"] = "fp32"
    seed: int = 0
    every: int = 5
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def fingerprint(self) -> str:
        """What must be the same for a resumed run to continue this one."""
        free = ("out", "data", "epochs", "every", "flame", "vqvae", "audio_weights")
        return json.dumps({k: v for k, v in asdict(self).items() if k not in free}, sort_keys=True, default=str)


class StageOne(nn.Module):
    """The autoencoder and its losses."""

    def __init__(self, config: VQVAEConfig):
        super().__init__()
        self.vqvae = VQVAE(config)

    def forward(self, batch: Batch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Losses by name; "loss" is what is minimised."""
        losses = stage_one_losses(self.vqvae, batch.displacement, batch.emotion)
        return {"loss": losses.total, **losses._asdict()}


class StageTwo(nn.Module):
    """Audio network and denoiser, with stage 1 beside them frozen and out of the state."""

    def __init__(self, config: ModelConfig, vqvae: VQVAE, schedule: Schedule):
        super().__init__()
        self.audio = AudioEncoder(config.audio)
        self.audio.freeze_convolutions()
        self.denoiser = Denoiser(config.denoiser)
        self.schedule = schedule
        self.frozen = [vqvae.eval().requires_grad_(False)]

    def forward(self, batch: Batch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Losses by name at one random timestep per clip; generator: of the timesteps and the noise (CPU)."""
        vqvae, device = self.frozen[0], batch.displacement.device
        with torch.no_grad():
            x0 = vqvae.encode(batch.displacement, batch.emotion)
        audio = self.denoiser.embed_audio(self.audio(batch.samples, x0.shape[1]))
        frames = min(audio.shape[1], x0.shape[1])
        x0 = x0[:, :frames]
        t = torch.randint(0, len(self.schedule), (len(x0),), generator=generator).to(device)
        noise = torch.randn(x0.shape, generator=generator).to(device)
        noised = self.schedule.add_noise(x0, t, noise)
        predicted = self.denoiser(noised, t, audio, batch.emotion, batch.identity)
        losses = stage_two_losses(vqvae, predicted, x0, batch.displacement[:, :frames], batch.emotion)
        return {"loss": losses.total, **losses._asdict()}


class Trainer(TrainingRun):
    """A run of either stage."""

    options: TrainOptions
    module: StageOne | StageTwo

    def __init__(self, options: TrainOptions, device: torch.device):
        super().__init__(options, device)
        if options.out.exists():
            check_folder(options.out / "model", STAGE_ONE_KIND if options.stage == "lgldm-vq" else KIND)
        self.train_data = MotionData(options.dataset, options.data, "train", options.flame)
        self.held_out = MotionData(options.dataset, options.data, "val", options.flame)
        seed_everything(options.seed, 0)
        motion_dim = len(self.train_data.template())
        self.config = released_config(options.dataset, motion_dim, options.overrides)
        self.begin(
            lambda: self._build(motion_dim),
            lambda parameters: torch.optim.AdamW(parameters, lr=options.lr, amsgrad=options.stage == "lgldm-vq"),
            options.epochs or EPOCHS[options.stage][options.dataset],
        )

    def validate(self) -> dict[str, float]:
        """Mean losses on held-out clips with the weights that would be saved; the same timesteps and noise every time."""
        self.module.eval()
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad(), self.averaged():
            return mean_losses(self.module(batch, generator) for batch in self._batches(self.held_out, None))

    def _save_model(self, folder: Path, tensors: dict[str, Tensor]) -> None:
        tensors["template"] = torch.from_numpy(self.train_data.template())
        if isinstance(self.module, StageTwo):
            tensors |= {f"vqvae.{n}": v for n, v in self.module.frozen[0].state_dict().items()}
            if self.options.dataset == "mead":
                tensors |= flame_tensors(self.train_data.flame)
            save_model(folder, self.config, tensors)
        else:
            values = {"kind": STAGE_ONE_KIND, "dataset": self.options.dataset, "vqvae": asdict(self.config.vqvae)}
            write_folder(folder, values, tensors)

    def _build(self, motion_dim: int) -> StageOne | StageTwo:
        if self.options.stage == "lgldm-vq":
            return StageOne(self.config.vqvae)
        if self.options.vqvae is None:
            raise InputError("Training the diffusion model needs the folder of a trained stage 1: --vqvae DIR.")
        vqvae = load_stage_one(self.options.vqvae, self.options.dataset)
        if vqvae.config.motion_dim != motion_dim:
            raise InputError(f"'{self.options.vqvae}' was trained on another mesh: {vqvae.config.motion_dim // 3} vertices.")
        overrides = {**self.options.overrides, "vqvae": asdict(vqvae.config)}
        self.config = released_config(self.options.dataset, motion_dim, overrides)
        module = StageTwo(self.config, vqvae.to(self.device), cosine_schedule(self.config.denoiser.timesteps))
        if self.options.audio_weights is not None:
            load_audio_weights(module.audio, self.options.audio_weights)
        return module

    def _epoch(self, epoch: int) -> dict[str, float]:
        rng = seed_everything(self.options.seed, epoch + 1, self.processes.rank)
        self.module.train()
        losses = []
        for batch in self._batches(self.train_data, rng):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.options.precision == "bf16"):
                named = self.wrapped(batch)
            self.optimizer.zero_grad(set_to_none=True)
            self.processes.backward(named["loss"])
            self.optimizer.step()
            self.follow()
            losses.append({n: v.detach() for n, v in named.items()})
        return mean_losses(losses)

    def _batches(self, data: MotionData, rng: np.random.Generator | None) -> Iterator[Batch]:
        identities = self.config.denoiser.identities
        if rng is None:
            return batches(data, 1, self.options.crop, None, self.device, identities)
        share = (self.processes.rank, self.processes.count)
        return batches(data, self.options.batch, self.options.crop, rng, self.device, identities, share)


def load_stage_one(folder: Path, dataset: str) -> VQVAE:
    """The autoencoder of a stage-1 run (its folder or the `model/` in it), or of a whole model. Raises InputError."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = folder / "model" if (folder / "model" / "config.json").is_file() else folder
    try:
        values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if values["dataset"] != dataset:
            raise InputError(f"'{folder}' is a stage 1 of {values['dataset']}, not of {dataset}.")
        model = VQVAE(VQVAEConfig(**values["vqvae"]))
        tensors = load_file(folder / WEIGHTS)
        model.load_state_dict({n.removeprefix("vqvae."): v for n, v in tensors.items() if n.startswith("vqvae.")})
        return model
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"'{folder}' is not the folder of a trained stage 1 ({type(error).__name__}).") from error


def load_audio_weights(encoder: AudioEncoder, path: Path) -> None:
    """Pretrained weights as published (`model.safetensors` or `pytorch_model.bin` of hubert-large-ls960-ft or
    wav2vec2-base-960h); their speech-recognition head is left out. Raises InputError when anything else differs."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from .checkpoints import read_checkpoint

    if path.suffix == ".safetensors":
        try:
            tensors = load_file(path)
        except (OSError, SafetensorError) as error:
            raise InputError(f"'{path.name}' is missing or damaged.") from error
    else:
        tensors = read_checkpoint(path)
    prefix = f"{encoder.config.family}."
    body = new_names({n.removeprefix(prefix): v for n, v in tensors.items() if not n.startswith("lm_head.")})
    try:
        encoder.network.load_state_dict(body, strict=True)
    except RuntimeError as error:
        raise InputError(f"'{path.name}' does not fit the audio network: {' '.join(str(error).split())}.") from error
