"""How a head's surface looks: Principled materials over the painted colours, the same in Workbench, EEVEE and Cycles.

The fine grain (pores, strands of hair) is procedural and only bends the light: colours stay the vertices' own, which every
exporter knows. Skin is duller or wetter by the mesh's attribute "Gloss".
"""

from __future__ import annotations

import bpy

from ..engine.face.starter_head import MaterialSpec
from . import compat

COLOR_ATTRIBUTE = "Color"
GLOSS_ATTRIBUTE = "Gloss"  # per vertex, 0 dry to 1 wet
DRY, WET = 0.64, 0.27  # roughness of skin at either end
BLOTCHES, UNEVEN = 0.07, 0.16  # of the roughness: per mm, and how much
PORES, PORE_DEPTH = 1.1, 0.00009  # per mm; m
LIP_LINES, LIP_LINE_DEPTH = 0.9, 0.00012
STRANDS, STRAND_DEPTH = (2600.0, 42.0, 1.0), 0.0009  # waves across the texture, and along it; m
SUBSURFACE_SCALE = 0.004  # m; light goes a few millimetres through skin


def make(spec: MaterialSpec, painted: bool, size: tuple[float, float, float] | None) -> bpy.types.Material:
    """A material of its own. painted: the mesh has COLOR_ATTRIBUTE. size: of its box (m) where it has GLOSS_ATTRIBUTE, or None."""
    material = bpy.data.materials.new(f"FaceDiff {spec.name}")
    material.diffuse_color = (*spec.base_color, 1.0)
    material.roughness = spec.roughness
    tree = compat.use_material_nodes(material)
    shader = next(node for node in tree.nodes if node.bl_idname == "ShaderNodeBsdfPrincipled")
    shader.inputs["Base Color"].default_value = (*spec.base_color, 1.0)
    shader.inputs["Roughness"].default_value = spec.roughness
    shader.inputs["Subsurface Weight"].default_value = spec.subsurface
    shader.inputs["Subsurface Radius"].default_value = (1.0, 0.35, 0.2)
    shader.inputs["Subsurface Scale"].default_value = SUBSURFACE_SCALE
    shader.inputs["Coat Weight"].default_value = spec.coat
    shader.inputs["Coat Roughness"].default_value = 0.03
    if painted:
        paint = _node(tree, shader, "ShaderNodeVertexColor", 1, 0)
        paint.layer_name = COLOR_ATTRIBUTE
        tree.links.new(paint.outputs["Color"], shader.inputs["Base Color"])
    if size is not None and spec.name in ("skin", "lips"):
        _skin(tree, shader, size, lips=spec.name == "lips")
    elif size is not None and spec.name == "hair":
        _hair(tree, shader)
    return material


def _skin(tree: bpy.types.NodeTree, shader: bpy.types.Node, size: tuple[float, float, float], lips: bool) -> None:
    """Pores, or the lips' fine lines, and a roughness by region and by blotches."""
    place = _node(tree, shader, "ShaderNodeTexCoord", 5, 2).outputs["Generated"]  # in the mesh at rest
    x, y, z = size
    millimetres = _scaled(tree, shader, place, (1000 * x, 1000 * y, 1000 * z), 4, 2)
    grain = _scaled(tree, shader, millimetres, (LIP_LINES, 0.12, 0.12), 3, 3) if lips else millimetres
    noise = _noise(tree, shader, grain, 1.0 if lips else PORES, 2, 3)
    _bump(tree, shader, noise, LIP_LINE_DEPTH if lips else PORE_DEPTH)
    gloss = _node(tree, shader, "ShaderNodeAttribute", 4, 1)
    gloss.attribute_name = GLOSS_ATTRIBUTE
    region = _node(tree, shader, "ShaderNodeMapRange", 3, 1)
    region.inputs["To Min"].default_value, region.inputs["To Max"].default_value = DRY, WET
    tree.links.new(gloss.outputs[2], region.inputs["Value"])  # its place has kept, its name has not
    blotches = _noise(tree, shader, millimetres, BLOTCHES, 3, 2)
    uneven = _node(tree, shader, "ShaderNodeMath", 2, 1)
    uneven.operation = "MULTIPLY_ADD"  # noise is about a half
    uneven.inputs[1].default_value = UNEVEN
    tree.links.new(blotches, uneven.inputs[0])
    tree.links.new(region.outputs[0], uneven.inputs[2])
    level = _node(tree, shader, "ShaderNodeMath", 1, 1)
    level.operation, level.use_clamp = "SUBTRACT", True
    level.inputs[1].default_value = UNEVEN / 2
    tree.links.new(uneven.outputs[0], level.inputs[0])
    tree.links.new(level.outputs[0], shader.inputs["Roughness"])


def _hair(tree: bpy.types.NodeTree, shader: bpy.types.Node) -> None:
    """Strands along the texture's height, which shine less than a smooth surface of their colour."""
    shader.inputs["Specular IOR Level"].default_value = 0.3
    place = _node(tree, shader, "ShaderNodeUVMap", 4, 2)
    place.uv_map = "UVMap"
    strands = _noise(tree, shader, _scaled(tree, shader, place.outputs[0], STRANDS, 3, 2), 1.0, 2, 2)
    _bump(tree, shader, strands, STRAND_DEPTH)


def _bump(tree: bpy.types.NodeTree, shader: bpy.types.Node, height: bpy.types.NodeSocket, depth: float) -> None:
    bump = _node(tree, shader, "ShaderNodeBump", 1, 2)
    bump.inputs["Distance"].default_value = depth
    tree.links.new(height, bump.inputs["Height"])
    tree.links.new(bump.outputs["Normal"], shader.inputs["Normal"])


def _scaled(
    tree: bpy.types.NodeTree,
    shader: bpy.types.Node,
    vector: bpy.types.NodeSocket,
    by: tuple[float, float, float],
    column: int,
    row: int,
) -> bpy.types.NodeSocket:
    node = _node(tree, shader, "ShaderNodeVectorMath", column, row)
    node.operation = "MULTIPLY"
    node.inputs[1].default_value = by
    tree.links.new(vector, node.inputs[0])
    return node.outputs[0]


def _noise(
    tree: bpy.types.NodeTree, shader: bpy.types.Node, vector: bpy.types.NodeSocket, scale: float, column: int, row: int
) -> bpy.types.NodeSocket:
    node = _node(tree, shader, "ShaderNodeTexNoise", column, row)
    node.inputs["Scale"].default_value, node.inputs["Detail"].default_value = scale, 2.0
    tree.links.new(vector, node.inputs["Vector"])
    return node.outputs[0]


def _node(tree: bpy.types.NodeTree, shader: bpy.types.Node, kind: str, column: int, row: int) -> bpy.types.Node:
    """A new node, so many columns to the shader's left and rows down."""
    node = tree.nodes.new(kind)
    node.location = (shader.location.x - 200 * column, shader.location.y - 220 * row)
    return node
