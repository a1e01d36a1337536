"""Face landmarks of a video: MediaPipe FaceMesh (Kartynnik et al. 2019) behind one function, and which face is followed.

478 points per face: the 468 of the mesh and 10 of the irises, in pixels of the upright frame. The network and its weights
come with the mediapipe package; nothing is downloaded.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import InputError
from .video import VideoFrame, read_frames, video_seconds

POINTS = 478
CONFIDENCE = 0.1  # of FaceMesh: half-hidden faces are wanted
FACES = 2  # looked for: one to follow, and one to notice that there are more
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


def detect_landmarks(path: Path, detector: Detector, done: Callable[[float], None] | None = None) -> Detections:
    """Follow one face through a video; `done(time in s)` is told after every frame and may raise to stop.

    With several faces the largest of the first frame is followed, then always the nearest to where it was last. Raises
    InputError when the file is no video, or no frame shows a face.
    """
    found = follow(read_frames(path), detector, done)
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


@contextlib.contextmanager
def face_mesh() -> Iterator[Detector]:
    """MediaPipe FaceMesh, every frame by itself, on (H, W, 3) uint8 RGB. Raises InputError where it is not installed."""
    with _native_output_silenced():
        try:
            import mediapipe

            mesh = mediapipe.solutions.face_mesh.FaceMesh(
                static_image_mode=True, refine_landmarks=True, max_num_faces=FACES, min_detection_confidence=CONFIDENCE
            )
        except (ImportError, AttributeError) as error:
            raise InputError("Following a face needs the package mediapipe 0.10.21, which is not installed.") from error

        def detect(image: np.ndarray) -> list[np.ndarray]:
            height, width = image.shape[:2]
            found = mesh.process(image).multi_face_landmarks or []
            return [np.array([(p.x * width, p.y * height) for p in face.landmark]) for face in found]

        try:
            yield detect
        finally:
            mesh.close()


def _choose(candidates: list[np.ndarray], last: np.ndarray | None) -> np.ndarray | None:
    if not candidates:
        return None
    if last is None:
        return max(candidates, key=lambda face: float(np.ptp(face, axis=0).prod()))
    return min(candidates, key=lambda face: float(np.linalg.norm(face.mean(axis=0) - last.mean(axis=0))))


@contextlib.contextmanager
def _native_output_silenced() -> Iterator[None]:
    """MediaPipe's threads report to the error stream, whenever they like, what no user asked for; Python's own text still
    gets there."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere, os.fdopen(os.dup(kept), "w") as ours, contextlib.redirect_stderr(ours):
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
