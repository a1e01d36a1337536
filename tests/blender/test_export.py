"""FBX and Alembic, read again by Blender's own importers: the vertices are where they were."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import bpy
import numpy as np
import pytest
from facediff_tree.engine.face.arkit import ARKIT_52
from facediff_tree.engine.motion import FaceMotion
from facediff_tree.facediff_blender import bake, heads
from facediff_tree.facediff_blender.operators import export
from facediff_tree.facediff_blender.strips import Timing

FIRST, COUNT = 5, 60


@pytest.fixture(autouse=True)
def head(empty_file):
    """A head with a take of smooth noise on all channels and joints, frames 5 to 64, in a scene of frames 1 to 20."""
    addon = sys.modules["facediff_tree"]
    addon.register()
    bpy.ops.facediff.add_head()
    rng = np.random.default_rng(3)
    t = np.arange(COUNT)[:, None] / 24
    weights = np.clip(0.4 + 0.6 * np.sin(2 * np.pi * (t * rng.uniform(0.2, 2, 52) + rng.uniform(size=52))), 0, 1)
    weights *= rng.uniform(size=52) < 0.5
    turns = 0.25 * np.sin(2 * np.pi * (t * rng.uniform(0.2, 1, 12) + rng.uniform(size=12))).reshape(COUNT, 4, 3)
    names = ("head", "jaw", "left_eye", "right_eye")
    head = bpy.context.scene.facediff.head
    motion = FaceMotion(fps=24, channels=ARKIT_52, weights=weights, rotation_names=names, rotations=turns)
    bake.bake(head, motion, Timing(FIRST, 24.0))
    bpy.context.scene.frame_end = 20
    yield head
    addon.unregister()


def vertices(obj: bpy.types.Object, frame: int) -> np.ndarray:
    """(V, 3) world positions at a frame."""
    bpy.context.scene.frame_set(frame)
    instance = obj.evaluated_get(bpy.context.evaluated_depsgraph_get())
    mesh = instance.to_mesh()
    co = np.empty(len(mesh.vertices) * 3, np.float32)
    mesh.vertices.foreach_get("co", co)
    instance.to_mesh_clear()
    matrix = np.array(instance.matrix_world)
    return co.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]


FRAMES = np.linspace(FIRST, FIRST + COUNT - 1, 10).astype(int)


def errors(head: bpy.types.Object, again: bpy.types.Object) -> np.ndarray:
    """Mean distance (m) of the vertices at each of ten frames."""
    return np.array([np.linalg.norm(vertices(head, f) - vertices(again, f), axis=1).mean() for f in map(int, FRAMES)])


def imported(head: bpy.types.Object) -> bpy.types.Object:
    """The mesh that came in beside the head."""
    return next(o for o in bpy.context.scene.objects if o.type == "MESH" and o != head)


def test_alembic_is_exact(head, tmp_path):
    path = tmp_path / "face größe.abc"
    assert bpy.ops.facediff.export_alembic(filepath=str(path)) == {"FINISHED"}
    bpy.ops.wm.alembic_import(filepath=str(path), as_background_job=False, set_frame_range=True)
    scene = bpy.context.scene
    assert (scene.frame_start, scene.frame_end) == (FIRST, FIRST + COUNT - 1), "the frames of the take"
    assert errors(head, imported(head)).max() < 0.1e-3
    assert np.linalg.norm(vertices(head, 5) - vertices(head, 40), axis=1).mean() > 0.5e-3, "and it moved"


@pytest.mark.parametrize("importer", ["python", "native"])
def test_fbx_keeps_shape_keys_and_their_animation(head, tmp_path, importer):
    path = tmp_path / "face.fbx"
    assert bpy.ops.facediff.export_fbx(filepath=str(path)) == {"FINISHED"}
    if importer == "python":
        bpy.ops.import_scene.fbx(filepath=str(path), anim_offset=0.0)
    else:
        bpy.ops.wm.fbx_import(filepath=str(path), anim_offset=0.0)
    again = imported(head)
    assert set(ARKIT_52) <= set(again.data.shape_keys.key_blocks.keys())
    assert again.data.shape_keys.animation_data.action is not None
    assert errors(head, again).max() < 0.5e-3, errors(head, again)


def test_the_scene_and_the_selection_are_put_back(head, tmp_path):
    scene = bpy.context.scene
    cube = bpy.data.objects.new("Other", bpy.data.meshes.new("Other"))
    scene.collection.objects.link(cube)
    for obj in bpy.context.selected_objects:
        obj.select_set(False)
    cube.select_set(True)
    bpy.context.view_layer.objects.active = cube
    scene.frame_set(17)
    for name in ("a.fbx", "a.abc"):
        getattr(bpy.ops.facediff, {"a.fbx": "export_fbx", "a.abc": "export_alembic"}[name])(filepath=str(tmp_path / name))
        assert (scene.frame_start, scene.frame_end, scene.frame_current) == (1, 20, 17)
        assert bpy.context.selected_objects == [cube] and bpy.context.view_layer.objects.active == cube
    assert sorted(os.listdir(tmp_path)) == ["a.abc", "a.fbx"]


def test_an_ending_is_added_and_an_old_file_replaced(head, tmp_path):
    (tmp_path / "old.fbx").write_text("old")
    bpy.ops.facediff.export_fbx(filepath=str(tmp_path / "old"))
    assert (tmp_path / "old.fbx").stat().st_size > 100_000


@pytest.mark.parametrize("operator", ["export_fbx", "export_alembic"])
def test_a_bad_path_is_one_sentence_and_no_file(head, tmp_path, operator):
    run = getattr(bpy.ops.facediff, operator)
    folder = tmp_path / "is a folder.fbx"
    folder.mkdir()
    for path, words in ((tmp_path / "no" / "such" / "x", "does not exist"), (tmp_path / "   ", "not a file name")):
        with pytest.raises(RuntimeError, match=words):
            run(filepath=str(path))
    assert os.listdir(tmp_path) == ["is a folder.fbx"]


def test_an_exporter_that_fails_leaves_the_old_file(head, tmp_path):
    path = tmp_path / "a.fbx"
    path.write_text("old")

    def fails(partial: Path) -> None:
        partial.write_text("half")
        raise RuntimeError("Error: no room")

    def silent(partial: Path) -> None:
        """An exporter that only pretends."""

    for write in (fails, silent):
        with pytest.raises(export.ExportError):
            export.export(bpy.context, str(path), ".fbx", write)
    assert os.listdir(tmp_path) == ["a.fbx"] and path.read_text() == "old"


def test_why_it_is_grey(head, tmp_path):
    heads.rig_of(head).hide_set(True)
    assert "is hidden" in export.why_not(bpy.context)
    heads.rig_of(head).hide_set(False)
    assert export.why_not(bpy.context) == ""
    head.data.shape_keys.animation_data_clear()
    assert "no animation" in export.why_not(bpy.context)
    with pytest.raises(RuntimeError, match="no animation"):
        bpy.ops.facediff.export_fbx(filepath=str(tmp_path / "a.fbx"))
