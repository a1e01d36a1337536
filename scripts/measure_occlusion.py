"""How well `--occlusion auto` finds what is in front of a face: painted boxes, masks and blobs over films of people.

    .venv/bin/python scripts/measure_occlusion.py [FOLDER] [--json OUT]

FOLDER: videos of one unhidden speaker each (default: ../shared/human_video). Everything is painted into the frames before
the detector sees them; a point counts as hidden where its place in that detection lies in the paint. Precision and recall
over all points of all frames; "clean" has nothing painted, its figure is the share of points wrongly called hidden.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from painted_films import videos, write_silent  # noqa: E402

from engine.detection import detect_landmarks, face_mesh  # noqa: E402
from engine.occlufacediff.starter.automatic import unobstructed  # noqa: E402
from engine.video import read_frames  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT.parent / "shared" / "human_video")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    counts = {name: np.zeros(4) for name in ("clean", *PAINT, *HANDS)}
    with face_mesh() as detector, tempfile.TemporaryDirectory() as folder:
        for clip in videos(arguments.folder):
            images = [frame.image for frame in read_frames(clip)]
            clean = detect_landmarks(clip, detector)
            for name in counts:
                masks = [paint_mask(name, clean.points[i], image.shape, i) for i, image in enumerate(images)]
                path = Path(folder) / f"{clip.stem}_{name}.mkv"
                rng = np.random.default_rng(0)
                shown = enumerate(zip(images, masks, clean.points))
                write_silent(path, [painted(name, image, mask, points, rng, i) for i, (image, mask, points) in shown])
                found = detect_landmarks(path, detector)
                visible = unobstructed(path, found, lambda time: None)[:, :468]
                for points, seen, mask in zip(found.points, visible, masks):
                    if np.isfinite(points).all():
                        pixel = np.clip(points[:468].astype(int), 0, np.array(mask.shape[::-1]) - 1)
                        truth = mask[pixel[:, 1], pixel[:, 0]]
                        counts[name] += (truth & ~seen).sum(), (~truth & ~seen).sum(), (truth & seen).sum(), (~truth & seen).sum()
    rows = [row(name, values) for name, values in counts.items()]
    rows.append(row("pooled", sum(counts.values())))
    for one in rows:
        print(one["painted"].ljust(18), "  ".join(f"{name} {value:.3f}" for name, value in list(one.items())[1:]))
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


def row(name: str, counts: np.ndarray) -> dict:
    hit, false, missed, right = counts
    return {
        "painted": name,
        "precision": hit / max(hit + false, 1),
        "recall": hit / max(hit + missed, 1),
        "wrongly hidden": false / max(false + right, 1),
    }


# Colour, RGB, or None for the skin's own; the shape's middle and half size in widths of the face, x to the right and y down
# from the tip of the nose; round or square; how far it sways.
PAINT: dict[str, tuple[tuple[int, int, int] | None, tuple[float, float], tuple[float, float], bool, float]] = {
    "grey mouth": ((128, 128, 128), (0.0, 0.27), (0.27, 0.15), False, 0.0),
    "white lower": ((235, 235, 235), (0.0, 0.35), (0.5, 0.3), False, 0.0),
    "blue mask": ((90, 140, 190), (0.0, 0.3), (0.45, 0.28), True, 0.0),
    "black microphone": ((25, 25, 25), (0.05, 0.42), (0.14, 0.22), True, 0.05),
    "green left": ((60, 120, 60), (-0.35, 0.0), (0.3, 0.6), False, 0.0),
    "swaying brown": ((110, 70, 40), (0.0, 0.1), (0.15, 0.3), True, 0.4),
    "skin blob": (None, (0.0, 0.27), (0.3, 0.17), True, 0.0),
    "skin eye": (None, (0.25, -0.25), (0.2, 0.15), True, 0.0),
}
# Hands of the person's own skin colour: the palm's middle, and how far along the fingers point, both as above; None: it
# comes and goes. Fingers beside each other, shaded at their rims, as large as a hand is beside a face.
HANDS: dict[str, tuple[tuple[float, float] | None, tuple[float, float]]] = {
    "hand over mouth": ((0.35, 0.55), (-0.75, -0.55)),
    "hand that passes": (None, (-0.6, -0.8)),
}


def hand_shape(points: np.ndarray, shape: tuple[int, ...], name: str, frame: int) -> np.ndarray:
    """(H, W) 0 outside the hand, else how deep inside it, up to 1."""
    middle, along = HANDS[name]
    width = np.linalg.norm(points[454] - points[234])
    middle = (0.35 + 0.9 * np.cos(frame / 10), 0.6 + 0.5 * np.sin(frame / 10)) if middle is None else middle
    palm, forward = points[4] + width * np.array(middle), np.array(along) / np.hypot(*along)
    aside = np.array([-forward[1], forward[0]])
    y, x = np.mgrid[: shape[0], : shape[1]]
    place = (np.stack([x, y], -1) - palm) / width
    deep = 1 - np.hypot(place @ forward / 0.32, place @ aside / 0.28)
    for finger, length in zip((-0.2, -0.07, 0.06, 0.19), (0.52, 0.6, 0.56, 0.44)):
        share = np.clip(place @ forward, 0, length)
        deep = np.maximum(deep, 1 - np.hypot(place @ forward - share, place @ aside - finger) / 0.075)
    return np.clip(deep, 0, 1)


def paint_mask(name: str, points: np.ndarray, shape: tuple[int, ...], frame: int) -> np.ndarray:
    """(H, W) bool: where to paint."""
    if name == "clean":
        return np.zeros(shape[:2], bool)
    if name in HANDS:
        return hand_shape(points, shape, name, frame) > 0
    _, middle, half, is_round, sway = PAINT[name]
    width = np.linalg.norm(points[454] - points[234])
    at = points[4] + width * (np.array(middle) + [sway * np.sin(frame / 8), 0])
    y, x = np.mgrid[: shape[0], : shape[1]]
    across = (np.stack([x, y], -1) - at) / (width * np.array(half))
    return (across**2).sum(-1) < 1 if is_round else (np.abs(across) < 1).all(-1)


def painted(
    name: str, image: np.ndarray, mask: np.ndarray, points: np.ndarray, rng: np.random.Generator, frame: int
) -> np.ndarray:
    if name == "clean":
        return image
    if name in HANDS:
        return skin_over(image, hand_shape(points, image.shape, name, frame), points)
    colour = PAINT[name][0]
    if colour is None:
        x, y = points[[50, 280, 205, 425]].astype(int).T
        colour = tuple(image[y, x].mean(axis=0))
    noise = rng.normal(0, 5, (*mask.shape, 1)) + 12 * np.sin(np.arange(mask.shape[1]) / 6)[None, :, None]
    return np.where(mask[..., None], np.clip(np.array(colour) + noise, 0, 255), image).astype(np.uint8)


def skin_over(image: np.ndarray, deep: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The person's own cheek, mirrored again and again, over the image; darker towards the rims."""
    left, right, low, high = points[205, 0], points[50, 0], points[50, 1], points[205, 1]
    x, y = sorted((int(left), int(right))), sorted((int(low), int(high)))
    cheek = image[y[0] : max(y[1], y[0] + 6), x[0] : max(x[1], x[0] + 6)]
    tile = np.concatenate([cheek, cheek[:, ::-1]], axis=1)
    tile = np.concatenate([tile, tile[::-1]], axis=0)
    rows, columns = np.indices(deep.shape)
    skin = tile[rows % tile.shape[0], columns % tile.shape[1]] * (0.65 + 0.35 * np.minimum(1, 3 * deep))[..., None]
    return np.where(deep[..., None] > 0, skin, image).astype(np.uint8)


if __name__ == "__main__":
    sys.exit(main())
