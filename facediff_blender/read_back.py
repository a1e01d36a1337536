"""An exported file, read again by an importer into a scene of its own and compared; nothing of it stays in the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np
from mathutils.kdtree import KDTree

FRAMES = 40  # are compared, evenly spread over the export
SAME_PLACE = 1e-4  # m at rest: an importer's vertex this near to one of the head's is the same one


@dataclass(frozen=True)
class Sample:
    """What the head looked like: frames, vertices (F, V, 3) in the world, m, and at rest (V, 3) in its own axes."""

    frames: list[int]
    vertices: np.ndarray
    rest: np.ndarray


def sample(scene: bpy.types.Scene, head: bpy.types.Object, first: int, last: int) -> Sample:
    """The head at up to FRAMES frames; the scene's frame is the caller's to put back."""
    frames = np.unique(np.rint(np.linspace(first, last, min(FRAMES, last - first + 1))).astype(int)).tolist()
    return Sample(frames, posed(scene, head, frames), _rest(head))


def posed(scene: bpy.types.Scene, obj: bpy.types.Object, frames: list[int]) -> np.ndarray:
    """(F, V, 3) float32 m: the object's evaluated vertices in the world."""
    found = []
    for frame in frames:
        scene.frame_set(frame)
        instance = obj.evaluated_get(scene.view_layers[0].depsgraph)
        mesh = instance.to_mesh()
        co = np.empty(len(mesh.vertices) * 3, np.float32)
        mesh.vertices.foreach_get("co", co)
        instance.to_mesh_clear()
        matrix = np.array(instance.matrix_world, np.float32)
        found.append(co.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3])
    return np.array(found)


def difference(path: Path, fps: tuple[int, float], load: Callable[[str], object], made: Sample) -> float:
    """m: the greatest distance of any vertex, on the frames of the sample, between the head and the file.

    fps: the scene's rate and its base, which say where the file's seconds lie. load: imports the file into the scene of the
    context. Raises RuntimeError (what an importer reports, or a file without the mesh).
    """
    with _scene(fps) as scene:
        layer = scene.view_layers[0]
        with bpy.context.temp_override(scene=scene, view_layer=layer, collection=scene.collection):
            load(str(path))
        meshes = [obj for obj in scene.objects if obj.type == "MESH"]
        if not meshes:
            raise RuntimeError(f"'{path.name}' has no mesh in it.")
        # Of a character's several meshes that of the same size; an importer may have split the vertices of a single one.
        again = max(meshes, key=lambda obj: (len(obj.data.vertices) == len(made.rest), len(obj.data.vertices)))
        vertices = posed(scene, again, made.frames)
        order = _match(again, made.rest)
    return float(np.linalg.norm(vertices - made.vertices[:, order], axis=2).max())


def _match(again: bpy.types.Object, rest: np.ndarray) -> np.ndarray:
    """For each vertex of the imported mesh the head's. An importer may split vertices, but not move them at rest."""
    count = len(again.data.vertices)
    if count == len(rest):
        return np.arange(count)
    tree = KDTree(len(rest))
    for number, place in enumerate(rest.tolist()):
        tree.insert(place, number)
    tree.balance()
    found = [tree.find(place) for place in _rest(again).tolist()]
    if max(distance for _, _, distance in found) > SAME_PLACE:
        raise RuntimeError("The mesh that was read back has other vertices.")
    return np.array([number for _, number, _ in found])


def _rest(obj: bpy.types.Object) -> np.ndarray:
    co = np.empty(len(obj.data.vertices) * 3, np.float32)
    keys = obj.data.shape_keys
    (keys.reference_key.points if keys is not None else obj.data.vertices).foreach_get("co", co)
    return co.reshape(-1, 3)


@contextmanager
def _scene(fps: tuple[int, float]) -> Iterator[bpy.types.Scene]:
    """A scene of that frame rate; it, and all that came into the file meanwhile, is removed again."""
    before = {block for collection in _collections() for block in collection}
    shown = {window: window.scene for window in bpy.context.window_manager.windows}
    scene = bpy.data.scenes.new("FaceDiff reads back")
    scene.render.fps, scene.render.fps_base = fps
    try:
        yield scene
    finally:
        for window, own in shown.items():
            if window.scene != own:
                window.scene = own  # the glTF importer lets the window show what it imports into
        bpy.data.batch_remove([b for collection in _collections() for b in collection if b not in before])


def _collections() -> list[bpy.types.bpy_prop_collection]:
    kinds = [p.identifier for p in bpy.types.BlendData.bl_rna.properties if p.type == "COLLECTION"]
    return [getattr(bpy.data, kind) for kind in kinds if kind not in ("libraries", "window_managers", "workspaces", "screens")]
