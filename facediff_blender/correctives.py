"""Correctives of FaceDiff's own heads: shape keys whose value a driver takes from the keys that they correct.

Blender reckons these drivers' expressions (products and max) itself, so they work where running Python from a file is not allowed.
"""

from __future__ import annotations

from collections.abc import Sequence

import bpy
import numpy as np

from ..engine.face.starter_head import corrective_factors
from . import heads

VARIABLES = "abcd"


def is_corrective(name: str) -> bool:
    """Whether a shape key's name is the product that drives it, such as 'jawOpen-mouthClose*mouthPucker'."""
    try:
        corrective_factors(name)
    except ValueError:
        return False
    return True


def add_correctives(head: bpy.types.Object, names: Sequence[str], deltas: np.ndarray) -> None:
    """A driven key per corrective. deltas: (C, V, 3) m in the mesh's axes, as `heads.add_shape_keys` takes them."""
    for block in heads.add_shape_keys(head, names, deltas):
        _drive(head.data.shape_keys, block)


def _drive(keys: bpy.types.Key, block: bpy.types.ShapeKey) -> None:
    driver = block.driver_add("value").driver
    driver.type = "SCRIPTED"
    variables: dict[str, str] = {}

    def variable(shape: str) -> str:
        if shape not in variables:
            variables[shape] = VARIABLES[len(variables)]
            made = driver.variables.new()
            made.name, made.type = variables[shape], "SINGLE_PROP"
            target = made.targets[0]
            target.id_type, target.id = "KEY", keys
            target.data_path = f'key_blocks["{shape}"].value'
        return variables[shape]

    factors = []
    for more, less in corrective_factors(block.name):
        first = variable(more) if more else "1"
        factors.append(f"max({first} - {variable(less)}, 0)" if less else first)
    driver.expression = " * ".join(factors)
