"""From an actor to the head: `python scripts/demo_track.py VIDEO [--out DIR] [--mask none|mouth] [--anonymous]`.

Plays the part of a user in headless Blender, in the environment that holds `bpy` and the engine: a movie strip, a mask drawn
over the mouth and animated with it, Track. Leaves in DIR the `.blend`, the motion `.npz`, a film with the actor, the mask, the
landmarks and the head side by side, and a contact sheet of it. --anonymous draws on grey instead of the actor's picture.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import bpy
import demo_pictures
import numpy as np
from addon_from_tree import ROOT, load_addon

sys.path.insert(0, str(ROOT))

from engine.audio import SAMPLE_RATE  # noqa: E402
from engine.detection import Detections, detect_landmarks, face_mesh  # noqa: E402
from engine.errors import InputError  # noqa: E402
from engine.film import write_pictures  # noqa: E402
from engine.occlufacediff.preview import HIDDEN, VISIBLE, write_png  # noqa: E402
from engine.video import read_frames, read_soundtrack  # noqa: E402

NAME = "facediff_track"
LIPS = [61, 291, 0, 17]  # FaceMesh: both corners, the upper and the lower edge
EVERY = 5  # frames between two keys of the mask
REACH = np.array([1.3, 1.4])  # how much wider and higher than the lips the mask is
CAMERA = (0.0, -0.93, -0.03)  # m from the point between the eyes: straight before the face, as the actor's
AROUND = 1.35  # how much larger than the face the part of the film's picture is that is shown
SIDE = 360  # pixels of a picture's height
SHEET = (3, 2)  # rows and columns
MASK_COLOUR, GREY = np.array([255, 150, 40]), 58


def addon(name: str):  # noqa: ANN201 - a module
    """A module of the add-on."""
    return sys.modules[f"{load_addon().__name__}.facediff_blender.{name}"]


def set_up(video: Path, fps: float) -> bpy.types.Strip:
    """A new file at the film's rate with the head, the film and its sound on strips from frame 1 on."""
    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base = round(fps), round(fps) / fps
    scene.frame_start = 1
    bpy.ops.facediff.add_head()
    strips = scene.sequence_editor_create().strips
    strip = strips.new_movie(video.stem, str(video), 2, 1)
    strips.new_sound(f"{video.stem} sound", str(video), 1, 1)
    scene.frame_end = addon("compat").strip_span(strip)[1] - 1
    return strip


def draw_mask(found: Detections) -> bpy.types.Mask:
    """An oval over the lips that goes with them and keeps its size, keyed every few frames, as drawn in the Image Editor."""
    mask = bpy.data.masks.new("Mouth")
    scene, window = bpy.context.scene, bpy.context.window_manager.windows[0]
    area = window.screen.areas[0]
    area.type = "IMAGE_EDITOR"
    area.spaces.active.mode, area.spaces.active.mask = "MASK", mask
    region = next(r for r in area.regions if r.type == "WINDOW")
    spline = mask.layers.new(name="Mouth").splines.new()
    spline.points.add(3)
    spline.use_cyclic = True
    seen = np.flatnonzero(found.detected)
    across, down = REACH * np.ptp(found.points[seen][:, LIPS], axis=1).max(axis=0) / 2
    with bpy.context.temp_override(window=window, area=area, region=region):
        for frame in sorted({*range(0, len(found.points), EVERY), len(found.points) - 1}):
            middle = found.points[seen[np.abs(seen - frame).argmin()]][LIPS[:2]].mean(axis=0)
            scene.frame_set(1 + frame)
            for point, (x, y) in zip(spline.points, ((-across, 0), (0, -down), (across, 0), (0, down))):
                along = np.array([-y / down * across, x / across * down]) * 0.56  # a near circle of four Bezier pieces
                for name, place in (("co", 0.0), ("handle_left", -along), ("handle_right", along)):
                    right, below = (middle + (x, y) + place - np.array(found.size) / 2) / max(found.size)
                    setattr(point, name, (0.5 + right, 0.5 - below))
                point.handle_type, point.select = "FREE", True
            bpy.ops.mask.shape_key_insert()
    scene.frame_set(1)
    return mask


def track(mask: bpy.types.Mask | None, seed: int) -> None:
    """Press Track and wait as a user would. Raises RuntimeError."""
    video, session = bpy.context.scene.facediff_video, addon("session")
    video.hidden, video.mask, video.seed = "mask" if mask is not None else "none", mask, seed
    bpy.ops.facediff.track()
    told = ""
    while session.tick() or session.current.generation is not None:
        if (running := session.current.generation) is not None:
            text = addon("panels.common").progress_text(running.job)
            if text.split(" · ")[0] != told:
                told = text.split(" · ")[0]
                print(f"  {told}", file=sys.stderr)
        time.sleep(0.02)
    if session.current.failed:
        raise RuntimeError("\n  ".join([session.current.message, *session.current.detail]))


def head_pictures(folder: Path, told: Callable[[float], None]) -> list[Path]:
    """The head at each frame of the scene."""
    scene = bpy.context.scene
    if demo_pictures.has_opengl():
        demo_pictures.workbench(scene, SIDE)
    else:
        demo_pictures.cycles(scene, SIDE, samples=4)
    demo_pictures.set_media(scene, "IMAGE", "PNG")
    scene.render.use_sequencer = False  # the head, not the film
    scene.objects["Time code"].hide_render = True
    paths = []
    for frame in range(scene.frame_start, scene.frame_end + 1):
        scene.frame_set(frame)
        scene.render.filepath = str(folder / f"{frame:05d}.png")
        bpy.ops.render.render(write_still=True)
        paths.append(Path(scene.render.filepath))
        told(frame / scene.frame_end)
    return paths


def square_of(found: Detections) -> np.ndarray:
    """(3,) left, top and side in px of the part of the picture that is shown: around the face throughout the film."""
    points = found.points[found.detected].reshape(-1, 2)
    low, high = points.min(axis=0), points.max(axis=0)
    side = min(AROUND * float((high - low).max()), *found.size)
    corner = np.clip((low + high) / 2 - side / 2, 0, np.array(found.size) - side)
    return np.array([*corner, side])


def actor_picture(
    image: np.ndarray, points: np.ndarray, inside: np.ndarray | None, square: np.ndarray
) -> np.ndarray:
    """The square of image (H, W, 3) at SIDE x SIDE, with the mask (h, w) bool and the points (P, 2) px of the image."""
    picture = _sized(image, square).astype(np.float64)
    hidden = np.zeros(len(points), bool)
    places = np.round((np.nan_to_num(points, nan=-1e6) - square[:2]) * SIDE / square[2]).astype(int)
    there = ((places >= 1) & (places < SIDE - 1)).all(axis=1)
    if inside is not None:
        covered = _sized(inside, square * inside.shape[0] / image.shape[0])
        hidden[there] = covered[places[there, 1], places[there, 0]]
        core = covered.copy()
        for axis, step in ((0, 2), (0, -2), (1, 2), (1, -2)):
            core &= np.roll(covered, step, axis)
        picture[covered] = 0.7 * picture[covered] + 0.3 * MASK_COLOUR
        picture[covered & ~core] = MASK_COLOUR
    for colour, which in ((HIDDEN, there & hidden), (VISIBLE, there & ~hidden)):
        for x, y in ((0, 0), (1, 0), (0, 1), (1, 1)):
            picture[places[which, 1] + y, places[which, 0] + x] = colour
    return picture.astype(np.uint8)


def _sized(pixels: np.ndarray, square: np.ndarray) -> np.ndarray:
    """The square (left, top, side) of the pixels (H, W, ...) at SIDE x SIDE."""
    steps = (np.arange(SIDE) + 0.5) * square[2] / SIDE
    rows, columns = (np.minimum((square[k] + steps).astype(int), pixels.shape[1 - k] - 1) for k in (1, 0))
    return pixels[rows][:, columns]


def side_by_side(
    video: Path, found: Detections, masks: list[Path], heads: list[Path], anonymous: bool
) -> Iterator[np.ndarray]:
    """Each frame of the film beside the head at that frame."""
    square = square_of(found)
    for i, frame in enumerate(read_frames(video)):
        if i >= len(heads):
            return
        image = np.full_like(frame.image, GREY) if anonymous else frame.image
        inside = demo_pictures.pixels(str(masks[min(i, len(masks) - 1)]))[::-1, :, 0] > 0.5 if masks else None
        head = np.round(demo_pictures.pixels(str(heads[i]))[::-1, :, :3] * 255).astype(np.uint8)
        yield np.concatenate([actor_picture(image, found.points[i], inside, square), head], axis=1)


def contact_sheet(path: Path, pictures: list[np.ndarray]) -> None:
    """A PNG of six moments, evenly spread."""
    rows, columns = SHEET
    chosen = np.linspace(0, len(pictures) - 1, rows * columns + 2).round().astype(int)[1:-1]
    lines = [np.concatenate([pictures[i] for i in chosen[r * columns :][:columns]], axis=1) for r in range(rows)]
    write_png(path, np.concatenate(lines))


def run(arguments: argparse.Namespace) -> None:
    """Everything, in order. Raises InputError, OSError, RuntimeError and the add-on's own errors, each with a sentence."""
    video, out = arguments.video.resolve(), arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    load_addon().register()
    os.environ.setdefault("FACEDIFF_ENGINE_PYTHON", sys.executable)
    film = addon("footage").film_of(video)
    set_up(video, film.fps)
    print("Finding the face, for the mask and the pictures", file=sys.stderr)
    with face_mesh() as detector:
        found = detect_landmarks(video, detector)
    mask = draw_mask(found) if arguments.mask == "mouth" else None
    print("Track", file=sys.stderr)
    track(mask, arguments.seed)
    head = bpy.context.scene.facediff.chosen_head(bpy.context)
    motion = addon("bake").read_motion(head, film.fps, 1, bpy.context.scene.frame_end)
    motion.save(out / f"{NAME}.npz")
    demo_pictures.set_up(bpy.context.scene, CAMERA)
    bpy.ops.wm.save_as_mainfile(filepath=str(out / f"{NAME}.blend"), compress=True)
    folder = Path(tempfile.mkdtemp(prefix="facediff-demo-"))
    try:
        masks: list[Path] = []
        if mask is not None:
            addon("mask_frames").render(mask, film.size, 1, film.frames, folder / "masks")
            masks = sorted((folder / "masks").iterdir())
        print("Pictures", file=sys.stderr)
        heads = head_pictures(folder, lambda share: None)
        pictures = list(side_by_side(video, found, masks, heads, arguments.anonymous))
    finally:
        shutil.rmtree(folder)
    sound = read_soundtrack(video, found.seconds)
    samples = sound if sound is not None else np.zeros(round(found.seconds * SAMPLE_RATE), np.float32)
    height, width = pictures[0].shape[:2]
    write_pictures(out / f"{NAME}.mp4", pictures, (width, height), film.fps, samples)
    contact_sheet(out / f"{NAME}.png", pictures)
    for suffix in (".blend", ".npz", ".mp4", ".png"):
        path = out / f"{NAME}{suffix}"
        print(f"{path}  ({path.stat().st_size / 1e6:.2f} MB)", file=sys.stderr)


def main() -> int:
    """The command line. 0 when all files are there, else one sentence on stderr and 1."""
    parser = argparse.ArgumentParser(prog="demo_track.py", description=__doc__.splitlines()[0])
    parser.add_argument("video", type=Path, help="a film of one person talking")
    parser.add_argument("--mask", choices=("mouth", "none"), default="mouth", help="what is hidden (default: mouth)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--anonymous", action="store_true", help="draw on grey instead of the actor's picture")
    parser.add_argument("--out", type=Path, default=Path("out") / "track", help="folder for the files")
    arguments = parser.parse_args()
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Blender's talk of each picture
    try:
        run(arguments)
    except (InputError, OSError, RuntimeError, ValueError) as error:
        print(f"demo_track: {error}", file=sys.stderr)
        return 1
    finally:
        session = sys.modules.get(f"{load_addon().__name__}.facediff_blender.session")
        if session is not None:
            session.stop_engine()
    return 0


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    os._exit(status)  # a plain exit of the bpy module can hang
