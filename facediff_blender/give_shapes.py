"""Shapes for a mesh that has none: its points as draggable empties, the engine's work on it, and the shape keys that come of it.

The engine sees world space in its own axes (x, z, -y of Blender's), so that rotation and scale of the object need not be applied.
Nothing is changed on the mesh before everything has come, and nothing stays changed when writing fails.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np

from ..engine.errors import InputError
from ..engine.face.arkit import ARKIT_52
from ..engine.face.registration.points import ESSENTIAL, POINTS
from ..engine.face.transfer.file import MeshFile, load_points, load_shapes
from ..engine.face.transfer.sides import MAX_VERTICES
from ..engine.messages import FindPoints
from . import heads, session
from .jobs import Job, Jobs, JobState
from .references import Reference

POINT_PROPERTY = "facediff_point"  # on an empty: which of POINTS it is
POINT_SIZE = 0.006  # of an empty, in heads' eye distances of 63 mm
COLLECTION = "FaceDiff Points"
NAMED = 3  # names that a sentence lists


@dataclass
class Work:
    """What the engine does for a mesh. asked: FindPoints or GiveShapes; digest: of the mesh as it was handed over."""

    asked: type
    mesh: Reference
    digest: str
    folder: Path
    jobs: Jobs
    job: Job


@dataclass
class State:
    """What is under way, and one sentence or more on how the last thing went."""

    work: Work | None = None
    message: str = ""
    failed: bool = False

    def say(self, message: str, failed: bool = False) -> None:
        """Put sentences in the panel."""
        self.message, self.failed = message, failed


current = State()


class GiveShapesError(RuntimeError):
    """Shapes cannot be given; the message is one sentence for the user."""


def to_engine(points: np.ndarray) -> np.ndarray:
    """(..., 3) Blender's axes -> the engine's: x to the left, y up, z forward."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], -1)


def why_not(obj: bpy.types.Object | None) -> str:
    """One sentence on why this object cannot be given shapes, or ""."""
    if obj is None or obj.type != "MESH":
        return "Choose the mesh of a head."
    if not obj.is_editable or not obj.data.is_editable:
        return f"'{obj.name}' is linked from another file and cannot be changed here."
    if not len(obj.data.polygons):
        return f"'{obj.name}' has no faces."
    if len(obj.data.vertices) > MAX_VERTICES:
        return (
            f"'{obj.name}' has {len(obj.data.vertices):,} vertices; shapes can be given to {MAX_VERTICES:,}: use a lower "
            "resolution, with the detail in a Multiresolution or Subdivision modifier."
        )
    keys = obj.data.shape_keys
    if keys is not None and not keys.use_relative:
        return f"The shape keys of '{obj.name}' are absolute: make them relative first."
    taken = [block.name for block in keys.key_blocks if block.name in ARKIT_52] if keys is not None else []
    if taken:
        more = f" and {len(taken) - NAMED} more" if len(taken) > NAMED else ""
        return f"'{obj.name}' has {', '.join(taken[:NAMED])}{more} already: remove or rename these shape keys first."
    if abs(obj.matrix_world.determinant()) < 1e-18:
        return f"'{obj.name}' has a scale of 0."
    return ""


def points_of(obj: bpy.types.Object) -> dict[str, bpy.types.Object]:
    """The empties on a mesh: name of a point -> empty."""
    there = {child.get(POINT_PROPERTY): child for child in obj.children}
    return {name: there[name] for name in POINTS if name in there}


def why_no_points(obj: bpy.types.Object) -> str:
    """One sentence on why the points of a mesh are not enough, or ""."""
    there = points_of(obj)
    if not there:
        return "Find its points first."
    missing = [name for name in ESSENTIAL if name not in there]
    return f"The point '{missing[0]}' was deleted: find the points again." if missing else ""


def mirrors(obj: bpy.types.Object) -> bool:
    """Whether the mesh is half a face that a modifier mirrors at its own YZ plane."""
    return any(m.type == "MIRROR" and m.use_axis[0] and m.mirror_object is None for m in obj.modifiers)


def mesh_of(obj: bpy.types.Object) -> MeshFile:
    """The mesh at rest, before its modifiers, in world space and the engine's axes, with its points. A half that a modifier
    mirrors comes whole: its own vertices first."""
    local = heads.rest_of(obj).astype(float)
    polygons = obj.data.polygons
    sizes, corners = np.empty(len(polygons), np.int32), np.empty(len(obj.data.loops), np.int32)
    polygons.foreach_get("loop_total", sizes)
    obj.data.loops.foreach_get("vertex_index", corners)
    if mirrors(obj):
        local, sizes, corners = _mirrored(local, sizes, corners)
    matrix = np.array(obj.matrix_world, float)
    world = local @ matrix[:3, :3].T + matrix[:3, 3]
    places = {}
    for name, empty in points_of(obj).items():
        place = obj.matrix_world @ (empty.matrix_parent_inverse @ empty.location)
        places[name] = to_engine(np.array(place, float))
    if np.linalg.det(matrix[:3, :3]) < 0:  # a negative scale turns the mesh inside out
        corners = np.concatenate([part[::-1] for part in np.split(corners, np.cumsum(sizes)[:-1])])
    return MeshFile(to_engine(world), sizes, corners, places)


def _mirrored(local: np.ndarray, sizes: np.ndarray, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    count = len(local)
    seam = np.abs(local[:, 0]) < 1e-4 * max(float(np.ptp(local[:, 0])), 1e-9)
    other = np.arange(count)
    other[~seam] = count + np.arange(int((~seam).sum()))
    turned = np.concatenate([part[::-1] for part in np.split(other[corners], np.cumsum(sizes)[:-1])])
    whole = np.vstack([local, local[~seam] * [-1, 1, 1]])
    return whole, np.tile(sizes, 2), np.concatenate([corners, turned])


def digest_of(obj: bpy.types.Object) -> str:
    """What changes when the mesh is edited, moved or given keys."""
    mesh = obj.data
    facts = (len(mesh.polygons), len(mesh.loops), mirrors(obj), mesh.shape_keys is not None, *map(tuple, obj.matrix_world))
    return hashlib.sha256(heads.rest_of(obj).tobytes() + repr(facts).encode()).hexdigest()


def start(context: bpy.types.Context, obj: bpy.types.Object, asked: type) -> None:
    """Hand the mesh to the engine; the timer does the rest. Raises EngineError, OSError and GiveShapesError."""
    context.view_layer.update()  # where the points were dragged to
    folder = session.new_folder()
    try:
        path = folder / "mesh.npz"
        mesh_of(obj).save(path)
        jobs = session.engine(context)
        job = jobs.submit(None, asked, mesh=str(path), name=obj.name)
        if job.over:
            raise GiveShapesError(job.message)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    current.work = Work(asked, Reference.to("objects", obj), digest_of(obj), folder, jobs, job)
    current.say("")
    if not bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.register(_on_timer, first_interval=session.TICK_SECONDS, persistent=True)


def cancel() -> None:
    """Ask the work to end; nothing is changed."""
    if current.work is not None:
        current.work.job.request_cancel()


def abandon(reason: str) -> None:
    """Give the work up at once, for the reason in one sentence."""
    if current.work is not None:
        current.work.job.abandon(reason)
        _close()


def tick() -> bool:
    """Look once at the work. True while there is something to wait for."""
    work = current.work
    if work is None:
        return False
    if session.current.jobs is not work.jobs:
        work.job.abandon("The engine was stopped, so nothing was changed.")
    elif (gone := what_is_gone(work)) and not work.job.over:
        work.job.abandon(gone)
    else:
        work.jobs.tick(budget_seconds=session.BUDGET_SECONDS)
    if work.job.state is JobState.FINISHING:
        _apply(work)
    if work.job.over:
        _close()
    _redraw()
    return current.work is not None


def what_is_gone(work: Work) -> str:
    """One sentence on what happened to the mesh meanwhile, or ""."""
    obj = work.mesh.find()
    if obj is None:
        return "The mesh is gone, so nothing was changed."
    return "" if digest_of(obj) == work.digest else f"'{obj.name}' was changed meanwhile, so nothing was changed: try again."


def _apply(work: Work) -> None:
    operator = bpy.ops.facediff.apply_points if work.asked is FindPoints else bpy.ops.facediff.apply_shapes
    try:
        with bpy.context.temp_override(window=bpy.context.window_manager.windows[0]):  # undo steps want a window
            operator("EXEC_DEFAULT", True)
        work.job.finish()
    except RuntimeError as error:  # what the operator reported
        said = [line for line in str(error).strip().splitlines() if not line.startswith("Location: ")]
        work.job.finish(said[-1].removeprefix("Error: "))


def _close() -> None:
    work, current.work = current.work, None
    if work is not None:
        shutil.rmtree(work.folder, ignore_errors=True)
        if work.job.state is not JobState.DONE:
            current.say(work.job.message, failed=work.job.state is JobState.FAILED)


def result_path() -> Path:
    """The file that the engine made. Raises GiveShapesError when there is none."""
    path = current.work.job.take_result() if current.work is not None else None
    if path is None:
        raise GiveShapesError("There is nothing finished to apply.")
    return path


def put_points(obj: bpy.types.Object, scene: bpy.types.Scene, path: Path) -> list[str]:
    """Empties on the mesh, in place of those that were there. Returns sentences. Raises GiveShapesError."""
    try:
        found = load_points(path)
    except InputError as error:
        raise GiveShapesError(str(error)) from error
    remove_points(obj)
    collection = next((c for c in scene.collection.children_recursive if c.name.split(".")[0] == COLLECTION), None)
    if collection is None:
        collection = bpy.data.collections.new(COLLECTION)
        scene.collection.children.link(collection)
    inverse = obj.matrix_world.inverted()
    eyes = np.linalg.norm(found.points["eye outer L"] - found.points["eye outer R"]) / 0.088
    scale = max(abs(s) for s in obj.matrix_world.to_scale())
    for name, (x, y, z) in found.points.items():
        empty = bpy.data.objects.new(f"{obj.name} {name}", None)
        empty[POINT_PROPERTY] = name
        empty.empty_display_type, empty.empty_display_size = "SPHERE", max(POINT_SIZE / 2 * eyes / scale, 1e-4)
        empty.show_in_front = True
        collection.objects.link(empty)
        empty.parent = obj
        empty.location = inverse @ type(empty.location)((x, -z, y))
    return found.notes


def remove_points(obj: bpy.types.Object) -> int:
    """Take the empties off a mesh, and their collection when it is empty then. Returns how many there were."""
    empties = list(points_of(obj).values())
    for empty in empties:
        homes = list(empty.users_collection)
        bpy.data.objects.remove(empty)
        for home in homes:
            if home.name.split(".")[0] == COLLECTION and not home.all_objects:
                bpy.data.collections.remove(home)
    return len(empties)


def put_shapes(obj: bpy.types.Object, path: Path) -> list[str]:
    """The 52 shape keys on the mesh, all or none. Returns sentences. Raises GiveShapesError."""
    if problem := why_not(obj):
        raise GiveShapesError(problem)
    try:
        given = load_shapes(path)
    except InputError as error:
        raise GiveShapesError(str(error)) from error
    count = len(obj.data.vertices)
    if given.deltas.shape[1] < count:
        raise GiveShapesError(f"The engine's shapes do not fit '{obj.name}', so nothing was changed.")
    back = np.linalg.inv(np.array(obj.matrix_world, float)[:3, :3])
    had_keys = obj.data.shape_keys is not None
    active = obj.active_shape_key_index
    try:
        heads.add_shape_keys(obj, given.names, heads.to_blender(given.deltas[:, :count]) @ back.T.astype(np.float32))
    except BaseException:
        there = obj.data.shape_keys.key_blocks if obj.data.shape_keys is not None else []
        for block in reversed(there):  # the Basis last, for without it the mesh would take another key's form
            if block.name in given.names or not had_keys:
                obj.shape_key_remove(block)
        raise
    obj.active_shape_key_index = active
    return [*given.notes, *_about_modifiers(obj)]


def _about_modifiers(obj: bpy.types.Object) -> list[str]:
    notes = []
    if mirrors(obj):
        notes.append(f"'{obj.name}' is mirrored by a modifier, so left and right move alike; apply it first to part them.")
    if obj.data.users > 1:
        notes.append(f"{obj.data.users} objects share this mesh, and have the shapes now.")
    return notes


def _redraw() -> None:
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            for region in area.regions:
                if area.type == "VIEW_3D" and region.type == "UI":
                    region.tag_redraw()


def _on_timer() -> float | None:
    return session.TICK_SECONDS if tick() else None


def unregister() -> None:
    """Stop the work and the timer."""
    abandon("The add-on was disabled.")
    current.say("")
    if bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.unregister(_on_timer)


