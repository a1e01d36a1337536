"""Run pytest in a process that has Blender as a module, and end it at once: `python run_bpy_tests.py PYTEST_ARGUMENTS`.

An ordinary exit may hang or crash in Blender's own shut-down (a left-over class or timer is enough in 4.5), so the
process ends with `os._exit` as soon as pytest has said its last word.
"""

import os
import sys

import pytest

if __name__ == "__main__":
    status = int(pytest.main(sys.argv[1:]))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
