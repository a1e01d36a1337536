"""Measure predictions against a part of a dataset: LVE, FVE, EME, MVE, FDD and diversity, overall and by emotion."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from .sample import add_data_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_data_arguments(parser)
    parser.add_argument("--predictions", required=True, type=Path, metavar="DIR", help="what python -m engine sample wrote")
    for region, metric in (("lip", "LVE"), ("face", "FVE"), ("emotion", "EME"), ("upper", "FDD")):
        parser.add_argument(f"--{region}", type=Path, metavar="FILE", help=f"vertex numbers for {metric}: .npy or text")
    parser.add_argument("--flame-masks", type=Path, metavar="FILE", help="FLAME_masks.pkl, for every region not given")
    parser.add_argument("--json", type=Path, help="write the figures here too")


def run(options: argparse.Namespace) -> int:
    """Print a table; exit status 0. Raises InputError."""
    from .lgldm.data import MotionData
    from .lgldm.evaluate import evaluate_split, units_of
    from .lgldm.regions import REGIONS, flame_regions, load_region

    data = MotionData(options.dataset, options.data, options.split, options.flame)
    vertices = len(data.template()) // 3
    regions = flame_regions(options.flame_masks, vertices) if options.flame_masks else {}
    regions |= {r: load_region(getattr(options, r), vertices) for r in REGIONS if getattr(options, r)}
    figures = evaluate_split(data, options.predictions, regions)
    units = units_of(options.dataset)
    names = [n for n in units if n in figures["all"]]
    headings = {n: f"{n} [{units[n]}]" for n in names}
    print(f"{'':<12}{'clips':>6}" + "".join(f"  {h}" for h in headings.values()))
    for group, values in figures.items():
        columns = "".join(f"  {values[n]:>{len(h)}.4g}" if n in values else " " * (len(h) + 2) for n, h in headings.items())
        print(f"{group:<12}{values['clips']:>6.0f}{columns}")
    absent = [f"{metric} (--{region})" for region, metric in REGIONS.items() if region not in regions]
    if absent:
        print(f"Not measured for want of a region: {', '.join(absent)}.")
    if options.json:
        content = {"units": {n: units[n] for n in names}, "figures": figures}
        options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 0
