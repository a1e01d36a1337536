"""Prepare a licensed dataset that you have downloaded: VOCASET, or MEAD with EMOTE's reconstructions for OccluFaceDiff."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from .errors import InputError

MEAD_STEPS = ("audio", "videos", "landmarks", "reconstructions", "index")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("dataset", choices=["vocaset", "mead"])
    parser.add_argument("--data", required=True, type=Path, metavar="DIR", help="the folder with the published files")
    parser.add_argument(
        "--step", choices=MEAD_STEPS, action="append",
        help="of mead; may be given again; default: all but videos, which only clips without published landmarks need",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Prepare; exit status 0. Raises InputError."""
    if options.dataset == "mead":
        return _mead(options)
    if options.step:
        raise InputError("--step is for mead; VOCASET is prepared in one.")
    from .lgldm.data import prepare_vocaset

    print(f"{options.data}: {prepare_vocaset(options.data)} clips")
    return 0


def _mead(options: argparse.Namespace) -> int:
    from .occlufacediff.mead import WHERE_MEAD
    from .occlufacediff.preparation import STEPS

    if not options.data.is_dir():
        raise InputError(f"There is no folder '{options.data}' with MEAD; it comes {WHERE_MEAD}.")
    for step in options.step or [s for s in MEAD_STEPS if s != "videos"]:
        outcome = STEPS[step](options.data, partial(_show, step))
        _end()
        for sentence in outcome.bad:
            print(f"left out: {sentence}", file=sys.stderr)
        print(f"{step}: {outcome.made} files made, {outcome.kept} there already, {len(outcome.bad)} left out")
    return 0


def _show(step: str, done: int, total: int, name: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{step} {done}" + (f" of {total}" if total else ""), end="", file=sys.stderr, flush=True)


def _end() -> None:
    if sys.stderr.isatty():
        print(file=sys.stderr)
