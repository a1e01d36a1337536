"""The starter makes a part of a motion anew: some frames of some channels, between what the animator keeps. NumPy only.

The diffusion is conditioned on the motion around the part, on the channels that stay and on pinned values
(`diffusion.inpainting`); what it makes goes the way of every performance (mouth from the regressor, contacts, blinks,
gaze) and is then set into the motion exactly (`joins`). Outside of the part the motion stays the same to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .. import life
from ..audio import SAMPLE_RATE
from ..diffusion.inpainting import conditioned, onto_values
from ..diffusion.samplers import ddim
from ..face.arkit import ARKIT_52
from ..joins import Seam, set_in
from ..motion import ROTATION_NAMES, FaceMotion
from ..parts import Part
from .articulation import CONTACT_RATE
from .contacts import HEAD, apply_contacts
from .eye_events import gaze_of_part, lids_of_part
from .pipeline import (
    JAW_ANGLE,
    Heard,
    Progress,
    Starter,
    Stopwatch,
    face_of,
    listen,
    performance_seed,
    starting_noise,
)
from .resample import contacts_at, values_at

MAKES = (*ARKIT_52, *ROTATION_NAMES)  # what the starter can make anew
CONTEXT = 12.0  # s of sound and motion before the part that the denoiser is given; it hears 10 s back
AFTERMATH = 2.0  # s after it
# s within which a correction dies away: lips are quick, brows are not, a head is slow.
MOUTH_REACH, FACE_REACH, HEAD_REACH, EYE_REACH = 0.12, 0.32, 0.48, 0.12
CLOSURE_PULL = 4.0  # against 1 for bending: how firmly closed lips stay closed while a correction passes through them
LIDS = ("eyeBlinkLeft", "eyeBlinkRight")
LIPS = ("mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight", "mouthFunnel", "tongueOut")


def regenerate(
    model: Starter,
    samples: np.ndarray,
    felt: np.ndarray,
    base: FaceMotion,
    part: Part,
    seed: int,
    steps: int,
    variation: float,
    progress: Progress,
) -> FaceMotion:
    """The base with its part made anew, at the base's frame rate. samples, felt, seed, steps, variation: as `generate`.

    The seed and the sound that made the base make nearly the same part again where nothing was edited. Landmarks, vertices
    and the like, which follow from the weights, are not in the result. `progress(stage, step, total)` may raise to stop.
    """
    clock = Stopwatch()
    progress("features", 0, 1)
    heard = listen(model, samples, felt)
    clock.lap("features")
    own_seed = performance_seed(seed, samples)
    span, latent = _sample(model, heard, base, part, starting_noise(model, own_seed, len(felt)), steps, progress)
    clock.lap("sampling")
    progress("decode", 0, 1)
    sampled = np.zeros((len(felt), len(model.motion)))
    sampled[span] = face_of(model, _cut(heard, span), latent, variation)
    motion = _set_in(model, sampled, heard.contacts, base, part, own_seed, len(samples) / SAMPLE_RATE)
    clock.lap("decode")
    motion.meta.update(
        {"model": model.name, "seed": seed, "steps": steps, "sampler": "ddim", "mouth_variation": variation,
         "device": model.networks.device, "runtime": model.networks.runtime, "seconds": clock.laps,
         "part": {"first": part.first, "after": part.after, "channels": [*part.channels, *part.joints]}}
    )  # fmt: skip
    return motion


def _sample(
    model: Starter, heard: Heard, base: FaceMotion, part: Part, noise: np.ndarray, steps: int, progress: Progress
) -> tuple[slice, np.ndarray]:
    """The model frames that were sampled and their latent (S, D), conditioned on all of the base that stays."""
    rate = model.frame_rate
    wanted, held = known_values(model, base, part, len(noise))
    first, after = int(part.first / base.fps * rate), int(np.ceil(part.after / base.fps * rate)) + 1
    first, after = min(first, len(noise) - 1), min(after, len(noise))
    span = slice(max(0, first - round(CONTEXT * rate)), min(len(noise), after + round(AFTERMATH * rate)))

    def encode(motion: np.ndarray) -> np.ndarray:
        return (model.networks.encode((motion / model.motion_scale).astype(np.float32)) - middle) / deviation

    def decode(latent: np.ndarray) -> np.ndarray:
        return model.networks.decode(latent * deviation + middle) * model.motion_scale

    middle, deviation = model.latent_mean, model.latent_deviation
    reach = rate * np.array([_reach(name, model.mouth) for name in model.motion])
    project = onto_values(encode, decode, wanted[span], held[span], reach)
    own = _cut(heard, span)
    denoise = conditioned(model.networks.denoiser(own.conditions, own.felt), project)
    latent = ddim(denoise, noise[span], model.schedule, steps, step_done=lambda s, n: progress("sampling", s, n))
    return span, latent * deviation + middle


def known_values(model: Starter, base: FaceMotion, part: Part, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """What stays of the base, in the model's frames and channels: values (T, M) and where they are known (T, M) bool.

    Known are the frames outside of the part, all of the channels that are not made anew, and of the others the frame
    nearest to each pinned one. Channels that the base does not have, and frames after its end, are not known.
    """
    index = np.arange(frames) * (base.fps / model.frame_rate)
    there = index <= base.frames - 1
    outside = there & ((index <= part.first - 1) | (index >= part.after))
    values = np.zeros((frames, len(model.motion)))
    held = np.zeros((frames, len(model.motion)), bool)
    for column, name in enumerate(model.motion):
        own, curve = _curve(base, name)
        if curve is None:
            continue
        values[:, column] = np.interp(index, np.arange(base.frames), curve)
        held[:, column] = outside if own in part.channels or own in part.joints else there
        for frame in part.pinned.get(own, ()):
            nearest = min(round(frame * model.frame_rate / base.fps), frames - 1)
            values[nearest, column] = curve[frame]
            held[nearest, column] = True
    return values, held


def _curve(base: FaceMotion, name: str) -> tuple[str, np.ndarray | None]:
    """A model channel's name and curve (T,) in a motion; None where it has none."""
    if name in HEAD:
        return "head", base.rotation("head")[:, HEAD.index(name)] if "head" in base.rotation_names else None
    return name, base.channel(name) if name in base.channels else None


def _reach(name: str, mouth: list[str]) -> float:
    """s"""
    return HEAD_REACH if name in HEAD else MOUTH_REACH if name in mouth else FACE_REACH


def _cut(heard: Heard, span: slice) -> Heard:
    return Heard(**{name: value[span] for name, value in vars(heard).items()})


@dataclass
class _Sewing:
    """The motion as it becomes: set_in replaces the part of some channels, and what is read is always what holds now."""

    base: FaceMotion
    part: Part

    def __post_init__(self) -> None:
        self.weights, self.rotations = self.base.weights.copy(), self.base.rotations.copy()

    def now(self, name: str, otherwise: np.ndarray) -> np.ndarray:
        """(T,) the weight as it is now; `otherwise` where the motion has no such channel."""
        return self.weights[:, self.base.channels.index(name)] if name in self.base.channels else otherwise

    def head(self, otherwise: np.ndarray) -> np.ndarray:
        """(T, 3) the head's rotation as it is now."""
        names = self.base.rotation_names
        return self.rotations[:, names.index("head")] if "head" in names else otherwise

    def set_weights(self, fresh: dict[str, np.ndarray], reach: dict[str, float] | float, pull: np.ndarray | None = None) -> None:
        """fresh: (T,) by channel; those that are no part of the part are passed over. reach: s. pull: (T,) for all of them."""
        names = [n for n in fresh if n in self.part.channels]
        if not names:
            return
        columns = [self.base.channels.index(n) for n in names]
        base = self.base.weights[:, columns]
        reaches = np.array([reach if isinstance(reach, float) else reach[n] for n in names]) * self.base.fps
        held = np.stack([self._held(n) for n in names], axis=1)
        pulls = None if pull is None else np.tile(pull[:, None], len(names))
        made = set_in(np.stack([fresh[n] for n in names], axis=1), base, self._seam(held, reaches, 0.0, 1.0), pulls)
        self.weights[:, columns] = np.where(held, base, made.astype(np.float32))

    def set_rotation(self, name: str, fresh: np.ndarray, reach: float) -> None:
        """fresh: (T, 3) rad. reach: s."""
        if name not in self.part.joints:
            return
        joint = self.base.rotation_names.index(name)
        base = self.base.rotations[:, joint]
        held = np.tile(self._held(name)[:, None], 3)
        seam = self._seam(held, np.full(3, reach * self.base.fps), -np.inf, np.inf)
        self.rotations[:, joint] = np.where(held, base, set_in(fresh, base, seam).astype(np.float32))

    def _held(self, name: str) -> np.ndarray:
        held = np.ones(self.base.frames, bool)
        held[self.part.frames] = False
        held[self.part.pinned.get(name, np.zeros(0, np.int64))] = True
        return held

    def _seam(self, held: np.ndarray, reach: np.ndarray, low: float, high: float) -> Seam:
        return Seam(self.part.first, self.part.after, held, reach, low, high)


def _set_in(
    model: Starter, sampled: np.ndarray, contacts: np.ndarray, base: FaceMotion, part: Part, seed: int, seconds: float
) -> FaceMotion:
    """sampled: (T, M) model frames of the whole clip, right in the part and near it. contacts: (2 T, 2) close and fv at
    CONTACT_RATE."""
    learned, fps, frames = len(model.learned), base.fps, base.frames
    values = values_at(sampled, model.frame_rate, fps, frames)
    close, fv = contacts_at(contacts, CONTACT_RATE, fps, frames).T
    made = np.clip(apply_contacts(np.clip(values[:, :learned], 0, 1), close, fv), 0, 1)
    face = dict(zip(model.learned, made.T))
    sewing = _Sewing(base, part)
    _mouth(model, sewing, face, close, np.maximum(close, 0.55 * fv))
    sewing.set_rotation("head", values[:, learned:], HEAD_REACH)
    _eyes(sewing, face, values[:, learned:], np.random.default_rng(seed), max(1, int(np.ceil(seconds * fps))))
    jaw = np.zeros((frames, 3))
    jaw[:, 0] = JAW_ANGLE * sewing.now("jawOpen", face["jawOpen"])
    sewing.set_rotation("jaw", jaw, MOUTH_REACH)
    return replace(
        base, weights=sewing.weights, rotations=sewing.rotations, expression=None, jaw_pose=None, vertices=None,
        landmarks68=None, meta={},
    )  # fmt: skip


def _mouth(
    model: Starter, sewing: _Sewing, face: dict[str, np.ndarray], close: np.ndarray, contact: np.ndarray
) -> None:
    """Everything learned but lids; closed lips stay closed: where the jaw is bent to meet something, mouthClose follows it,
    and where mouthClose stays as it is, the jaw follows that. face: (T,) by channel; close, contact: (T,) 0..1."""
    firmly = CLOSURE_PULL * close**2
    reach = {name: _reach(name, model.mouth) for name in model.learned}
    sneer = face["mouthClose"] - face["jawOpen"] * contact
    closing = "mouthClose" in sewing.part.channels
    if not closing:
        goal = sewing.now("mouthClose", face["mouthClose"]) - sneer
        face["jawOpen"] = face["jawOpen"] + close * (goal - face["jawOpen"])
    lips = {n: face[n] for n in LIPS} | ({} if closing else {"jawOpen": face["jawOpen"]})
    rest = {n: c for n, c in face.items() if n not in lips and n != "mouthClose" and not n.startswith("eye")}
    sewing.set_weights(rest, reach)
    sewing.set_weights(lips, reach, firmly)
    face["mouthClose"] = np.clip(sewing.now("jawOpen", face["jawOpen"]) * contact + sneer, 0, 1)
    sewing.set_weights({"mouthClose": face["mouthClose"]}, reach, firmly)


def _eyes(sewing: _Sewing, face: dict[str, np.ndarray], head: np.ndarray, rng: np.random.Generator, frames: int) -> None:
    """Lids, gaze and what follows from them. head: (T, 3) as sampled. frames: of a performance of the whole sound, so that a
    seed gives the events that it gave there."""
    base, part = sewing.base, sewing.part
    jaw = sewing.now("jawOpen", face["jawOpen"])
    quiet = _length(jaw, frames) < 0.03
    still = np.zeros((frames, 3))
    world = _length(life.gaze(base.fps, frames, still, rng), base.frames)
    blinks = _length(life.blinks(base.fps, frames, quiet, rng), base.frames)
    old = np.stack([base.channel(n) if n in base.channels else np.zeros(base.frames) for n in LIDS], axis=1)
    kept = np.array(sorted({int(f) for n in LIDS for f in part.pinned.get(n, ())}), np.int64)
    lids = lids_of_part(old, blinks, part.first, part.after, kept, base.fps)
    sewing.set_weights(dict(zip(LIDS, lids.T)), EYE_REACH)
    shut = {n[8:]: sewing.now(n, lids[:, i]) for i, n in enumerate(LIDS)}
    raised = {n: c * (1 - shut["Left" if n.endswith("Left") else "Right"]) for n, c in face.items() if n.startswith("eye")}
    sewing.set_weights(raised, FACE_REACH)

    turned = sewing.head(head)[:, :2]
    before = base.rotation("head")[:, :2] if "head" in base.rotation_names else turned
    target = gaze_of_part(_looking(base) + before, world, part.first, part.after, base.fps)
    looking = target - turned
    curves = life.eye_channels(looking)
    sewing.set_weights({n: c * (1 - shut["Left" if n.endswith("Left") else "Right"]) for n, c in curves.items()}, EYE_REACH)
    for eye in ("left_eye", "right_eye"):
        sewing.set_rotation(eye, np.pad(looking, ((0, 0), (0, 1))), EYE_REACH)


def _looking(base: FaceMotion) -> np.ndarray:
    """(T, 2) rad pitch and yaw of the eyes of a motion, from its eye bones or else from its lids."""
    if "left_eye" in base.rotation_names:
        return base.rotation("left_eye")[:, :2].astype(np.float64)

    def weight(name: str) -> np.ndarray:
        return base.channel(name) if name in base.channels else np.zeros(base.frames)

    pitch = life.LID_RANGE * (weight("eyeLookDownLeft") - weight("eyeLookUpLeft"))
    return np.stack([pitch, life.SIDE_RANGE * (weight("eyeLookOutLeft") - weight("eyeLookInLeft"))], axis=1)


def _length(values: np.ndarray, frames: int) -> np.ndarray:
    """The first `frames` of (T, ...), its last one repeated where there are fewer."""
    return values[np.minimum(np.arange(frames), len(values) - 1)]
