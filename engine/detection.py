"""Face landmarks of a video: MediaPipe FaceMesh (Kartynnik et al. 2019) behind one function, and which face is followed.

478 points per face: the 468 of the mesh and 10 of the irises, in pixels of the upright frame. The network and its weights
come with the mediapipe package; nothing is downloaded.
"""

from __future__ import annotations

import contextlib
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import InputError
from .video import WHOLE, Span, VideoFrame, read_frames, video_seconds

POINTS, HAND_POINTS = 478, 21
WORKER = Path(__file__).with_name("mediapipe_worker.py")
Detector = Callable[[np.ndarray], list[np.ndarray]]


@dataclass(frozen=True)
class Detections:
    """times (N,) s, ascending from 0; points (N, 478, 2) px, not a number where no face was found; detected (N,) bool;
    faces (N,) how many were found; size (width, height) px; seconds the video lasts."""

    times: np.ndarray
    points: np.ndarray
    detected: np.ndarray
    faces: np.ndarray
    size: tuple[int, int]
    seconds: float


def detect_landmarks(
    path: Path, detector: Detector, done: Callable[[float], None] | None = None, span: Span = WHOLE
) -> Detections:
    """Follow one face through a part of a video; `done(time in s)` is told after every frame and may raise to stop.

    With several faces the largest of the first frame is followed, then always the nearest to where it was last. Raises
    InputError when the file is no video, or no frame shows a face.
    """
    found = follow(read_frames(path, span), detector, done)
    if not found.detected.any():
        raise InputError(f"No face was found in the video '{path.name}'.")
    return found


def follow(frames: Iterable[VideoFrame], detector: Detector, done: Callable[[float], None] | None = None) -> Detections:
    """As `detect_landmarks`, for at least one frame."""
    times, points, faces = [], [], []
    size, last = (0, 0), None
    for frame in frames:
        size = (frame.image.shape[1], frame.image.shape[0])
        # The network now and then misses a face that it finds when asked again.
        candidates = detector(frame.image) or detector(frame.image)
        chosen = _choose(candidates, last)
        last = chosen if chosen is not None else last
        times.append(frame.time)
        faces.append(len(candidates))
        points.append(np.full((POINTS, 2), np.nan) if chosen is None else chosen)
        if done is not None:
            done(frame.time)
    clock = np.array(times)
    return Detections(clock, np.stack(points), np.array(faces) > 0, np.array(faces), size, video_seconds(clock))


class Worker:
    """The process that MediaPipe runs in; see `mediapipe_worker.py`."""

    def __init__(self) -> None:
        """Start it. Raises InputError where mediapipe is not installed."""
        self._process = subprocess.Popen(
            [sys.executable, str(WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        if self._answer(1, "Following a face needs the package mediapipe 0.10.21, which is not installed.") != b"R":
            raise InputError("The face detector said something that it should not.")

    def faces(self, image: np.ndarray) -> list[np.ndarray]:
        """Each (478, 2) px in (H, W, 3) uint8 RGB. Raises InputError when the process has died."""
        return self._ask(b"F", image, POINTS)

    def hands(self, image: np.ndarray) -> list[np.ndarray]:
        """Each (21, 2) px, as `faces`."""
        return self._ask(b"H", image, HAND_POINTS)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]

    def _ask(self, kind: bytes, image: np.ndarray, points: int) -> list[np.ndarray]:
        height, width = image.shape[:2]
        with contextlib.suppress(OSError):  # a dead process is noticed when it does not answer
            self._process.stdin.write(kind + struct.pack("<II", height, width))  # type: ignore[union-attr]
            self._process.stdin.write(np.ascontiguousarray(image).data)  # type: ignore[union-attr]
            self._process.stdin.flush()  # type: ignore[union-attr]
        (count,) = struct.unpack("<I", self._answer(4))
        return [np.frombuffer(self._answer(16 * points), "<f8").reshape(points, 2) for _ in range(count)]

    def _answer(self, size: int, otherwise: str = "The face detector has stopped by itself; try again.") -> bytes:
        answer = self._process.stdout.read(size)  # type: ignore[union-attr]
        if len(answer) < size:
            self.close()
            raise InputError(otherwise)
        return answer


@contextlib.contextmanager
def mediapipe_worker() -> Iterator[Worker]:
    """MediaPipe, running. Raises InputError where it is not installed."""
    worker = Worker()
    try:
        yield worker
    finally:
        worker.close()


@contextlib.contextmanager
def face_mesh() -> Iterator[Detector]:
    """MediaPipe FaceMesh, every frame by itself, on (H, W, 3) uint8 RGB. Raises InputError where it is not installed."""
    with mediapipe_worker() as worker:
        yield worker.faces


def _choose(candidates: list[np.ndarray], last: np.ndarray | None) -> np.ndarray | None:
    if not candidates:
        return None
    if last is None:
        return max(candidates, key=lambda face: float(np.ptp(face, axis=0).prod()))
    return min(candidates, key=lambda face: float(np.linalg.norm(face.mean(axis=0) - last.mean(axis=0))))

