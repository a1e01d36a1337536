"""What is hidden: the reference's occluder for training and its types for testing, landmark by landmark or on the crop.

Visibility is (N, 468) bool, True where a landmark is seen. NumPy only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

import numpy as np

from .landmarks import CROP, crop_pixels, mean_face
from .regions import (
    FACE_CENTRE,
    LEFT_EYE_BROW,
    LEFT_EYE_POINT,
    LIP_MIDDLE,
    MOUTH,
    RIGHT_EYE_BROW,
    RIGHT_EYE_POINT,
)

Region = Literal["all", "eye", "left", "right", "left_eye", "right_eye", "mouth", "random", "contour"]
TestType = Literal[
    "non_occ", "all", "missing_frames", "left_eye", "right_eye", "mouth", "upper", "bottom", "left", "right", "asym",
    "downsample_frames", "random",
]  # fmt: skip
Phase = Literal["visual", "audio"]
NamedPart = Literal["none", "mouth", "bottom", "upper", "left", "right", "audio_only"]
TRAINING_SPAN, TEST_SPAN = 30, 40  # frames: the shortest an occlusion lasts
LAST = ("all", "eye", "left", "right")  # after one of these no further region is tried
# Chance that everything is hidden, that half of the frames are, and, region by region, that it is hidden for a while.
CHANCES: Mapping[str, Mapping[str, float]] = {
    "visual": {
        "everything": 0.15, "frames": 0.15, "all": 0.3, "eye": 0.3, "left": 0.3, "right": 0.3, "left_eye": 0.0,
        "right_eye": 0.0, "mouth": 0.2, "random": 0.4, "contour": 0.4,
    },
    "audio": {
        "everything": 0.3, "frames": 0.2, "all": 0.2, "eye": 0.0, "left": 0.1, "right": 0.1, "left_eye": 0.0,
        "right_eye": 0.0, "mouth": 0.5, "random": 0.0, "contour": 0.3,
    },
}  # fmt: skip
REGIONS: tuple[Region, ...] = ("all", "eye", "left", "right", "left_eye", "right_eye", "mouth", "random", "contour")


class Draws(Protocol):
    """Where random numbers come from, in the order in which they are used."""

    def uniform(self) -> float:
        """In [0, 1)."""

    def integer(self, low: int, high: int) -> int:
        """In [low, high)."""


class RandomDraws:
    """Draws from a NumPy generator."""

    def __init__(self, generator: np.random.Generator):
        self._generator = generator

    def uniform(self) -> float:
        return float(self._generator.random())

    def integer(self, low: int, high: int) -> int:
        return int(self._generator.integers(low, high))


def phase_of(epoch: int) -> Phase:
    """Three epochs in which landmarks are mostly seen, then three in which the sound matters more."""
    return "visual" if epoch % 6 < 3 else "audio"


def training_visibility(landmarks: np.ndarray, phase: Phase, draws: Draws) -> np.ndarray:
    """One mask (N, 468) for normalised landmarks (N, 468, 2), drawn as the reference's training does.

    Clips of 30 frames or fewer, which the reference cannot take, are hidden over their whole length.
    """
    chances = CHANCES[phase]
    frames = len(landmarks)
    visible = np.ones(landmarks.shape[:2], bool)
    p = draws.uniform()
    if p < chances["everything"]:
        return np.zeros_like(visible)
    if p < chances["everything"] + chances["frames"]:
        visible[[draws.integer(0, frames) for _ in range(frames // 2)]] = False
        return visible
    span = draw_span(frames, TRAINING_SPAN, draws)
    for region in REGIONS:
        if draws.uniform() < chances[region]:
            visible[span] &= ~hidden_region(landmarks[span], region, draws)
            if region in LAST:
                break
    return visible


def draw_span(frames: int, shortest: int, draws: Draws) -> slice:
    """A stretch of at least `shortest` frames; clips that are no longer than that are taken whole."""
    if frames <= shortest:
        return slice(0, frames)
    start = draws.integer(0, frames - shortest)
    # A start near the end leaves just `shortest` frames.
    length = draws.integer(min(shortest, frames - start), frames - start + 1)
    return slice(start, start + length)


def hidden_region(landmarks: np.ndarray, region: Region, draws: Draws) -> np.ndarray:
    """(N, 468) bool, True where the region hides the normalised landmarks (N, 468, 2); boxes follow the face."""
    x = landmarks[..., 0]
    if region == "all":
        return np.ones(x.shape, bool)
    if region == "left":
        return x < 0
    if region == "right":
        return x > 0
    if region == "eye":
        return _box(landmarks, landmarks[:, LEFT_EYE_POINT], draws) | _box(landmarks, landmarks[:, RIGHT_EYE_POINT], draws)
    if region == "contour":
        return _outside_centre(landmarks, draws)
    if region == "mouth":
        centre = landmarks[:, LIP_MIDDLE].mean(axis=1)
    elif region == "random":
        centre = landmarks[:, draws.integer(0, landmarks.shape[1])]
    else:
        centre = landmarks[:, LEFT_EYE_POINT if region == "left_eye" else RIGHT_EYE_POINT]
    return _box(landmarks, centre, draws)


def _box(landmarks: np.ndarray, centre: np.ndarray, draws: Draws) -> np.ndarray:
    """Inside a box around `centre` (N, 2) whose half width and half height are drawn from 0.25..0.75."""
    half = np.array([0.25 + 0.5 * draws.uniform(), 0.25 + 0.5 * draws.uniform()], np.float32)
    return (np.abs(landmarks - centre[:, None]) <= half).all(axis=-1)


def _outside_centre(landmarks: np.ndarray, draws: Draws) -> np.ndarray:
    """Outside the box of lips and eyes, enlarged by 1..1.6."""
    inner = landmarks[:, FACE_CENTRE]
    low, high = inner.min(axis=1), inner.max(axis=1)
    scale = np.float32(1 + 0.6 * draws.uniform())
    centre, half = (low + high) / 2, (high - low) / 2 * scale
    return (np.abs(landmarks - centre[:, None]) > half[:, None]).any(axis=-1)


def crop_mask(landmarks: np.ndarray, kind: TestType, draws: Draws) -> np.ndarray:
    """(N, 224, 224) bool, True where the crop is seen, for normalised landmarks (N, 468, 2) and one of the test types."""
    frames = len(landmarks)
    mask = np.ones((frames, CROP, CROP), bool)
    if kind == "non_occ":
        return mask
    span = draw_span(frames, TEST_SPAN, draws)
    pixels = crop_pixels(landmarks)
    if kind == "all":
        mask[:] = False
    elif kind == "downsample_frames":
        mask[::3] = False
    elif kind == "missing_frames":
        mask[span] = False
    else:
        rows, columns = _hidden_rectangle(pixels, kind, draws)
        mask[span, rows, columns] = False
    return mask


def _hidden_rectangle(pixels: np.ndarray, kind: str, draws: Draws) -> tuple[slice, slice]:
    whole, middle = slice(None), CROP // 2
    if kind == "asym":
        kind = "left" if draws.uniform() < 0.5 else "right"
    if kind == "left":
        return whole, slice(0, middle)
    if kind == "right":
        return whole, slice(middle, CROP)
    if kind == "bottom":
        return slice(middle, CROP), whole
    if kind == "upper":
        lowest = pixels[:, np.concatenate([LEFT_EYE_BROW, RIGHT_EYE_BROW]), 1].max()
        return slice(0, max(0, int(lowest))), whole
    if kind == "random":
        row, column = draws.integer(20, 170), draws.integer(20, 170)
        height, width = draws.integer(100, 220), draws.integer(100, 220)
        return slice(row, row + height), slice(column, column + width)
    points = pixels[:, {"mouth": MOUTH, "left_eye": LEFT_EYE_BROW, "right_eye": RIGHT_EYE_BROW}[kind]].reshape(-1, 2)
    low, high = points.min(axis=0), points.max(axis=0)
    scale = np.array([0.9 + 0.6 * draws.uniform(), 0.9 + 0.6 * draws.uniform()])
    centre = (low + high) // 2
    half = ((high - low) / 2 * scale).astype(np.int64)
    first, last = np.maximum(centre - half, 0), np.maximum(centre + half, 0)
    return slice(int(first[1]), int(last[1])), slice(int(first[0]), int(last[0]))


def named_visibility(kind: NamedPart) -> np.ndarray:
    """(478,) bool: which points stay visible when a part of the face is hidden by its name for a whole clip.

    The choice is made on the mean face, not on the points found, so that no hidden point decides what is hidden. mouth: a
    box 1.2 times the lips', as the test type's on average; bottom: the lower half of the face; upper: all above the lowest
    point of the eyes; left, right: sides of the picture. The ten points of the irises go with the middle of their eye.
    """
    face = mean_face()[:, :2]
    eyes = [face[RIGHT_EYE_BROW].mean(axis=0), face[LEFT_EYE_BROW].mean(axis=0)]
    face = np.concatenate([face, np.repeat(eyes, 5, axis=0)])
    if kind == "none":
        return np.ones(len(face), bool)
    if kind == "audio_only":
        return np.zeros(len(face), bool)
    if kind == "upper":
        return face[:, 1] < face[np.concatenate([LEFT_EYE_BROW, RIGHT_EYE_BROW]), 1].min()
    if kind == "bottom":
        return face[:, 1] > (face[:, 1].min() + face[:, 1].max()) / 2
    if kind in ("left", "right"):  # the subject's left, +x, is the picture's right
        return face[:, 0] > 0 if kind == "left" else face[:, 0] < 0
    low, high = face[MOUTH].min(axis=0), face[MOUTH].max(axis=0)
    return (np.abs(face - (low + high) / 2) > 0.6 * (high - low)).any(axis=1)


def visible_in_crop(landmarks: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(N, 468): normalised landmarks whose pixel lies in the crop and in a seen part of mask (N | 1, 224, 224)."""
    return look_up(mask, crop_pixels(landmarks))


def look_up(mask: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """mask (N | 1, H, W) bool at integer pixels (N, P, 2), x first: (N, P) bool; outside is False."""
    height, width = mask.shape[1:]
    x, y = pixels[..., 0], pixels[..., 1]
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    frame = np.arange(len(pixels))[:, None] if len(mask) > 1 else np.zeros((len(pixels), 1), np.int64)
    return inside & mask[frame, np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
