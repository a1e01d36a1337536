"""Videos: upright frames with the time at which each is shown, and the sound on the same clock. PyAV and NumPy.

Time 0 is when the first frame is shown, whatever the file's own clock says, so frames and sound of any file agree.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .audio import SAMPLE_RATE, load_audio
from .errors import InputError

DEFAULT_FRAME = 0.04  # s: how long a frame is shown that is the only one and says nothing
SEEK_BACK = 2.0  # s before a part's start from which on it is decoded; what is earlier is passed over
ROUNDING = 1e-3  # s by which files round the times of their frames
Span = tuple[float, float | None]  # a part of a video: its start and end in s after the first frame, None: the video's end
WHOLE: Span = (0.0, None)


@dataclass(frozen=True)
class VideoFrame:
    """time: s since the first frame. image: (H, W, 3) uint8 RGB, turned as a player would show it."""

    time: float
    image: np.ndarray


def read_frames(path: str | os.PathLike[str], span: Span = WHOLE) -> Iterator[VideoFrame]:
    """Every frame in the order shown, times strictly rising; a variable frame rate is kept as it is.

    Frames that a damaged file gives no time, or one not after the frame before, are left out. span: only what is shown in
    that part, with times from its start on; the frame that is on the screen when it starts has time 0. Raises InputError
    when the file is missing, not a video, or has no frame there.
    """
    start, end = span
    waiting = None  # the frame on the screen at the start, as far as is known
    for time, frame in _rising(Path(path), start):
        if end is not None and time >= end - ROUNDING:
            break
        if time <= start + ROUNDING:
            waiting = frame
            continue
        if waiting is not None:
            yield VideoFrame(0.0, _upright(waiting))
            waiting = None
        yield VideoFrame(time - start, _upright(frame))
    if waiting is not None:
        yield VideoFrame(0.0, _upright(waiting))


def _rising(path: Path, start: float) -> Iterator[tuple[float, Any]]:
    """(s after the first frame, PyAV frame), from SEEK_BACK before `start` on at the latest. Raises InputError."""
    first, before = None, -np.inf
    for time, frame in _decoded(path, start):
        first = time if first is None else first
        if time > before:
            before = time
            yield time - first, frame
    if first is None:
        raise InputError(f"The video '{path.name}' has no frames.")


def told_seconds(path: str | os.PathLike[str]) -> float:
    """How long the file says it is, 0 when it does not say; for a progress bar. Raises InputError."""
    import av

    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no video '{path}'.")
    try:
        with av.open(str(path)) as container:
            return max(0.0, (container.duration or 0) / av.time_base)
    except (av.FFmpegError, UnicodeDecodeError) as error:
        raise InputError(f"'{path.name}' is not a video that can be read.") from error


def video_seconds(times: np.ndarray) -> float:
    """How long a video with frames at `times` (N,) s lasts: the last frame is shown as long as frames usually are."""
    return float(times[-1] + (np.median(np.diff(times)) if len(times) > 1 else DEFAULT_FRAME))


def read_soundtrack(path: str | os.PathLike[str], seconds: float, start: float = 0.0) -> np.ndarray | None:
    """The video's sound, (S,) float32 mono at 16 kHz, from `start` s after the first frame on for `seconds`; None where it
    has none.

    Sound that begins later than the picture is preceded by silence, sound that ends earlier is followed by it. Raises
    InputError when the sound cannot be read.
    """
    path = Path(path)
    begins = _sound_start(path)
    if begins is None:
        return None
    samples = load_audio(path)
    offset = round((begins - start) * SAMPLE_RATE)
    samples = samples[-offset:] if offset < 0 else np.concatenate([np.zeros(offset, np.float32), samples])
    wanted = round(seconds * SAMPLE_RATE)
    return np.pad(samples[:wanted], (0, max(0, wanted - len(samples))))


def _decoded(path: Path, start: float = 0.0) -> Iterator[tuple[float, Any]]:
    """(time in s by the file's clock, PyAV frame) of the first frame, and of those from about `start` s after it on, that
    have a time. Raises InputError."""
    import av

    if not path.is_file():
        raise InputError(f"There is no video '{path}'.")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise InputError(f"'{path.name}' has no picture in it; it is not a video.")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            timed = (frame for frame in container.decode(stream) if frame.time is not None)
            first = next(timed, None)
            if first is None:
                return
            yield float(first.time), first
            if start > SEEK_BACK:
                container.seek(int((first.time + start - SEEK_BACK) * av.time_base))  # to a key frame at or before it
                timed = (frame for frame in container.decode(stream) if frame.time is not None)
            for frame in timed:
                yield float(frame.time), frame
    except (av.FFmpegError, UnicodeDecodeError) as error:
        raise InputError(f"'{path.name}' is not a video that can be read.") from error


def _sound_start(path: Path) -> float | None:
    """When the sound begins, s after the first frame (before it: negative); None without sound."""
    import av

    first_frame = next((time for time, _ in _decoded(path)), None)
    if first_frame is None:
        raise InputError(f"The video '{path.name}' has no frames.")
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                return None
            times = (frame.time for frame in container.decode(container.streams.audio[0]))
            heard = next((time for time in times if time is not None), None)
            return None if heard is None else heard - first_frame
    except (av.FFmpegError, UnicodeDecodeError) as error:
        raise InputError(f"The sound of '{path.name}' cannot be read.") from error


def _upright(frame: Any) -> np.ndarray:
    """The frame's pixels, turned by the quarter turns that a phone notes beside them."""
    image = frame.to_ndarray(format="rgb24")
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image
