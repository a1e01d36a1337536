"""`python -m engine`."""

import os
import sys

# Blender needs the cores too: threads that wait for each other must sleep, not spin (measured twice as fast on a busy
# machine, no slower on an idle one). Read when PyTorch loads, so it is set before anything else.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from .cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
