"""FLAME heads that take ARKit's motion, by the table that the engine made of the user's FLAME file.

The table lies on the mesh object, in the head's own number of expressions, so that it is saved with the file.
"""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np

from ..engine.errors import InputError
from ..engine.face.arkit import ARKIT_52
from ..engine.face.arkit_flame.file import SUFFIX, load_table
from ..engine.face.arkit_flame.fit import Table, same_basis
from ..engine.face.arkit_flame.solve import motion_to_flame
from ..engine.motion import FaceMotion
from . import flame_head

TABLE_PROPERTY = "facediff_arkit"  # on the mesh object: ARKit's 52 shapes times expressions and jaw, flat
SOURCE_PROPERTY = "facediff_arkit_source"


def attach(head: bpy.types.Object, table: Table) -> None:
    """Let a FLAME head speak by the table. Raises InputError when the table is of another mesh."""
    if not flame_head.is_flame(head):
        raise InputError(f"'{head.name}' is no FLAME head.")
    if table.vertices != (count := len(head.data.vertices)):
        raise InputError(f"The table is of a FLAME file with {table.vertices} vertices, but '{head.name}' has {count}.")
    if not same_basis(table, flame_head.expression_sizes(head)):
        raise InputError(f"The table is of another FLAME file than '{head.name}': their expressions differ.")
    own = table.with_expressions(flame_head.expression_count(head))
    head[TABLE_PROPERTY] = own.parameters.ravel().tolist()
    head[SOURCE_PROPERTY] = table.source


def attach_beside(head: bpy.types.Object, flame_file: Path) -> str:
    """Let a FLAME head speak by the table that lies beside its FLAME file, if one does; a sentence on why it cannot, or ""."""
    beside = table_beside(flame_file)
    if not beside.is_file():
        return ""
    try:
        attach(head, load_table(beside))
    except InputError as error:
        return str(error)
    return ""


def table_beside(flame_file: Path) -> Path:
    """Where the table of a FLAME file lies when nobody put it elsewhere."""
    return flame_file.with_suffix(SUFFIX)


def speaks(head: bpy.types.Object | None) -> bool:
    """Whether the head is a FLAME head with a table that fits its keys."""
    if head is None or not flame_head.is_flame(head) or TABLE_PROPERTY not in head:
        return False
    return len(head[TABLE_PROPERTY]) == len(ARKIT_52) * (flame_head.expression_count(head) + 3)


def in_flame(head: bpy.types.Object, motion: FaceMotion) -> FaceMotion:
    """A motion of ARKit's channels as expression and jaw of this head; what turns goes on turning."""
    parameters = np.array(head[TABLE_PROPERTY]).reshape(len(ARKIT_52), -1)
    size = parameters.shape[1]
    nothing = np.zeros(size - 3)
    table = Table(ARKIT_52, parameters, np.zeros((size, size)), np.zeros(len(ARKIT_52)), nothing, len(head.data.vertices))
    return motion_to_flame(table, motion, motion.meta)
