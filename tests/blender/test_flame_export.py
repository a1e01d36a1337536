"""A posed 3D MEAD take on a FLAME head leaves Blender as FBX and Alembic and comes back where FLAME puts it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import bpy
import numpy as np
import pytest
from facediff_tree.engine.face.flame import flame_from_arrays, pose_flame
from facediff_tree.engine.motion import FaceMotion
from facediff_tree.facediff_blender import flame_head, heads, takes
from facediff_tree.facediff_blender.strips import Timing

VERTICES, FRAMES = 80, 16


@pytest.fixture
def posed(empty_file) -> Iterator[tuple[bpy.types.Object, np.ndarray]]:
    """A head with a take that opens the jaw by up to 0.4 rad, and (T, V, 3) where FLAME has its vertices, Blender's axes."""
    module = sys.modules["facediff_tree"]
    module.register()
    rng = np.random.default_rng(3)
    weights = rng.random((VERTICES, 5)) ** 3
    regressor = np.zeros((5, VERTICES))
    regressor[:, :10] = rng.random((5, 10))
    basis = rng.normal(0, 0.002, (VERTICES, 3, 400))
    basis[:10] = 0  # no expression moves a joint
    model = flame_from_arrays(
        {
            "v_template": rng.normal(0, 0.08, (VERTICES, 3)),
            "shapedirs": basis,
            "posedirs": rng.normal(0, 0.002, (VERTICES, 3, 36)),
            "J_regressor": regressor / regressor.sum(1, keepdims=True),
            "weights": weights / weights.sum(1, keepdims=True),
            "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], range(5)], np.uint32),
            "f": np.array([[v, (v + 1) % VERTICES, (v + 2) % VERTICES] for v in range(VERTICES)]),
        }
    )
    head = flame_head.add_flame_head(model, bpy.context.scene)
    bpy.context.scene.facediff.head = head
    t = np.arange(FRAMES)[:, None] / 24
    expression = 2 * np.sin(2 * np.pi * (t * rng.uniform(0.3, 2, 50) + rng.uniform(size=50)))
    jaw = np.stack([0.2 + 0.2 * np.sin(9 * t[:, 0]), 0.03 * np.cos(5 * t[:, 0]), 0.02 * np.sin(3 * t[:, 0])], 1)
    bpy.context.scene.render.fps = 24
    takes.write(head, FaceMotion(fps=24, expression=expression, jaw_pose=jaw), Timing(1.0, 24.0))
    yield head, heads.to_blender(pose_flame(model, expression, {"jaw": jaw}))
    module.unregister()


def worst(obj: bpy.types.Object, expected: np.ndarray) -> float:
    """The greatest distance (m) of a vertex, in the world, over all frames."""
    found = 0.0
    for n, points in enumerate(expected):
        bpy.context.scene.frame_set(1 + n)
        graph = bpy.context.evaluated_depsgraph_get()
        instance = obj.evaluated_get(graph)
        co = np.empty(len(points) * 3, np.float32)
        instance.data.vertices.foreach_get("co", co)
        world = np.array(instance.matrix_world)
        shown = co.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3]
        found = max(found, float(np.linalg.norm(shown - points, axis=1).max()))
    return found


def newcomer(before: set[str]) -> bpy.types.Object:
    return next(o for o in bpy.data.objects if o.name not in before and o.type == "MESH")


def test_it_is_right_before_it_leaves(posed):
    assert worst(*posed) < 1e-5


def test_alembic(posed, tmp_path: Path):
    _, expected = posed
    assert bpy.ops.facediff.export_alembic(filepath=str(tmp_path / "a.abc")) == {"FINISHED"}
    before = set(bpy.data.objects.keys())
    bpy.ops.wm.alembic_import(filepath=str(tmp_path / "a.abc"), as_background_job=False)
    assert worst(newcomer(before), expected) < 1e-5


def test_fbx(posed, tmp_path: Path):
    _, expected = posed
    assert bpy.ops.facediff.export_fbx(filepath=str(tmp_path / "a.fbx")) == {"FINISHED"}
    before = set(bpy.data.objects.keys())
    bpy.ops.import_scene.fbx(filepath=str(tmp_path / "a.fbx"), anim_offset=0.0)
    assert worst(newcomer(before), expected) < 5e-4
