"""Sample predictions for a whole part of a dataset into a folder, for python -m engine evaluate."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .errors import InputError


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that sampling and measuring share."""
    parser.add_argument("--dataset", required=True, choices=["mead", "vocaset", "biwi"])
    parser.add_argument("--data", required=True, type=Path, metavar="DIR")
    parser.add_argument("--split", choices=["train", "val", "test"], default="test", help="default: %(default)s")
    parser.add_argument("--flame", type=Path, metavar="FILE", help="your FLAME file (3D MEAD)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_data_arguments(parser)
    parser.add_argument("--model", required=True, type=Path, metavar="DIR")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="a folder for the predictions")
    parser.add_argument("--sampler", choices=["ddpm", "ddim", "ddim-reference", "dpm++"], help="default: ddim")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="several measure diversity; default: 0")
    parser.add_argument("--all-speakers", action="store_true", help="also under every speaker's condition")
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu; default: %(default)s")


def run(options: argparse.Namespace) -> int:
    """Sample; exit status 0. Raises InputError."""
    from .devices import pick_device
    from .lgldm.data import MotionData
    from .lgldm.datasets import DATASETS
    from .lgldm.evaluate import sample_split
    from .lgldm.model import load_model

    if not options.out.absolute().parent.is_dir():
        raise InputError(f"There is no folder '{options.out.parent}' to write '{options.out.name}' into.")
    model = load_model(options.model, pick_device(options.device))
    if model.config.dataset != options.dataset:
        raise InputError(f"The model '{options.model}' is of {model.config.facts.label}, not of {DATASETS[options.dataset].label}.")
    data = MotionData(options.dataset, options.data, options.split, options.flame)
    count = sample_split(
        model,
        data,
        options.out,
        lambda done, total, name: print(f"{done}/{total} {name}", file=sys.stderr),
        sampler=options.sampler,
        steps=options.steps,
        seeds=options.seeds,
        all_speakers=options.all_speakers,
    )
    print(f"{options.out}: {count} predictions")
    return 0
