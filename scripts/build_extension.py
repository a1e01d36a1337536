"""Build the Blender extension and validate it with Blender's own tool: `python build_extension.py --out DIR`.

Writes facediff_blender-VERSION.zip; with --repository also index.json and index.html, so that the folder can be served
as an extension repository. Runs in the environment that holds `bpy`, whose wheel carries Blender's tool.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ("blender_manifest.toml", "__init__.py", "LICENSE", "LICENSES.md", "README.md", "facediff_blender", "engine")
MOST = 30_000_000  # bytes of the zip, so that everyone can download it


class BuildError(Exception):
    """Nothing was built; the message is one sentence."""


def blenders_tool() -> Path:
    """Blender's stand-alone extension tool in the installed `bpy`. Raises BuildError when there is none."""
    spec = importlib.util.find_spec("bpy")
    if spec is not None and spec.origin is not None:
        for path in Path(spec.origin).parent.glob("*/scripts/addons_core/bl_pkg/cli/blender_ext.py"):
            return path
    raise BuildError(f"'{sys.executable}' has no bpy; run this with the .venv that scripts/test.py makes.")


def build(out: Path, repository: bool = False) -> Path:
    """Write and validate the zip in `out`, which is made when missing. Returns its path. Raises BuildError."""
    tool = blenders_tool()
    missing = [name for name in SHIPPED if not (ROOT / name).exists()]
    if missing:
        raise BuildError(f"The tree is incomplete: {', '.join(missing)} is missing.")
    manifest = tomllib.loads((ROOT / "blender_manifest.toml").read_text(encoding="utf-8"))
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{manifest['id']}-{manifest['version']}.zip"
    with tempfile.TemporaryDirectory(prefix="facediff-build-") as folder:
        stage = Path(folder) / "stage"
        stage.mkdir()
        for name in SHIPPED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, stage / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc", ".*"))
            else:
                shutil.copyfile(source, stage / name)
        built = Path(folder) / path.name
        _run(tool, "build", "--source-dir", str(stage), "--output-filepath", str(built))
        _run(tool, "validate", str(built))
        if built.stat().st_size > MOST:
            raise BuildError(f"The zip has {built.stat().st_size / 1e6:.1f} MB, more than {MOST / 1e6:.0f} MB.")
        shutil.move(built, path)
    if repository:
        _run(tool, "server-generate", "--repo-dir", str(out), "--html")
    return path


def _run(tool: Path, *arguments: str) -> None:
    done = subprocess.run([sys.executable, str(tool), *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise BuildError(f"Blender's tool refused to {arguments[0]}: {(done.stdout + done.stderr).strip()}")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the zip")
    parser.add_argument("--repository", action="store_true", help="also write the index of a self-hosted repository")
    arguments = parser.parse_args()
    try:
        path = build(arguments.out, arguments.repository)
    except (BuildError, OSError) as error:
        print(f"build_extension: {error}", file=sys.stderr)
        return 1
    print(f"{path} ({path.stat().st_size / 1e6:.1f} MB), validated by Blender's own tool")
    return 0


if __name__ == "__main__":
    sys.exit(main())
