"""Which points of a face something is in front of, without being told: by colour, and by a hand detector.

FaceMesh places all its points whatever is in the way, and says nothing of which it saw. So every point's surroundings are
compared with the colour that this person's skin has over the whole clip (found as what most of the face shows that any
skin might; Kovac et al. 2003 describe such bounds), and hands, whose colour is the same, are looked for by MediaPipe
Hands. `scripts/measure_occlusion.py` measures how good that is. Not found: another person's skin that is no hand, and
things of the skin's own colour; a beard may pass for something in the way.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.ndimage import median_filter

from ...detection import Detections, Worker, mediapipe_worker
from ...video import WHOLE, Span, read_frames
from ..landmarks import mean_face
from ..regions import FACE_OVAL, LEFT_EYE_BROW, RIGHT_EYE_BROW
from .points import IRISES, LIPS

POINTS = 468
PATCH = 0.012  # of the face's width: how far around a point its colour is taken
DARK = 8.0  # of 255, added so that black has a colour
ANY_SKIN = ((0.04, 0.9), (-0.9, 0.05))  # logarithms of red and of blue over green that any skin may have
SHARE_OF_SKIN = 0.15  # of the face at least must look like skin, or the film has no colours to go by
SPREAD = 0.05  # the least spread of this person's skin, in those logarithms
FAR, REDDER = 4.0, 8.0  # spreads from the skin's colour: too far for skin; for lips, on the red side
DARKER, LIGHTER = 1.6, 0.9  # in the logarithm of green: too dark, too light for this person's skin
CHANGED, SHADE = 3.0, 0.5  # spreads, and logarithm of green, that a point's colour may differ from what it usually is
REACH = 9.0  # mm on the mean face over which neighbours vote
HAND_EVERY = 3  # frames
BONES = ((0, 1), (1, 2), (2, 3), (3, 4), (0, 5), (5, 6), (6, 7), (7, 8), (5, 9), (9, 10), (10, 11), (11, 12), (9, 13), (13, 14),
         (14, 15), (15, 16), (13, 17), (17, 18), (18, 19), (19, 20), (0, 17), (0, 9), (0, 13))  # fmt: skip
FINGER = 0.16  # of the distance from the wrist to the middle finger's knuckle: half a finger's width, and a little more


def unobstructed(video: Path, found: Detections, done: Callable[[float], None], span: Span = WHOLE) -> np.ndarray:
    """(N, 478) bool: which points of the detection nothing seems to be in front of. span: the part of the video that
    was detected. `done(time)` may raise to stop."""
    colours = np.zeros((len(found.points), POINTS, 3))
    hands = np.zeros((len(found.points), POINTS), bool)
    with mediapipe_worker() as worker:
        for i, frame in enumerate(read_frames(video, span)):
            if found.detected[i]:
                points = found.points[i, :POINTS]
                colours[i] = colours_at(frame.image, points)
                if i % HAND_EVERY == 0:
                    hands[i : i + HAND_EVERY] = behind_hands(worker, frame.image, points)
            done(frame.time)
    hidden = odd_colours(colours, found.detected) | hands
    return ~with_irises(hidden & found.detected[:, None])


def colours_at(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(468, 3) logarithms around points (468, 2) px of an image (H, W, 3) uint8: red over green, blue over green, green."""
    radius = max(1.0, PATCH * np.linalg.norm(points[454] - points[234]))
    steps = np.array([(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)]) * radius
    pixels = np.round(points[:, None] + steps).astype(np.int64)
    height, width = image.shape[:2]
    patch = image[np.clip(pixels[..., 1], 0, height - 1), np.clip(pixels[..., 0], 0, width - 1)]
    red, green, blue = np.log(np.median(patch, axis=1) + DARK).T
    return np.stack([red - green, blue - green, green], axis=1)


def odd_colours(colours: np.ndarray, detected: np.ndarray) -> np.ndarray:
    """colours (N, 468, 3), detected (N,) -> (N, 468) bool: not this person's skin, nor amid it."""
    bare = bare_skin()
    some = colours[detected][:, bare].reshape(-1, 3)
    chroma = some[:, :2]
    likely = np.ones(len(some), bool)
    for column, (low, high) in enumerate(ANY_SKIN):
        likely &= (chroma[:, column] > low) & (chroma[:, column] < high)
    if likely.mean() < SHARE_OF_SKIN:
        return np.zeros(colours.shape[:2], bool)
    for _ in range(3):
        middle = np.median(some[likely], axis=0)
        spread = np.maximum(1.5 * np.median(np.abs(some[likely] - middle), axis=0), SPREAD)
        likely = (np.abs(some - middle)[:, :2] < 3 * spread[:2]).all(axis=1) & (np.abs(some - middle)[:, 2] < 3 * spread[2])
    away = (colours - middle) / spread
    lips = np.isin(np.arange(POINTS), LIPS)
    limit = np.where(lips & (away[..., 0] > 0), REDDER, FAR)
    odd = (np.hypot(away[..., 0], away[..., 1]) > limit).astype(float)
    bright = colours[..., 2] - middle[2]
    odd = np.maximum(odd, (bright < np.where(lips, -2 * DARKER, -DARKER)) | (bright > LIGHTER))
    odd = np.maximum(odd, changed(colours, detected, spread))
    voted = odd @ votes().T > 0.5
    return median_filter(voted, size=(3, 1), mode="nearest")


def changed(colours: np.ndarray, detected: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """(N, 468) bool: of another colour than the same point usually has: something passes by. spread: (3,) of the skin's."""
    away = np.abs(colours - np.median(colours[detected], axis=0))
    lips = np.isin(np.arange(POINTS), LIPS)  # teeth and the mouth's dark inside come and go
    return ~lips & ((np.hypot(*(away[..., :2] / spread[:2]).transpose(2, 0, 1)) > CHANGED) | (away[..., 2] > SHADE))


def with_irises(hidden: np.ndarray) -> np.ndarray:
    """(N, 468) to (N, 478): an iris is hidden with its eye."""
    eyes = [hidden[:, [p for p in part if p in LID_POINTS]].mean(axis=1) > 0.5 for part in (RIGHT_EYE_BROW, LEFT_EYE_BROW)]
    return np.concatenate([hidden, *(np.repeat(eye[:, None], IRISES // 2, axis=1) for eye in eyes)], axis=1)


LID_POINTS = frozenset(
    (249, 263, 362, 373, 374, 380, 381, 382, 384, 385, 386, 387, 388, 390, 398, 466, 7, 33, 133, 144, 145, 153, 154, 155, 157, 158,
     159, 160, 161, 163, 173, 246)
)  # fmt: skip


@lru_cache(maxsize=1)
def bare_skin() -> np.ndarray:
    """Points on skin that nothing grows on: cheeks, nose, chin, the middle of the forehead."""
    face = mean_face()
    away = np.setdiff1d(np.arange(POINTS), np.concatenate([LIPS, FACE_OVAL, LEFT_EYE_BROW, RIGHT_EYE_BROW]))
    eyes = face[list(LID_POINTS), :2]
    far = np.linalg.norm(face[away, None, :2] - eyes, axis=2).min(axis=1) > 7.0
    return away[far & (face[away, 1] < 35.0)]


@lru_cache(maxsize=1)
def votes() -> np.ndarray:
    """(468, 468) rows sum to 1: whose oddness counts for a point. Eyes and brows have their own colours and no vote."""
    face = mean_face()
    voters = np.zeros(POINTS)
    voters[bare_skin()] = 1
    voters[LIPS] = 1
    distance = np.linalg.norm(face[:, None] - face, axis=2)
    weight = np.exp(-0.5 * (distance / REACH) ** 2) * voters
    return weight / weight.sum(axis=1, keepdims=True)


def behind_hands(worker: Worker, image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(468,) bool: points (468, 2) px that a hand in the image covers."""
    covered = np.zeros(len(points), bool)
    for hand in worker.hands(image):
        width = FINGER * np.linalg.norm(hand[9] - hand[0])
        for a, b in BONES:
            along = hand[b] - hand[a]
            share = np.clip((points - hand[a]) @ along / max(float(along @ along), 1e-9), 0, 1)
            covered |= np.linalg.norm(points - hand[a] - share[:, None] * along, axis=1) < width
    return covered
