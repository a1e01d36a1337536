"""Rules of the house, checked: lint, types, and which side may import what."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENGINE = sorted((ROOT / "engine").rglob("*.py"))
ADDON = sorted((ROOT / "facediff_blender").rglob("*.py"))
# What the add-on may use of the engine: NumPy and the standard library only, so that it runs inside Blender.
SHARED = ("engine", "engine.messages", "engine.motion", "engine.errors", "engine.face")
WITHOUT_BPY = ("engine_client", "engine_process", "jobs", "private_folders")
TORCH_WORLD = {"torch", "transformers", "torchaudio", "torchvision"}


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Every import statement of a file as (absolute module name from the tree's root, whether it was relative)."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, False) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if not node.level:
                yield node.module or "", False
                continue
            base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])])
            yield base, True
            yield from ((f"{base}.{alias.name}", True) for alias in node.names if (node.module or "") in ("", "engine"))


def run(*command: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *command], cwd=cwd, capture_output=True, text=True)


def test_ruff_finds_nothing():
    done = run("-m", "ruff", "check", "--no-cache", ".")
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_finds_nothing(tmp_path):
    """The tree's root is a package under a name that Blender chooses; here a link gives it one, wherever it lies."""
    (tmp_path / "facediff").symlink_to(ROOT, target_is_directory=True)
    done = run(
        "-m", "mypy", "--config-file", ROOT / "pyproject.toml", "--cache-dir", ROOT / ".mypy_cache",
        "-p", "facediff.engine", "-p", "facediff.facediff_blender", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", ENGINE, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_engine_never_imports_blender_and_itself_only_relatively(path):
    for name, relative in imports(path):
        assert name.split(".")[0] not in ("bpy", "mathutils", "bmesh", "gpu", "aud"), name
        assert relative or name.split(".")[0] not in ("engine", "facediff_blender"), f"'{name}' must be relative"
        assert not name.startswith("facediff_blender"), name


@pytest.mark.parametrize("path", ADDON, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_add_on_imports_of_the_engine_only_what_runs_in_blender(path):
    for name, relative in imports(path):
        assert name.split(".")[0] not in TORCH_WORLD, name
        if name.split(".")[0] in ("engine", "facediff_blender"):
            assert relative, f"'{name}' must be relative"
        if name.split(".")[0] == "engine":
            shared = [name == allowed or name.startswith(f"{allowed}.") for allowed in SHARED[1:]]
            assert name == "engine" or name == "engine.__version__" or any(shared), name
        if path.stem in WITHOUT_BPY:
            assert name.split(".")[0] != "bpy", name


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("engine.messages", {"numpy", "torch", "bpy"}),
        ("engine.cli", {"numpy", "torch", "bpy"}),
        ("engine.motion", {"torch", "scipy", "bpy"}),
        ("engine.face.arkit", {"torch", "scipy", "bpy"}),
        ("engine.face.starter_head", {"torch", "scipy", "bpy"}),
    ],
)
def test_what_both_sides_import_is_light(module, absent):
    done = run("-c", f"import sys, {module}; print(*sys.modules)")
    assert done.returncode == 0, done.stderr
    assert not absent & set(done.stdout.split())
