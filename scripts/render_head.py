"""Render the starter heads as a contact sheet: a row per head and pose, views across. Needs `bpy`.

python scripts/render_head.py sheet.png                       # Robin, neutral and the seven emotions, three views, Workbench
python scripts/render_head.py still.png --engine cycles --poses neutral happy --views three-quarter --size 512
python scripts/render_head.py shapes.png --poses jawOpen=1 jawOpen=1,mouthClose=1 mouthPucker=1
python scripts/render_head.py docs/heads.jpg --engine cycles --head robin otto amara --size 260 --narrow 0.8 \\
    --distance 760 --subdivide 1 --samples 16 --columns 5 --poses neutral@front neutral@three-quarter neutral@side happy@left20 \\
    sad@front angry@front surprised@left20 fear@front disgusted@front contempt@three-quarter
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
from pathlib import Path

import bpy
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from addon_from_tree import load_addon  # noqa: E402

from engine.face.arkit import ARKIT_52  # noqa: E402
from engine.face.starter_head import HEADS, HeadModel, load_starter_head, pose_vertices  # noqa: E402
from engine.starter.performance import POSES  # noqa: E402

VIEWS = {"front": 0.0, "three-quarter": 35.0, "side": 88.0, "left20": 20.0, "right20": -20.0}
LENS_MM, DISTANCE_MM, AIM = 85.0, 900.0, (0.0, -0.035, -0.05)  # the face fills the frame as in a portrait


def parse_pose(text: str) -> dict[str, float]:
    """'neutral', 'happy' or 'jawOpen=0.3,mouthSmile=1' -> ARKit weights; a name without its side means both sides.

    Raises ValueError for unknown names.
    """
    if text == "neutral":
        return {}
    pairs = POSES.get(text) or {n: float(w or 1) for n, _, w in (part.partition("=") for part in text.split(","))}
    pose = {}
    for name, weight in pairs.items():
        sided = [name] if name in ARKIT_52 else [name + "Left", name + "Right"]
        if not set(sided) <= set(ARKIT_52):
            raise ValueError(f"unknown pose or blendshape: {name}")
        pose.update(dict.fromkeys(sided, weight))
    return pose


def blender_axes(points: np.ndarray) -> np.ndarray:
    """Head axes (x left, y up, z forward) -> Blender's (x, -z, y); (..., 3)."""
    return np.stack([points[..., 0], -points[..., 2], points[..., 1]], -1)


def add_head(head: HeadModel) -> bpy.types.Object:
    """One mesh object, looking as the add-on makes it, with no keys and no rig."""
    heads = importlib.import_module(f"{load_addon().__name__}.facediff_blender.heads")
    return _linked(bpy.data.objects.new("Head", heads._mesh(head, "Head")))


def _linked(thing: bpy.types.Object) -> bpy.types.Object:
    bpy.context.scene.collection.objects.link(thing)
    return thing


def set_up_scene(engine: str, size: int, samples: int) -> bpy.types.Object:
    """An empty scene with camera and lights; returns the camera."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.resolution_x = scene.render.resolution_y = size
    scene.render.film_transparent = False
    world = scene.world = bpy.data.worlds.new("World")
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs["Color"].default_value = (0.11, 0.13, 0.16, 1)
    camera = _linked(bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera")))
    camera.data.lens, camera.data.clip_start = LENS_MM, 0.01
    scene.camera = camera
    # Workbench shows colours as they are; Cycles' highlights need rolling off.
    scene.view_settings.view_transform = "Standard" if engine == "workbench" else "AgX"
    if engine == "workbench":
        scene.render.engine = "BLENDER_WORKBENCH"
        shading = scene.display.shading
        shading.light, shading.color_type = "STUDIO", "VERTEX"
        shading.show_cavity, shading.cavity_type = True, "WORLD"
        shading.show_specular_highlight = False
        scene.display.render_aa = "8"
    else:
        scene.render.engine = "CYCLES"
        scene.view_settings.look = "AgX - Medium High Contrast"
        scene.cycles.device, scene.cycles.samples, scene.cycles.use_denoising = "CPU", samples, True
        for name, place, watts, width in (
            ("Key", (0.55, -0.75, 0.5), 14.0, 0.4),
            ("Fill", (-0.8, -0.7, 0.0), 3.6, 0.9),
            ("Rim", (-0.45, 0.55, 0.55), 14.0, 0.3),
        ):
            light = _linked(bpy.data.objects.new(name, bpy.data.lights.new(name, "AREA")))
            light.data.energy, light.data.size, light.location = watts, width, place
            _look_at(light, (0.0, 0.05, -0.03))
    return camera


def _look_at(thing: bpy.types.Object, target: tuple[float, float, float]) -> None:
    from mathutils import Vector

    thing.rotation_euler = (Vector(target) - thing.location).to_track_quat("-Z", "Y").to_euler()


def place_camera(camera: bpy.types.Object, degrees: float, distance_mm: float) -> None:
    """Orbit the camera about the head: 0 looks at the face, positive comes from the subject's left."""
    turn = np.radians(degrees)
    x, y, z = AIM
    target = (x, -z, y)
    reach = distance_mm / 1000
    camera.location = (target[0] + reach * np.sin(turn), target[1] - reach * np.cos(turn), target[2])
    _look_at(camera, target)


def render(path: Path) -> np.ndarray:
    """Render to a PNG and return its pixels (H, W, 4), top row first, as stored in the file."""
    bpy.context.scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(str(path))
    width, height = image.size
    pixels = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(pixels)
    bpy.data.images.remove(image)
    return pixels.reshape(height, width, 4)[::-1]


def save_sheet(path: Path, pixels: np.ndarray) -> None:
    """Write (H, W, 4) display-referred pixels, top row first, as PNG or, by the name, JPEG."""
    image = bpy.data.images.new("Sheet", pixels.shape[1], pixels.shape[0])
    image.pixels.foreach_set(np.ascontiguousarray(pixels[::-1], np.float32).ravel())
    image.filepath_raw = str(path)
    image.file_format = "JPEG" if path.suffix.lower() in (".jpg", ".jpeg") else "PNG"
    image.save(filepath=str(path), quality=88)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="the PNG or JPEG to write")
    parser.add_argument("--engine", choices=("workbench", "cycles"), default="workbench")
    parser.add_argument(
        "--poses", nargs="+", default=["neutral", *POSES], help="emotions or shape=weight,shape=weight; @view: in that view alone"
    )
    parser.add_argument("--views", nargs="+", choices=list(VIEWS), default=["front", "three-quarter", "side"])
    parser.add_argument("--size", type=int, default=320, help="pixels of one picture's side")
    parser.add_argument("--narrow", type=float, default=1.0, help="a picture's width as a share of its height")
    parser.add_argument("--low", action="store_true", help="the heads' low versions")
    parser.add_argument("--samples", type=int, default=24, help="samples per pixel (Cycles)")
    parser.add_argument("--subdivide", type=int, default=0, help="steps of Catmull-Clark subdivision")
    parser.add_argument("--distance", type=float, default=DISTANCE_MM, help="camera distance in mm")
    parser.add_argument("--columns", type=int, default=0, help="pictures per row (default: one row per pose)")
    parser.add_argument("--head", nargs="+", default=[next(iter(HEADS))], help=f"of {', '.join(HEADS)}, or another head.npz")
    options = parser.parse_args()
    try:
        shots = [
            (parse_pose(pose), view)
            for pose, _, one in (text.partition("@") for text in options.poses)
            for view in ([one] if one else options.views)
        ]
    except ValueError as error:
        parser.error(str(error))
    if unknown := {view for _, view in shots} - set(VIEWS):
        parser.error(f"unknown view: {', '.join(sorted(unknown))}")
    pictures = []
    for which in options.head:
        head = load_starter_head(which, level="low" if options.low else "full")
        camera = set_up_scene(options.engine, options.size, options.samples)
        bpy.context.scene.render.resolution_x = round(options.size * options.narrow)
        camera.data.sensor_fit = "VERTICAL"
        camera.data.sensor_height = camera.data.sensor_width
        obj = add_head(head)
        if options.subdivide:
            modifier = obj.modifiers.new("Subdivision", "SUBSURF")
            modifier.levels = modifier.render_levels = options.subdivide
            modifier.boundary_smooth = "PRESERVE_CORNERS"
        with tempfile.TemporaryDirectory() as folder:
            for pose, view in shots:
                posed = pose_vertices(head, np.array([[pose.get(name, 0.0) for name in ARKIT_52]]))[0]
                obj.data.vertices.foreach_set("co", blender_axes(posed).ravel())
                obj.data.update()
                place_camera(camera, VIEWS[view], options.distance)
                pictures.append(render(Path(folder) / "view.png"))
    columns = options.columns or len(options.views)
    while len(pictures) % columns:
        pictures.append(np.zeros_like(pictures[0]))
    rows = [np.concatenate(pictures[i : i + columns], axis=1) for i in range(0, len(pictures), columns)]
    save_sheet(options.out, np.concatenate(rows, axis=0))
    print(f"{options.out}: {', '.join(options.head)}; {len(shots)} pictures of each")


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # bpy's own shutdown can hang or crash after rendering without a display
