"""Motion in ARKit's weights to FLAME's expression and jaw, or back, by the user's FLAME file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from .errors import InputError
from .motion import FaceMotion, MotionError

if TYPE_CHECKING:
    from .face.arkit_flame.fit import Table

KINDS = ("arkit", "flame")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `convert-motion`."""
    parser.add_argument("motion", type=Path, help="a motion file, .npz")
    parser.add_argument("--to", required=True, choices=KINDS, help="whose words the new file speaks")
    by = parser.add_mutually_exclusive_group(required=True)
    by.add_argument("--flame", type=Path, metavar="FILE", help="your FLAME file; its table is made first, or read beside it")
    by.add_argument("--table", type=Path, metavar="FILE", help="the table that `arkit-flame` made of it")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="the motion file to write")
    parser.add_argument("--expressions", type=int, metavar="N", help="coefficients to write; default: the table's (100)")
    parser.add_argument(
        "--steadiness", type=float, default=0.0, metavar="MM", help="to arkit: mm given up for steadier weights; default: 0"
    )


def run(options: argparse.Namespace) -> int:
    """Convert; exit status 0. Raises InputError, and then nothing is written."""
    if not options.out.parent.is_dir():
        raise InputError(f"There is no folder '{options.out.parent}' to write '{options.out.name}' into.")
    if options.expressions is not None and not 1 <= options.expressions <= 100:
        raise InputError("The number of expressions must lie between 1 and 100.")
    if not 0 <= options.steadiness <= 10:
        raise InputError("The steadiness must lie between 0 and 10 mm.")
    motion = _loaded(options.motion)
    why_not(motion, options.to, options.motion.name)
    table = _table(options)
    if options.to == "flame":
        made = in_flame(motion, table, options.expressions)
    else:
        made = in_arkit(motion, table, options.steadiness / 1000)
    made.save(options.out)
    print(f"{options.out}: {made.frames} frames, {'expression and jaw' if options.to == 'flame' else 'ARKit weights'}")
    return 0


def why_not(motion: FaceMotion, kind: str, name: str) -> None:
    """Raise InputError where a motion has nothing that could be said in the other words."""
    from .face.arkit import ARKIT_52

    if kind == "flame" and not set(motion.channels) & set(ARKIT_52):
        raise InputError(f"'{name}' has none of ARKit's channels to convert.")
    if kind == "arkit" and motion.expression is None:
        raise InputError(f"'{name}' has no FLAME expression to convert.")


def in_flame(motion: FaceMotion, table: Table, expressions: int | None = None) -> FaceMotion:
    """The motion of ARKit's channels as expression and jaw; head and eyes turn as they did."""
    from .face.arkit_flame.solve import motion_to_flame

    if expressions is not None:
        table = table.with_expressions(expressions)
    origin = f"from ARKit's weights by the table of '{table.source}'"
    return motion_to_flame(table, motion, {**motion.meta, "converted": origin})


def in_arkit(motion: FaceMotion, table: Table, steadiness: float = 0.0) -> FaceMotion:
    """The motion of expression and jaw as ARKit's weights; steadiness in m, as `to_arkit` takes it."""
    from .face.arkit_flame.solve import to_arkit

    jaw = np.zeros((motion.frames, 3)) if motion.jaw_pose is None else motion.jaw_pose
    return FaceMotion(
        fps=motion.fps,
        channels=table.channels,
        weights=to_arkit(table, cast(np.ndarray, motion.expression), jaw, steadiness),
        rotation_names=motion.rotation_names,
        rotations=motion.rotations,
        meta={**motion.meta, "converted": f"from FLAME's expression and jaw by the table of '{table.source}'"},
    )


def _loaded(path: Path) -> FaceMotion:
    try:
        return FaceMotion.load(path)
    except FileNotFoundError:
        raise InputError(f"There is no motion file '{path}'.") from None
    except MotionError as error:
        raise InputError(str(error)) from None


def _table(options: argparse.Namespace) -> Table:
    from .face.arkit_flame.file import SUFFIX, load_table
    from .face.arkit_flame.fit import basis_sizes, same_basis
    from .face.arkit_flame.make import flame_model, make_table

    if options.table is not None:
        return load_table(options.table)
    beside = options.flame.with_suffix(SUFFIX)
    if options.flame.is_file() and beside.is_file():
        table = load_table(beside)
        if same_basis(table, basis_sizes(flame_model(options.flame).expression_basis)):
            return table
    return make_table(options.flame, told=lambda stage: print(stage, file=sys.stderr))
