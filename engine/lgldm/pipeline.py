"""A converted or trained LG-LDM at work: samples in, `FaceMotion` out, for clips of any length.

Conditions are computed once. Clips longer than the reference's limit are denoised in overlapping windows that are joined
at every step, so that there is one latent of the whole clip; it is decoded as a whole, each frame seeing as many frames
around it as a window has. Vertices that would fill the memory are made block by block, when they are written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..audio import SAMPLE_RATE
from ..diffusion.samplers import ddim, ddpm, dpm_solver_pp_2m
from ..emotion_curve import weights_at
from ..errors import InputError
from ..face.flame_fit import fit_flame
from ..motion import BLOCKS_FROM, Blocks, FaceMotion
from ..windows import Windows, join
from .audio_encoders import MIN_SAMPLES, normalise
from .model import LgldmModel, load_model

Sampler = Literal["ddpm", "ddim", "ddim-reference", "dpm++"]
SAMPLERS: tuple[Sampler, ...] = ("ddpm", "ddim", "ddim-reference", "dpm++")
DEFAULT_STEPS = 50
WINDOW = 600  # frames: all that the reference can do
OVERLAP = 200
BATCH = 4  # windows denoised together
# The networks' convolutions leave the last frames without tokens; the MEAD demo appends a second, so do we.
SILENCE = SAMPLE_RATE
Progress = Callable[[str, int, int], None]


def load(folder: Path, device: torch.device) -> LgldmModel:
    """Read a model folder. Raises InputError."""
    return load_model(folder, device)


@torch.inference_mode()
def generate(
    model: LgldmModel,
    samples: np.ndarray,
    emotion: Mapping[str, float],
    seed: int,
    progress: Progress,
    *,
    sampler: Sampler | None = None,
    steps: int | None = None,
    fps: float | None = None,
    identity: int = 0,
    curve: FaceMotion | None = None,
) -> FaceMotion:
    """samples: (S,) float32 at 16 kHz. emotion: weights 0..1 by name; none is the all-zero vector, as in the reference.
    curve: emotions over time instead, see `emotion_over_time`.

    sampler: None takes DDPM when steps is the schedule's length and DDIM (50 steps) otherwise. fps: None is the model's own
    rate. Returns ceil(seconds * fps) frames of vertices: metres, or displacements where the model has no neutral face; and
    FLAME's expression and jaw_pose where the model was converted with a FLAME file.
    The same input, seed and device give identical motion. Raises InputError; `progress(stage, step, total)` may raise.
    """
    facts = model.config.facts
    sampler, steps = choose_sampler(sampler, steps, len(model.schedule))
    style = checked_style(model, samples, identity)
    seconds = len(samples) / SAMPLE_RATE
    frames = int(np.ceil(seconds * facts.fps)) + 1
    felt = emotion_vector(model, emotion) if curve is None else emotion_over_time(model, curve, frames)
    laps: dict[str, float] = {}

    progress("features", 0, 1)
    started = time.perf_counter()
    audio = embed(model, samples, frames)
    frames = audio.shape[1]
    felt = felt if felt is None or felt.dim() == 2 else felt[:, :frames]
    laps["features"] = time.perf_counter() - started

    started = time.perf_counter()
    # Noise comes from the CPU, so that every device starts from the same numbers.
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(1, frames, model.vqvae.config.latent_dim, generator=generator).to(model.device)
    denoise = joined_denoiser(model, audio, felt, style)
    latent = sample(model, denoise, noise, sampler, steps, generator, lambda s, n: progress("sampling", s, n))
    laps["sampling"] = time.perf_counter() - started

    started = time.perf_counter()
    progress("decode", 0, 1)
    vertices = decode(model, latent, felt, fps or facts.fps, max(1, int(np.ceil(seconds * (fps or facts.fps)))))
    laps["decode"] = time.perf_counter() - started
    expression = jaw = None
    fitted: dict[str, dict[str, float]] = {}
    if model.flame is not None:
        started = time.perf_counter()
        expression, jaw, residual = fit_flame(model.flame, vertices, progress=lambda s, n: progress("fit", s, n))
        fitted = {"flame_fit_residual_mm": {"mean": 1000 * float(residual.mean()), "greatest": 1000 * float(residual.max())}}
        laps["fit"] = time.perf_counter() - started
    return FaceMotion(
        fps=fps or facts.fps,
        expression=expression,
        jaw_pose=jaw,
        vertices=vertices,
        meta={
            "model": model.name,
            "dataset": model.config.dataset,
            "seed": seed,
            "steps": steps,
            "sampler": sampler,
            "emotion": dict(emotion),
            "speaker": facts.identities[identity] if identity < len(facts.identities) else identity,
            "vertices": "positions" if model.template is not None else "displacements from the neutral face",
            **fitted,
            "device": model.device.type,
            "seconds": laps,
        },
    )


def checked_style(model: LgldmModel, samples: np.ndarray, identity: int) -> Tensor:
    """(1, I) the speaker as the denoiser wants it. Raises InputError for an unknown one and for a sound that is too short."""
    speakers = model.config.denoiser.identities
    if len(samples) < MIN_SAMPLES:
        raise InputError(f"The sound is shorter than {1000 * MIN_SAMPLES // SAMPLE_RATE} ms, which is too short to animate.")
    if not 0 <= identity < speakers:
        raise InputError(f"The model '{model.name}' has speakers 0 to {speakers - 1}, not {identity}.")
    return torch.nn.functional.one_hot(torch.tensor([identity]), speakers).float().to(model.device)


def choose_sampler(sampler: Sampler | None, steps: int | None, timesteps: int) -> tuple[Sampler, int]:
    """The sampler and number of steps behind what was asked for. Raises InputError."""
    if sampler is None:
        sampler = "ddpm" if steps == timesteps else "ddim"
    if sampler == "ddpm":
        if steps not in (None, timesteps):
            raise InputError(f"DDPM takes {timesteps} steps, not {steps}; choose another sampler for fewer.")
        return sampler, timesteps
    steps = steps or DEFAULT_STEPS
    if not 1 <= steps <= timesteps:
        raise InputError(f"The number of steps must be between 1 and {timesteps}, not {steps}.")
    return sampler, steps


def emotion_vector(model: LgldmModel, emotion: Mapping[str, float]) -> Tensor | None:
    """(1, E), or None for a model without emotions. Raises InputError for an emotion the model does not know."""
    known = model.config.facts.emotions
    unknown = [n for n in emotion if n not in known]
    if unknown:
        told = f"choose from {', '.join(known)}" if known else f"{model.config.facts.label} has none"
        raise InputError(f"The model '{model.name}' knows no emotion '{unknown[0]}'; {told}.")
    if not known:
        return None
    return torch.tensor([[emotion.get(n, 0.0) for n in known]], device=model.device)


def emotion_over_time(model: LgldmModel, curve: FaceMotion, frames: int) -> Tensor:
    """(1, T, E) weights per model frame of a curve whose channels are emotions. Raises InputError as `emotion_vector`.

    The denoiser adds a linear embedding of the emotion to every frame, so it can take one per frame, although it was trained
    with one per clip; each frame's codes come from the codebook slice of the emotion that is strongest in it.
    """
    felt = {n: 1.0 for n in curve.channels if n != "neutral" and curve.channel(n).any()}
    if emotion_vector(model, felt) is None:
        raise InputError(f"The model '{model.name}' knows no emotions, so they cannot change over time.")
    weights = weights_at(curve, model.config.facts.emotions, model.config.facts.fps, frames)
    return torch.from_numpy(weights)[None].to(model.device)


def embed(model: LgldmModel, samples: np.ndarray, frames: int) -> Tensor:
    """(S,) samples to the denoiser's audio (1, T, width), T = frames or what the sound gives."""
    heard = torch.from_numpy(np.concatenate([normalise(samples), np.zeros(SILENCE, np.float32)]))
    return model.denoiser.embed_audio(model.audio(heard[None].to(model.device), frames))


def joined_denoiser(
    model: LgldmModel, audio: Tensor, emotion: Tensor | None, identity: Tensor
) -> Callable[[Tensor, int], Tensor]:
    """A denoiser of the whole clip (1, T, C) for the samplers: one call, or windows joined by their weights."""
    windows = Windows(audio.shape[1], WINDOW, OVERLAP)
    slices = list(windows)

    def predict(x: Tensor, t: int) -> Tensor:
        if len(slices) == 1:
            return model.denoiser(x, torch.tensor([t], device=x.device), audio, emotion, identity)
        parts: list[Tensor] = []
        for start in range(0, len(slices), BATCH):
            group = slices[start : start + BATCH]
            many = len(group)
            answer = model.denoiser(
                torch.cat([x[:, s] for s in group]),
                torch.full((many,), t, device=x.device),
                torch.cat([audio[:, s] for s in group]),
                emotion_of(emotion, group),
                identity.expand(many, -1),
            )
            parts += answer.unbind(0)
        return join(windows, lambda i, _: parts[i], torch.zeros_like(x[0]))[None]

    return predict


def emotion_of(emotion: Tensor | None, group: list[slice]) -> Tensor | None:
    """The emotion (1, E) or (1, T, E) of each of the windows: (B, E) or (B, window, E)."""
    if emotion is None or emotion.dim() == 2:
        return None if emotion is None else emotion.expand(len(group), -1)
    return torch.cat([emotion[:, s] for s in group])


def sample(
    model: LgldmModel,
    denoise: Callable[[Tensor, int], Tensor],
    noise: Tensor,
    sampler: Sampler,
    steps: int,
    generator: torch.Generator,
    step_done: Callable[[int, int], None],
) -> Tensor:
    """The latent (1, T, q * d) by the named sampler; "ddim-reference" drops the last x0 as the published code does."""
    if sampler == "ddpm":
        return ddpm(denoise, noise, model.schedule, generator=generator, step_done=step_done)
    if sampler == "dpm++":
        return dpm_solver_pp_2m(denoise, noise, model.schedule, steps, step_done=step_done)
    reference = sampler == "ddim-reference"
    return ddim(denoise, noise, model.schedule, steps, stop_before_last=reference, step_done=step_done)


def decode(
    model: LgldmModel, latent: Tensor, emotion: Tensor | None, fps: float, frames: int
) -> np.ndarray | Blocks:
    """(1, T, q * d) to vertices (frames, V, 3) float32 at `fps`, the neutral face added where it is known.

    Linear between the model's frames; the last one is held. From BLOCKS_FROM bytes on they are Blocks.
    """
    features = model.vqvae.decoder_features(quantised(model, latent, emotion), WINDOW)[0]
    times = np.minimum(np.arange(frames) * (model.config.facts.fps / fps), len(features) - 1)

    @torch.inference_mode()
    def read(start: int, stop: int) -> np.ndarray:
        part = times[start:stop]
        if not len(part):
            return np.zeros((0, model.config.vqvae.motion_dim // 3, 3), np.float32)
        first = int(part[0])
        own = model.vqvae.motion_out(features[first : int(np.ceil(part[-1])) + 1]).float().cpu().numpy()
        if model.template is not None:
            own += model.template.cpu().numpy()
        return between(own.reshape(len(own), -1, 3), part - first)

    made = Blocks((frames, model.config.vqvae.motion_dim // 3, 3), read)
    return made if made.nbytes >= BLOCKS_FROM else read(0, frames)


def quantised(model: LgldmModel, latent: Tensor, emotion: Tensor | None) -> Tensor:
    """(1, T, q * d) to codes; emotion (1, E), or (1, T, E), where every frame takes the slice of its strongest emotion."""
    if emotion is None or emotion.dim() == 2:
        return model.vqvae.quantiser(latent, emotion).latent
    out = latent.clone()
    strongest = emotion[0].argmax(dim=-1)
    for number in strongest.unique():
        frames = strongest == number
        alone = torch.nn.functional.one_hot(number[None], emotion.shape[-1])
        out[:, frames] = model.vqvae.quantiser(latent[:, frames], alone).latent
    return out


def between(vertices: np.ndarray, index: np.ndarray) -> np.ndarray:
    """(T, V, 3) at fractional frames (F,), linearly; whole numbers give the frames themselves."""
    low = np.floor(index).astype(np.int64)
    share = (index - low).astype(np.float32)[:, None, None]
    if not share.any():
        return vertices if np.array_equal(low, np.arange(len(vertices))) else vertices[low]
    high = np.minimum(low + 1, len(vertices) - 1)
    return vertices[low] * (1 - share) + vertices[high] * share
