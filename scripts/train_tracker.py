"""Make the starter tracker again: motion prior and denoiser on the starter's own performances, seen and heard.

Needs a corpus (see scripts/train_starter.py), the starter in engine/assets/starter, whose ears are copied, and the .venv.
Stopped, it goes on where it was.

    .venv/bin/python scripts/train_tracker.py --work DIR --corpus DIR [--size full|smoke] [--assets DIR]
    .venv/bin/python scripts/train_tracker.py --points      only FaceMesh's points on the starter head, seconds
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

PLANS = ("full", "smoke")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="folder for features and checkpoints")
    parser.add_argument("--corpus", type=Path, help="folder of the synthesised speech")
    parser.add_argument("--size", choices=PLANS, default="full")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ears", type=Path, default=ROOT / "engine" / "assets" / "starter")
    parser.add_argument("--assets", type=Path, default=ROOT / "engine" / "assets" / "tracker")
    parser.add_argument("--points", action="store_true")
    arguments = parser.parse_args()
    if arguments.points:
        from engine.occlufacediff.starter.embedding import write_points
        from engine.occlufacediff.starter.points import ASSET

        write_points(ASSET)
        return 0
    if arguments.work is None or arguments.corpus is None:
        parser.error("--work and --corpus are needed")
    import torch

    from engine.occlufacediff.starter.train import Plan, train

    torch.set_flush_denormal(True)  # vanishing gradients would otherwise slow CPUs down several times
    plan = replace(Plan() if arguments.size == "full" else Plan.smoke(), seed=arguments.seed)
    train(arguments.corpus, arguments.work, arguments.assets, arguments.ears, plan, log=lambda line: print(line, flush=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
