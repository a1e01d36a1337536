"""Make the starter head again from nothing but the mean landmarks; needs SciPy, takes seconds.

python scripts/build_starter_head.py [--out engine/assets/starter_head/head.npz]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from engine.face.build.asset import build_head, save  # noqa: E402
from engine.face.starter_head import ASSET, load_starter_head  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ASSET)
    options = parser.parse_args()
    start = time.perf_counter()
    save(build_head(), options.out)
    head = load_starter_head(options.out)
    size = options.out.stat().st_size / 1e6
    print(
        f"{options.out}: {len(head.vertices)} vertices, {len(head.face_sizes)} faces, "
        f"{len(head.blendshape_names)} blendshapes, {size:.2f} MB, {time.perf_counter() - start:.1f} s"
    )


if __name__ == "__main__":
    main()
