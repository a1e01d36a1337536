"""What the starter tracker is trained on: generated performances, and how a detector might see them, partly hidden.

Motion and sound are the starter's own (`engine/starter/train.py`, stage 2): mouth from phones, emotions, brows, head. Added
here: blinks, gaze, expressions that have nothing to do with speech; then a face that answers to the weights a little
differently than the starter head does, a camera, a detector's noise, hidden parts and missing frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from ... import life
from ...face.arkit import ARKIT_52, mirrored
from ...face.starter_head import rotation_matrices
from ...starter.performance import MOTION
from ..landmarks import LANDMARKS, mean_face
from ..occlusion import RandomDraws, draw_span, named_visibility, training_visibility
from ..windows import WINDOW
from .canonical import looked_at_input, without_rigid_motion
from .channels import CHANNELS, FACE, FACE_ROWS, GAZE_ROWS
from .points import LIPS, LOOKED_AT, face_points

FRAMES = 128  # drawn together: displacements are told from their mean over this many
FROM_MOTION = np.array([CHANNELS.index(n) for n in MOTION])
OTHER = tuple(n for n in FACE if not n.startswith(("eyeBlink", "mouthClose", "tongue")) and not n.endswith("Right"))
EYES_HEIGHT = -20.0  # mm: what lies higher is seen whatever hides a mouth
FIELDS = 24  # centres of the smooth random fields


@dataclass(frozen=True)
class Batch:
    """motion (B, T, 47) float32; seen (B, T, P + 2, 3) as `canonical.looked_at_input`; visible (B, T, P + 2) bool."""

    motion: np.ndarray
    seen: np.ndarray
    visible: np.ndarray


def full_motion(motion: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The starter's motion (T, 45) with blinks, other expressions and gaze: (T, 47) of CHANNELS and (T, 8) gaze weights."""
    frames = len(motion)
    whole = np.zeros((frames, len(CHANNELS)), np.float32)
    whole[:, FROM_MOTION] = motion
    if rng.random() < 0.5:
        for _ in range(rng.integers(1, 4)):
            _express(whole, OTHER[rng.integers(len(OTHER))], rng)
    closed = life.blinks(25.0, frames, np.zeros(frames, bool), rng)
    wide = 1 - closed[:, None]
    for name in ("eyeWideLeft", "eyeWideRight", "eyeSquintLeft", "eyeSquintRight"):
        whole[:, CHANNELS.index(name)] *= wide[:, 0]
    droop = rng.uniform(0, 0.2) if rng.random() < 0.3 else 0.0
    for name in ("eyeBlinkLeft", "eyeBlinkRight"):
        whole[:, CHANNELS.index(name)] = np.maximum(closed * rng.uniform(0.85, 1), droop)
    head = whole[:, -3:]
    looks = life.eye_channels(life.gaze(25.0, frames, head, rng))
    gaze = np.stack([looks[ARKIT_52[i]] for i in GAZE_ROWS], axis=1).astype(np.float32)
    if rng.random() < 0.4:  # an actor's head moves more than a generated one's
        whole[:, -3:] *= rng.uniform(1, 4)
    np.clip(whole[:, :-3], 0, 1, out=whole[:, :-3])
    return whole, gaze


def _express(whole: np.ndarray, name: str, rng: np.random.Generator) -> None:
    """Add a shape that comes and goes, mostly on both sides, in place."""
    frames = len(whole)
    noise = gaussian_filter1d(rng.normal(size=frames), rng.uniform(2, 15), mode="wrap")
    curve = np.clip(noise / (noise.std() + 1e-9) * 0.6 + rng.uniform(-0.4, 0.6), 0, 1) * rng.uniform(0.15, 0.9)
    whole[:, CHANNELS.index(name)] += curve
    if mirrored(name) != name and rng.random() < 0.75:
        whole[:, CHANNELS.index(mirrored(name))] += curve * rng.uniform(0.7, 1.3)


def draw_visibility(frames: int, rng: np.random.Generator) -> tuple[np.ndarray, bool]:
    """(frames, 468) bool, and whether the mouth is what is hidden."""
    visible, draw = np.ones((frames, LANDMARKS), bool), rng.random()
    mouth = False
    if draw < 0.15:
        pass
    elif draw < 0.25:
        visible[:] = False
    elif draw < 0.60:
        mouth = True
        hidden = ~_beyond_mouth(rng)
        span = slice(None) if rng.random() < 0.75 else draw_span(frames, 20, RandomDraws(rng))
        visible[span] &= ~hidden
    elif draw < 0.76:
        part = ("upper", "left", "right")[rng.integers(3)]
        visible[:] = named_visibility(part)[:LANDMARKS]  # type: ignore[arg-type]
    else:
        flat = mean_face()[:, :2] * [1, -1]
        placed = (flat - flat.mean(axis=0)) / 100.0  # the crop is about 200 mm wide
        turned = np.broadcast_to(placed.astype(np.float32), (frames, LANDMARKS, 2))
        visible = training_visibility(turned, "visual" if rng.random() < 0.5 else "audio", RandomDraws(rng))
    if rng.random() < 0.15:
        visible = visible & (rng.random(frames) > rng.uniform(0.02, 0.3))[:, None]
    if rng.random() < 0.15:
        visible = visible & (rng.random(LANDMARKS) > rng.uniform(0.02, 0.5))
    return visible, mouth


def _beyond_mouth(rng: np.random.Generator) -> np.ndarray:
    """(468,) bool: outside a box about the lips, at times down over the chin or up over the nose."""
    face = mean_face()[:, :2]
    low, high = face[LIPS].min(axis=0), face[LIPS].max(axis=0)
    size = high - low
    low = low - size * rng.uniform([0.0, 0.0], [0.8, 1.6])
    high = high + size * rng.uniform([0.0, 0.0], [0.8, 0.9])
    return ((face < low) | (face > high)).any(axis=1)


def make_batch(motion: np.ndarray, rng: np.random.Generator) -> Batch:
    """motion (B, FRAMES, 45) of the starter's training to its consecutive windows of 64 frames, (B * FRAMES / 64) of them."""
    points = face_points()
    rest, basis = points.rest[LOOKED_AT], points.basis[:, LOOKED_AT]
    out: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    performed = [full_motion(own, rng) for own in motion]
    shapes = np.zeros((*motion.shape[:2], len(ARKIT_52)), np.float32)
    for own, (whole, gaze) in zip(shapes, performed, strict=True):
        own[:, FACE_ROWS], own[:, GAZE_ROWS] = whole[:, : len(FACE)], gaze
    for i, (whole, _) in enumerate(performed):
        every, mouth = draw_visibility(len(whole), rng)
        visible = every[:, LOOKED_AT]
        imagined = shapes[i - 1] if mouth and rng.random() < 0.4 else None
        moved = _detected(shapes[i], whole[:, -3:], rest, basis, imagined, rng)
        moved, known = without_rigid_motion(moved, visible, rest, points.steady[LOOKED_AT])
        visible &= known[:, None]
        head = whole[:, -3:] + rng.normal(0, 0.005, (len(whole), 3))
        out.append((whole, *looked_at_input(moved, visible, head, known)))
    return Batch(*(np.stack(rows).reshape(-1, WINDOW, *rows[0].shape[1:]) for rows in zip(*out, strict=True)))


def _detected(
    shapes: np.ndarray, head: np.ndarray, rest: np.ndarray, basis: np.ndarray, imagined: np.ndarray | None,
    rng: np.random.Generator,
) -> np.ndarray:  # fmt: skip
    """(T, P, 2) mm in head axes: where another person's points seem to be, relative to where they are at rest.

    imagined: weights (T, 52) that move the points beyond the lips instead: what a detector makes up that cannot see a mouth.
    """
    frames, count = len(shapes), len(rest)
    gains = np.exp(rng.normal(0, 0.25, shapes.shape[1])) * np.exp(rng.normal(0, 0.2))
    moved = ((shapes * gains).astype(np.float32) @ basis.reshape(len(basis), -1).astype(np.float32)).reshape(frames, count, 3)
    centres = rest[rng.integers(count, size=FIELDS)]
    field = np.exp(-((rest[:, None] - centres) ** 2).sum(-1) / (2 * rng.uniform(12, 40) ** 2))
    field /= np.sqrt((field**2).sum(axis=1, keepdims=True))
    moved *= np.exp(0.25 * (field @ rng.normal(size=(FIELDS, 3)))).astype(np.float32)
    lips = np.isin(LOOKED_AT, LIPS)
    # A detector's mesh follows the lips; how far its cheeks and chin do varies.
    moved[:, ~lips] *= rng.uniform(0.3, 1.3)
    if imagined is not None:
        upper = rest[:, 1] > EYES_HEIGHT  # those it sees
        below = ~lips & ~upper
        made_up = (imagined @ basis[:, below].reshape(len(basis), -1).astype(np.float32)).reshape(frames, -1, 3)
        moved[:, below] = rng.uniform(-0.1, 0.4) * moved[:, below] + rng.uniform(0, 0.45) * made_up
    turn = rotation_matrices(head + rng.normal(0, (0.12, 0.17, 0.08)))[:, :2].astype(np.float32)
    flat = moved @ turn.transpose(0, 2, 1)
    flat += _wander(frames, field, rng)
    flat += np.exp(rng.uniform(np.log(0.03), np.log(0.4))) * rng.standard_normal(flat.shape, np.float32)
    return flat @ turn[:, :, :2]


def _wander(frames: int, field: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(T, P, 2) mm: errors that neighbouring points and frames share."""
    noise = rng.normal(size=(frames, 2, field.shape[1]))
    width = np.exp(rng.uniform(np.log(0.6), np.log(12)))
    noise = gaussian_filter1d(noise, width, axis=0, mode="wrap") * np.sqrt(2 * width * np.sqrt(np.pi))
    return rng.uniform(0, 0.6) * (noise.astype(np.float32) @ field.T.astype(np.float32)).transpose(0, 2, 1)
