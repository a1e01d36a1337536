"""The starter tracker at work: detected points, what of them is seen, and sound in; ARKit weights and rotations out.

1. The head's pose in every frame and the person's face at rest, from the visible points (`pose.py`).
2. The denoiser samples a performance from what is visible, told from the person's mean, and from the sound. Beside
   something that hides the mouth it is shown the jaw that the skin there tells of (`skin.py`), not a detector's guess.
3. Visible points then pull the weights to where they are (`fit.py`); what is hidden stays as the denoiser has it.
4. Irises turn the eyeballs; eyes that nobody sees blink and look as the starter's do (`engine/life.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ... import life
from ...audio import log_mel
from ...diffusion.respacing import spaced_timesteps
from ...diffusion.samplers import ddim
from ...face.arkit import ARKIT_52
from ...motion import ROTATION_NAMES, FaceMotion
from ...starter.front_end import BANDS, both
from ...windows import Windows, join
from ..flint import FACTOR
from ..landmarks import FPS, mean_face
from ..pipeline import OVERLAP
from ..regions import LEFT_EYE_BROW, RIGHT_EYE_BROW
from ..stepping import Stepper
from ..windows import WINDOW
from .canonical import looked_at_input, without_rigid_motion
from .channels import CHANNELS, FACE, FACE_ROWS, GAZE_ROWS
from .fit import counted, fit_weights
from .gaze import iris_gaze
from .model import Tracker
from .points import CHIN, IRISES, LIPS, LOOKED_AT, NOSE, face_points, shape
from .pose import Pose, at_rest, fit_pose, known_frames, open_throughout
from .skin import jaw_basis
from .turns import axis_angle, filled, steadied

STEPS = 8
ROUNDS = 3  # pose, face at rest and expression in turn
EASE = 5  # frames over which the fit takes over from the denoiser where points come into view
TAKES = 4  # samples whose mean is the performance: a single one trembles
# The performances that the denoiser learned from are 20 ms ahead of their sound, to please the eye; an actor is not.
LEAD = 320  # samples
JAW_ANGLE = 0.3665  # rad (21 degrees) of jaw rotation at jawOpen 1, as the starter head's shape is made
LIDS = ("eyeBlinkLeft", "eyeBlinkRight")
# Slow parts of a face, where a detector trembles more than an actor does.
STEADY = [i for i, n in enumerate(FACE) if n.startswith(("brow", "cheek", "eyeSquint", "eyeWide", "nose"))]
POINTS = 468
HIDDEN_LIPS = 0.5  # share of the lips' points: so many make a mouth hidden
UNDER_EYES = -20.0  # mm
# How far jawOpen goes to what the skin beside a hidden mouth tells. Of .25, .5, .7, .85 and 1, .5 was best on generated
# performances with their sound and .7 without; people are heard less well than generated speech.
JAW_TRUST = 0.6
SKIN = (mean_face()[:, 1] < UNDER_EYES) & ~np.isin(np.arange(POINTS), [*LIPS, *NOSE, *LEFT_EYE_BROW, *RIGHT_EYE_BROW])
ENOUGH = 12  # frames whose mouth is seen tell where the jaw's zero lies
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Observed:
    """What the visible points say. pose: of the head. flat: (T, 468, 2) mm in the picture, 0 where hidden; visible: (T, 468);
    rest: (468, 3) mm, the person's face at rest less ours."""

    pose: Pose
    flat: np.ndarray
    visible: np.ndarray
    rest: np.ndarray


def mouth_hidden(visible: np.ndarray) -> np.ndarray:
    """visible (T, 468) or more points: (T,) bool."""
    return visible[:, LIPS].mean(axis=1) < HIDDEN_LIPS


@torch.inference_mode()
def follow(
    tracker: Tracker,
    pixels: np.ndarray,
    visible: np.ndarray,
    samples: np.ndarray,
    seed: int,
    progress: Progress,
    steps: int = STEPS,
    jaw: np.ndarray | None = None,
) -> FaceMotion:
    """pixels: (T, 478, 2), y down, at 25 frames per second; visible: (T, 478) bool; samples: (S,) at 16 kHz, may be empty.
    jaw: (T, 2) as `jaw.jaw_beside` tells it.

    Places of hidden points have no influence, be they not a number. The same input, seed and device give identical motion.
    `progress(stage, step, total)` may raise to stop.
    """
    laps, started = {}, time.perf_counter()
    pixels = np.where(visible[..., None], pixels, 0.0) * [1, -1]
    observed = observe(pixels[:, :POINTS], visible[:, :POINTS])
    if jaw is not None and observed is not None:
        observed = with_jaw_shown(observed, jaw)
    laps["pose"], started = time.perf_counter() - started, time.perf_counter()

    progress("features", 0, 1)
    motion = sample(tracker, observed, listen(tracker, samples, len(pixels)), seed, steps, progress)
    laps["sampling"], started = time.perf_counter() - started, time.perf_counter()

    progress("decode", 0, 1)
    rng = np.random.default_rng(seed)
    head = heads(observed, motion[:, len(FACE) :])
    looking, seen_eyes = gaze_of(observed, pixels, visible, head, rng)
    face = settle(observed, motion[:, : len(FACE)], looking)
    if jaw is not None and observed is not None:
        face = with_jaw(face, observed, jaw[:, 0])
    whole = assemble(face, head, looking, seen_eyes, rng)
    laps["decode"] = time.perf_counter() - started
    whole.meta.update(
        {
            "model": tracker.name, "seed": seed, "steps": steps, "sampler": "ddim",
            "visible_share": float(visible[:, :POINTS].mean()), "device": tracker.device.type, "seconds": laps,
        }
    )  # fmt: skip
    return whole


def observe(pixels: np.ndarray, visible: np.ndarray) -> Observed | None:
    """pixels (T, 468, 2), y up; visible (T, 468). None where no frame shows enough to tell how the head is held."""
    points = face_points()
    known = known_frames(visible, points)
    if not known.any():
        return None
    visible = visible & known[:, None]
    rest, moved = np.zeros_like(points.rest), np.zeros((len(pixels), POINTS, 3))
    for turn in range(ROUNDS):
        pose = fit_pose(pixels, points.rest + rest + moved, visible * points.steady, known)
        flat = np.where(visible[..., None], pose.in_mm(pixels), 0.0)
        if turn == 0:
            moved = np.broadcast_to(open_throughout(flat, visible) * points.basis[shape("jawOpen")], moved.shape)
        rest = at_rest(pose, flat, visible, moved, points)
        if turn < ROUNDS - 1:
            expected = np.zeros((len(pixels), len(FACE)))
            face = fit_weights(flat - pose.flatten(points.rest[None]), counted(visible), pose, rest, points, expected)
            moved = np.tensordot(face, points.basis[FACE_ROWS], 1)
    return Observed(pose, flat, visible, rest)


def with_jaw_shown(observed: Observed, jaw: np.ndarray) -> Observed:
    """The skin beside a hidden mouth where jaw (T, 2), not a number where unknown, has it; a detector made it up."""
    down, sideways = jaw_basis()
    shaped = face_points().rest + observed.rest
    told, hidden = np.isfinite(jaw[:, 0]) & observed.pose.known, mouth_hidden(observed.visible)
    chin = list(CHIN)
    moved = observed.pose.upright(observed.flat - observed.pose.flatten(shaped[None]))[:, chin] * observed.visible[:, chin, None]
    opened = (moved * down[chin]).sum(axis=(1, 2)) / (observed.visible[:, chin, None] * down[chin] ** 2).sum(axis=(1, 2)).clip(1.0)
    seen = told & ~hidden
    zero = float((opened[seen] - jaw[seen, 0]).mean()) if seen.sum() >= ENOUGH else 0.0
    weights = np.where(told[:, None], jaw + [zero, 0.0], 0.0)
    skin = observed.pose.flatten(shaped + np.tensordot(weights, np.stack([down, sideways]), 1))
    told_by_skin = (told & hidden)[:, None] & SKIN & observed.visible
    return replace(observed, flat=np.where(told_by_skin[..., None], skin, observed.flat))


def with_jaw(face: np.ndarray, observed: Observed, opened: np.ndarray) -> np.ndarray:
    """face (T, 44) with jawOpen drawn to `opened` (T,), not a number where unknown, while the mouth is hidden. Its zero is
    told by the frames whose mouth is seen, or else by the face itself."""
    told, hidden = np.isfinite(opened) & observed.pose.known, mouth_hidden(observed.visible)
    reference = told & ~hidden if (told & ~hidden).sum() >= ENOUGH else told & hidden
    if not reference.any():
        return face
    column = FACE.index("jawOpen")
    away = np.where(told, opened, 0.0) + (face[reference, column] - opened[reference]).mean() - face[:, column]
    trust = JAW_TRUST * eased((told & hidden)[:, None])[:, 0]
    out = face.copy()
    out[:, column] = np.clip(face[:, column] + trust * away, 0, 1)
    return out


def listen(tracker: Tracker, samples: np.ndarray, frames: int) -> Tensor:
    """(T, C) what is heard at 25 Hz; zeros, as in training, where there is no sound."""
    if not np.any(samples):
        return torch.zeros(frames, tracker.config.denoiser.audio_dim, device=tracker.device)
    mel = log_mel(np.pad(samples, (LEAD, 0)))  # echoes and all, as these ears were trained
    sound = both(mel) if tracker.config.ears.bands == BANDS else mel
    return tracker.ears.conditions(torch.from_numpy(sound)[None].to(tracker.device), frames)[0]


def looked_at(observed: Observed | None, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """What the denoiser is shown: (T, P + 2, 3) float32 and (T, P + 2) bool."""
    if observed is None:
        nothing = np.zeros((frames, len(LOOKED_AT) + 2), bool)
        return np.zeros((*nothing.shape, 3), np.float32), nothing
    points, pose = face_points(), observed.pose
    wrong = observed.flat - pose.flatten((points.rest + observed.rest)[None])
    moved = pose.upright(wrong)[:, LOOKED_AT, :2]
    visible = observed.visible[:, LOOKED_AT]
    moved, known = without_rigid_motion(
        np.where(visible[..., None], moved, 0.0), visible, points.rest[LOOKED_AT], points.steady[LOOKED_AT]
    )
    known = known & pose.known
    return looked_at_input(moved, visible & known[:, None], axis_angle(pose.rotation), known)


def sample(
    tracker: Tracker, observed: Observed | None, heard: Tensor, seed: int, steps: int, progress: Progress
) -> np.ndarray:
    """(T, 47) a performance: the mean of TAKES samples of the denoiser, each over the whole clip in overlapping windows."""
    frames = len(heard)
    seen, shown = (torch.from_numpy(a).to(tracker.device) for a in looked_at(observed, frames))
    total = max(frames + -frames % FACTOR, FACTOR)
    latents = Windows(total // FACTOR, WINDOW // FACTOR, OVERLAP // FACTOR)
    last = torch.arange(total, device=tracker.device).clamp(max=frames - 1)
    index = torch.stack([last[FACTOR * part.start : FACTOR * part.stop] for part in latents])
    memory = torch.cat(
        [tracker.denoiser.condition(seen[i], shown[i], heard[i]) for i in index.split(16)]
    )
    generator = torch.Generator().manual_seed(seed)  # on the CPU, so that every device starts from the same numbers
    noise = torch.randn(TAKES, total // FACTOR, tracker.config.denoiser.latent_channels, generator=generator).to(memory)

    kept = spaced_timesteps(len(tracker.schedule), steps)
    stepper = Stepper(tracker.denoiser, memory.repeat_interleave(TAKES, dim=0), latents.length, kept)

    def denoise(x: Tensor, t: int) -> Tensor:
        guess = stepper(torch.cat([x[:, part] for part in latents]), t).unflatten(0, (-1, TAKES))
        return join(latents, lambda i, _: guess[i].transpose(0, 1), torch.zeros_like(x).transpose(0, 1)).transpose(0, 1)

    latent = ddim(denoise, noise, tracker.schedule, steps, kept=kept, step_done=lambda s, n: progress("sampling", s, n))
    windows = Windows(total, WINDOW, OVERLAP, FACTOR)
    decoded = torch.stack([tracker.decode(latent[:, part]).mean(dim=0) for part in latents]).float().cpu().numpy()
    return join(windows, lambda i, _: decoded[i], np.zeros((total, len(CHANNELS)), np.float32))[:frames]


def heads(observed: Observed | None, sampled: np.ndarray) -> np.ndarray:
    """(T, 3) rad: the head as it is held where that is known, else as the denoiser moves it, without a jump between."""
    if observed is None:
        return steadied(sampled)
    known = observed.pose.known
    return steadied(filled(axis_angle(observed.pose.rotation), known, sampled))


def gaze_of(
    observed: Observed | None, pixels: np.ndarray, visible: np.ndarray, head: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(T, 2) rad pitch and yaw of both eyes, and (T, 2) bool which eye, left then right, is seen."""
    made_up = life.gaze(FPS, len(pixels), head, rng)
    if observed is None or pixels.shape[1] < POINTS + IRISES:
        return made_up, np.zeros((len(pixels), 2), bool)
    irises = observed.pose.in_mm(pixels[:, POINTS:])
    looking, seen, eyes = iris_gaze(observed.pose, observed.flat, observed.visible, irises, visible[:, POINTS:])
    return filled(looking, seen, made_up), eyes


def settle(observed: Observed | None, expected: np.ndarray, looking: np.ndarray) -> np.ndarray:
    """(T, 44) weights of FACE: the denoiser's, drawn to the visible points."""
    expected = np.clip(expected, 0, 1).astype(np.float64)
    if observed is None:
        return expected
    points, pose = face_points(), observed.pose
    lids = np.stack([life.eye_channels(looking)[ARKIT_52[i]] for i in GAZE_ROWS], axis=1)
    explained = points.rest + np.tensordot(lids, points.basis[GAZE_ROWS], 1)
    weight = counted(eased(observed.visible))
    face = fit_weights(observed.flat - pose.flatten(explained), weight, pose, observed.rest, points, expected)
    face[:, STEADY] = np.clip(steadied(face[:, STEADY]), 0, 1)
    return face


def eased(visible: np.ndarray) -> np.ndarray:
    """(T, P) 0..1: visible points, but less so within EASE frames of being hidden, so that nothing jumps."""
    if visible.all():
        return visible.astype(np.float64)
    near = np.where(visible, float(EASE), 0.0)
    for _ in range(EASE - 1):
        near[1:] = np.minimum(near[1:], near[:-1] + 1)
        near[:-1] = np.minimum(near[:-1], near[1:] + 1)
    return near / EASE


def assemble(
    face: np.ndarray, head: np.ndarray, looking: np.ndarray, seen_eyes: np.ndarray, rng: np.random.Generator
) -> FaceMotion:
    """The finished motion; eyes that are not seen blink by themselves."""
    frames = len(face)
    weights = np.zeros((frames, len(ARKIT_52)), np.float32)
    weights[:, FACE_ROWS] = face
    blinks = life.blinks(FPS, frames, face[:, FACE.index("jawOpen")] < 0.03, rng)
    for column, name in enumerate(LIDS):
        own = weights[:, ARKIT_52.index(name)]
        weights[:, ARKIT_52.index(name)] = np.where(seen_eyes[:, column], own, np.maximum(own * (own > 0.5), blinks))
    lids = weights[:, [ARKIT_52.index(name) for name in LIDS]].max(axis=1)
    for name, curve in life.eye_channels(looking).items():
        weights[:, ARKIT_52.index(name)] = curve * (1 - lids)
    rotations = np.zeros((frames, len(ROTATION_NAMES), 3), np.float32)
    rotations[:, ROTATION_NAMES.index("head")] = head
    rotations[:, ROTATION_NAMES.index("jaw"), 0] = JAW_ANGLE * weights[:, ARKIT_52.index("jawOpen")]
    for eye in ("left_eye", "right_eye"):
        rotations[:, ROTATION_NAMES.index(eye), :2] = looking
    return FaceMotion(FPS, ARKIT_52, weights, ROTATION_NAMES, rotations)
