"""`object.facediff_mapping`: the table by which a head of the user's own speaks, its other meshes, and what turns."""

import bpy

from . import mapped
from .mapping import CHANNELS, MAX_GAIN


def _channels(_row: bpy.types.PropertyGroup, _context: bpy.types.Context, _typed: str) -> tuple[str, ...]:
    return CHANNELS


def _keys(row: bpy.types.PropertyGroup, _context: bpy.types.Context, _typed: str) -> tuple[str, ...]:
    return mapped.key_names(row.id_data)


def _bones(own: bpy.types.PropertyGroup, _context: bpy.types.Context, _typed: str) -> list[str]:
    armature = own.turned is not None and own.turned.type == "ARMATURE"
    return [bone.name for bone in own.turned.data.bones] if armature else []


def _chosen(own: bpy.types.PropertyGroup, _context: bpy.types.Context) -> None:
    """A newly chosen armature proposes its head's bone."""
    armature = own.turned is not None and own.turned.type == "ARMATURE"
    bone = mapped.head_bone(own.turned) if armature else ""
    if own.bone != bone:
        own.bone = bone


class FaceDiffMappingRow(bpy.types.PropertyGroup):
    """A row of the table."""

    channel: bpy.props.StringProperty(
        name="Channel", description="One of ARKit's channels, or a vowel, viseme or mood made of them", search=_channels
    )
    key: bpy.props.StringProperty(name="Shape Key", description="The shape key that it moves", search=_keys)
    gain: bpy.props.FloatProperty(
        name="Gain",
        description="How far the key goes when the channel is at 1; below 0 it takes away from other rows of the key",
        default=1.0,
        min=-MAX_GAIN,
        max=MAX_GAIN,
        soft_min=0.0,
        soft_max=2.0,
        step=5,
    )


class FaceDiffMappedMesh(bpy.types.PropertyGroup):
    """A mesh that moves along."""

    mesh: bpy.props.PointerProperty(name="Mesh", type=bpy.types.Object)


class FaceDiffMapping(bpy.types.PropertyGroup):
    """`object.facediff_mapping`."""

    rows: bpy.props.CollectionProperty(type=FaceDiffMappingRow)
    index: bpy.props.IntProperty(name="Row", description="The chosen row of the table")
    meshes: bpy.props.CollectionProperty(type=FaceDiffMappedMesh)
    turned: bpy.props.PointerProperty(
        name="Turns",
        description="The armature or object that turns with the head; when empty the head's rotation is left out",
        type=bpy.types.Object,
        update=_chosen,
    )
    bone: bpy.props.StringProperty(name="Bone", description="The bone of the armature that turns", search=_bones)


_CLASSES = (FaceDiffMappingRow, FaceDiffMappedMesh, FaceDiffMapping)


def register() -> None:
    """Make `object.facediff_mapping`."""
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Object.facediff_mapping = bpy.props.PointerProperty(type=FaceDiffMapping)


def unregister() -> None:
    """Remove it."""
    del bpy.types.Object.facediff_mapping
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
