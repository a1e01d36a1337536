"""The sync report: how well lips follow speech, for one clip or a folder of labelled recordings of people.

The figures are defined where they are computed: closures and Rhubarb's cues in `sync`, everything else in
`sync_measures`, each with its source.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .animate import AnimateOptions, animate, load_model
from .audio import SAMPLE_RATE, load_audio
from .devices import starter_device
from .errors import InputError
from .motion import FaceMotion
from .report_figure import draw_report
from .sync import Closures, Phones, blinks_per_minute, closures, cue_figures, lip_gap, read_cues, read_phones
from .sync_measures import DETECTED, Articulation, articulation, envelope_figures, jitter, stillness

PHONE_SUFFIXES = (".phones.csv", ".ps_phones.csv")
CUE_SUFFIX = "-expected.json"
SOUNDS = (".wav", ".ogg", ".flac", ".mp3", ".m4a")
LIMITS = (0.05, 0.10, 0.15)  # gaps under which lips count as closed; the last is `sync.CLOSED`
# What a row of a table of many clips shows.
SHORT = ("recall", "precision", "labiodental_rate", "offset_ms", "r", "a_recall", "gap_in_rest", "blinks_per_minute")
ALL = "all phone-labelled files"
Figures = dict[str, float]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the report's options."""
    parser.add_argument(
        "source", type=Path, help="a sound file, a motion file with landmarks, or a folder of recordings"
    )
    parser.add_argument("--phones", type=Path, help="phones of the clip: CSV with start_s, end_s, phone")
    parser.add_argument("--cues", type=Path, help="Rhubarb mouth cues of the clip: JSON")
    parser.add_argument("--sound", type=Path, help="the sound that a motion file goes with")
    parser.add_argument("--model", default="starter", help="default: %(default)s")
    parser.add_argument(
        "--emotion", default="neutral", help="one of the eight, at full intensity; default: %(default)s"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--fps", type=float)
    parser.add_argument("--mouth-variation", type=float, action="append", help="0..1; repeat to compare several")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--figure", type=Path, help="draw the first clip's gap over its sound and phones: an SVG file")


def run(options: argparse.Namespace) -> int:
    """Print the figures; exit status 0. Raises InputError."""
    variations = options.mouth_variation or ([None, 1.0] if options.source.is_dir() else [None])
    results = {}
    for variation in variations:
        label = {None: "as shipped", 1.0: "sampled mouth alone"}.get(variation, f"mouth variation {variation}")
        results[label] = report(options, variation)
        print_table(label, results[label])
    if options.json:
        finite = {a: {b: {k: known(v) for k, v in f.items()} for b, f in t.items()} for a, t in results.items()}
        options.json.write_text(json.dumps(finite, indent=1) + "\n", encoding="utf-8")
    return 0


def known(value: float) -> float | None:
    """JSON has no "not a number": what a clip cannot tell is null."""
    return None if math.isnan(value) else value


@dataclass
class Pool:
    """Counts of all clips with phone labels, and figures of the clips that are averaged by their length."""

    counts: dict[float, Closures] = field(default_factory=lambda: dict.fromkeys(LIMITS, Closures()))
    mouth: Articulation = field(default_factory=Articulation)

    def add(self, other: Pool) -> None:
        """Take in a clip."""
        self.counts = {limit: self.counts[limit] + other.counts[limit] for limit in LIMITS}
        self.mouth = self.mouth + other.mouth

    def figures(self) -> Figures:
        """Figures by name; recall and precision also at the tighter limits."""
        out = self.counts[LIMITS[-1]].figures()
        for limit in LIMITS[:-1]:
            tight = self.counts[limit].figures()
            out |= {f"recall_at_{limit:.2f}": tight["recall"], f"precision_at_{limit:.2f}": tight["precision"]}
        return out | self.mouth.figures()


def report(options: argparse.Namespace, variation: float | None) -> dict[str, Figures]:
    """The figures by name of recording; ALL pools the clips with phone labels of their own."""
    pooled, table = Pool(), {}
    drawn = options.figure is None
    for source, phone_file, cue_file in recordings(options):
        motion = motion_of(source, options, variation)
        samples = sound_of(source, options)
        gap = lip_gap(motion)
        phones, own = phones_of(source, phone_file, samples, options)
        figures: Figures = {}
        if phones is not None:
            clip = clip_pool(motion, gap, phones)
            if own:
                pooled.add(clip)
            else:
                print(
                    f"{source.name}: no phone labels; measured against the phones that the model's own phone head hears."
                )
            figures |= clip.figures() | {"stillness": stillness(gap, motion.fps, phones)}
        if cue_file is not None:
            figures |= cue_figures(gap, motion.fps, read_cues(cue_file))
        if len(samples):
            figures |= envelope_figures(gap, motion.fps, samples, SAMPLE_RATE)
        figures |= {"blinks_per_minute": blinks_per_minute(motion), "jitter_mm": jitter(motion)}
        table[source.name] = figures
        if not drawn and phones is not None:
            draw_report(options.figure, source.name, gap, motion.fps, samples, SAMPLE_RATE, phones)
            drawn = True
    if not table:
        raise InputError(f"There is no recording with labels in '{options.source}'.")
    if not drawn:
        raise InputError("The figure needs phones: give --phones, or --sound so that the model can hear them.")
    if len(table) > 1 and pooled.counts[LIMITS[-1]].bilabials:
        table[ALL] = pooled.figures()
    return table


def clip_pool(motion: FaceMotion, gap: np.ndarray, phones: Phones) -> Pool:
    """The counts of one clip."""
    counts = {limit: closures(gap, motion.fps, phones, limit) for limit in LIMITS}
    return Pool(counts, articulation(motion, gap, phones))


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
        emotion={options.emotion: 1.0},
        seed=options.seed,
        steps=options.steps,
        fps=options.fps,
        mouth_variation=variation,
        landmarks=True,
    )
    return animate(source, chosen, options.model)


def sound_of(source: Path, options: argparse.Namespace) -> np.ndarray:
    """(S,) float32 at 16 kHz of the clip; empty for a motion file whose sound was not given."""
    path = options.sound if source.suffix == ".npz" else source
    return np.zeros(0, np.float32) if path is None else load_audio(path)


def phones_of(
    source: Path, labels: Path | None, samples: np.ndarray, options: argparse.Namespace
) -> tuple[Phones | None, bool]:
    """The phones of a clip and whether they are labels (True) or the model's own opinion; None without either.

    In a folder a clip without phone labels is measured by its cues alone.
    """
    if labels is not None:
        return read_phones(labels), True
    if options.source.is_dir() or not len(samples):
        return None, False
    from .starter.hearing import hear_phones
    from .starter.pipeline import Starter

    model = load_model(options.model, starter_device("auto"))
    if not isinstance(model, Starter):
        raise InputError(f"The model '{options.model}' has no phone head; give the clip's phones with --phones.")
    return hear_phones(model, samples), False


def print_table(label: str, table: dict[str, Figures]) -> None:
    """A row per figure for one clip, else a row per recording and the pooled figures in full."""
    print(f"\n{label}")
    last = list(table)[-1]
    for name, figures in table.items():
        if name != last:
            print(f"  {name:<46} " + "  ".join(f"{k} {v:.3g}" for k, v in figures.items() if k in SHORT))
    print(f"  {last}")
    for name, value in table[last].items():
        limits = (
            f"   (detected by viewers outside {1000 * DETECTED[0]:.0f}..{1000 * DETECTED[1]:+.0f} ms, ITU-R BT.1359)"
        )
        print(f"    {name:<24} {value:8.3f}{limits if name == 'offset_ms' else ''}")
