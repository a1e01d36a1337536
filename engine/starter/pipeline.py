"""The starter model at work: samples in, `FaceMotion` out. The same LG-LDM classes as the released models, small."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .. import life
from ..audio import SAMPLE_RATE, log_mel
from ..diffusion.samplers import ddim
from ..diffusion.schedule import Schedule, cosine_schedule
from ..errors import InputError
from ..face.arkit import ARKIT_52
from ..lgldm.denoiser import Denoiser, DenoiserConfig
from ..lgldm.vqvae import VQVAE, VQVAEConfig
from ..motion import ROTATION_NAMES, FaceMotion
from .encoder import EncoderConfig, MouthRegressor, RegressorConfig, SpeechEncoder
from .performance import HEAD, apply_contacts
from .resample import contacts_at, values_at

DEFAULT_STEPS = 8
DEFAULT_VARIATION = 0.3  # share of the sampled mouth in the mouth; the contacts are never sampled
JAW_ANGLE = 0.3665  # rad (21 degrees) of jaw rotation at jawOpen 1, as the starter head's shape is made
# Contact probabilities are sharpened: below the first value the lips stay apart, above the second they touch.
CLOSE_RANGE = (0.20, 0.60)
FV_RANGE = (0.15, 0.70)

# While nobody speaks, anticipation must not leave the mouth ajar: how much of it goes, and from which certainty on.
REST_STRENGTH = 0.65
REST_RANGE = (0.6, 0.9)
# Gaussian smoothing, in model frames of 40 ms, against the trembling of few sampling steps.
HEAD_SMOOTHING, FACE_SMOOTHING = 2.0, 1.2
PARTING = ("jawOpen", "mouthFunnel", "mouthLowerDownLeft", "mouthLowerDownRight")

Progress = Callable[[str, int, int], None]


@dataclass
class Starter:
    """The loaded starter model; every part on one device, in evaluation mode."""

    name: str
    frame_rate: int
    emotions: list[str]
    motion: list[str]
    learned: list[str]
    encoder: SpeechEncoder
    regressor: MouthRegressor
    vqvae: VQVAE
    denoiser: Denoiser
    latent_mean: Tensor
    latent_deviation: Tensor
    motion_scale: Tensor
    schedule: Schedule
    device: torch.device


def load(folder: Path, device: torch.device) -> Starter:
    """Read config.json and starter.safetensors of a starter-format folder. Raises InputError when they do not fit."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        tensors = {k: v.float() for k, v in load_file(folder / "starter.safetensors").items()}
        encoder_config = {**config["encoder"], "dilations": tuple(config["encoder"]["dilations"])}
        regressor_config = {**config["regressor"], "mouth": tuple(config["regressor"]["mouth"])}
        parts = {
            "encoder": SpeechEncoder(EncoderConfig(**encoder_config)),
            "regressor": MouthRegressor(RegressorConfig(**regressor_config)),
            "vqvae": VQVAE(VQVAEConfig(**config["vqvae"])),
            "denoiser": Denoiser(DenoiserConfig(**config["denoiser"])),
        }
        for name, part in parts.items():
            own = {k.removeprefix(name + "."): v for k, v in tensors.items() if k.startswith(name + ".")}
            part.load_state_dict(own)
            part.eval().requires_grad_(False).to(device)
        return Starter(
            name=config["name"],
            frame_rate=config["frame_rate"],
            emotions=config["emotions"],
            motion=config["motion"],
            learned=config["learned"],
            **parts,  # type: ignore[arg-type]
            latent_mean=tensors["latent.mean"].to(device),
            latent_deviation=tensors["latent.deviation"].to(device),
            motion_scale=tensors["latent.scale"].to(device),
            schedule=cosine_schedule(),
            device=device,
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise InputError(f"The model in '{folder}' is incomplete or damaged ({type(error).__name__}).") from error


def generate(
    model: Starter,
    samples: np.ndarray,
    emotion: dict[str, float],
    seed: int,
    steps: int,
    fps: float,
    variation: float,
    progress: Progress,
) -> FaceMotion:
    """samples: (S,) float32 at 16 kHz. emotion: weights 0..1 by name. Returns ceil(seconds * fps) frames (at least 1).

    The same samples, seed, steps and device give identical motion. `progress(stage, step, total)` may raise to stop.
    """
    seconds = len(samples) / SAMPLE_RATE
    model_frames = int(np.ceil(seconds * model.frame_rate)) + 1
    clock = Stopwatch()
    progress("features", 0, 1)
    with torch.inference_mode():
        mel = torch.from_numpy(log_mel(samples))[None].to(model.device)
        conditions = model.encoder.conditions(mel, model_frames)
        felt = torch.tensor([emotion.get(e, 0.0) for e in model.emotions], device=model.device)
        felt = felt.expand(1, model_frames, -1)
        mouth, contact_logits = model.regressor(conditions, felt)
        silence = model.encoder.silence(conditions)[0].cpu().numpy()
        audio = model.denoiser.embed_audio(conditions)
        clock.lap("features")

        # One seed must not mean one performance: the sound is part of what seeds the noise. Drawn on the CPU in float32,
        # so that every device starts from the same numbers.
        own_seed = performance_seed(seed, samples)
        generator = torch.Generator().manual_seed(own_seed)
        noise = torch.randn(1, model_frames, model.vqvae.config.latent_dim, generator=generator).to(model.device)

        def denoise(x: Tensor, t: int) -> Tensor:
            return model.denoiser(x, torch.tensor([t], device=model.device), audio, felt)

        latent = ddim(denoise, noise, model.schedule, steps, step_done=lambda s, n: progress("sampling", s, n))
        latent = latent * model.latent_deviation + model.latent_mean
        clock.lap("sampling")

        progress("decode", 0, 1)
        quantised = model.vqvae.quantiser(latent).latent
        # The codebook keeps mouth shapes crisp but makes slow channels flicker: brows and head come un-quantised.
        sharp, smooth = ((model.vqvae.decode(z) * model.motion_scale)[0].cpu().numpy() for z in (quantised, latent))
    mouth_names = list(model.regressor.config.mouth)
    sampled = smooth.copy()
    columns = [model.motion.index(n) for n in mouth_names]
    sampled[:, columns] = (1 - variation) * mouth[0].cpu().numpy() + variation * sharp[:, columns]
    steady(sampled, model.motion, mouth_names)
    rest = REST_STRENGTH * smooth_step(silence, *REST_RANGE)
    sampled[:, [model.motion.index(n) for n in PARTING]] *= (1 - rest)[:, None]
    contacts = sharpen(torch.sigmoid(contact_logits)[0].cpu().numpy())
    motion = assemble(model, sampled, contacts, variation, own_seed, seconds, fps)
    clock.lap("decode")
    motion.meta.update(
        {"model": model.name, "seed": seed, "steps": steps, "sampler": "ddim", "emotion": emotion,
         "mouth_variation": variation, "device": model.device.type, "seconds": clock.laps}
    )  # fmt: skip
    return motion


def assemble(
    model: Starter, sampled: np.ndarray, contacts: np.ndarray, variation: float, seed: int, seconds: float, fps: float
) -> FaceMotion:
    """Model frames (T, M) and contacts (T, 2) to the finished motion at `fps`: contacts kept, eyes brought to life."""
    frames = max(1, int(np.ceil(seconds * fps)))
    values = values_at(sampled, model.frame_rate, fps, frames)
    learned = len(model.learned)
    face, head = np.clip(values[:, :learned], 0, 1), values[:, learned:]
    if variation < 1:  # with the mouth entirely sampled, so are its contacts
        close, fv = contacts_at(contacts, model.frame_rate, fps, frames).T
        face = np.clip(apply_contacts(face, close, fv), 0, 1)
    rng = np.random.default_rng(seed)
    quiet = face[:, model.learned.index("jawOpen")] < 0.03
    looking = life.gaze(fps, frames, head, rng)
    weights = np.zeros((frames, len(ARKIT_52)), np.float32)
    for i, name in enumerate(model.learned):
        weights[:, ARKIT_52.index(name)] = face[:, i]
    lids = life.blinks(fps, frames, quiet, rng)
    for name in ("eyeBlinkLeft", "eyeBlinkRight"):
        weights[:, ARKIT_52.index(name)] = lids
    for name in ("eyeWideLeft", "eyeWideRight", "eyeSquintLeft", "eyeSquintRight"):
        weights[:, ARKIT_52.index(name)] *= 1 - lids
    for name, curve in life.eye_channels(looking).items():
        weights[:, ARKIT_52.index(name)] = curve * (1 - lids)
    rotations = np.zeros((frames, len(ROTATION_NAMES), 3), np.float32)
    rotations[:, ROTATION_NAMES.index("head")] = head
    rotations[:, ROTATION_NAMES.index("jaw"), 0] = JAW_ANGLE * weights[:, ARKIT_52.index("jawOpen")]
    for eye in ("left_eye", "right_eye"):
        rotations[:, ROTATION_NAMES.index(eye), :2] = looking
    return FaceMotion(fps, ARKIT_52, weights, ROTATION_NAMES, rotations)


def steady(values: np.ndarray, names: list[str], mouth: list[str]) -> None:
    """Low-pass what few-step sampling makes tremble, in place: (T, M) face above the mouth and head; not the mouth."""
    for column, name in enumerate(names):
        if name not in mouth:
            width = HEAD_SMOOTHING if name in HEAD else FACE_SMOOTHING
            reach = round(3 * width)
            kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
            padded = np.pad(values[:, column], reach, mode="edge")
            values[:, column] = np.convolve(padded, kernel / kernel.sum(), mode="valid")


def sharpen(contacts: np.ndarray) -> np.ndarray:
    """(T, 2) probabilities of close and fv to contact strengths: a smooth step over CLOSE_RANGE and FV_RANGE."""
    return np.stack([smooth_step(contacts[:, 0], *CLOSE_RANGE), smooth_step(contacts[:, 1], *FV_RANGE)], axis=1)


def smooth_step(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 up to `low`, 1 from `high` on, with a smooth start and end (3 t^2 - 2 t^3) between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def performance_seed(seed: int, samples: np.ndarray) -> int:
    """A 63-bit seed from the user's seed and the sound itself (SHA-256)."""
    digest = hashlib.sha256(np.ascontiguousarray(samples).tobytes() + str(seed).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


class Stopwatch:
    """Seconds spent per stage."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self.last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """Charge the time since the last lap to `stage`."""
        now = time.perf_counter()
        self.laps[stage] = self.laps.get(stage, 0.0) + now - self.last
        self.last = now
