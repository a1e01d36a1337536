"""The sync report: how well lips follow speech, for one clip or a folder of labelled recordings of people."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from .animate import AnimateOptions, animate
from .errors import InputError
from .motion import FaceMotion
from .sync import Closures, blinks_per_minute, closures, cue_figures, lip_gap, read_cues, read_phones

PHONE_SUFFIXES = (".phones.csv", ".ps_phones.csv")
CUE_SUFFIX = "-expected.json"
SOUNDS = (".wav", ".ogg", ".flac", ".mp3", ".m4a")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the report's options."""
    parser.add_argument("source", type=Path, help="a sound file, a motion file with landmarks, or a folder of recordings")
    parser.add_argument("--phones", type=Path, help="phones of the clip: CSV with start_s, end_s, phone")
    parser.add_argument("--cues", type=Path, help="Rhubarb mouth cues of the clip: JSON")
    parser.add_argument("--model", default="starter", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--fps", type=float)
    parser.add_argument("--mouth-variation", type=float, action="append", help="0..1; repeat to compare several")
    parser.add_argument("--json", type=Path, help="write the figures here too")


def run(options: argparse.Namespace) -> int:
    """Print the figures; exit status 0. Raises InputError."""
    variations = options.mouth_variation or ([None, 1.0] if options.source.is_dir() else [None])
    results = {}
    for variation in variations:
        label = {None: "as shipped", 1.0: "sampled mouth alone"}.get(variation, f"mouth variation {variation}")
        results[label] = report(options, variation)
        print_table(label, results[label])
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return 0


def report(options: argparse.Namespace, variation: float | None) -> dict[str, dict[str, float]]:
    """The figures by name of recording; "all phone-labelled files" pools the counts of closures."""
    pooled, table = Closures(), {}
    for sound, phones, cues in recordings(options):
        motion = motion_of(sound, options, variation)
        gap = lip_gap(motion)
        figures: dict[str, float] = {"blinks_per_minute": blinks_per_minute(motion)}
        if phones is not None:
            counts = closures(gap, motion.fps, read_phones(phones))
            pooled += counts
            figures |= counts.figures()
        if cues is not None:
            figures |= cue_figures(gap, motion.fps, read_cues(cues))
        table[sound.name] = figures
    if not table:
        raise InputError(f"There is no recording with labels in '{options.source}'.")
    if pooled.bilabials:
        table["all phone-labelled files"] = pooled.figures()
    return table


def recordings(options: argparse.Namespace) -> list[tuple[Path, Path | None, Path | None]]:
    """(sound or motion, phones or None, cues or None) of the clip, or of every labelled file under the folder."""
    if not options.source.is_dir():
        return [(options.source, options.phones, options.cues)]
    found = []
    for sound in sorted(p for p in options.source.rglob("*") if p.suffix in SOUNDS):
        stem = sound.with_suffix("")
        phones = next((q for s in PHONE_SUFFIXES if (q := Path(f"{stem}{s}")).is_file()), None)
        cues = Path(f"{stem}{CUE_SUFFIX}")
        if phones is not None or cues.is_file():
            found.append((sound, phones, cues if cues.is_file() else None))
    return found


def motion_of(source: Path, options: argparse.Namespace, variation: float | None) -> FaceMotion:
    """A motion file as it is, or the motion the model makes for a sound file, with landmarks."""
    if source.suffix == ".npz":
        return FaceMotion.load(source)
    chosen = AnimateOptions(
        seed=options.seed, steps=options.steps, fps=options.fps, mouth_variation=variation, landmarks=True
    )
    return animate(source, chosen, options.model)


def print_table(label: str, table: dict[str, dict[str, float]]) -> None:
    """One row per recording."""
    print(f"\n{label}", file=sys.stdout)
    for name, figures in table.items():
        row = "  ".join(f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {v}" for k, v in figures.items())
        print(f"  {name:<52} {row}")
