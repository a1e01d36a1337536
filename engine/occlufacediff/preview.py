"""What was seen of a face, drawn over the frames of its video: visible points green, hidden ones blue. NumPy and PyAV only."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..video import WHOLE, Span, read_frames, video_seconds

VISIBLE, HIDDEN = np.array([60, 220, 90], np.uint8), np.array([60, 80, 255], np.uint8)
WIDEST = 720  # pixels of a frame; larger videos are drawn smaller, small ones up to LARGER times as large
LARGER = 3
SHEET = (2, 3)  # rows and columns of a picture
KINDS = (".mp4", ".png")


def check_preview(path: Path) -> None:
    """Raise InputError where no preview can be written under that name."""
    if path.suffix.lower() not in KINDS:
        raise InputError(f"A preview is an .mp4 or a .png, not '{path.name}'.")
    if not path.parent.is_dir():
        raise InputError(f"There is no folder '{path.parent}' to write '{path.name}' into.")


def write_preview(path: Path, video: Path, points: np.ndarray, visible: np.ndarray, span: Span = WHOLE) -> None:
    """The frames of `video` with points (N, P, 2) px, not a number where none were found, as visible (N, P) says.

    span: the part of the video that the points are of. An .mp4 of its frames, without sound, or a .png of six of them.
    Complete or not at all. Raises InputError.
    """
    check_preview(path)
    partial = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        if path.suffix.lower() == ".png":
            write_png(partial, sheet(video, points, visible, span))
        else:
            _write_film(partial, video, points, visible, span)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def drawn(image: np.ndarray, points: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """The image (H, W, 3) uint8, made smaller where it is wide and larger where it is not, with a dot on every point (P, 2)."""
    step, times = -(-image.shape[1] // WIDEST), int(np.clip(WIDEST // image.shape[1], 1, LARGER))
    picture = image[::step, ::step].repeat(times, axis=0).repeat(times, axis=1)
    known = np.isfinite(points).all(axis=1)
    dot = max(1, picture.shape[1] // 240)
    for colour, which in ((HIDDEN, known & ~visible), (VISIBLE, known & visible)):
        pixels = np.round(points[which] * times / step).astype(np.int64)
        for x in range(dot):
            for y in range(dot):
                column, row = pixels[:, 0] + x, pixels[:, 1] + y
                inside = (column >= 0) & (row >= 0) & (column < picture.shape[1]) & (row < picture.shape[0])
                picture[row[inside], column[inside]] = colour
    return picture


def sheet(video: Path, points: np.ndarray, visible: np.ndarray, span: Span = WHOLE) -> np.ndarray:
    """(H, W, 3) uint8: six frames, evenly spread over that part of the video."""
    rows, columns = SHEET
    chosen = np.linspace(0, len(points) - 1, rows * columns).round().astype(int)
    kept: dict[int, np.ndarray] = {}
    for i, frame in enumerate(read_frames(video, span)):
        if i in chosen:
            kept[i] = drawn(frame.image, points[i], visible[i])
    pictures = [kept[i] for i in chosen]
    return np.concatenate([np.concatenate(pictures[r * columns : (r + 1) * columns], axis=1) for r in range(rows)])


def write_png(path: Path, image: np.ndarray) -> None:
    """Write (H, W, 3) uint8 RGB."""
    import av

    with av.open(str(path), "w", format="image2") as container:
        stream = container.add_stream("png", rate=1)
        stream.height, stream.width, stream.pix_fmt = *image.shape[:2], "rgb24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
        container.mux(stream.encode())


def _write_film(path: Path, video: Path, points: np.ndarray, visible: np.ndarray, span: Span) -> None:
    import av

    times = np.array([frame.time for frame in read_frames(video, span)])
    rate = Fraction(len(times) / video_seconds(times)).limit_denominator(1001)
    with av.open(str(path), "w") as container:
        stream = None
        for i, frame in enumerate(read_frames(video, span)):
            picture = drawn(frame.image, points[i], visible[i])
            picture = picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]  # H.264 knows even sizes only
            if stream is None:
                stream = container.add_stream("libx264", rate=rate, options={"crf": "20"})
                stream.height, stream.width, stream.pix_fmt = *picture.shape[:2], "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        if stream is not None:
            container.mux(stream.encode())
