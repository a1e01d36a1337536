"""What is trained: the FLINT prior, then audio network and denoiser around it. Each gives its losses for a batch."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..diffusion.respacing import cosine_betas, improved_schedule
from ..errors import InputError
from ..face.flame_torch import FlameLayer
from ..lgldm.audio_encoders import AudioEncoder, AudioEncoderConfig
from ..model_folder import CONFIG, WEIGHTS
from .checkpoints import read_flint, take_flint
from .data import Batch
from .denoiser import Denoiser, audio_states
from .flint import EXPRESSION, FACTOR, Flint, FlintConfig
from .geometry import LandmarkEmbedding, pose
from .losses import losses
from .model import KIND, ModelConfig
from .occlusion import Phase

PRIOR_KIND = "occlufacediff-flint"
VERTICES, KL = 1e6, 1e-3  # weights of FLINT's losses
# wav2vec2-base; no tensor of it is published with the denoiser's settings.
WAV2VEC2 = AudioEncoderConfig(
    family="wav2vec2", hidden=768, layers=12, heads=12, ffn=3072, conv_bias=False, layer_norm=False, paired=False
)


class PriorStage(nn.Module):
    """FLINT: squared distance of the vertices in mm^2, mean over their coordinates, and the latent's divergence."""

    def __init__(self, config: FlintConfig, layer: FlameLayer):
        super().__init__()
        self.flint = Flint(config)
        self.frozen = [layer]

    def forward(self, batch: Batch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Losses by name; "loss" is what is minimised. generator: of the latent's noise (CPU)."""
        mean, logvar = self.flint.encoder(batch.motion)
        noise = torch.randn(mean.shape, generator=generator).to(mean)
        predicted = self.flint.decode(mean + torch.exp(0.5 * logvar) * noise).float()
        with torch.autocast(batch.motion.device.type, enabled=False):
            vertices = F.mse_loss(self._vertices(predicted, batch), self._vertices(batch.motion, batch))
        divergence = -0.5 * (1 + logvar - mean.square() - logvar.exp()).mean()
        return {"loss": VERTICES * vertices + KL * divergence, "vertices": VERTICES * vertices, "divergence": divergence}

    def freeze_for(self, phase: Phase) -> None:
        """All of it trains always."""

    def _vertices(self, motion: Tensor, batch: Batch) -> Tensor:
        """Of the subject's head, held still."""
        flat = motion.flatten(0, 1)
        return self.frozen[0](flat[:, :EXPRESSION], {"jaw": flat[:, EXPRESSION:]}, batch.subject.shape.flatten(0, 1))


class DenoiserStage(nn.Module):
    """Audio network and denoiser; FLINT and FLAME beside them, frozen and out of the state."""

    def __init__(self, config: ModelConfig, flint: Flint, layer: FlameLayer, embedding: LandmarkEmbedding):
        super().__init__()
        self.audio = AudioEncoder(config.audio)
        self.audio.freeze_convolutions()
        self.denoiser = Denoiser(config.denoiser)
        self.schedule = improved_schedule(cosine_betas(config.denoiser.timesteps))
        self.embedding = embedding
        self.frozen = [flint.eval().requires_grad_(False), layer]

    def forward(self, batch: Batch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Losses by name at one random timestep per window; generator: of timesteps and noise (CPU)."""
        flint, layer = self.frozen
        device = batch.motion.device
        size, frames = batch.motion.shape[:2]
        shape = (size, frames // FACTOR, flint.config.width)
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            target = flint.encode(batch.motion, torch.randn(shape, generator=generator).to(device))
        t = torch.randint(0, len(self.schedule), (size,), generator=generator).to(device)
        noised = self.schedule.add_noise(target, t, torch.randn(shape, generator=generator).to(device))
        heard = audio_states(self.audio, batch.samples.flatten(1), frames)
        memory = self.denoiser.condition(batch.landmarks, batch.visible, heard)
        latent = self.denoiser(noised, t, memory).float()
        with torch.autocast(device.type, enabled=False):
            predicted = pose(layer, self.embedding, flint.decode(latent), batch.subject)
            truth = pose(layer, self.embedding, batch.motion, batch.subject)
            found = losses(latent, target, predicted, truth, batch.landmarks)
        return {"loss": found.total, **found._asdict()}

    def freeze_for(self, phase: Phase) -> None:
        """The audio network's transformer trains in audio phases alone. In the reference its weights still drift in the others,
        by the optimiser's momentum; here they stand still."""
        self.audio.requires_grad_(phase == "audio")
        self.audio.freeze_convolutions()


def load_prior(path: Path) -> Flint:
    """FLINT from a run of stage `flint`, its `model/`, any model folder of the system, or the published file. Raises
    InputError."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if path.is_file():
        config, tensors = take_flint(read_flint(path), path.name)
    else:
        folder = path / "model" if (path / "model" / CONFIG).is_file() else path
        try:
            values = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
            if values["kind"] not in (PRIOR_KIND, KIND):
                raise InputError(f"The model in '{folder}' is of the kind '{values['kind']}' and has no FLINT prior.")
            config = FlintConfig(**values["flint"])
            tensors = {n.removeprefix("flint."): v for n, v in load_file(folder / WEIGHTS).items() if n.startswith("flint.")}
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise InputError(f"There is no FLINT prior in '{path}' ({type(error).__name__}).") from error
    flint = Flint(config)
    try:
        flint.load_state_dict(tensors)
    except RuntimeError as error:
        raise InputError(f"The FLINT prior in '{path}' is incomplete or damaged.") from error
    return flint
