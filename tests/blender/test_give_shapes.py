"""A mesh without shape keys gets points that can be dragged and ARKit's shapes; a mesh that cannot have them stays as it is."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import bpy
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import transfer_meshes  # noqa: E402
from addon_from_tree import load_addon  # noqa: E402
from facediff_tree.engine.face.arkit import ARKIT_52  # noqa: E402
from facediff_tree.engine.face.registration.points import POINTS  # noqa: E402
from facediff_tree.facediff_blender import give_shapes, heads, mapped, preferences, session  # noqa: E402
from facediff_tree.facediff_blender.engine_client import EngineClient  # noqa: E402
from facediff_tree.facediff_blender.jobs import Jobs  # noqa: E402


@pytest.fixture(scope="module")
def jobs():
    """The engine that runs in Blender's own Python: no PyTorch, no SciPy, no MediaPipe."""
    client = EngineClient(sys.executable, preferences.ROOT, built_in=True)
    yield Jobs(client)
    client.stop()


@pytest.fixture
def built_in(monkeypatch, jobs):
    """The add-on, with that engine."""
    load_addon().register()

    def engine(_context):
        session.current.jobs = jobs
        return jobs

    monkeypatch.setattr(session, "engine", engine)
    yield
    session.current.jobs = None
    load_addon().unregister()


def wait(seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while give_shapes.tick():
        assert time.monotonic() < end, "it did not end"
        time.sleep(0.01)


def head_object(mesh: transfer_meshes.Mesh, half: bool = False) -> bpy.types.Object:
    """The mesh in Blender's axes, as the active object."""
    data = bpy.data.meshes.new("Low")
    co = heads.to_blender(mesh.vertices)
    faces = [list(map(int, f)) for f in mesh.faces]
    if half:
        faces = [f for f in faces if co[f, 0].mean() > 0]
        used = np.unique(np.concatenate([np.array(f) for f in faces]))
        local = {int(v): i for i, v in enumerate(used)}
        co, faces = co[used], [[local[v] for v in f] for f in faces]
    data.from_pydata(co.tolist(), [], faces)
    obj = bpy.data.objects.new("Low", data)
    bpy.context.scene.collection.objects.link(obj)
    bpy.context.view_layer.objects.active = obj
    return obj


def drag(obj: bpy.types.Object, mesh: transfer_meshes.Mesh) -> None:
    """Put the points where a person would."""
    for name, empty in give_shapes.points_of(obj).items():
        if name in mesh.points:
            empty.location = heads.to_blender(mesh.points[name])
        else:
            bpy.data.objects.remove(empty)


def everything(obj: bpy.types.Object) -> tuple:
    keys = obj.data.shape_keys
    names = keys.key_blocks.keys() if keys is not None else None
    return heads.rest_of(obj).tobytes(), names, tuple(map(tuple, obj.matrix_world)), len(obj.modifiers), obj.children


def shape(obj: bpy.types.Object, name: str) -> np.ndarray:
    co = np.empty(len(obj.data.vertices) * 3, np.float32)
    obj.data.shape_keys.key_blocks[name].points.foreach_get("co", co)
    return co.reshape(-1, 3) - heads.rest_of(obj)


def give(obj: bpy.types.Object, mesh: transfer_meshes.Mesh) -> None:
    assert bpy.ops.facediff.find_points() == {"FINISHED"}
    wait()
    assert not give_shapes.current.failed, give_shapes.current.message
    drag(obj, mesh)
    assert bpy.ops.facediff.give_shapes() == {"FINISHED"}
    wait()
    assert not give_shapes.current.failed, give_shapes.current.message


def test_points_then_shapes_then_it_speaks(built_in):
    mesh = transfer_meshes.low_head(10.0)
    obj = head_object(mesh)
    obj.rotation_euler, obj.scale, obj.location = (0, 0, 0), (2, 2, 2), (3, 1, -2)
    subdivision = obj.modifiers.new("Subdivision", "SUBSURF")
    before, whole = heads.rest_of(obj).copy(), everything(obj)
    assert bpy.ops.facediff.find_points() == {"FINISHED"}
    with pytest.raises(RuntimeError, match="at work"):
        bpy.ops.facediff.find_points()
    wait()
    empties = give_shapes.points_of(obj)
    assert list(empties) == list(POINTS) and "guessed" in give_shapes.current.message
    assert all(e.parent == obj and e.show_in_front for e in empties.values())
    drag(obj, mesh)
    assert bpy.ops.facediff.give_shapes() == {"FINISHED"}
    wait()
    assert not give_shapes.current.failed, give_shapes.current.message
    blocks = obj.data.shape_keys.key_blocks
    assert blocks.keys() == ["Basis", *ARKIT_52] and all(b.value == 0 for b in blocks[1:])
    assert np.array_equal(heads.rest_of(obj), before) and obj.modifiers[0] == subdivision
    assert np.array_equal([v.co for v in obj.data.vertices], before)
    jaw, smile = shape(obj, "jawOpen"), shape(obj, "mouthSmileLeft")
    lowest = jaw[:, 2].argmin()
    assert jaw[lowest, 2] < -0.15 and before[lowest, 2] < -0.5, "in the mesh's own units: a tenth of a metre"
    strongest = np.linalg.norm(smile, axis=1).argmax()
    assert before[strongest, 0] > 0 and smile[strongest, 2] > 0, "+X is the subject's left"
    assert bpy.context.scene.facediff.head == obj and mapped.of(obj) is not None and not mapped.why_not(obj)
    with pytest.raises(RuntimeError, match="already"):
        bpy.ops.facediff.give_shapes()
    assert bpy.ops.facediff.remove_points() == {"FINISHED"} and not give_shapes.points_of(obj)
    assert give_shapes.COLLECTION not in bpy.data.collections
    take_away(obj)
    obj.shape_key_clear()
    assert everything(obj)[:2] == whole[:2] and everything(obj)[3:] == whole[3:], "all that was done is points and keys"


def test_rotation_and_uneven_scale_need_not_be_applied(built_in):
    mesh = transfer_meshes.low_head(10.0)
    plain, turned = head_object(mesh), head_object(mesh)
    squash = np.diag([1.0, 2.0, 0.5])
    turned.data.vertices.foreach_set("co", (heads.rest_of(turned) @ np.linalg.inv(squash)).astype(np.float32).ravel())
    turned.scale = (1.0, 2.0, 0.5)
    for obj in (plain, turned):
        bpy.context.view_layer.objects.active = obj
        assert bpy.ops.facediff.find_points() == {"FINISHED"}
        wait()
        drag(obj, mesh)
        if obj == turned:
            for empty in give_shapes.points_of(obj).values():
                empty.location = [a / b for a, b in zip(empty.location, obj.scale)]
        assert bpy.ops.facediff.give_shapes() == {"FINISHED"}
        wait()
        assert not give_shapes.current.failed, give_shapes.current.message
    error = np.abs(shape(turned, "jawOpen") @ squash - shape(plain, "jawOpen"))
    assert np.percentile(error, 99) < 0.02


def test_a_half_that_a_modifier_mirrors(built_in):
    mesh = transfer_meshes.low_head(10.0)
    obj = head_object(mesh, half=True)
    obj.modifiers.new("Mirror", "MIRROR")
    give(obj, mesh)
    assert "mirrored by a modifier" in give_shapes.current.message
    blink, other = shape(obj, "eyeBlinkLeft"), shape(obj, "eyeBlinkRight")
    assert np.abs(blink).max() > 0.05 > np.abs(other).max()


def give_shapes_options(name: str) -> set[str]:
    return set(getattr(bpy.types, f"FACEDIFF_OT_{name}").bl_options)


def test_the_mesh_stays_as_it_was_when_it_cannot_be(built_in, monkeypatch):
    mesh = transfer_meshes.low_head(10.0)
    obj = head_object(mesh)
    assert bpy.ops.facediff.find_points() == {"FINISHED"}
    wait()
    drag(obj, mesh)
    points = give_shapes.points_of(obj)
    points["chin"].location, points["eye outer L"].location = points["eye outer L"].location, points["chin"].location.copy()
    points["mouth corner L"].location = points["eye outer R"].location.copy()
    before = everything(obj)
    assert bpy.ops.facediff.give_shapes() == {"FINISHED"}
    wait()
    assert give_shapes.current.failed and "do not lie as on a face" in give_shapes.current.message
    assert everything(obj) == before
    drag(obj, mesh)
    before = everything(obj)
    added = heads.add_shape_keys

    def breaks(head, names, deltas, *more):
        added(head, names[:7], deltas[:7])
        raise MemoryError("full")

    monkeypatch.setattr(heads, "add_shape_keys", breaks)
    assert bpy.ops.facediff.give_shapes() == {"FINISHED"}
    wait()
    assert give_shapes.current.failed and everything(obj) == before
    monkeypatch.setattr(heads, "add_shape_keys", added)
    assert bpy.ops.facediff.give_shapes() == {"FINISHED"}
    obj.data.vertices[0].co.x += 1
    wait()
    assert "was changed meanwhile" in give_shapes.current.message and obj.data.shape_keys is None
    assert bpy.ops.facediff.give_shapes() == {"FINISHED"}
    assert bpy.ops.facediff.cancel_give_shapes() == {"FINISHED"}
    wait()
    assert obj.data.shape_keys is None and give_shapes.current.work is None
    assert bpy.ops.facediff.give_shapes() == {"FINISHED"}
    bpy.data.objects.remove(obj)
    wait()
    assert "is gone" in give_shapes.current.message


def test_keys_that_are_there_stay_and_all_that_is_done_is_one_undo_step(built_in):
    """In Blender without a window nothing can be undone; what an undo would go back to can be counted and compared."""
    mesh = transfer_meshes.low_head(10.0)
    obj = head_object(mesh)
    obj.shape_key_add(name="Basis", from_mix=False)
    own = obj.shape_key_add(name="Fat", from_mix=False)
    own.data[0].co.x += 1
    own.value = 0.5
    before = everything(obj)
    give(obj, mesh)
    blocks = obj.data.shape_keys.key_blocks
    assert blocks.keys() == ["Basis", "Fat", *ARKIT_52] and blocks["Fat"].value == 0.5
    assert np.isclose(shape(obj, "Fat")[0, 0], 1) and np.abs(shape(obj, "jawOpen")[0]).max() < 0.5
    assert {"UNDO"} <= give_shapes_options("apply_shapes") and {"UNDO"} <= give_shapes_options("apply_points")
    take_away(obj)
    assert everything(obj) == before and blocks["Fat"].value == 0.5, "all that was done is points and keys"


def take_away(obj: bpy.types.Object) -> None:
    for name in ARKIT_52:
        obj.shape_key_remove(obj.data.shape_keys.key_blocks[name])
    give_shapes.remove_points(obj)


def test_what_cannot_be_given_shapes_is_told(built_in):
    mesh = transfer_meshes.low_head(10.0)
    with pytest.raises(RuntimeError, match="Choose the mesh"):
        bpy.ops.facediff.find_points()
    obj = head_object(mesh)
    with pytest.raises(RuntimeError, match="Find its points first"):
        bpy.ops.facediff.give_shapes()
    obj.shape_key_add(name="Basis")
    obj.shape_key_add(name="jawOpen")
    assert "jawOpen already" in give_shapes.why_not(obj)
    obj.data.shape_keys.key_blocks["jawOpen"].name = "Mine"
    assert not give_shapes.why_not(obj)
    obj.data.shape_keys.use_relative = False
    assert "absolute" in give_shapes.why_not(obj)
    empty = bpy.data.objects.new("Nothing", bpy.data.meshes.new("Nothing"))
    assert "no faces" in give_shapes.why_not(empty)
    bpy.context.scene.collection.objects.link(empty)
    bpy.context.view_layer.objects.active = obj
    bpy.ops.object.mode_set(mode="EDIT")
    with pytest.raises(RuntimeError, match="Object Mode"):
        bpy.ops.facediff.find_points()
    bpy.ops.object.mode_set(mode="OBJECT")


def test_a_cube_is_no_face(built_in):
    bpy.ops.mesh.primitive_cube_add()
    obj = bpy.context.active_object
    before = everything(obj)
    assert bpy.ops.facediff.find_points() == {"FINISHED"}
    wait()
    if give_shapes.points_of(obj):
        assert bpy.ops.facediff.give_shapes() == {"FINISHED"}
        wait()
    assert give_shapes.current.failed and "Cube" in give_shapes.current.message
    assert everything(obj)[:4] == before[:4]
