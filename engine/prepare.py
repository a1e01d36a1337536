"""Prepare a licensed dataset that you have downloaded: VOCASET's four files become one file per clip."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("dataset", choices=["vocaset"])
    parser.add_argument("--data", required=True, type=Path, metavar="DIR", help="the folder with the four files")


def run(options: argparse.Namespace) -> int:
    """Prepare; exit status 0. Raises InputError."""
    from .lgldm.data import prepare_vocaset

    print(f"{options.data}: {prepare_vocaset(options.data)} clips")
    return 0
