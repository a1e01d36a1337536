"""A whole performance from mouth controls, an emotion and chance: ARKit weights and head rotation, frame by frame.

These are the training targets of the starter model. The mouth follows the phones (`articulation`), the emotion is a
FACS-like pose with an envelope that breathes, brows and head answer the accents of the voice. Blinks and gaze are not
learned; `engine/life.py` adds them to every performance, because few-step sampling loses rare events.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from .articulation import CONTROLS, TENDENCIES
from .contacts import HEAD, LEARNED, apply_contacts

FRAME_RATE = 25  # Hz
EMOTIONS = ("angry", "contempt", "disgusted", "fear", "happy", "sad", "surprised")  # the order of 3D MEAD
MOTION = LEARNED + HEAD
MOUTH = tuple(n for n in LEARNED if n.startswith(("jaw", "mouth", "tongue", "cheekPuff")))

# Emotion poses at intensity 1: action units after Ekman & Friesen's EMFACS, written as ARKit weights.
POSES: dict[str, dict[str, float]] = {
    "angry": {"browDown": 0.9, "eyeWide": 0.35, "eyeSquint": 0.5, "noseSneer": 0.3, "mouthPress": 0.35, "jawForward": 0.2,
              "mouthFrown": 0.2},
    "contempt": {"mouthSmileRight": 0.4, "mouthDimpleRight": 0.7, "cheekSquintRight": 0.2, "browOuterUpLeft": 0.25,
                 "eyeSquint": 0.15},
    "disgusted": {"noseSneer": 0.9, "mouthUpperUp": 0.5, "mouthLowerDown": 0.15, "browDown": 0.4, "cheekSquint": 0.3},
    "fear": {"browInnerUp": 0.9, "browOuterUp": 0.4, "eyeWide": 0.8, "mouthStretch": 0.5},
    "happy": {"cheekSquint": 0.7, "mouthSmile": 0.75, "eyeSquint": 0.15, "mouthDimple": 0.15},
    "sad": {"browInnerUp": 0.8, "browDown": 0.3, "mouthFrown": 0.6, "mouthShrugLower": 0.3, "eyeSquint": 0.1},
    "surprised": {"browInnerUp": 0.8, "browOuterUp": 0.8, "eyeWide": 0.7},
}  # fmt: skip
JAW_FACTOR = {"angry": 1.15, "contempt": 0.85, "sad": 0.75, "surprised": 1.2}
JAW_OFFSET = {"fear": 0.08, "surprised": 0.14}  # only while speaking
LIP_FACTOR = {"happy": 0.75}  # rounding, against the smile
HEAD_POSE = {"sad": (0.10, 0.0, 0.03), "contempt": (-0.05, 0.06, 0.05), "angry": (0.05, 0.0, 0.0),
             "fear": (-0.06, 0.0, 0.0), "happy": (-0.02, 0.0, 0.03), "surprised": (-0.05, 0.0, 0.0)}  # fmt: skip


@dataclass(frozen=True)
class Feeling:
    """Emotion weights in 0..1 of EMOTIONS: (7,) for a whole clip or (T, 7) frame by frame; all zero is neutral."""

    weights: np.ndarray


def random_feeling(rng: np.random.Generator, frames: int) -> Feeling:
    """(frames, 7): two thirds hold one feeling, a third turn to another one or two on the way.

    A turn takes 0.3 to 1.2 s: facial expressions of emotion rise within about half a second and linger for 0.5 to 4 s
    (Ekman & Friesen 1982, "Felt, false and miserable smiles").
    """
    weights = np.tile(random_mixture(rng), (frames, 1))
    if rng.random() < 0.35:
        for _ in range(rng.integers(1, 3)):
            start, length = rng.uniform(0.1, 0.9) * frames, rng.uniform(0.3, 1.2) * FRAME_RATE
            t = np.clip((np.arange(frames) - start) / length, 0, 1)[:, None]
            weights = weights + (random_mixture(rng) - weights) * (t * t * (3 - 2 * t))
    return Feeling(weights.astype(np.float32))


def random_mixture(rng: np.random.Generator) -> np.ndarray:
    """(7,) in 0..1: a third neutral, most others one emotion at some intensity, some a mixture of two."""
    weights = np.zeros(len(EMOTIONS), np.float32)
    draw = rng.random()
    if draw > 0.33:
        weights[rng.integers(len(EMOTIONS))] = 1.0 if rng.random() < 0.35 else rng.uniform(0.2, 1.0)
    if draw > 0.9:
        weights *= 0.6
        weights[rng.integers(len(EMOTIONS))] += 0.4 * rng.random()
    return np.minimum(weights, 1)


def pose_weights(emotion: str) -> np.ndarray:
    """(len(LEARNED),) weights of an emotion's pose; names without a side in POSES mean both sides."""
    pose = np.zeros(len(LEARNED), np.float32)
    for name, weight in POSES[emotion].items():
        for full in (name, name + "Left", name + "Right"):
            if full in LEARNED:
                pose[LEARNED.index(full)] = weight
    return pose


def perform(
    controls: np.ndarray, energy: np.ndarray, feeling: Feeling, rng: np.random.Generator
) -> np.ndarray:
    """One performance at 25 Hz.

    controls: (T, 9) of articulation.CONTROLS at 25 Hz. energy: (T,) loudness of the voice, about 0 (rest) to 1.
    Returns motion (T, len(MOTION)) float32, which respects the contacts exactly.
    """
    frames = len(controls)
    c = {name: controls[:, i].copy() for i, name in enumerate(CONTROLS)}
    felt = np.broadcast_to(feeling.weights, (frames, len(EMOTIONS)))
    factor = {name: np.ones(frames) for name in ("jaw", "lip")}
    offset = np.zeros(frames)
    head_pose = np.zeros((frames, 3))
    face = np.zeros((frames, len(LEARNED)), np.float32)
    gains = np.exp(rng.normal(0, 0.2, (len(EMOTIONS), len(LEARNED))))
    for index, emotion in enumerate(EMOTIONS):
        weight = felt[:, index]
        if not weight.any():
            continue
        factor["jaw"] *= 1 + weight * (JAW_FACTOR.get(emotion, 1.0) - 1)
        factor["lip"] *= 1 + weight * (LIP_FACTOR.get(emotion, 1.0) - 1)
        offset += weight * JAW_OFFSET.get(emotion, 0.0)
        head_pose += weight[:, None] * np.array(HEAD_POSE.get(emotion, (0, 0, 0)))
        face += (weight * breathing(frames, rng))[:, None] * pose_weights(emotion) * gains[index]
    speaking = np.clip(gaussian_filter1d((energy > 0.25).astype(np.float32), 3) * 1.4, 0, 1)

    jaw = np.clip(c["jaw"] * factor["jaw"] + offset * speaking, 0, 1)
    add_mouth(face, c, jaw, factor["lip"], 1 + rng.normal(0, 0.06))
    accents = accent_curve(energy, rng)
    add_brows(face, accents, rng)
    face = apply_contacts(face, c["close"], c["fv"])
    head = head_motion(accents, speaking, head_pose, rng)
    return np.concatenate([np.clip(face, 0, 1), head], axis=1).astype(np.float32)


def add_mouth(face: np.ndarray, c: dict[str, np.ndarray], jaw: np.ndarray, lip_gain: np.ndarray, tilt: float) -> None:
    """Add the tendencies to the ARKit mouth weights in place. jaw, lip_gain: (T,). `tilt`: how much stronger the left
    side is (about 1)."""

    def add(name: str, values: np.ndarray) -> None:
        sided = name + "Left" in LEARNED
        for side, gain in (("Left", tilt), ("Right", 2 - tilt)) if sided else (("", 1.0),):
            face[:, LEARNED.index(name + side)] += gain * values

    add("jawOpen", jaw)
    add("mouthPucker", lip_gain * c["pucker"])
    add("mouthFunnel", lip_gain * c["funnel"])
    add("mouthStretch", 0.55 * c["spread"])
    add("mouthSmile", 0.30 * c["spread"])
    add("mouthLowerDown", 0.65 * c["drop"])
    add("mouthUpperUp", c["lift"] + 0.16 * c["drop"])
    add("tongueOut", 0.5 * c["tongue"])


def add_brows(face: np.ndarray, accents: np.ndarray, rng: np.random.Generator) -> None:
    """Brows rise with accents (Cavé et al. 1996: brow raises accompany most but not all pitch accents), in place."""
    strength = rng.uniform(0.15, 0.4)
    outer = rng.uniform(0.4, 1.0)
    face[:, LEARNED.index("browInnerUp")] += strength * accents
    for side in ("Left", "Right"):
        tilt = 1 + rng.normal(0, 0.12)
        face[:, LEARNED.index("browOuterUp" + side)] += strength * outer * tilt * accents
    lids = 0.15 * accents * strength / 0.4
    for side in ("Left", "Right"):
        face[:, LEARNED.index("eyeWide" + side)] += lids


def accent_curve(energy: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(T,) 0..1: smooth bumps on some of the loudness peaks (each taken with a probability of this performance)."""
    smooth = gaussian_filter1d(energy.astype(np.float64), 2.5)
    peaks, _ = find_peaks(smooth, height=0.45, distance=8)
    curve = np.zeros(len(energy))
    take = rng.uniform(0.25, 0.6)
    time = np.arange(len(energy))
    for peak in peaks:
        if rng.random() < take:
            width = rng.uniform(4, 8)  # frames: 160 to 320 ms
            curve = np.maximum(curve, rng.uniform(0.4, 1.0) * np.exp(-0.5 * ((time - peak + 2) / width) ** 2))
    return curve


def breathing(frames: int, rng: np.random.Generator) -> np.ndarray:
    """(T,) about 1: how strongly an emotion shows, drifting over seconds."""
    noise = smooth_noise(frames, 35, rng)
    return np.clip(0.92 + 0.13 * noise, 0.5, 1.25).astype(np.float32)


def smooth_noise(frames: int, width: float, rng: np.random.Generator) -> np.ndarray:
    """(T,) unit-variance noise, smooth on the scale of `width` frames (Gaussian, so twice differentiable)."""
    pad = int(4 * width)
    noise = gaussian_filter1d(rng.normal(size=frames + 2 * pad), width)[pad : pad + frames]
    return noise * np.sqrt(2 * width * np.sqrt(np.pi))


def head_motion(accents: np.ndarray, speaking: np.ndarray, pose: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(T, 3) rad pitch, yaw, roll about `pose` (T, 3): slow drift, livelier while speaking, nods on the accents, a last
    nod where a phrase ends, a small lift with the breath before one begins, and now and then a listener's nods.

    Amplitudes: a few degrees, as Hadar et al. 1983 describe for speakers (slow sway under 1.8 Hz, nods on stress) and
    Hadar et al. 1985 for listeners (small repeated nods of 1 to 2 Hz in the pauses).
    """
    frames = len(accents)
    liveliness = rng.uniform(0.6, 1.3)
    drift = np.stack([smooth_noise(frames, 22, rng) for _ in range(3)], 1) * np.array([0.030, 0.042, 0.022])
    sway = np.stack([smooth_noise(frames, 8, rng) for _ in range(3)], 1) * np.array([0.016, 0.012, 0.010])
    head = liveliness * (drift * (0.5 + 0.5 * speaking[:, None]) + sway * speaking[:, None])
    nods = gaussian_filter1d(accents, 1.5)
    head[:, 0] += rng.uniform(0.03, 0.09) * nods + pause_nods(speaking, rng)
    return head + pose * rng.uniform(0.8, 1.2)


def pause_nods(speaking: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(T,) rad of pitch at the edges of phrases and in the pauses between them, from (T,) 0..1 how much is spoken."""
    time = np.arange(len(speaking))
    pitch = np.zeros(len(speaking))
    edges = np.diff((speaking > 0.4).astype(int), prepend=0, append=0)
    begins, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    for end in ends:
        if rng.random() < 0.5:
            pitch += rng.uniform(0.02, 0.06) * np.exp(-0.5 * ((time - end) / rng.uniform(4, 7)) ** 2)
    for begin in begins:
        pitch -= rng.uniform(0.0, 0.025) * np.exp(-0.5 * ((time - begin + 8) / 5) ** 2)
    for end in ends:
        following = begins[begins > end]
        length = (following[0] if len(following) else len(speaking)) - end
        if length > 0.9 * FRAME_RATE and rng.random() < 0.3:
            inside = (time > end + 5) & (time < end + length)
            pitch += inside * rng.uniform(0.01, 0.03) * np.sin(2 * np.pi * rng.uniform(1, 2) * (time - end - 5) / FRAME_RATE)
    return gaussian_filter1d(pitch, 2)


__all__ = ["EMOTIONS", "HEAD", "LEARNED", "MOTION", "MOUTH", "POSES", "TENDENCIES", "Feeling", "perform"]
