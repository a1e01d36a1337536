"""Make the starter heads again from nothing but the mean landmarks; needs SciPy, takes seconds.

python scripts/build_starter_head.py [robin otto amara] [--out engine/assets/starter_head]
python scripts/build_starter_head.py --distances            only measure the heads there are, beside people
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from engine.face.build.asset import build_head, save  # noqa: E402
from engine.face.checks.proportions import proportions  # noqa: E402
from engine.face.starter_head import FOLDER, HEADS, head_path, load_starter_head  # noqa: E402


def print_distances(names: list[str], folder: Path) -> None:
    """A row per distance: each head, and the means of women and men."""
    rows = {name: proportions(load_starter_head(folder / head_path(name).name)) for name in names}
    print(f"{'mm':28}" + "".join(f"{name:>9}" for name in names) + "   adults' means")
    for what, (_, low, high) in rows[names[0]].items():
        print(f"{what:28}" + "".join(f"{rows[name][what][0]:9.1f}" for name in names) + f"   {low:g} to {high:g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("heads", nargs="*", default=list(HEADS), help="which of " + ", ".join(HEADS))
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder for the files")
    parser.add_argument("--distances", action="store_true", help="only print the distances of the heads there are")
    options = parser.parse_args()
    if unknown := set(options.heads) - set(HEADS):
        parser.error(f"no such head: {', '.join(sorted(unknown))}")
    if options.distances:
        print_distances(options.heads, options.out)
        return
    for name in options.heads:
        start = time.perf_counter()
        path = options.out / head_path(name).name
        save(build_head(name), path)
        head = load_starter_head(path)
        print(
            f"{path}: {len(head.vertices)} vertices, {len(head.face_sizes)} faces, {len(head.blendshape_names)} blendshapes, "
            f"{path.stat().st_size / 1e6:.2f} MB, {time.perf_counter() - start:.1f} s"
        )


if __name__ == "__main__":
    main()
