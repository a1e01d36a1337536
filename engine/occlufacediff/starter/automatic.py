"""Which points of a face something is in front of, without being told: by colour, and by a hand detector.

FaceMesh places all its points whatever is in the way, and says nothing of which it saw. So every point's surroundings are
compared with the colour that this person's skin has over the whole clip (found as what most of the face shows that any
skin might; Kovac et al. 2003 describe such bounds), and hands, whose colour is the same, are looked for by MediaPipe
Hands. `scripts/measure_occlusion.py` measures how good that is. Not found: another person's skin that is no hand, and
things of the skin's own colour; a beard may pass for something in the way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.ndimage import median_filter

from ...detection import Detections, Worker, mediapipe_worker
from ...video import WHOLE, Span, read_frames
from ..landmarks import mean_face
from ..regions import FACE_OVAL, LEFT_EYE_BROW, RIGHT_EYE_BROW
from .points import IRISES, LIP_RINGS, LIPS

POINTS = 468
PATCH = 0.012  # of the face's width: how far around a point its colour is taken
DARK = 8.0  # of 255, added so that black has a colour
ANY_SKIN = ((0.04, 0.9), (-0.9, 0.05))  # logarithms of red and of blue over green that any skin may have
SHARE_OF_SKIN = 0.15  # of the face at least must look like skin, or the film has no colours to go by
SPREAD = 0.05  # the least spread of this person's skin, in those logarithms
FAR, REDDER = 4.0, 8.0  # spreads from the skin's colour: too far for skin; for lips, on the red side
DARKER, LIGHTER = 1.6, 0.9  # in the logarithm of green: too dark, too light for this person's skin
CHANGED, SHADE = 3.0, 0.3  # spreads, and logarithm of green, that a point's colour may differ from what it usually is
LIP_CONTRAST, LIKE_SKIN = np.array([1.0, 1.0, 0.5]), 0.2  # summed differences of lips and skin; fewer: no lips
EVEN = 0.09  # deviation of the logarithm of green over the rims of an eye: less is no eye
BESIDE = 11.0  # mm: what is hidden with a part of the lips, or an eye
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
    """(468, 3) logarithms around a face's points (468, 2) px of an image (H, W, 3) uint8: red over green, blue over green,
    green."""
    return colours_around(image, points, np.linalg.norm(points[454] - points[234]))


def colours_around(image: np.ndarray, places: np.ndarray, width: float) -> np.ndarray:
    """As `colours_at` around any places (K, 2); width: of the face, px."""
    steps = np.array([(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)]) * max(1.0, PATCH * width)
    pixels = np.round(places[:, None] + steps).astype(np.int64)
    rows, columns = image.shape[:2]
    patch = image[np.clip(pixels[..., 1], 0, rows - 1), np.clip(pixels[..., 0], 0, columns - 1)]
    red, green, blue = np.log(np.median(patch, axis=1) + DARK).T
    return np.stack([red - green, blue - green, green], axis=1)


@dataclass(frozen=True)
class Skin:
    """The colour of one person's skin: middle and spread (3,), of the logarithms of `colours_at`."""

    middle: np.ndarray
    spread: np.ndarray

    def unlike(self, colours: np.ndarray, lips: np.ndarray | bool = False) -> np.ndarray:
        """colours (..., 3) -> (...) bool: too far from the skin's to be it, or, where `lips` says so, to be lips."""
        away = (colours - self.middle) / self.spread
        limit = np.where(lips & (away[..., 0] > 0), REDDER, FAR)
        bright = colours[..., 2] - self.middle[2]
        dark = bright < np.where(lips, -2 * DARKER, -DARKER)
        return (np.hypot(away[..., 0], away[..., 1]) > limit) | dark | (bright > LIGHTER)


def skin_of(colours: np.ndarray) -> Skin | None:
    """Of colours (K, 3) around points of bare skin, some of them hidden; None where the film has no colours to go by."""
    likely = np.ones(len(colours), bool)
    for column, (low, high) in enumerate(ANY_SKIN):
        likely &= (colours[:, column] > low) & (colours[:, column] < high)
    if likely.mean() < SHARE_OF_SKIN:
        return None
    for _ in range(3):
        middle = np.median(colours[likely], axis=0)
        spread = np.maximum(1.5 * np.median(np.abs(colours[likely] - middle), axis=0), SPREAD)
        likely = (np.abs(colours - middle) < 3 * spread).all(axis=1)
    return Skin(middle, spread)


def odd_colours(colours: np.ndarray, detected: np.ndarray) -> np.ndarray:
    """colours (N, 468, 3), detected (N,) -> (N, 468) bool: not this person's skin, nor amid it."""
    skin = skin_of(colours[detected][:, bare_skin()].reshape(-1, 3))
    if skin is None:
        return np.zeros(colours.shape[:2], bool)
    odd = skin.unlike(colours, np.isin(np.arange(POINTS), LIPS)) | changed(colours, detected, skin.spread)
    voted = (odd @ votes().T > 0.5) | without_features(colours)
    return median_filter(voted, size=(3, 1), mode="nearest")


def without_features(colours: np.ndarray) -> np.ndarray:
    """colours (N, 468, 3) -> (N, 468) bool: where lips or an eye should be and there is but skin, so that a hand is there.

    Lips are redder than the skin around them, or darker, or both, on any face; a third of them is judged at a time. The rims
    of an eye, open or shut, are lashes beside skin or white.
    """
    skin = np.median(colours[:, bare_skin()], axis=1)
    hidden = np.zeros(colours.shape[:2], bool)
    for judged, around in lip_thirds():
        away = np.abs(np.median(colours[:, judged], axis=1) - skin) @ LIP_CONTRAST
        hidden[np.ix_(median_filter(away, size=5, mode="nearest") < LIKE_SKIN, around)] = True
    for judged, around in eyes():
        varied = colours[:, judged, 2].std(axis=1)
        hidden[np.ix_(median_filter(varied, size=5, mode="nearest") < EVEN, around)] = True
    return hidden


@lru_cache(maxsize=1)
def eyes() -> list[tuple[np.ndarray, np.ndarray]]:
    """Of either eye: the points of its rims, and all points on and near it."""
    face, rims = mean_face()[:, :2], np.array(sorted(LID_POINTS))
    return [_with_surroundings(rims[side * face[rims, 0] > 0]) for side in (-1, 1)]


def _with_surroundings(judged: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    face = mean_face()[:, :2]
    away = np.linalg.norm(face[:, None] - face[judged], axis=2).min(axis=1)
    return judged, np.flatnonzero(away < BESIDE)


@lru_cache(maxsize=1)
def lip_thirds() -> list[tuple[np.ndarray, np.ndarray]]:
    """Of the right, middle and left third of a mouth: the points of the red of the lips, and all points on and near it."""
    face = mean_face()[:, :2]
    red = np.array(LIP_RINGS[1] + LIP_RINGS[2])
    edges = np.quantile(face[red, 0], [1 / 3, 2 / 3])
    return [_with_surroundings(red[np.digitize(face[red, 0], edges) == third]) for third in range(3)]


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
