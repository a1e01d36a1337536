"""The parts of the add-on that are free of bpy are tested here too, as `facediff.facediff_blender.*`: its relative
imports need a package around it, as in an installed extension, and none of its `__init__` files, for those import bpy.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path

from hypothesis import HealthCheck, settings

# A machine that is busy with other work is not a failure.
settings.register_profile("facediff", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("facediff")

ROOT = Path(__file__).resolve().parents[2]

for name, folder in {"facediff": ROOT, "facediff.facediff_blender": ROOT / "facediff_blender"}.items():
    package = types.ModuleType(name)
    package.__path__ = [str(folder)]
    sys.modules.setdefault(name, package)
