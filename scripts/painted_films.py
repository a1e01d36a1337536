"""Films with something painted into every frame, for measurements. PyAV and NumPy."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np

VIDEOS = {".mp4", ".mpg", ".mpeg", ".mov", ".avi", ".mkv", ".webm"}


def videos(folder: Path) -> list[Path]:
    """The videos of a folder by name."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in VIDEOS)


def write_silent(path: Path, images: Iterable[np.ndarray], rate: float = 25.0) -> None:
    """Images (H, W, 3) uint8 RGB, of even size, as a film of `rate` frames per second without sound (.mkv, H.264)."""
    import av

    with av.open(str(path), "w") as container:
        stream = None
        for image in images:
            if stream is None:
                stream = container.add_stream("libx264", rate=Fraction(rate).limit_denominator(1001), options={"crf": "15"})
                stream.height, stream.width, stream.pix_fmt = *image.shape[:2], "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
        container.mux(stream.encode())
