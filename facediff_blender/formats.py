"""What is written, format by format, and how it is read again. Everything here works on the selection and the scene's range."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ..engine.face import livelink
from ..engine.face.arkit import ARKIT_52
from ..engine.face.starter_head import rotation_matrices
from . import bake

# Blender's axes are x right, z up, and a face looks along -y. "Forward" here is Blender's word for away from the viewer.
# Unreal brings every scene to right-handed, -y to the front, z up before it mirrors it (FFbxImporter::ConvertScene), so
# nothing is left to turn; its unit is the file's centimetre. Unity counts metres and is y up: FBX_SCALE_ALL gives it the
# unit, and objects of scale 1. Both compute normals of shapes only from smoothing groups, which "FACE" writes.
PRESETS: dict[str, dict[str, Any]] = {
    "BLENDER": {"axis_forward": "-Z", "axis_up": "Y", "apply_scale_options": "FBX_SCALE_NONE", "mesh_smooth_type": "OFF"},
    "UNREAL": {"axis_forward": "Y", "axis_up": "Z", "apply_scale_options": "FBX_SCALE_NONE", "mesh_smooth_type": "FACE"},
    "UNITY": {"axis_forward": "-Z", "axis_up": "Y", "apply_scale_options": "FBX_SCALE_ALL", "mesh_smooth_type": "FACE"},
}
SIMPLIFY = 1.0  # of the FBX exporter: drops keys that lie on the line between their neighbours
BUILD_OPTIONS = {".abc": ("alembic", "Alembic"), ".usdc": ("usd", "USD")}


def why_not(suffix: str) -> str:
    """One sentence when this build of Blender cannot write the format, or ""."""
    option, name = BUILD_OPTIONS.get(suffix, ("", ""))
    if option and not getattr(bpy.app.build_options, option):
        return f"This build of Blender has no {name}."
    operators = {".fbx": ("export_scene", "fbx", "FBX"), ".glb": ("export_scene", "gltf", "glTF")}
    if suffix in operators:
        module, operator, name = operators[suffix]
        if operator not in dir(getattr(bpy.ops, module)):
            return f"Blender's own {name} add-on is switched off: enable it in the Preferences."
    return ""


def write_fbx(path: Path, preset: str = "BLENDER", thin: bool = False) -> None:
    """Mesh, shape keys, rig and their animation: a key on each frame, or, thinned, where the curves bend."""
    bpy.ops.export_scene.fbx(
        filepath=str(path),
        use_selection=True,
        object_types={"MESH", "ARMATURE"},
        use_mesh_modifiers=False,  # applying them would drop the shape keys
        add_leaf_bones=False,
        primary_bone_axis="Y",
        secondary_bone_axis="X",
        bake_anim=True,
        bake_anim_use_all_bones=True,
        bake_anim_use_all_actions=False,
        bake_anim_use_nla_strips=False,
        bake_anim_force_startend_keying=True,
        bake_anim_simplify_factor=SIMPLIFY if thin else 0.0,
        **PRESETS[preset],
    )


def read_fbx(path: str) -> None:
    """By the importer in C++, not the exporter's twin in Python."""
    bpy.ops.wm.fbx_import(filepath=path, anim_offset=0.0)


def write_alembic(path: Path) -> None:
    """The evaluated mesh of every frame of the scene's range."""
    scene = bpy.context.scene
    bpy.ops.wm.alembic_export(
        filepath=str(path), start=scene.frame_start, end=scene.frame_end, selected=True, as_background_job=False
    )


def read_alembic(path: str) -> None:
    """As a mesh with a cache."""
    bpy.ops.wm.alembic_import(filepath=path, as_background_job=False)


def write_gltf(path: Path, thin: bool = False) -> None:
    """One animation of morph targets and bones, a sample per frame; thinned, without samples of what stands still."""
    bpy.ops.export_scene.gltf(
        filepath=str(path),
        export_format="GLB",
        use_selection=True,
        export_morph=True,
        export_animations=True,
        export_frame_range=True,
        # One animation for shapes and bones; two would be played one at a time.
        export_animation_mode="SCENE",
        export_anim_scene_split_object=False,
        export_optimize_animation_size=thin,
    )


def read_gltf(path: str) -> None:
    """Without the shapes that the importer makes for bones."""
    bpy.ops.import_scene.gltf(filepath=path, disable_bone_shape=True)


def write_usd(path: Path) -> None:
    """Mesh, blend shapes and skeleton (UsdSkel), a sample per frame of the scene's range."""
    bpy.ops.wm.usd_export(
        filepath=str(path),
        selected_objects_only=True,
        export_animation=True,
        export_shapekeys=True,
        export_armatures=True,
    )


def read_usd(path: str) -> None:
    """With blend shapes and skeleton."""
    bpy.ops.wm.usd_import(filepath=path)


def write_csv(path: Path, head: bpy.types.Object, first: int, last: int, fps: float) -> None:
    """ARKit's weights and the rotations of head and eyes in Live Link Face's layout. Raises `livelink.LiveLinkError`."""
    livelink.write_csv(bake.read_motion(head, fps, first, last), path)


def csv_difference(path: Path, head: bpy.types.Object, first: int, last: int, fps: float) -> tuple[float, float]:
    """The greatest difference between curves and file: in weight, and in rad of any element of a rotation matrix."""
    made, again = bake.read_motion(head, fps, first, last), livelink.read_csv(path)
    if again.frames != made.frames or abs(again.fps / fps - 1) > 1e-3:
        raise RuntimeError(f"'{path.name}' has {again.frames} frames at {again.fps:.3f} per second.")
    names = [name for name in ARKIT_52 if name in made.channels]
    weight = max(float(np.abs(made.channel(n) - again.channel(n)).max()) for n in names)
    joints = [joint for joint in made.rotation_names if joint in again.rotation_names]
    turns = [rotation_matrices(made.rotation(j)) - rotation_matrices(again.rotation(j)) for j in joints]
    return weight, max((float(np.abs(turn).max()) for turn in turns), default=0.0)
