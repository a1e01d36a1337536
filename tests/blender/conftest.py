"""What every test in Blender needs: the add-on loaded from the tree, and an empty file to begin with."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import bpy
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from addon_from_tree import PACKAGE, load_addon  # noqa: E402

load_addon()


def pytest_configure(config: pytest.Config) -> None:
    """What Blender is about to remove is an error in our own modules."""
    config.addinivalue_line("filterwarnings", r"error::DeprecationWarning:facediff_tree\..*")


@pytest.fixture(autouse=True)
def empty_file() -> None:
    """A new file without objects, at 24 fps, for each test."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    load_addon()  # factory settings forget the add-on's preferences
    bpy.context.scene.render.fps = 24


@pytest.fixture
def registered(empty_file) -> Iterator[None]:
    """The add-on, enabled for the test and disabled after it."""
    addon = sys.modules[PACKAGE]
    addon.register()
    yield
    addon.unregister()
