"""The table of ARKit's 52 shapes as expression and jaw of your FLAME file; Blender and `convert-motion` read it."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from .errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `arkit-flame`."""
    parser.add_argument("flame", type=Path, help="your FLAME file, .pkl or .npz")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the table to write; default: NAME.arkit.npz beside it")


def run(options: argparse.Namespace) -> int:
    """Make the table; exit status 0. Raises InputError, and then nothing is written."""
    from .face.arkit_flame.file import SUFFIX, save_table
    from .face.arkit_flame.make import make_table

    out = options.out or options.flame.with_suffix(SUFFIX)
    if not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        raise InputError(f"There is no folder '{out.parent}' that '{out.name}' could be written into.")
    started = time.monotonic()
    table = make_table(options.flame, told=lambda stage: print(stage, file=sys.stderr, flush=True))
    save_table(table, out)
    worst = sorted(zip(table.residual_mm, table.channels), reverse=True)[:3]
    print(f"{out}: {len(table.channels)} shapes in {table.expressions} expressions and the jaw, {time.monotonic() - started:.0f} s")
    print(f"  off by {table.residual_mm.mean():.2f} mm on average; most: " + ", ".join(f"{n} {mm:.2f} mm" for mm, n in worst))
    return 0
