"""Blender's masks as pictures, drawn by Blender itself: animated splines, parents, layers, blending, feather and all.

A mask strip is rendered by the sequencer of a scene made for the purpose. That works with a window and without, needs no
GPU, takes 3 to 7 ms per picture, and touches neither the user's scenes nor the mask, of which a copy is rendered.
"""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np

from .strips import StripError

WIDEST = 384  # pixels of the larger side of a picture


def render(mask: bpy.types.Mask, size: tuple[int, int], first: int, last: int, folder: Path) -> None:
    """The mask at each frame from first to last (inclusive, >= 0) as grey PNG files in a new folder, in the order of their
    names, bright where it covers.

    size: (width, height) of the film that it is drawn over; only their ratio counts. Raises StripError.
    """
    if bpy.app.is_job_running("RENDER"):
        raise StripError("A render is running: track with a mask when it is done.")
    folder.mkdir()
    scene, copy = bpy.data.scenes.new("FaceDiff mask"), mask.copy()
    editor = scene.sequence_editor_create()
    try:
        copy.frame_start, copy.frame_end = first, last + 1  # a mask strip plays these frames but the last
        editor.strips.new_mask(mask.name, copy, 1, first)
        scene.frame_start, scene.frame_end = first, last
        _set_up(scene, size, folder)
        bpy.ops.render.render("EXEC_DEFAULT", animation=True, scene=scene.name)
    except RuntimeError as error:
        raise StripError(f"Blender could not draw the mask '{mask.name}': {str(error).strip()}") from error
    finally:
        for strip in list(editor.strips):  # first, or the console of 4.5 tells of a wrong user count
            editor.strips.remove(strip)
        bpy.data.scenes.remove(scene)
        bpy.data.masks.remove(copy)
    pictures = list(folder.glob("*.png"))
    if len(pictures) != last - first + 1:
        raise StripError(f"Blender could not draw the mask '{mask.name}'.")
    for picture in pictures:
        _mend_corner(picture)


def _mend_corner(picture: Path) -> None:
    """Blender's sequencer (4.5 to 5.2) never writes the last pixel of a mask, at the top right: what the memory held before
    is seen there. It is given its neighbour's value."""
    image = bpy.data.images.load(str(picture))
    try:
        image.colorspace_settings.name = "Non-Color"  # the values as they are
        pixels = np.empty(len(image.pixels), np.float32)
        image.pixels.foreach_get(pixels)
        pixels[-image.channels :] = pixels[-2 * image.channels : -image.channels]
        image.pixels.foreach_set(pixels)
        image.save()
    finally:
        bpy.data.images.remove(image)


def _set_up(scene: bpy.types.Scene, size: tuple[int, int], folder: Path) -> None:
    scale = WIDEST / max(size)
    render = scene.render
    render.resolution_x, render.resolution_y = (max(4, round(side * scale)) for side in size)
    render.resolution_percentage = 100
    render.use_sequencer, render.use_compositing = True, False
    render.use_file_extension, render.use_overwrite, render.use_placeholder = True, True, False
    render.image_settings.file_format = "PNG"
    render.image_settings.color_mode, render.image_settings.color_depth = "BW", "8"
    render.filepath = str(folder / "mask_")
    scene.view_settings.view_transform = "Standard"  # leaves what the sequencer drew as it is
