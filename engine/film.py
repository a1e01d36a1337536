"""Moving vertices as a film with sound, without Blender: a quick look at what a model of the published systems says.

Triangles are drawn as dense samples into a depth buffer and shaded by their normals; without triangles, the vertices are
drawn as dots shaded by depth. NumPy and PyAV only.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from .audio import SAMPLE_RATE
from .errors import InputError

SIZE = 480  # pixels, square
MARGIN = 0.08  # of the picture, around the first frame's bounds
BACKGROUND, SKIN = np.array([28, 30, 34]), np.array([214, 190, 176])
LIGHT = np.array([0.35, 0.55, 0.76])
DOT = 3  # pixels
FILL = 1.6  # samples per pixel of a triangle's bounds


def load_faces(path: Path) -> np.ndarray:
    """(F, 3) int triangles of a mesh file: .obj, or .ply as text. Larger polygons become fans. Raises InputError."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
        if path.suffix == ".obj":
            polygons = [[int(w.split("/")[0]) - 1 for w in x.split()[1:]] for x in lines if x.startswith("f ")]
        else:
            header = lines.index("end_header") if "format ascii 1.0" in lines[:3] else -1
            counts = {x.split()[1]: int(x.split()[2]) for x in lines[:header] if x.startswith("element ")}
            first = header + 1 + counts["vertex"]
            polygons = [[int(w) for w in x.split()[1:]] for x in lines[first : first + counts["face"]]]
        triangles = [(p[0], a, b) for p in polygons for a, b in zip(p[1:], p[2:])]
        if not triangles:
            raise ValueError("no faces")
        return np.array(triangles)
    except FileNotFoundError:
        raise InputError(f"There is no mesh '{path}'.") from None
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise InputError(f"'{path.name}' is not a mesh with faces: .obj, or .ply as text.") from error


def write_film(
    path: Path,
    vertices: np.ndarray,
    fps: float,
    samples: np.ndarray,
    faces: np.ndarray | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write an .mp4 (H.264, AAC) of vertices (T, V, 3), +y up, +z to the viewer, and the sound (S,) at 16 kHz.

    Complete or not at all. Raises InputError when the faces do not fit the vertices.
    """
    if faces is not None and faces.size and not 0 <= faces.min() <= faces.max() < vertices.shape[1]:
        raise InputError(f"The mesh has faces of other vertices than the model's {vertices.shape[1]}.")
    draw = _Drawing(vertices[0], faces)

    def pictures() -> Iterator[np.ndarray]:
        for i, frame in enumerate(vertices):
            yield draw(frame)
            if progress:
                progress(i + 1, len(vertices))

    write_pictures(path, pictures(), (SIZE, SIZE), fps, samples)


def write_pictures(
    path: Path, pictures: Iterable[np.ndarray], size: tuple[int, int], fps: float, samples: np.ndarray
) -> None:
    """Write an .mp4 (H.264, AAC) of pictures (H, W, 3) uint8 and the sound (S,) at 16 kHz. size: (width, height), both even.

    Complete or not at all.
    """
    import av

    partial = path.with_name(f".{path.stem}.part.mp4")
    try:
        with av.open(str(partial), "w") as container:
            rate = Fraction(fps).limit_denominator(1001)
            video = container.add_stream("libx264", rate=rate, options={"crf": "20"})
            video.width, video.height = size
            video.pix_fmt = "yuv420p"
            sound = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
            for picture in pictures:
                container.mux(video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
            container.mux(video.encode())
            block = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None], np.float32), format="fltp", layout="mono")
            block.sample_rate = SAMPLE_RATE
            block.pts = 0
            fifo = av.AudioFifo()
            fifo.write(block)
            for part in fifo.read_many(1024, partial=True):
                container.mux(sound.encode(part))
            container.mux(sound.encode())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


class _Drawing:
    """Draws faces of one mesh; the view is fitted to the first frame."""

    def __init__(self, first: np.ndarray, faces: np.ndarray | None):
        low, high = first.min(axis=0), first.max(axis=0)
        self.centre = (low + high) / 2
        self.scale = SIZE * (1 - 2 * MARGIN) / max(float((high - low)[:2].max()), 1e-9)
        self.depth = max(float((high - low)[2]), 1e-9)
        self.faces = faces
        if faces is not None:
            self.which, self.shares = self._samples(self._pixels(first), faces)

    def __call__(self, vertices: np.ndarray) -> np.ndarray:
        """(SIZE, SIZE, 3) uint8."""
        points = self._pixels(vertices)
        picture = np.tile(BACKGROUND, (SIZE * SIZE, 1))
        if self.faces is None:
            shade = np.clip(0.75 + 0.5 * points[:, 2] / (self.scale * self.depth), 0.2, 1)
            spread = np.stack(np.meshgrid(range(DOT), range(DOT)), -1).reshape(-1, 2)
            places = (points[:, None, :2] + spread).reshape(-1, 2)
            depth, shade = np.repeat(points[:, 2], DOT * DOT), np.repeat(shade, DOT * DOT)
        else:
            corners = points[self.faces]
            normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
            # Pictures have y downwards, so normals are turned back; a mesh may wind either way.
            normals = normals * [1, -1, 1] / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
            normals = np.where(normals[:, 2:] < 0, -normals, normals)
            shade = (0.3 + 0.7 * np.clip(normals @ LIGHT, 0, 1))[self.which]
            drawn = np.einsum("nk,nkc->nc", self.shares, corners[self.which])
            places, depth = drawn[:, :2], drawn[:, 2]
        cell = np.round(places).astype(np.int64)
        inside = ((cell >= 0) & (cell < SIZE)).all(axis=1)
        flat = cell[inside, 1] * SIZE + cell[inside, 0]
        order = np.argsort(depth[inside], kind="stable")  # the nearest is written last
        picture[flat[order]] = shade[inside][order, None] * SKIN
        return picture.reshape(SIZE, SIZE, 3).astype(np.uint8)

    def _pixels(self, vertices: np.ndarray) -> np.ndarray:
        """(V, 3): column, row, and depth towards the viewer, all in pixels."""
        return (vertices - self.centre) * self.scale * [1, -1, 1] + [SIZE / 2, SIZE / 2, 0]

    def _samples(self, points: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which triangle (N,) and where in it (N, 3): as many as its size in the picture asks for."""
        corners = points[faces]
        reach = np.linalg.norm(corners[:, [1, 2, 0]] - corners, axis=2).max(axis=1)
        steps = np.clip(np.ceil(FILL * reach).astype(int), 1, 2 * SIZE)
        which, shares = [], []
        for n in np.unique(steps):
            rows, columns = np.meshgrid(np.arange(n + 1), np.arange(n + 1))
            grid = np.stack([rows, columns], -1).reshape(-1, 2)
            grid = grid[grid.sum(axis=1) <= n] / n
            share = np.column_stack([grid, 1 - grid.sum(axis=1)])
            own = np.flatnonzero(steps == n)
            which.append(np.repeat(own, len(share)))
            shares.append(np.tile(share, (len(own), 1)))
        return np.concatenate(which), np.concatenate(shares)
