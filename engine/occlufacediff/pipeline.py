"""A converted or trained OccluFaceDiff at work: landmarks, what of them is seen, and sound in; `FaceMotion` out.

The conditions depend on neither noise nor timestep and are computed once per clip. Clips longer than a window are sampled
as one latent in overlapping windows joined at every step, or, as the reference does, in windows side by side.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ..diffusion.respacing import spaced_timesteps
from ..diffusion.samplers import Denoise, ddim
from ..diffusion.schedule import Schedule
from ..errors import InputError
from ..lgldm.audio_encoders import normalise
from ..motion import FaceMotion
from ..windows import Windows, join
from .denoiser import LANDMARKS, SAMPLES_PER_FRAME, audio_states
from .flint import EXPRESSION, FACTOR
from .landmarks import FPS
from .model import OccluModel, load_model
from .stepping import Stepper
from .windows import WINDOW, cut

STEPS = 100
OVERLAP = 16  # frames
BATCH = 8  # windows heard and looked at together: bounds memory
Progress = Callable[[str, int, int], None]
Memories = list[tuple[float, Tensor]]


@dataclass(frozen=True)
class Clip:
    """landmarks (N, 468, 2) in the crop's -1..1, visible (N, 468) bool, audio (N, 640) normalised samples at 16 kHz."""

    landmarks: Tensor
    visible: Tensor
    audio: Tensor

    def __len__(self) -> int:
        return len(self.landmarks)


@dataclass(frozen=True)
class Guidance:
    """Classifier-free guidance: (1 - everything - audio) * unconditional + everything * full + audio * sound alone."""

    everything: float
    audio: float


def load(folder: Path, device: torch.device) -> OccluModel:
    """Read a model folder. Raises InputError."""
    return load_model(folder, device)


def make_clip(landmarks: np.ndarray, visible: np.ndarray, samples: np.ndarray, device: torch.device) -> Clip:
    """landmarks (N, 468, 2), visible (N, 468), samples (S,) at 16 kHz of any level: normalised over the clip, then padded
    with zeros or cut to N frames. Raises InputError where shapes or visible numbers do not fit."""
    count = len(landmarks)
    if landmarks.shape != (count, LANDMARKS, 2) or visible.shape != landmarks.shape[:2] or count == 0:
        raise InputError(f"Landmarks of shape {landmarks.shape} with visibility {visible.shape} are not those of a face.")
    visible = visible.astype(bool)
    if not np.isfinite(landmarks[visible]).all():
        raise InputError("A visible landmark has a position that is not a number.")
    heard = np.zeros(count * SAMPLES_PER_FRAME, np.float32)
    if len(samples):
        own = normalise(samples)[: len(heard)]
        heard[: len(own)] = own
    return Clip(
        torch.from_numpy(landmarks.astype(np.float32)).to(device),
        torch.from_numpy(visible).to(device),
        torch.from_numpy(heard.reshape(count, SAMPLES_PER_FRAME)).to(device),
    )


def hear(model: OccluModel, audio: Tensor, done: Callable[[int, int], None] | None = None) -> Tensor:
    """Windows of samples (W, T, 640) to audio states (W, T, audio_dim); `done(windows, all)` is told and may raise."""
    heard: list[Tensor] = []
    for part in audio.split(BATCH):
        if done is not None:
            done(BATCH * len(heard), len(audio))
        heard.append(audio_states(model.audio, part.flatten(1), audio.shape[1]))
    return torch.cat(heard)


def look(model: OccluModel, clip: Clip, index: Tensor, sound: Tensor, hidden: bool = False) -> Tensor:
    """The denoiser's memory (W, L, width) of windows whose frames are index (W, T); hidden: no landmark is seen."""
    parts = []
    for frames, heard in zip(index.split(BATCH), sound.split(BATCH), strict=True):
        visible = clip.visible[frames]
        visible = torch.zeros_like(visible) if hidden else visible
        parts.append(model.denoiser.condition(clip.landmarks[frames], visible, heard))
    return torch.cat(parts)


def memories(
    model: OccluModel,
    clip: Clip,
    frames: np.ndarray,
    guidance: Guidance | None = None,
    done: Callable[[int, int], None] | None = None,
) -> Memories:
    """What the denoiser remembers of every window (W, L, width), with its weight in the prediction.

    frames: (W, T) source frame of every place of every window. done: as in `hear`.
    """
    index = torch.from_numpy(frames).to(clip.audio.device)
    sound = hear(model, clip.audio[index], done)
    whole = look(model, clip, index, sound)
    if guidance is None:
        return [(1.0, whole)]
    silence = hear(model, torch.zeros_like(clip.audio[index[:1]])).expand(len(index), -1, -1)
    return [
        (1.0 - guidance.everything - guidance.audio, look(model, clip, index, silence, hidden=True)),
        (guidance.everything, whole),
        (guidance.audio, look(model, clip, index, sound, hidden=True)),
    ]


def predictor(model: OccluModel, remembered: Memories, kept: Sequence[int] = ()) -> Denoise:
    """A denoiser of windows (W, L, C) for the samplers. kept: the timesteps that will be asked for, prepared together."""
    branches = len(remembered)
    memory = torch.cat([own for _, own in remembered])
    steppers: dict[int, Stepper] = {}  # by the number of latents

    def predict(x: Tensor, t: int) -> Tensor:
        latents = x.shape[1]
        if latents not in steppers:
            steppers[latents] = Stepper(model.denoiser, memory, latents, kept)
        out = steppers[latents](x.repeat(branches, 1, 1), t)
        parts = out.unflatten(0, (branches, -1))
        return sum((weight * part for (weight, _), part in zip(remembered, parts, strict=True)), torch.zeros_like(x))

    return predict


def joined_predictor(model: OccluModel, remembered: Memories, windows: Windows, kept: Sequence[int] = ()) -> Denoise:
    """A denoiser of the whole clip's latent (1, L, C) in overlapping windows, joined by their weights; kept as above."""
    predict = predictor(model, remembered, kept)
    parts = list(windows)
    shares = torch.from_numpy(windows.weights()).to(model.device)[..., None]

    def whole(x: Tensor, t: int) -> Tensor:
        guess = predict(torch.cat([x[:, part] for part in parts]), t) * shares
        out = torch.zeros_like(x)
        for part, own in zip(parts, guess, strict=True):
            out[0, part] += own
        return out

    return whole


class Scheduled(Protocol):
    """Anything that was trained with a schedule."""

    schedule: Schedule


def check_steps(model: Scheduled, steps: int) -> None:
    """Raise InputError for a number of steps that the model's schedule does not have."""
    if not 1 <= steps <= len(model.schedule):
        raise InputError(f"The number of steps must be between 1 and {len(model.schedule)}, not {steps}.")


@torch.inference_mode()
def generate(
    model: OccluModel,
    clip: Clip,
    seed: int,
    progress: Progress,
    *,
    steps: int = STEPS,
    guidance: Guidance | None = None,
    overlapping: bool = True,
) -> FaceMotion:
    """One frame of motion per frame of the clip, 25 per second: FLAME expression and jaw rotation.

    overlapping: False cuts the clip as the reference does, with seams at the windows' ends. The same input, seed and device
    give identical motion. Raises InputError; `progress(stage, step, total)` may raise to stop.
    """
    check_steps(model, steps)
    laps: dict[str, float] = {}
    kept = spaced_timesteps(len(model.schedule), steps)
    started = time.perf_counter()
    overlapping = overlapping and len(clip) > WINDOW
    generator = torch.Generator().manual_seed(seed)  # on the CPU, so that every device starts from the same numbers
    channels = model.config.denoiser.latent_channels

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, channels, generator=generator).to(model.device)

    def heard(windows: int, total: int) -> None:
        progress("features", windows, total)

    if overlapping:
        padded = _whole_latents(clip)
        latents = Windows(len(padded) // FACTOR, WINDOW // FACTOR, OVERLAP // FACTOR)
        frames = np.array([FACTOR * part.start + np.arange(WINDOW) for part in latents])
        denoise = joined_predictor(model, memories(model, padded, frames, guidance, heard), latents, kept)
        start = noise(1, latents.total)
    else:
        pieces = cut(len(clip))
        denoise = predictor(model, memories(model, clip, pieces.frames, guidance, heard), kept)
        start = noise(len(pieces.frames), WINDOW // FACTOR)
    laps["features"] = time.perf_counter() - started

    started = time.perf_counter()
    latent = ddim(denoise, start, model.schedule, steps, kept=kept, step_done=lambda s, n: progress("sampling", s, n))
    laps["sampling"] = time.perf_counter() - started

    started = time.perf_counter()
    progress("decode", 0, 1)
    if overlapping:
        motion = decode_joined(model, latent[0], latents)[: len(clip)]
    else:
        motion = model.flint.decode(latent)[pieces.window, pieces.place].float().cpu().numpy()
    laps["decode"] = time.perf_counter() - started
    jaw = motion[:, EXPRESSION:]
    return FaceMotion(
        fps=FPS,
        rotation_names=("jaw",),
        rotations=jaw[:, None],
        expression=motion[:, :EXPRESSION],
        jaw_pose=jaw,
        meta={
            "model": model.name,
            "seed": seed,
            "steps": steps,
            "sampler": "ddim",
            "guidance": None if guidance is None else [guidance.everything, guidance.audio],
            "windows": "overlapping" if overlapping else "side by side",
            "visible_share": float(clip.visible.float().mean()),
            "device": model.device.type,
            "seconds": laps,
        },
    )


def decode_joined(model: OccluModel, latent: Tensor, latents: Windows) -> np.ndarray:
    """(L, C) to motion (8 L, 103) float32, decoded in windows of the training's length and joined."""
    windows = Windows(FACTOR * latents.total, FACTOR * latents.size, FACTOR * latents.overlap, FACTOR)
    parts = torch.stack([latent[part] for part in latents])
    decoded = torch.cat([model.flint.decode(some) for some in parts.split(64)]).float().cpu().numpy()
    return join(windows, lambda i, _: decoded[i], np.zeros((windows.total, decoded.shape[2]), np.float32))


def _whole_latents(clip: Clip) -> Clip:
    """The clip with its last frame held, in silence, up to a multiple of 8 frames."""
    more = -len(clip) % FACTOR
    return Clip(
        torch.cat([clip.landmarks, clip.landmarks[-1:].expand(more, -1, -1)]),
        torch.cat([clip.visible, clip.visible[-1:].expand(more, -1)]),
        torch.cat([clip.audio, clip.audio.new_zeros(more, clip.audio.shape[1])]),
    )
