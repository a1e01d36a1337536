"""`python -m engine ...`: a thin skin, one function per subcommand.

Exit status 0 and the file complete; otherwise one clear sentence on stderr, a status that is not 0, and no file.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from . import __version__
from .errors import InputError
from .failures import describe_failure

if TYPE_CHECKING:
    from .animate import AnimateOptions

PROGRAM = "python -m engine"
# Subcommands that are a module of their own with add_arguments(parser) and run(options) -> status, imported when asked
# for, so that no command waits for another's imports.
MODULE_COMMANDS = {
    "batch": (".batch", "make motion files, ARKit CSV and JSON of a folder of sounds"),
    "report": (".report", "measure lip-sync against recordings of real people"),
    "track": (".track", "make a motion file from a video of an actor"),
    "give-shapes": (".face.transfer.jobs", "give a mesh of a head ARKit's 52 shapes"),
    "landmarks": (".face.embedding.file", "find the landmarks of any mesh that looks like a face"),
    "arkit-flame": (".arkit_flame_command", "find ARKit's 52 shapes on your FLAME file"),
    "convert-motion": (".convert_motion", "turn ARKit's weights into FLAME's expression and jaw, or back"),
    "convert": (".convert", "turn released checkpoints into a model folder"),
    "prepare": (".prepare", "prepare a downloaded dataset for training"),
    "train": (".train", "train a published system on your data"),
    "sample": (".sample", "sample a whole test set"),
    "evaluate": (".evaluate", "measure what was sampled"),
}
LONGEST = 4 * 3600  # s of sound that the engine takes
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


class _Parser(argparse.ArgumentParser):
    """An ArgumentParser whose complaint is one sentence instead of a page of usage."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message.rstrip('.')}. See {self.prog} --help.", file=sys.stderr)
        raise SystemExit(EXIT_USAGE)


def main(arguments: list[str] | None = None) -> int:
    """Run one subcommand and return the exit status."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # a library's advice to programmers is not the one sentence we promise
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        arguments = sys.argv[1:] if arguments is None else arguments
        if arguments and arguments[0] in MODULE_COMMANDS:
            return _run_module_command(arguments[0], arguments[1:])
        options = _parser().parse_args(arguments)
        return options.run(options)
    except KeyboardInterrupt:
        print("Interrupted; nothing was written.", file=sys.stderr)
        return EXIT_INTERRUPTED
    except Exception as error:  # the last resort for a person at a terminal
        print(describe_failure(None, error).message, file=sys.stderr)
        return EXIT_FAILED


def parse_emotion(text: str) -> dict[str, float]:
    """"happy" or "happy:0.6,surprised:0.4" as weights by name. Raises InputError."""
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, colon, number = part.strip().partition(":")
        try:
            weight = float(number) if colon else 1.0
        except ValueError:
            weight = -1.0
        if not name or name in weights or not 0 <= weight <= 1:
            raise InputError(f"The emotion '{text}' is not like 'happy' or 'happy:0.6,surprised:0.4'.")
        weights[name] = weight
    return weights


def parse_spans(text: str) -> list[tuple[str, float, float, float]]:
    """"happy@0..2,sad:0.5@2..4" as (name, weight, start, end), in seconds. Raises InputError."""
    spans = []
    for part in text.split(","):
        feeling, _, span = part.partition("@")
        start, dots, end = span.partition("..")
        try:
            times = float(start), float(end)
        except ValueError:
            times = 0.0, 0.0
        if not dots or not 0 <= times[0] < times[1] <= LONGEST:
            raise InputError(f"The emotion '{part.strip()}' has no time like 'happy@0..2', from second 0 to second 2.")
        (name, weight), *_ = parse_emotion(feeling).items()
        spans.append((name, weight, *times))
    return spans


def _emotions(options: argparse.Namespace) -> dict[str, Any]:
    """What --emotion and --emotion-curve mean as options of `animate`. Raises InputError."""
    if options.emotion_curve is None and "@" not in options.emotion:
        return {"emotion": parse_emotion(options.emotion) if options.emotion else {}, "intensity": options.intensity}
    if options.intensity != 1 or (options.emotion and options.emotion_curve is not None):
        raise InputError("An emotion over time holds its own strength: give it alone, without --intensity.")
    from .emotion_curve import checked, from_spans, load_curve

    if options.emotion_curve is not None:
        return {"emotion_curve": load_curve(options.emotion_curve)}
    return {"emotion_curve": checked(from_spans(parse_spans(options.emotion)), options.emotion)}


def add_animate_options(parser: argparse.ArgumentParser) -> None:
    """Declare what `animate` and `batch` have in common."""
    parser.add_argument("--model", default="starter", metavar="NAME_OR_DIR", help="default: %(default)s")
    parser.add_argument("--emotion", default="", help="happy, or happy:0.6,sad:0.4, or in seconds happy@0..2,sad@2..4")
    parser.add_argument("--emotion-curve", metavar="FILE", help="a motion file with emotions over time as its channels")
    parser.add_argument("--intensity", type=float, default=1.0, help="of the emotion, 0..1; default: 1")
    parser.add_argument("--seed", type=int, default=0, help="another number is another take; default: 0")
    parser.add_argument("--steps", type=int, help="sampler steps; default: the model's own")
    parser.add_argument("--fps", type=float, help="frames per second; default: the model's own")
    parser.add_argument("--mouth-variation", type=float, help="0..1, how much takes differ at the mouth")
    parser.add_argument("--device", default="auto", help="auto, cuda, mps, cpu or numpy; default: %(default)s")
    parser.add_argument("--landmarks", action="store_true", help="write the 68 iBUG points too")
    parser.add_argument("--vertices", action="store_true", help="write every vertex of the head too")


def animate_options(options: argparse.Namespace) -> AnimateOptions:
    """What was chosen of `add_animate_options`, checked. Imports the engine. Raises InputError."""
    emotions = _emotions(options)
    from .animate import AnimateOptions, check_options

    chosen = AnimateOptions(
        **emotions,
        seed=options.seed,
        steps=options.steps,
        fps=options.fps,
        mouth_variation=options.mouth_variation,
        device=options.device,
        landmarks=options.landmarks,
        vertices=options.vertices,
    )
    check_options(chosen)
    return chosen


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog=PROGRAM, description="FaceDiff: facial animation from sound.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)

    animate = commands.add_parser("animate", help="make a motion file from a sound file")
    animate.add_argument("audio", help="wav, flac, ogg, mp3, m4a, or a video with sound")
    animate.add_argument("--out", required=True, help="the motion file to write, .npz")
    add_animate_options(animate)
    animate.add_argument("--base", metavar="FILE", help="a motion file of which only a part is made anew")
    animate.add_argument("--start", type=float, metavar="S", help="second at which that part begins; default: the beginning")
    animate.add_argument("--end", type=float, metavar="S", help="second before which it ends; default: the end")
    animate.add_argument("--channels", help="its channels, such as jawOpen,head, or mouth, eyes, brows; default: all")
    animate.add_argument("--progress", action="store_true", help="show progress even when stderr is no terminal")
    animate.set_defaults(run=_animate)

    serve = commands.add_parser("serve", help="take requests as JSON lines on stdin; Blender runs this")
    serve.add_argument("--log", type=Path, help="append the log to this file instead of stderr")
    serve.add_argument("--scratch", type=Path, help="a private folder to remove when stdin ends")
    serve.add_argument("--built-in", action="store_true", help="the starter model alone, without PyTorch")
    serve.set_defaults(run=_serve)

    devices = commands.add_parser("devices", help="list the processors the models can run on")
    devices.set_defaults(run=_devices)

    for name, (_, summary) in MODULE_COMMANDS.items():
        commands.add_parser(name, help=summary)
    return parser


def _run_module_command(name: str, arguments: list[str]) -> int:
    module = importlib.import_module(MODULE_COMMANDS[name][0], __package__)
    parser = _Parser(prog=f"{PROGRAM} {name}", description=module.__doc__)
    module.add_arguments(parser)
    return module.run(parser.parse_args(arguments))


def _animate(options: argparse.Namespace) -> int:
    out = Path(options.out)
    _check_out(out)
    chosen = animate_options(options)
    show = _Progress() if options.progress or sys.stderr.isatty() else None
    from .animate import animate
    from .parts import load_base

    wanted = replace(
        chosen,
        base=load_base(options.base) if options.base is not None else None,
        start=options.start,
        end=options.end,
        channels=[n.strip() for n in options.channels.split(",")] if options.channels is not None else None,
    )
    try:
        motion = animate(options.audio, wanted, model=options.model, progress=show)
    finally:
        if show:
            show.close()
    motion.save(out)
    print(f"{out}: {motion.frames} frames at {motion.fps:g} per second")
    return 0


def _check_out(out: Path) -> None:
    """Say before the work, not after it, that the result cannot be written. Raises InputError."""
    folder = out.parent
    if not folder.is_dir():
        raise InputError(f"There is no folder '{folder}' to write '{out.name}' into.")
    if out.is_dir():
        raise InputError(f"'{out}' is a folder, not a file to write.")
    if not os.access(folder, os.W_OK):
        raise InputError(f"The folder '{folder}' does not allow writing.")


def _serve(options: argparse.Namespace) -> int:
    if options.built_in:
        # Read when NumPy loads. One thread is fast enough (10 s of speech in 0.2 s), and threads that wait for each
        # other by spinning made it ten times slower on a machine whose cores Blender keeps busy.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from .server import serve

    return serve(options.log, options.scratch, options.built_in)


def _devices(options: argparse.Namespace) -> int:
    from .devices import list_devices

    for device in list_devices():
        print(f"{device.id:5} {'yes' if device.usable else 'no ':3} {device.label} - {device.reason}")
    return 0


class _Progress:
    """Progress on stderr: one line rewritten on a terminal, a line per stage and tenth elsewhere."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._last = ""
        self._started = time.monotonic()

    def __call__(self, stage: str, step: int, total: int) -> None:
        tenths = int(10 * step / max(1, total))
        text = f"{time.monotonic() - self._started:6.1f} s  {stage} {10 * tenths} %"
        if text[9:] == self._last:
            return
        self._last = text[9:]
        if self._terminal:
            print(f"\r{text:<60}", end="", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """End the line."""
        if self._terminal and self._last:
            print(file=sys.stderr)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
