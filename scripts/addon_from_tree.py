"""Load the add-on straight from this tree, for scripts and tests that run in the `bpy` module rather than in Blender."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "facediff_tree"  # Blender would call it bl_ext.<repository>.facediff_blender


def load_addon() -> ModuleType:
    """The package of the tree's root, imported under the name PACKAGE and known to Blender's preferences under it.

    Call its `register` and `unregister` as Blender does. Its parts are `facediff_tree.facediff_blender.*` and `.engine.*`.
    """
    if PACKAGE not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            PACKAGE, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
        )
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[PACKAGE] = module
        spec.loader.exec_module(module)
    import bpy

    if PACKAGE not in bpy.context.preferences.addons:
        bpy.context.preferences.addons.new().module = PACKAGE
    return sys.modules[PACKAGE]
