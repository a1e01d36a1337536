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


@dataclass(frozen=True)
class VideoFrame:
    """time: s since the first frame. image: (H, W, 3) uint8 RGB, turned as a player would show it."""

    time: float
    image: np.ndarray


def read_frames(path: str | os.PathLike[str]) -> Iterator[VideoFrame]:
    """Every frame in the order shown, times strictly rising; a variable frame rate is kept as it is.

    Frames that a damaged file gives no time, or one not after the frame before, are left out. Raises InputError when the
    file is missing, not a video, or has no frame.
    """
    first, before = None, None
    for time, frame in _decoded(Path(path)):
        first = time if first is None else first
        if before is not None and time <= before:
            continue
        before = time
        yield VideoFrame(time - first, _upright(frame))
    if first is None:
        raise InputError(f"The video '{Path(path).name}' has no frames.")


def video_seconds(times: np.ndarray) -> float:
    """How long a video with frames at `times` (N,) s lasts: the last frame is shown as long as frames usually are."""
    return float(times[-1] + (np.median(np.diff(times)) if len(times) > 1 else DEFAULT_FRAME))


def read_soundtrack(path: str | os.PathLike[str], seconds: float) -> np.ndarray | None:
    """The video's sound, (S,) float32 mono at 16 kHz, from the first frame on for `seconds`; None where it has none.

    Sound that begins later than the picture is preceded by silence, sound that ends earlier is followed by it. Raises
    InputError when the sound cannot be read.
    """
    path = Path(path)
    start = _sound_start(path)
    if start is None:
        return None
    samples = load_audio(path)
    offset = round(start * SAMPLE_RATE)
    samples = samples[-offset:] if offset < 0 else np.concatenate([np.zeros(offset, np.float32), samples])
    wanted = round(seconds * SAMPLE_RATE)
    return np.pad(samples[:wanted], (0, max(0, wanted - len(samples))))


def _decoded(path: Path) -> Iterator[tuple[float, Any]]:
    """(time in s by the file's clock, PyAV frame) of every frame that has a time."""
    import av

    if not path.is_file():
        raise InputError(f"There is no video '{path}'.")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise InputError(f"'{path.name}' has no picture in it; it is not a video.")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for frame in container.decode(stream):
                if frame.time is not None:
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
