"""The pictures of the demo: a portrait's light and camera, a contact sheet of 16 moments, and a film with the sound."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import bpy
import numpy as np

AIM = (0.0, 0.0, -0.035)  # m from the point between the eyes; a little above the mouth
CAMERA = (0.16, -0.92, -0.02)
LENS = 116.0  # mm; the head and a little air fill the frame
LIGHTS = (
    # name, place (m from the eyes), watts, width (m), colour
    ("Key", (0.55, -0.75, 0.45), 17.0, 0.45, (1.0, 0.93, 0.86)),
    ("Fill", (-0.80, -0.65, 0.00), 5.0, 0.90, (0.82, 0.90, 1.0)),
    ("Rim", (-0.45, 0.65, 0.45), 18.0, 0.35, (0.86, 0.93, 1.0)),
)
BACKGROUND = (0.035, 0.042, 0.052)
CELLS = 4  # the contact sheet is 4 by 4
CELL = 340  # pixels
FILM = 480  # pixels
PROBE = (
    "import bpy, os; s = bpy.context.scene; s.render.engine = 'BLENDER_WORKBENCH'; s.render.filepath = os.devnull\n"
    "s.render.resolution_x = s.render.resolution_y = 8; bpy.ops.render.render(); os._exit(0)"
)


def set_up(scene: bpy.types.Scene, camera_at: tuple[float, float, float] = CAMERA) -> None:
    """Camera (camera_at: m from the point between the eyes), three lights, a dark background, and a label in the corner that
    shows the time."""
    camera = _add(scene, "Camera", bpy.data.cameras.new("Camera"), camera_at)
    camera.data.lens, camera.data.clip_start = LENS, 0.01
    _look(camera, AIM)
    scene.camera = camera
    for name, place, watts, width, color in LIGHTS:
        light = bpy.data.lights.new(name, "AREA")
        light.energy, light.size, light.color = watts, width, color
        _look(_add(scene, name, light, place), AIM)
    scene.world = scene.world or bpy.data.worlds.new("World")
    scene.world.color = BACKGROUND
    scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs["Color"].default_value = (*BACKGROUND, 1.0)
    scene.view_settings.view_transform = "AgX"
    scene.view_settings.look = "AgX - Medium High Contrast"
    _label(scene, camera)


def contact_sheet(scene: bpy.types.Scene, path: Path, told: Callable[[float], None]) -> None:
    """Render 16 moments of the scene's range with their time codes into one PNG."""
    cycles(scene, CELL, samples=16)
    set_media(scene, "IMAGE", "PNG")
    frames = np.linspace(scene.frame_start, scene.frame_end, CELLS * CELLS + 2).round().astype(int)[1:-1]
    sheet = np.zeros((CELLS * CELL, CELLS * CELL, 4), np.float32)
    with tempfile.TemporaryDirectory(prefix="facediff-demo-") as folder:
        for k, frame in enumerate(frames.tolist()):
            _show(scene, frame)
            scene.render.filepath = str(Path(folder) / f"{k:02d}.png")
            bpy.ops.render.render(write_still=True)
            row, column = CELLS - 1 - k // CELLS, k % CELLS  # Blender's pixels begin at the bottom
            area = np.s_[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL]
            sheet[area] = pixels(scene.render.filepath)
            told((k + 1) / len(frames))
    image = bpy.data.images.new("Contact sheet", *sheet.shape[1::-1])
    image.pixels.foreach_set(sheet.ravel())
    image.filepath_raw, image.file_format = str(path), "PNG"
    image.save()
    bpy.data.images.remove(image)


def film(scene: bpy.types.Scene, path: Path, seconds: float, told: Callable[[float], None]) -> None:
    """Render the beginning of the scene, at most so many seconds, with its sound, as an H.264 / AAC .mp4.

    Workbench draws a frame in a tenth of Cycles' time, but needs OpenGL, if only in software; without it Cycles is used.
    """
    if has_opengl():
        workbench(scene, FILM)
    else:
        cycles(scene, FILM // 2, samples=4)
    render = scene.render
    set_media(scene, "VIDEO", "FFMPEG")
    render.ffmpeg.format, render.ffmpeg.codec, render.ffmpeg.audio_codec = "MPEG4", "H264", "AAC"
    render.ffmpeg.constant_rate_factor, render.ffmpeg.gopsize = "HIGH", 25
    render.filepath, render.use_file_extension = str(path), False
    last = scene.frame_end
    scene.frame_end = min(last, scene.frame_start - 1 + max(1, round(seconds * render.fps / render.fps_base)))
    count = scene.frame_end - scene.frame_start + 1

    def written(*_: object) -> None:
        told((scene.frame_current - scene.frame_start + 1) / count)

    def label(*_: object) -> None:
        scene.objects["Time code"].data.body = time_code(scene, scene.frame_current)

    bpy.app.handlers.render_pre.append(label)
    bpy.app.handlers.render_write.append(written)
    try:
        with _quiet():
            bpy.ops.render.render(animation=True)
    finally:
        bpy.app.handlers.render_pre.remove(label)
        bpy.app.handlers.render_write.remove(written)
        scene.frame_end = last


def time_code(scene: bpy.types.Scene, frame: int) -> str:
    """The second that a frame shows, and its number, such as "1.24 s  frame 32"."""
    return f"{(frame - scene.frame_start) * scene.render.fps_base / scene.render.fps:.2f} s  frame {frame}"


def _show(scene: bpy.types.Scene, frame: int) -> None:
    scene.objects["Time code"].data.body = time_code(scene, frame)
    scene.frame_set(frame)


def _add(scene: bpy.types.Scene, name: str, data: bpy.types.ID, place: tuple[float, float, float]) -> bpy.types.Object:
    thing = bpy.data.objects.new(name, data)
    thing.location = place
    scene.collection.objects.link(thing)
    return thing


def _look(thing: bpy.types.Object, at: tuple[float, float, float]) -> None:
    direction = type(thing.location)(at) - thing.location
    thing.rotation_euler = direction.to_track_quat("-Z", "Y").to_euler()


def _label(scene: bpy.types.Scene, camera: bpy.types.Object) -> None:
    distance = 0.3  # m before the camera, nearer than the face
    half = distance * math.tan(camera.data.angle / 2)
    text = bpy.data.curves.new("Time code", "FONT")
    text.size = half * 0.11
    label = _add(scene, "Time code", text, (-half * 0.93, -half * 0.93, -distance))
    label.parent = camera
    material = bpy.data.materials.new("Time code")
    material.use_nodes = True
    material.node_tree.nodes.clear()
    emission = material.node_tree.nodes.new("ShaderNodeEmission")
    output = material.node_tree.nodes.new("ShaderNodeOutputMaterial")
    material.node_tree.links.new(emission.outputs[0], output.inputs["Surface"])
    text.materials.append(material)


def has_opengl() -> bool:
    """Whether Workbench can draw here. Asked of another process, for Blender aborts where it finds no OpenGL."""
    return subprocess.run([sys.executable, "-c", PROBE], capture_output=True, timeout=120).returncode == 0


def set_media(scene: bpy.types.Scene, media: str, file_format: str) -> None:
    """What a render writes: "IMAGE" or "VIDEO", and Blender's name of the format."""
    settings = scene.render.image_settings
    if hasattr(settings, "media_type"):  # from 5.0 it decides which formats there are
        settings.media_type = media
    settings.file_format = file_format


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the remarks of software OpenGL off the terminal; a render that fails still raises."""
    sys.stderr.flush()
    before, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
        os.close(nowhere)


def _size(scene: bpy.types.Scene, size: int) -> None:
    scene.render.resolution_x = scene.render.resolution_y = size
    scene.render.resolution_percentage = 100


def cycles(scene: bpy.types.Scene, size: int, samples: int) -> None:
    """Square pictures of that many pixels, traced on the CPU."""
    _size(scene, size)
    scene.render.engine = "CYCLES"
    scene.render.use_persistent_data = True
    scene.cycles.device, scene.cycles.samples = "CPU", samples
    scene.cycles.use_denoising, scene.cycles.max_bounces = True, 4


def workbench(scene: bpy.types.Scene, size: int) -> None:
    """The same, drawn by OpenGL."""
    _size(scene, size)
    scene.render.engine = "BLENDER_WORKBENCH"
    scene.view_settings.view_transform, scene.view_settings.look = "Standard", "None"
    scene.view_settings.exposure = 0.5
    scene.display.render_aa = "8"
    shading = scene.display.shading
    shading.light, shading.studio_light, shading.color_type = "STUDIO", "Default", "VERTEX"
    shading.show_cavity, shading.cavity_type = True, "WORLD"
    shading.show_shadows = False


def pixels(path: str) -> np.ndarray:
    """(H, W, 4) float32 of a picture, as it is shown, from the bottom row up."""
    image = bpy.data.images.load(path)
    image.colorspace_settings.name = "Non-Color"  # the numbers of the file, unchanged
    width, height = image.size
    values = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(values)
    bpy.data.images.remove(image)
    return values.reshape(height, width, 4)
