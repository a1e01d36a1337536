"""A face model becomes a Blender object: mesh, one shape key per blendshape, materials, and a rig for head and eyes.

The model's axes (+x the subject's left, +y up, +z forward) become Blender's by (x, y, z) -> (x, -z, y): the face looks
along -Y and up is +Z. Every bone of the rig stands upright with a roll such that its own axes are the model's axes, so
a rotation of a `FaceMotion` is, unchanged, the rotation of the pose bone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import bpy
import numpy as np

from ..engine.face.starter_head import EYES, HeadModel
from . import correctives, materials

HEAD_PROPERTY = "facediff_head"  # on the mesh object: the name of the model that it was made from
SOURCE_PROPERTY = "facediff_source"
COLLECTION = "FaceDiff"
SUBDIVISION = "Subdivision"  # the modifier of a subdivided head
CREASED = {"mouth", "eyeLeft", "eyeRight"}  # whose first loop, where lips and lids meet, stays where it is
JOINTS = ("head", *EYES)  # the bones that a FaceMotion turns
EULER_ORDER = "ZXY"  # turn, then nod, then tilt: each reads on a curve of its own, and nothing locks before 90 degrees of nod
BONE_LENGTH = {"neck": 0.06, "head": 0.12, "left_eye": 0.03, "right_eye": 0.03}  # m
SHORT_BONE = 0.03  # m


def to_blender(points: np.ndarray) -> np.ndarray:
    """(..., 3) in the model's axes -> (..., 3) float32 in Blender's axes. Same unit."""
    points = np.asarray(points, np.float32)
    return np.stack([points[..., 0], -points[..., 2], points[..., 1]], -1)


def is_head(obj: bpy.types.Object | None) -> bool:
    """Whether the object is a head that this add-on made, whatever it is called now."""
    return obj is not None and obj.type == "MESH" and HEAD_PROPERTY in obj


def rig_of(head: bpy.types.Object) -> bpy.types.Object | None:
    """The armature object that deforms the head, or None when the user took it away."""
    for modifier in head.modifiers:
        if modifier.type == "ARMATURE" and modifier.object is not None:
            return modifier.object
    return None


def head_of(obj: bpy.types.Object | None) -> bpy.types.Object | None:
    """The head that this object is, or that this rig drives; None when it is neither."""
    if is_head(obj):
        return obj
    if obj is not None and obj.type == "ARMATURE":
        return next((child for child in obj.children_recursive if is_head(child) and rig_of(child) == obj), None)
    return None


def add_head(
    model: HeadModel, scene: bpy.types.Scene, location: tuple[float, float, float] = (0, 0, 0), subdivisions: int = 0
) -> bpy.types.Object:
    """Build the head and its rig in the scene's "FaceDiff" collection and return the mesh object.

    location: world position (m) of the point midway between the eyeballs. subdivisions: steps of Catmull-Clark that a modifier
    adds; the shape keys stay those of the model's own vertices. Takes a fraction of a second.
    """
    name = f"FaceDiff {model.name.replace('_', ' ').title()}"
    head = link_head(model, scene, name, location)
    head[SOURCE_PROPERTY] = f"made by FaceDiff from its own model '{model.name}'"
    add_shape_keys(head, model.blendshape_names, to_blender(model.blendshapes))
    correctives.add_correctives(head, model.corrective_names, to_blender(model.correctives))
    parents = (("neck", None), ("head", "neck"), ("left_eye", "head"), ("right_eye", "head"))
    add_bones(rig_of(head), scene, [(joint, parent, model.joints[joint]) for joint, parent in parents])
    turned = model.skin["head"]
    eyes = {eye: model.skin[eye] * turned for eye in EYES}
    # Such that the armature does what `pose_vertices` does: eyes first, then all above the neck.
    add_groups(head, {"neck": 1.0 - turned, "head": turned - sum(eyes.values()), **eyes})
    if subdivisions:
        smooth = head.modifiers.new(SUBDIVISION, "SUBSURF")
        smooth.levels = smooth.render_levels = subdivisions
        smooth.boundary_smooth = "PRESERVE_CORNERS"  # single hairs keep their ends
    return head


def link_head(
    model: HeadModel, scene: bpy.types.Scene, name: str, location: tuple[float, float, float]
) -> bpy.types.Object:
    """The model's mesh as an object in the scene's "FaceDiff" collection, under a rig that has no bones yet."""
    head = bpy.data.objects.new(name, _mesh(model, name))
    head[HEAD_PROPERTY] = model.name
    rig = bpy.data.objects.new(f"{name} Rig", bpy.data.armatures.new(f"{name} Rig"))
    rig.location = location
    collection = _collection(scene)
    collection.objects.link(rig)
    collection.objects.link(head)
    head.parent = rig
    modifier = head.modifiers.new("Rig", "ARMATURE")
    modifier.object = rig
    return head


def _collection(scene: bpy.types.Scene) -> bpy.types.Collection:
    for collection in scene.collection.children:
        if collection.name.split(".")[0] == COLLECTION and collection.is_editable:
            return collection
    collection = bpy.data.collections.new(COLLECTION)
    scene.collection.children.link(collection)
    return collection


def _mesh(model: HeadModel, name: str) -> bpy.types.Mesh:
    mesh = bpy.data.meshes.new(name)
    sizes = np.ascontiguousarray(model.face_sizes, np.int32)
    mesh.vertices.add(len(model.vertices))
    mesh.vertices.foreach_set("co", to_blender(model.vertices).ravel())
    mesh.loops.add(len(model.face_vertices))
    mesh.loops.foreach_set("vertex_index", np.ascontiguousarray(model.face_vertices, np.int32))
    mesh.polygons.add(len(sizes))
    mesh.polygons.foreach_set("loop_start", np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32))
    mesh.polygons.foreach_set("material_index", np.ascontiguousarray(model.material_index, np.int32))
    mesh.polygons.foreach_set("use_smooth", np.ones(len(sizes), bool))
    mesh.update(calc_edges=True)
    if model.uvs is not None:
        mesh.uv_layers.new(name="UVMap").data.foreach_set("uv", np.ascontiguousarray(model.uvs, np.float32).ravel())
    if model.vertex_colors is not None:
        colors = np.ones((len(model.vertices), 4), np.float32)
        colors[:, :3] = model.vertex_colors
        attribute = mesh.color_attributes.new(materials.COLOR_ATTRIBUTE, "FLOAT_COLOR", "POINT")
        attribute.data.foreach_set("color", colors.ravel())
    if model.gloss is not None:
        mesh.attributes.new(materials.GLOSS_ATTRIBUTE, "FLOAT", "POINT").data.foreach_set("value", model.gloss)
    add_materials(mesh, model)
    _crease(mesh, model)
    return mesh


def add_materials(mesh: bpy.types.Mesh, model: HeadModel) -> None:
    """The model's materials, in its order, made for the mesh."""
    size = tuple(np.ptp(to_blender(model.vertices), axis=0).tolist()) if model.gloss is not None else None
    for spec in model.materials:
        mesh.materials.append(materials.make(spec, model.vertex_colors is not None, size))


def _crease(mesh: bpy.types.Mesh, model: HeadModel) -> None:
    """Where subdivision must not round: lips and lids would no longer meet."""
    sharp = np.zeros(len(model.vertices), bool)
    for name in CREASED & model.rings.keys():
        sharp[model.rings[name][0]] = True
    ends = np.empty(2 * len(mesh.edges), np.int32)
    mesh.edges.foreach_get("vertices", ends)
    along = sharp[ends.reshape(-1, 2)].all(axis=1)
    if along.any():
        mesh.attributes.new("crease_edge", "FLOAT", "EDGE").data.foreach_set("value", along.astype(np.float32))


def add_shape_keys(
    head: bpy.types.Object, names: Sequence[str], deltas: np.ndarray, lowest: float = 0.0
) -> list[bpy.types.ShapeKey]:
    """A key per name, after the Basis, with sliders from `lowest` to 1. deltas: (K, V, 3) m in the mesh's axes."""
    if head.data.shape_keys is None:
        head.shape_key_add(name="Basis", from_mix=False)
    rest = rest_of(head)
    made = []
    for name, delta in zip(names, deltas):
        key = head.shape_key_add(name=name, from_mix=False)
        key.slider_min, key.slider_max, key.value = lowest, 1.0, 0.0  # from 5.0 a new key comes with the value 1
        key.points.foreach_set("co", np.ascontiguousarray(rest + delta, np.float32).ravel())
        made.append(key)
    head.active_shape_key_index = 0
    return made


def rest_of(obj: bpy.types.Object) -> np.ndarray:
    """(V, 3) float32: the mesh's vertices at rest, in its own axes."""
    rest = np.empty(len(obj.data.vertices) * 3, np.float32)
    keys = obj.data.shape_keys
    (keys.reference_key.points if keys is not None else obj.data.vertices).foreach_get("co", rest)
    return rest.reshape(-1, 3)


def add_bones(
    rig: bpy.types.Object, scene: bpy.types.Scene, joints: Sequence[tuple[str, str | None, np.ndarray]]
) -> None:
    """Upright bones whose local axes are the model's: local Y up, local Z forward (Blender's -Y), local X to the left.

    joints: name, parent's name, place (3,) in the model's axes; parents first.
    """
    armature = rig.data
    armature.display_type = "STICK"
    layer = scene.view_layers[0]
    with bpy.context.temp_override(scene=scene, view_layer=layer):
        before = layer.objects.active
        layer.objects.active = rig
        bpy.ops.object.mode_set(mode="EDIT")
        for joint, parent, place in joints:
            bone = armature.edit_bones.new(joint)
            bone.head = to_blender(place)
            bone.tail = bone.head + type(bone.head)((0.0, 0.0, BONE_LENGTH.get(joint, SHORT_BONE)))
            bone.align_roll((0.0, -1.0, 0.0))
            bone.parent = armature.edit_bones[parent] if parent else None
        bpy.ops.object.mode_set(mode="OBJECT")
        layer.objects.active = before
    for bone in rig.pose.bones:
        bone.rotation_mode = EULER_ORDER
        bone.lock_location = bone.lock_scale = (True, True, True)


def add_groups(head: bpy.types.Object, weights: Mapping[str, np.ndarray]) -> None:
    """Vertex groups: bone -> (V,) weights, rounded to five digits."""
    for joint, values in weights.items():
        group = head.vertex_groups.new(name=joint)
        quantised = np.round(np.clip(values, 0.0, 1.0), 5)
        levels, which = np.unique(quantised, return_inverse=True)
        order = np.argsort(which, kind="stable")
        for level, ids in zip(levels, np.split(order, np.cumsum(np.bincount(which))[:-1])):
            if level > 0.0:
                group.add(ids.tolist(), float(level), "REPLACE")
