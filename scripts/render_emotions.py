"""Strips of frames of one sentence in neutral and the seven emotions, one row each, on the starter head. Needs `bpy`.

    .venv/bin/python scripts/render_emotions.py emotions.jpg [--audio FILE] [--frames 8] [--size 176] [--engine cycles]

The frames are the same moments in every row, so that the rows compare: spread over the sentence, each at the nearest
opening or closure of the lips of the neutral performance.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import bpy  # noqa: E402
import numpy as np  # noqa: E402
from render_head import add_head, blender_axes, place_camera, render, set_up_scene  # noqa: E402

from engine.animate import EMOTIONS, AnimateOptions, animate  # noqa: E402
from engine.face.starter_head import load_starter_head  # noqa: E402
from engine.sync import lip_gap  # noqa: E402

SPEECH = Path(__file__).resolve().parent.parent / "engine" / "assets" / "demo" / "speech.flac"


def moments(gap: np.ndarray, count: int) -> list[int]:
    """`count` frames in order, one in each equal part of the clip: alternately its widest and its narrowest gap."""
    parts = np.array_split(np.arange(len(gap)), count)
    return [int(part[(np.argmax if i % 2 == 0 else np.argmin)(gap[part])]) for i, part in enumerate(parts)]


def save_jpeg(path: Path, pixels: np.ndarray) -> None:
    """Write (H, W, 4) display-referred pixels, top row first, as a JPEG of quality 85."""
    image = bpy.data.images.new("Sheet", pixels.shape[1], pixels.shape[0])
    image.pixels.foreach_set(np.ascontiguousarray(pixels[::-1], np.float32).ravel())
    image.filepath_raw, image.file_format = str(path), "JPEG"
    image.save(filepath=str(path), quality=85)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="the JPEG to write")
    parser.add_argument("--audio", type=Path, default=SPEECH)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--size", type=int, default=176, help="pixels of one picture's side")
    parser.add_argument("--engine", choices=("workbench", "cycles"), default="workbench")
    options = parser.parse_args()
    head = load_starter_head()
    motions = [
        animate(options.audio, AnimateOptions({name: 1.0}, landmarks=True, vertices=True), options.model)
        for name in EMOTIONS
    ]
    chosen = moments(lip_gap(motions[0]), options.frames)
    camera = set_up_scene(options.engine, options.size, 16)
    place_camera(camera, 12.0, 520.0)  # the face fills the picture
    mesh = add_head(head).data
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, motion in zip(EMOTIONS, motions, strict=True):
            pictures = []
            for frame in chosen:
                assert motion.vertices is not None
                mesh.vertices.foreach_set("co", blender_axes(motion.vertices[frame]).ravel())
                mesh.update()
                pictures.append(render(Path(folder) / "frame.png"))
            rows.append(np.concatenate(pictures, axis=1))
            print(name, "done", flush=True)
    save_jpeg(options.out, np.concatenate(rows, axis=0))
    print(f"{options.out}: rows {', '.join(EMOTIONS)}; frames {chosen} at {motions[0].fps:g} frames per second")


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # bpy's own shutdown can hang or crash after rendering without a display
