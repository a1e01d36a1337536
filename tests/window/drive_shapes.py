"""A mesh of the user's gets shapes in a real Blender window, and Ctrl-Z takes them back.

    blender --factory-startup --enable-event-simulate --python drive_shapes.py -- ZIP SPEECH FOLDER
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import bpy
import driving
import numpy as np
import transfer_meshes
from driving import Turns, note, pause, press, shot, wait_for

NAME = "My Head"


def mine() -> bpy.types.Object:
    """The user's mesh; undoing makes old references to it invalid."""
    return bpy.data.objects[NAME]


def rest() -> np.ndarray:
    """(V, 3) where its vertices are."""
    places = np.empty(len(mine().data.vertices) * 3, np.float32)
    mine().data.vertices.foreach_get("co", places)
    return places.reshape(-1, 3)


def done() -> bool:
    """Whether nothing is being found or made."""
    return driving.part("give_shapes").current.work is None


def made_by(what: str) -> Turns:
    """Press a button that hands the mesh to the engine, and wait until it is done."""
    given = driving.part("give_shapes").current
    yield from press(what, lambda: not done())
    yield from wait_for(f"the end of {what}", done)
    assert not given.failed, given.message
    yield from pause(0.3)


def story() -> Turns:
    """Points, shapes, undo, redo."""
    bpy.ops.extensions.package_install_files(filepath=driving.ZIP, repo="user_default", enable_on_install=True)
    panel = bpy.types.FACEDIFF_PT_give_shapes
    bpy.utils.unregister_class(panel)
    panel.bl_options = set()  # so that it is open
    bpy.utils.register_class(panel)
    yield from driving.open_tab()
    mesh = transfer_meshes.low_head(1.0)
    data = bpy.data.meshes.new(NAME)
    to_blender = driving.part("heads").to_blender
    data.from_pydata(to_blender(mesh.vertices).tolist(), [], [list(map(int, face)) for face in mesh.faces])
    obj = bpy.data.objects.new(NAME, data)
    bpy.context.scene.collection.objects.link(obj)
    bpy.context.view_layer.objects.active = obj
    obj.select_set(True)
    with driving.in_view():
        bpy.ops.view3d.view_axis(type="FRONT")
        bpy.ops.view3d.view_selected()
    bpy.ops.ed.undo_push(message="My head")
    before = rest()
    yield from made_by("facediff.find_points")
    for name, empty in driving.part("give_shapes").points_of(mine()).items():
        empty.location = to_blender(mesh.points[name]) if name in mesh.points else empty.location
    bpy.ops.ed.undo_push(message="Points dragged")
    yield from pause(0.5)
    shot("30 points on a mesh of one's own")
    points = len(driving.part("give_shapes").points_of(mine()))
    yield from made_by("facediff.give_shapes")
    assert len(mine().data.shape_keys.key_blocks) == 53
    mine().data.shape_keys.key_blocks["jawOpen"].value = 1.0
    yield from pause(0.5)
    shot("31 its jaw opens")
    note("a mesh of one's own was given 52 shapes")
    yield from driving.key("Z", ctrl=True)
    yield from wait_for("undo", lambda: mine().data.shape_keys is None, 20)
    yield from pause(0.5)
    shot("32 undone")
    assert np.array_equal(rest(), before) and len(driving.part("give_shapes").points_of(mine())) == points
    note("one Ctrl-Z took all of them back; the mesh and its points are as they were")
    yield from driving.key("Z", ctrl=True, shift=True)
    yield from wait_for("redo", lambda: mine().data.shape_keys is not None, 20)
    assert len(mine().data.shape_keys.key_blocks) == 53
    note("Ctrl-Shift-Z gave them again")


driving.tell(story())
