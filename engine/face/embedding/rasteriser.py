"""A small renderer: triangles to a shaded picture and, for each pixel, the triangle it shows. NumPy only.

It makes pictures that a face detector understands, of meshes without textures or lamps: a light at the camera and one above,
skin where no colours are given, and darkened hollows, which show nostrils, lids and the line of the mouth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BLOCK = 1 << 21  # pixels that are tested against triangles at once: bounds memory
SKIN = np.array([0.60, 0.36, 0.27])  # linear RGB
BACKGROUND = 0.22  # sRGB, the same in all three channels
AMBIENT, HEADLIGHT, SKYLIGHT = 0.30, 0.45, 0.35
HOLLOW_RADII = (3, 9)  # pixels: the depth around a pixel is averaged over squares of so many pixels to each side
HOLLOW_DEPTH = (0.004, 0.012)  # share of the camera's distance that a hollow must be deep to become dark
HOLLOW_DARKEST = 0.45


@dataclass(frozen=True)
class Camera:
    """Where pictures are taken from. axes: (3, 3), rows are the picture's right, its up, and back towards the camera, in the
    mesh's axes. place: (3,). focal: distance of the picture plane in pixels. size: pixels of the square picture's side."""

    axes: np.ndarray
    place: np.ndarray
    focal: float
    size: int

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N, 3) to (N, 2) pixels, x to the right and y down, and (N,) depths, > 0 in front of the camera."""
        seen = (points - self.place) @ self.axes.T
        depth = -seen[:, 2]
        safe = np.where(np.abs(depth) > 1e-12, depth, 1e-12)
        flat = self.focal * seen[:, :2] / safe[:, None]
        return flat * [1.0, -1.0] + self.size / 2, depth


@dataclass(frozen=True)
class Picture:
    """image: (S, S, 3) uint8 sRGB. triangle: (S, S) int32, -1 where nothing is. depth: (S, S), inf where nothing is."""

    image: np.ndarray
    triangle: np.ndarray
    depth: np.ndarray


def look_at(target: np.ndarray, back: np.ndarray, up: np.ndarray, distance: float, focal: float, size: int) -> Camera:
    """A camera at `distance` from the target in the direction `back` (3,), with `up` (3,) upwards in the picture."""
    back = back / np.linalg.norm(back)
    right = np.cross(up, back)
    right /= np.linalg.norm(right)
    return Camera(np.stack([right, np.cross(back, right), back]), target + distance * back, focal, size)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) unit normals, each the mean of its triangles' by area; zero where there are none."""
    corners = vertices[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.stack(
        [np.bincount(faces.ravel(), np.repeat(normal[:, axis], 3), minlength=len(vertices)) for axis in range(3)], axis=1
    )
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-30)


def visible_triangles(vertices: np.ndarray, faces: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """(S, S) int32 nearest triangle of each pixel's centre, -1 for none, and (S, S) its depth, inf for none."""
    pixels, depth = camera.project(vertices)
    size = camera.size
    shown = np.full(size * size, -1, np.int32)
    nearest = np.full(size * size, np.inf)
    flat, deep = pixels[faces], depth[faces]
    low = np.floor(flat.min(axis=1) - 0.5).astype(np.int64) + 1
    high = np.ceil(flat.max(axis=1) - 0.5).astype(np.int64)
    low, high = np.clip(low, 0, size), np.clip(high, 0, size)
    wide = np.maximum(high - low, 0)
    count = wide[:, 0] * wide[:, 1]
    count[(deep <= 0).any(axis=1)] = 0
    chosen = np.flatnonzero(count)
    ends = np.cumsum(count[chosen])
    start = 0
    while start < len(chosen):
        done = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, done + BLOCK, side="right")), start + 1)
        part = chosen[start:stop]
        _draw(shown, nearest, part, count[part], low[part], wide[part], flat[part], deep[part], size)
        start = stop
    return shown.reshape(size, size), nearest.reshape(size, size)


def _draw(
    shown: np.ndarray,
    nearest: np.ndarray,
    part: np.ndarray,
    count: np.ndarray,
    low: np.ndarray,
    wide: np.ndarray,
    flat: np.ndarray,
    deep: np.ndarray,
    size: int,
) -> None:
    """Triangles `part` (P,) into the flat buffers; the rest (P, ...) are their boxes and corners."""
    which = np.repeat(np.arange(len(part)), count)
    step = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
    x = low[which, 0] + step % wide[which, 0]
    y = low[which, 1] + step // wide[which, 0]
    a, b, c = flat[:, 0], flat[:, 1], flat[:, 2]
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    inverse = np.where(np.abs(area) > 1e-12, 1 / np.where(np.abs(area) > 1e-12, area, 1), 0.0)

    def share(p: np.ndarray, q: np.ndarray) -> np.ndarray:
        """Of the corner that faces the edge p q: affine in the pixel, so three numbers per triangle."""
        along = (p[:, 1] - q[:, 1]) * inverse, (q[:, 0] - p[:, 0]) * inverse
        at = (p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]) * inverse
        return along[0][which] * (x + 0.5) + along[1][which] * (y + 0.5) + at[which]

    first, second = share(b, c), share(c, a)
    third = 1 - first - second
    inside = (first >= -1e-9) & (second >= -1e-9) & (third >= -1e-9) & (inverse[which] != 0)
    which, first, second, third = which[inside], first[inside], second[inside], third[inside]
    near = 1 / (first / deep[which, 0] + second / deep[which, 1] + third / deep[which, 2])
    place = y[inside] * size + x[inside]
    order = np.argsort(-near, kind="stable")  # the nearest is written last and stays
    place, near, which = place[order], near[order], which[order]
    shown_now, nearest_now = np.full(len(shown), -1, np.int32), np.full(len(shown), np.inf)
    shown_now[place], nearest_now[place] = part[which], near
    nearer = nearest_now < nearest
    shown[nearer], nearest[nearer] = shown_now[nearer], nearest_now[nearer]


def barycentric(vertices: np.ndarray, faces: np.ndarray, camera: Camera, pixels: np.ndarray, hit: np.ndarray) -> np.ndarray:
    """(N, 3) shares of the corners of triangle `hit` (N,) in the point in space that is seen at (N, 2) pixels."""
    flat, depth = camera.project(vertices[faces[hit]].reshape(-1, 3))
    corners, deep = flat.reshape(-1, 3, 2), depth.reshape(-1, 3)
    across, along = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    away = pixels - corners[:, 0]
    area = across[:, 0] * along[:, 1] - across[:, 1] * along[:, 0]
    area = np.where(np.abs(area) > 1e-12, area, 1e-12)
    second = (away[:, 0] * along[:, 1] - away[:, 1] * along[:, 0]) / area
    third = (across[:, 0] * away[:, 1] - across[:, 1] * away[:, 0]) / area
    share = np.clip(np.stack([1 - second - third, second, third], axis=1), 0, 1) / deep
    return share / share.sum(axis=1, keepdims=True)


def render(
    vertices: np.ndarray, faces: np.ndarray, camera: Camera, normals: np.ndarray, colours: np.ndarray | None = None
) -> Picture:
    """The picture of vertices (V, 3), triangles (F, 3), vertex normals (V, 3), and linear RGB (V, 3), or skin without.

    Both sides of a triangle are lit alike, whichever way round its corners go.
    """
    shown, depth = visible_triangles(vertices, faces, camera)
    rows, columns = np.nonzero(shown >= 0)
    hit = shown[rows, columns]
    pixels = np.stack([columns + 0.5, rows + 0.5], axis=1)
    share = barycentric(vertices, faces, camera, pixels, hit)[..., None]
    normal = (normals[faces[hit]] * share).sum(axis=1)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    place = (vertices[faces[hit]] * share).sum(axis=1)
    ray = camera.place - place
    ray /= np.maximum(np.linalg.norm(ray, axis=1, keepdims=True), 1e-12)
    facing = (normal * ray).sum(axis=1)
    normal = np.where(facing[:, None] < 0, -normal, normal)
    light = AMBIENT + HEADLIGHT * np.abs(facing) + SKYLIGHT * np.clip(normal @ (camera.axes[1] + 0.4 * camera.axes[0]), 0, None)
    light *= _hollows(depth)[rows, columns]
    paint = SKIN if colours is None else (np.clip(colours, 0, 1)[faces[hit]] * share).sum(axis=1)
    image = np.full((camera.size, camera.size, 3), BACKGROUND)
    image[rows, columns] = _srgb(np.clip(paint * light[:, None], 0, 1))
    return Picture((255 * image + 0.5).astype(np.uint8), shown, depth)


def _hollows(depth: np.ndarray) -> np.ndarray:
    """(S, S) HOLLOW_DARKEST..1: how light a pixel is that lies deeper than those around it."""
    there = np.isfinite(depth)
    known = np.where(there, depth, 0.0)
    scale = np.median(depth[there]) if there.any() else 1.0
    dark = np.zeros_like(depth)
    for radius, deep in zip(HOLLOW_RADII, HOLLOW_DEPTH):
        around = _box(known, radius) / np.maximum(_box(there.astype(float), radius), 1e-9)
        dark += np.where(there, np.clip((known - around) / (deep * scale), 0, 1), 0.0)
    return np.maximum(1 - 0.5 * dark, HOLLOW_DARKEST)


def _box(values: np.ndarray, radius: int) -> np.ndarray:
    """The sum over the square of `radius` pixels to each side."""
    size = len(values)
    total = np.zeros((size + 1, size + 1))
    total[1:, 1:] = values.cumsum(axis=0).cumsum(axis=1)
    low = np.clip(np.arange(size) - radius, 0, size)
    high = np.clip(np.arange(size) + radius + 1, 0, size)
    return total[np.ix_(high, high)] - total[np.ix_(low, high)] - total[np.ix_(high, low)] + total[np.ix_(low, low)]


def _srgb(linear: np.ndarray) -> np.ndarray:
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
