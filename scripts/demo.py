"""From nothing to an animated face: `python3 scripts/demo.py [--audio FILE] [--emotion NAME] [--out DIR]`.

Makes `.venv` where it is missing (Python 3.11 needed, nothing else), then plays the part of a user in headless Blender
(demo_scene.py): head, sound strip, motion, curves, `.blend`, FBX, Alembic, contact sheet and film, all left in DIR.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import environment


def main() -> int:
    """Set up and run the scene; returns its exit status."""
    try:
        python = environment.prepare(environment.MAIN)
    except environment.SetupError as error:
        print(error, file=sys.stderr)
        return 1
    scene = Path(__file__).with_name("demo_scene.py")
    try:
        return subprocess.run([python, scene, *sys.argv[1:]], env=environment.child_environment()).returncode
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
