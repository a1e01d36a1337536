"""A range of frames of vertices made anew by an LG-LDM: the diffusion is conditioned on the frames on both sides.

The frames that stay are encoded by stage 1 and imposed on the latent at every step (`diffusion.inpainting`). The denoiser is
causal, so what comes after the range reaches it through that projection alone. The range is then set into the vertices
without a jump (`joins`); all other frames stay the same to the last bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..audio import SAMPLE_RATE
from ..diffusion.inpainting import conditioned, onto_frames
from ..errors import InputError
from ..face.flame_fit import fit_flame
from ..joins import Seam, set_in
from ..motion import FaceMotion
from .model import LgldmModel
from .pipeline import (
    WINDOW,
    Progress,
    between,
    checked_style,
    choose_sampler,
    decode,
    embed,
    emotion_over_time,
    emotion_vector,
    joined_denoiser,
    sample,
)

CONTEXT, AFTERMATH = 300, 100  # model frames before and after the range that the diffusion is given, in clips over WINDOW
LATENT_REACH = 0.24  # s
REACH = 0.16  # s within which the correction of the vertices dies away
COLUMNS = 6000  # coordinates that are set in at once


@torch.inference_mode()
def regenerate(
    model: LgldmModel,
    samples: np.ndarray,
    emotion: Mapping[str, float],
    base: FaceMotion,
    part: slice,
    seed: int,
    progress: Progress,
    *,
    steps: int | None = None,
    identity: int = 0,
    curve: FaceMotion | None = None,
) -> FaceMotion:
    """The base with the frames `part` made anew, at its own frame rate; samples, emotion, curve, seed, steps as `generate`.

    Expression and jaw of the part are fitted anew where the base has them and the model has the user's FLAME; else they are
    not in the result. Raises InputError where the base's vertices are not of the model's mesh.
    """
    facts = model.config.facts
    sampler, steps = choose_sampler(None, steps, len(model.schedule))
    style = checked_style(model, samples, identity)
    count = model.config.vqvae.motion_dim // 3
    if base.vertices is None or base.vertices.shape[1] != count:
        raise InputError(f"The motion to change has no vertices of the mesh of '{model.name}' ({count} of them).")
    laps: dict[str, float] = {}

    progress("features", 0, 1)
    started = time.perf_counter()
    audio = embed(model, samples, int(np.ceil(len(samples) / SAMPLE_RATE * facts.fps)) + 1)
    frames = audio.shape[1]
    felt = emotion_vector(model, emotion) if curve is None else emotion_over_time(model, curve, frames)
    span, held = model_span(base, part, facts.fps, frames)
    latent = known_latent(model, base, span, emotion_vector(model, _felt_then(base, facts.emotions)))
    laps["features"] = time.perf_counter() - started

    started = time.perf_counter()
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(1, frames, model.vqvae.config.latent_dim, generator=generator).to(model.device)
    project = onto_frames(latent, held[span], LATENT_REACH * facts.fps)

    def onto(x0: Tensor) -> Tensor:
        return torch.from_numpy(project(x0[0].cpu().numpy()))[None].to(x0)

    felt = felt if felt is None or felt.dim() == 2 else felt[:, span]
    denoise = conditioned(joined_denoiser(model, audio[:, span], felt, style), onto)
    made = sample(model, denoise, noise[:, span], sampler, steps, generator, lambda s, n: progress("sampling", s, n))
    laps["sampling"] = time.perf_counter() - started

    started = time.perf_counter()
    progress("decode", 0, 1)
    first, after = max(0, part.start - 2), min(base.frames, part.stop + 2)
    vertices = np.array(base.vertices)
    vertices[part] = _joined(model, made, felt, base, slice(first, after), part, span)
    laps["decode"] = time.perf_counter() - started
    motion = replace(
        base, vertices=vertices, landmarks68=None, **_fitted(model, base, vertices, part, progress),
        meta={
            **base.meta, "model": model.name, "seed": seed, "steps": steps, "sampler": sampler, "device": model.device.type,
            "seconds": laps, "part": {"first": part.start, "after": part.stop},
        },
    )  # fmt: skip
    return motion


def model_span(base: FaceMotion, part: slice, rate: float, frames: int) -> tuple[slice, np.ndarray]:
    """The model frames that the diffusion is given, and which of all (T,) are known: those outside of the part."""
    index = np.arange(frames) * (base.fps / rate)
    held = (index <= base.frames - 1) & ((index <= part.start - 1) | (index >= part.stop))
    if frames <= WINDOW:
        return slice(0, frames), held
    first, after = int(part.start / base.fps * rate), int(np.ceil(part.stop / base.fps * rate)) + 1
    first = min(first, frames - 1)
    return slice(max(0, first - CONTEXT), min(frames, after + AFTERMATH)), held


def known_latent(model: LgldmModel, base: FaceMotion, span: slice, emotion: Tensor | None) -> np.ndarray:
    """(S, q * d) float32: the base's vertices in the span, encoded; the last frame is held where the base is shorter."""
    index = np.arange(span.start, span.stop) * (base.fps / model.config.facts.fps)
    index = np.minimum(index, base.frames - 1)
    start = int(index[0])
    own = base.vertices[start : int(np.ceil(index[-1])) + 1]  # type: ignore[index]
    displacement = torch.from_numpy(between(np.asarray(own), index - start).reshape(len(index), -1)).to(model.device)
    if model.template is not None:
        displacement = displacement - model.template
    return model.vqvae.encode(displacement[None], emotion)[0].float().cpu().numpy()


def _felt_then(base: FaceMotion, known: tuple[str, ...]) -> dict[str, float]:
    """The emotion that the base was made with, as far as it says so and the model knows it."""
    felt = base.meta.get("emotion", {})
    return {n: float(w) for n, w in felt.items() if n in known} if isinstance(felt, dict) else {}


def _joined(
    model: LgldmModel, latent: Tensor, felt: Tensor | None, base: FaceMotion, around: slice, part: slice, span: slice
) -> np.ndarray:
    """(P, V, 3) the part's vertices, set between the base's frames. around: the part and two frames on either side."""
    rate = model.config.facts.fps
    # `decode` gives frames from the span's beginning on, at a rate that puts a frame on each of the base's.
    shift = span.start * base.fps / rate
    whole = decode(model, latent, felt, base.fps, int(np.ceil((span.stop - span.start) / rate * base.fps)) + 1)
    wanted = np.minimum(np.arange(around.start, around.stop) - shift, len(whole) - 1)
    low = int(max(0, np.floor(wanted[0])))
    fresh = between(np.asarray(whole[low : int(np.ceil(wanted[-1])) + 1]), np.maximum(wanted - low, 0)).reshape(len(wanted), -1)
    near = slice(max(0, around.start - 10 * round(base.fps)), min(base.frames, around.stop + 10 * round(base.fps)))
    old = np.asarray(base.vertices[near]).reshape(near.stop - near.start, -1)  # type: ignore[index]
    out = np.empty((part.stop - part.start, old.shape[1]), np.float32)
    held = np.ones((len(old), 1), bool)
    held[part.start - near.start : part.stop - near.start] = False
    for start in range(0, old.shape[1], COLUMNS):
        columns = slice(start, start + COLUMNS)
        own = old[:, columns]
        offered = own.astype(np.float64)
        offered[around.start - near.start : around.stop - near.start] = fresh[:, columns]
        seam = Seam(
            part.start - near.start, part.stop - near.start, np.repeat(held, own.shape[1], axis=1),
            np.full(own.shape[1], REACH * base.fps), -np.inf, np.inf,
        )  # fmt: skip
        out[:, columns] = set_in(offered, own, seam)[seam.first : seam.after]
    return out.reshape(len(out), -1, 3)


def _fitted(
    model: LgldmModel, base: FaceMotion, vertices: np.ndarray, part: slice, progress: Callable[[str, int, int], None]
) -> dict[str, np.ndarray | None]:
    if model.flame is None or base.expression is None or base.jaw_pose is None:
        return {"expression": None, "jaw_pose": None}
    made, jaw, _ = fit_flame(model.flame, vertices[part], progress=lambda s, n: progress("fit", s, n))
    expression, jaw_pose = base.expression.copy(), base.jaw_pose.copy()
    expression[part], jaw_pose[part] = made, jaw
    return {"expression": expression, "jaw_pose": jaw_pose}
