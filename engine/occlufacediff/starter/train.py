"""Training of the starter tracker, stage by stage; each stage resumes from its checkpoint.

1. features: the starter's sounds and performances (`engine/starter/train.py`), heard by the starter's own encoder
2. flint: the motion prior
3. denoiser: latent diffusion from what is seen and heard
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...diffusion.respacing import cosine_betas, improved_schedule
from ...model_folder import CONFIG, WEIGHTS
from ...starter import train as starter_train
from ...starter.encoder import EncoderConfig, SpeechEncoder
from ...starter.train import Features, Trainer
from ..denoiser import Denoiser, DenoiserConfig
from ..flint import Flint, FlintConfig
from ..windows import WINDOW
from .channels import CHANNELS, FACE, FACE_ROWS
from .examples import FRAMES, full_motion, make_batch
from .model import TrackerConfig, save_tracker
from .points import LIPS, LOOKED_AT, face_points

FLINT = FlintConfig(motion_dim=len(CHANNELS), width=128, heads=8, ff=384, layers=1)
SOUNDLESS = 0.08  # share of examples in which nothing is heard: videos without sound
KL = 2e-4
Log = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """How much training. The defaults make the committed weights; `smoke` makes a useless model in seconds for tests."""

    seed: int = 0
    chunks: int = 2000
    draws: int = 3
    flint_steps: int = 1500
    denoiser_steps: int = 6000
    sequences: int = 10  # of FRAMES frames in a batch

    @staticmethod
    def smoke() -> Plan:
        """A few steps of everything."""
        return Plan(0, 4, 1, 3, 3, 2)


def denoiser_config(feature_dim: int) -> DenoiserConfig:
    """The tracker's sizes."""
    return DenoiserConfig(
        latent_channels=FLINT.width,
        landmark_dim=3 * (len(LOOKED_AT) + 2),
        landmark_width=128,
        audio_dim=feature_dim,
        audio_width=128,
        encoder_layers=2,
        encoder_ff=512,
        width=192,
        decoder_layers=3,
        decoder_ff=384,
        heads=4,
    )


def train(corpus: Path, work: Path, assets: Path, ears: Path, plan: Plan, log: Log = print) -> None:
    """Run every stage that `work` does not hold yet, then write the model into `assets`. ears: the starter's folder."""
    work.mkdir(parents=True, exist_ok=True)
    encoder = read_ears(ears)
    features = starter_train.make_features(
        FirstBands(encoder), corpus, work, starter_train.Plan(seed=plan.seed, chunks=plan.chunks, draws=plan.draws), log
    )
    flint = train_flint(features, work, plan, log)
    train_denoiser(features, flint, work, plan, log)
    export(encoder, work, assets, plan)


class FirstBands(SpeechEncoder):
    """An encoder that is given more bands than it hears: those it hears are the first."""

    def __init__(self, encoder: SpeechEncoder):
        super().__init__(encoder.config)
        self.load_state_dict(encoder.state_dict())
        self.requires_grad_(False)

    def conditions(self, mel: Tensor, frames: int) -> Tensor:
        """As `SpeechEncoder.conditions`."""
        return super().conditions(mel[..., : self.config.bands], frames)


def read_ears(folder: Path) -> SpeechEncoder:
    """The starter's speech encoder from its model folder."""
    from safetensors.torch import load_file

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    encoder = SpeechEncoder(EncoderConfig(**{**config["encoder"], "dilations": tuple(config["encoder"]["dilations"])}))
    tensors = load_file(folder / "starter.safetensors")
    encoder.load_state_dict({k.removeprefix("encoder."): v.float() for k, v in tensors.items() if k.startswith("encoder.")})
    return encoder.eval().requires_grad_(False)


# ------------------------------------------------------------------------------------------------------------ 2. flint
def motion_scale(features: Features) -> Tensor:
    """(47,) typical size of each channel: the prior sees motion divided by it."""
    rng = np.random.default_rng(3)
    some = features.motion[:: max(1, len(features.motion) // 150), 0].astype(np.float32)
    deviation = np.concatenate([full_motion(own, rng)[0] for own in some]).std(axis=0)
    return torch.from_numpy(np.clip(deviation, 0.05, None).astype(np.float32))


class Shown:
    """How far motion moves what is seen of a face: (..., 47) weights to mm at the lips, lids and brows."""

    def __init__(self) -> None:
        basis = face_points().basis
        eyes = np.setdiff1d(LOOKED_AT, LIPS)
        moved = np.concatenate([basis[:, LIPS], 0.5 * basis[:, eyes]], axis=1)[FACE_ROWS]
        lower, upper = basis[FACE_ROWS][:, [14, 87, 317, 178, 402]], basis[FACE_ROWS][:, [13, 82, 312, 81, 311]]
        self.basis = torch.from_numpy(moved.reshape(len(FACE), -1).astype(np.float32))
        self.gap = torch.from_numpy((upper - lower)[..., 1].astype(np.float32))

    def errors(self, motion: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean squares of the points' error (mm2), of their speed's (mm2 per frame2) and of the lips' gap (mm2)."""
        wrong = (motion - target)[..., : len(FACE)].float()
        moved = wrong @ self.basis
        return moved.square().mean(), moved.diff(dim=1).square().mean(), (wrong @ self.gap).square().mean()


def train_flint(features: Features, work: Path, plan: Plan, log: Log) -> Flint:
    """The prior: reconstruction of the weights and of where they move the face, and a little pull to a normal latent."""
    torch.manual_seed(plan.seed + 11)
    model, scale, shown = Flint(FLINT), motion_scale(features), Shown()
    trainer = Trainer("flint", model, plan.flint_steps, 1e-3, work, log)

    def loss(motion: Tensor) -> tuple[Tensor, dict[str, float]]:
        x = motion / scale
        mean, logvar = model.encoder(x)
        out = model.decode(mean + torch.exp(0.5 * logvar) * torch.randn_like(mean))
        points, speed, gap = shown.errors(out * scale, motion)
        weights = (out.float() - x).square().mean()
        kl = 0.5 * (mean.float().square() + logvar.float().exp() - 1 - logvar.float()).mean()
        parts = {"weights": weights.item(), "mm2": points.item(), "gap": gap.item(), "kl": kl.item()}
        return weights + 2 * points + 2 * speed + 0.5 * gap + KL * kl, parts

    for batch in motion_batches(features, 32, plan.seed + 11, trainer.step):
        if trainer.step >= trainer.steps:
            break
        trainer.update(lambda b=batch: loss(b))
    return trainer.finished()  # type: ignore[return-value]


def motion_batches(features: Features, size: int, seed: int, first_step: int) -> Iterator[Tensor]:
    """Endless batches (size, 64, 47) of motion alone; batch k depends on (seed, k) alone."""
    step = first_step
    while True:
        rng = np.random.default_rng([seed, step])
        drawn = _draw(features, size // 2, rng)[0]
        whole = np.stack([full_motion(own, rng)[0] for own in drawn])
        yield torch.from_numpy(whole.reshape(-1, WINDOW, len(CHANNELS)))
        step += 1


def _draw(features: Features, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Motion (count, FRAMES, 45) and what is heard (count, FRAMES, C), the same stretches of both."""
    n, d = rng.integers(features.motion.shape[0], size=count), rng.integers(features.motion.shape[1], size=count)
    version = rng.integers(2, size=count)
    span = rng.integers(features.motion.shape[2] - FRAMES + 1, size=count)[:, None] + np.arange(FRAMES)
    motion = features.motion[n[:, None], d[:, None], span].astype(np.float32)
    return motion, features.conditions[version[:, None], n[:, None], span].astype(np.float32)


# --------------------------------------------------------------------------------------------------------- 3. denoiser
def train_denoiser(features: Features, flint: Flint, work: Path, plan: Plan, log: Log) -> Denoiser:
    """Prediction of the standardised latent, and of the face that the prior decodes from it."""
    torch.manual_seed(plan.seed + 12)
    flint = flint.eval().requires_grad_(False)
    scale, shown = motion_scale(features), Shown()
    mean, deviation = latent_statistics(features, flint, scale, work)
    model = Denoiser(denoiser_config(features.conditions.shape[-1]))
    trainer = Trainer("denoiser", model, plan.denoiser_steps, 7e-4, work, log)
    schedule = improved_schedule(cosine_betas(model.config.timesteps))

    def loss(motion: Tensor, seen: Tensor, visible: Tensor, heard: Tensor) -> tuple[Tensor, dict[str, float]]:
        with torch.no_grad():
            target = (flint.encoder(motion / scale)[0].float() - mean) / deviation
        t = torch.randint(len(schedule), (len(motion),))
        noisy = schedule.add_noise(target, t, torch.randn_like(target))
        predicted = model(noisy, t, model.condition(seen, visible, heard)).float()
        latent = (predicted - target).square().mean()
        out = flint.decode(predicted * deviation + mean).float() * scale
        points, speed, gap = shown.errors(out, motion)
        weights = ((out - motion) / scale).square().mean()
        parts = {"latent": latent.item(), "weights": weights.item(), "mm2": points.item(), "gap": gap.item()}
        return latent + 0.5 * weights + 2 * points + 2 * speed + 0.3 * gap, parts

    for batch in examples(features, plan.sequences, plan.seed + 12, trainer.step):
        if trainer.step >= trainer.steps:
            break
        trainer.update(lambda b=batch: loss(*b))
    return trainer.finished()  # type: ignore[return-value]


def examples(features: Features, sequences: int, seed: int, first_step: int) -> Iterator[tuple[Tensor, ...]]:
    """Endless batches: motion, what is seen, what is visible, what is heard; batch k depends on (seed, k) alone."""
    step = first_step
    while True:
        rng = np.random.default_rng([seed, step])
        motion, heard = _draw(features, sequences, rng)
        heard *= (rng.random(sequences) >= SOUNDLESS)[:, None, None]
        batch = make_batch(motion, rng)
        arrays = (batch.motion, batch.seen, batch.visible, heard.reshape(-1, WINDOW, heard.shape[-1]))
        yield tuple(torch.from_numpy(np.ascontiguousarray(a)) for a in arrays)
        step += 1


def latent_statistics(features: Features, flint: Flint, scale: Tensor, work: Path) -> tuple[Tensor, Tensor]:
    """(C,) mean and deviation of the prior's latents; kept in work/latent_tracker.npz for `export`."""
    motion = next(motion_batches(features, 512, 5, 0))
    with torch.inference_mode():
        latent = flint.encoder(motion / scale)[0].flatten(0, 1)
    mean, deviation = latent.mean(0).clone(), latent.std(0).clamp(min=1e-3).clone()
    np.savez(work / "latent_tracker.npz", mean=mean.numpy(), deviation=deviation.numpy(), scale=scale.numpy())
    return mean, deviation


def export(encoder: SpeechEncoder, work: Path, assets: Path, plan: Plan) -> None:
    """The trained stages in half precision into a folder that may hold notes too; whole or not at all per file."""
    tensors = {f"ears.{k}": v.half() for k, v in encoder.state_dict().items()}
    for stage in ("flint", "denoiser"):
        average = torch.load(work / f"{stage}.pt", weights_only=True)["average"]
        tensors.update({f"{stage}.{k}": v.half() if v.is_floating_point() else v for k, v in average.items()})
    with np.load(work / "latent_tracker.npz", allow_pickle=False) as data:
        for name, key in (("latent.mean", "mean"), ("latent.deviation", "deviation"), ("motion.scale", "scale")):
            tensors[name] = torch.from_numpy(data[key]).float()
    config = TrackerConfig(
        encoder.config, FLINT, denoiser_config(encoder.feature_dim), f"train_tracker.py, {dataclasses.asdict(plan)}"
    )
    save_tracker(work / "model", config, tensors)
    assets.mkdir(parents=True, exist_ok=True)
    for name in (WEIGHTS, CONFIG):
        shutil.copyfile(work / "model" / name, assets / f"{name}.part")
        (assets / f"{name}.part").replace(assets / name)
