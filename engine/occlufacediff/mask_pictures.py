"""Masks given as pictures: one for the whole clip or a folder with one per frame, of any size.

A picture with transparency hides where it is not transparent; one without hides where it is bright.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError
from .landmarks import CROP
from .occlusion import look_up

ALPHA_HIDDEN = 5  # of 255: more than this hides
BRIGHT = 127
FIXED_POINT = 22  # bits
LATE = 0.1  # of a picture: a video's frame that comes so little before its picture belongs to it
PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".tga"}


def mask_pictures(path: Path, times: np.ndarray, fps: float | None = None) -> list[Path]:
    """The picture itself, or the pictures of a folder in the order of the numbers in their names, one for each time.

    times: (N,) s of the video's frames. fps: pictures per second of the folder, the first at 0 s, and the last one stays;
    None: it has one per frame of the video. Raises InputError when there is none, or a folder has neither one picture nor
    one for every frame.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InputError(f"There is no mask '{path}'.")
    found = sorted((p for p in path.iterdir() if p.suffix.lower() in PICTURES), key=_by_number)
    if not found:
        raise InputError(f"The mask folder '{path}' has no pictures in it.")
    frames = len(times)
    if fps is not None:
        shown = np.floor(np.asarray(times) * fps + LATE).astype(int)
        return [found[i] for i in np.clip(shown, 0, len(found) - 1)]
    if 1 < len(found) < frames:
        raise InputError(f"The mask folder '{path.name}' has {len(found)} pictures for {frames} frames; it needs one or {frames}.")
    return found if len(found) == 1 else found[:frames]


def read_rgba(path: Path) -> tuple[np.ndarray, bool]:
    """A picture as (H, W, 4) uint8, and whether it knows transparency. Raises InputError."""
    import av

    try:
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
            pixels = frame.to_ndarray(format="rgba")
    except (av.FFmpegError, StopIteration, IndexError, ValueError, UnicodeDecodeError) as error:
        raise InputError(f"The mask '{path.name}' is not a picture that can be read.") from error
    transparent = any(c.is_alpha for c in frame.format.components) or bool((pixels[..., 3] < 255).any())
    return pixels, transparent


def seen_in_picture(path: Path) -> np.ndarray:
    """(H, W) bool, True where the mask picture hides nothing. Raises InputError."""
    pixels, transparent = read_rgba(path)
    if transparent:
        return pixels[..., 3] <= ALPHA_HIDDEN
    return pixels[..., :3].mean(axis=-1) <= BRIGHT


def visible_in_pictures(pictures: Sequence[Path], points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(N, P) bool: points (N, P, 2) in pixels of a video of `size` (width, height) that no mask hides.

    One picture, or one per frame; each is laid over the whole frame, whatever its own size. Points outside the frame are
    not visible.
    """
    visible = np.zeros(points.shape[:2], bool)
    seen = None
    for i, own in enumerate(points):
        if seen is None or len(pictures) > 1:
            seen = seen_in_picture(pictures[i])
        pixels = np.floor(own * (np.array(seen.shape[::-1]) / size)).astype(np.int64)
        visible[i] = look_up(seen[None], pixels[None])[0]
    return visible


def crop_occluder(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """A picture as the reference pastes it over the crop: its alpha at 224 x 224 (uint8), and where it leaves the crop seen.

    Raises InputError.
    """
    alpha = resize(read_rgba(path)[0][..., 3], CROP)
    return alpha, alpha <= ALPHA_HIDDEN


def resize(channel: np.ndarray, size: int) -> np.ndarray:
    """(H, W) uint8 to (size, size) uint8, bicubic (Keys 1981, a = -1/2), smoothed where it shrinks.

    Across, then down, in fixed point with 8 bits in between: bit for bit what the usual picture libraries give.
    """
    half = 1 << (FIXED_POINT - 1)
    rows, columns = (np.round(_weights(n, size) * 2**FIXED_POINT).astype(np.int64) for n in channel.shape)
    across = np.clip((channel.astype(np.int64) @ columns.T + half) >> FIXED_POINT, 0, 255)
    return np.clip((rows @ across + half) >> FIXED_POINT, 0, 255).astype(np.uint8)


def _weights(before: int, after: int) -> np.ndarray:
    """(after, before) weights, rows sum to 1."""
    scale = before / after
    centres = (np.arange(after) + 0.5) * scale - 0.5
    t = np.abs(np.arange(before) - centres[:, None]) / max(1.0, scale)
    weights = np.where(t < 1, 1.5 * t**3 - 2.5 * t**2 + 1, np.where(t < 2, -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2, 0.0))
    return weights / weights.sum(axis=1, keepdims=True)


def _by_number(path: Path) -> list[tuple[int, str]]:
    """Sorts frame_2 before frame_10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.stem)]
