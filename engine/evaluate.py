"""Measure a published system on a part of its dataset: LG-LDM's predictions, or OccluFaceDiff's model under occlusion."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from .errors import InputError

SYSTEMS = ("lgldm", "occlufacediff")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--system", choices=SYSTEMS, default="lgldm", help="default: %(default)s")
    parser.add_argument("--data", required=True, type=Path, metavar="DIR")
    parser.add_argument("--dataset", choices=["mead", "vocaset", "biwi"], help="of lgldm")
    parser.add_argument("--split", choices=["train", "val", "test"], default="test", help="default: %(default)s")
    parser.add_argument("--flame", type=Path, metavar="FILE", help="your FLAME file (3D MEAD, occlufacediff)")
    parser.add_argument("--flame-masks", type=Path, metavar="FILE", help="FLAME_masks.pkl, for every region not given")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    lgldm = parser.add_argument_group("lgldm")
    lgldm.add_argument("--predictions", type=Path, metavar="DIR", help="what python -m engine sample wrote")
    for region, metric in (("lip", "LVE"), ("face", "FVE"), ("emotion", "EME"), ("upper", "FDD")):
        lgldm.add_argument(f"--{region}", type=Path, metavar="FILE", help=f"vertex numbers for {metric}: .npy or text")
    occlu = parser.add_argument_group("occlufacediff")
    occlu.add_argument("--model", type=Path, metavar="DIR", help="a converted or trained model")
    occlu.add_argument("--embedding", type=Path, metavar="FILE", help="mediapipe_landmark_embedding.npz")
    occlu.add_argument("--occlusion", nargs="+", metavar="TYPE", help="default: non_occ mouth upper asym missing_frames random")
    occlu.add_argument("--steps", type=int, default=100, help="of the sampler; default: %(default)s")
    occlu.add_argument("--seed", type=int, default=0, help="of masks and noise; default: 0")
    occlu.add_argument("--limit", type=int, metavar="CLIPS", help="measure the first clips alone; default: all")
    occlu.add_argument("--device", default="auto", help="auto, cuda, mps or cpu; default: %(default)s")


def run(options: argparse.Namespace) -> int:
    """Print a table; exit status 0. Raises InputError."""
    return _occlufacediff(options) if options.system == "occlufacediff" else _lgldm(options)


def _occlufacediff(options: argparse.Namespace) -> int:
    missing = [f"--{n.replace('_', '-')}" for n in ("model", "flame_masks") if getattr(options, n) is None]
    if missing or options.split == "val":
        raise InputError(f"Measuring occlufacediff needs {' and '.join(missing)}." if missing else "MEAD has no part val; test is.")
    from .devices import pick_device
    from .occlufacediff.data import OccluData
    from .occlufacediff.evaluate import SHORTEST, TYPES, UNITS, USUAL, evaluate, load_regions
    from .occlufacediff.geometry import load_face
    from .occlufacediff.model import load_model
    from .occlufacediff.pipeline import check_steps

    types = options.occlusion or list(USUAL)
    unknown = [t for t in types if t not in TYPES]
    if unknown or (options.limit is not None and options.limit < 1):
        raise InputError(f"'{unknown[0]}' is none of {', '.join(TYPES)}." if unknown else "A limit must be at least 1 clip.")
    model = load_model(options.model, pick_device(options.device))
    check_steps(model, options.steps)
    data = OccluData(options.data, options.split, SHORTEST)
    layer, embedding = load_face(options.flame, options.embedding)
    regions = load_regions(options.flame_masks, len(layer.get_buffer("template")))
    figures = evaluate(
        model, data, (layer.to(model.device), embedding), regions, types,
        lambda done, total, name: print(f"{done}/{total} {name}", file=sys.stderr),
        seed=options.seed, steps=options.steps, limit=options.limit,
    )  # fmt: skip
    _print_columns(figures, UNITS)
    if options.json:
        made = {"model": model.name, "seed": options.seed, "steps": options.steps}
        _write(options.json, {**made, "units": UNITS, "figures": figures})
    return 0


def _print_columns(figures: Mapping[str, Mapping[str, float]], units: Mapping[str, str]) -> None:
    """A column per kind of occlusion, a line per figure."""
    widths = {kind: max(9, len(kind)) for kind in figures}
    print(f"{'':<34}" + "".join(f"  {kind:>{w}}" for kind, w in widths.items()))
    for name in ("clips", "visible share", *units):
        label = f"{name} [{units[name]}]" if name in units else name
        cells = [f"{f[name]:>{w}.4g}" if name in f else f"{'-':>{w}}" for f, w in zip(figures.values(), widths.values())]
        print(f"{label:<34}" + "".join(f"  {c}" for c in cells))


def _lgldm(options: argparse.Namespace) -> int:
    if options.dataset is None or options.predictions is None:
        raise InputError("Measuring lgldm needs --dataset and --predictions.")
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
        _write(options.json, {"units": {n: units[n] for n in names}, "figures": figures})
    return 0


def _write(path: Path, content: Mapping[str, object]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
