"""Train the models of the published systems on data that you have; see each system's data.py for its layout."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from .errors import InputError

LGLDM_STAGES = ("lgldm-vq", "lgldm-diffusion")
OCCLU_STAGES = ("flint", "occlufacediff")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    stages = "lgldm-vq, then lgldm-diffusion; or flint, then occlufacediff"
    parser.add_argument("stage", choices=[*LGLDM_STAGES, *OCCLU_STAGES], metavar="STAGE", help=stages)
    parser.add_argument("--dataset", choices=["mead", "vocaset", "biwi"], help="of lgldm")
    parser.add_argument("--data", required=True, type=Path, metavar="DIR")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="of the run; a run there is continued")
    parser.add_argument("--flame", type=Path, metavar="FILE", help="your FLAME file (3D MEAD, flint, occlufacediff)")
    parser.add_argument("--embedding", type=Path, metavar="FILE", help="mediapipe_landmark_embedding.npz (flint, occlufacediff)")
    parser.add_argument("--vqvae", type=Path, metavar="DIR", help="the trained stage 1 (for lgldm-diffusion)")
    parser.add_argument("--flint", type=Path, metavar="DIR_OR_FILE", help="the trained or published prior (for occlufacediff)")
    parser.add_argument("--audio-weights", type=Path, metavar="FILE", help="pretrained HuBERT or wav2vec2 to start from")
    parser.add_argument("--epochs", type=int, help="default: the reference's for the dataset")
    parser.add_argument("--batch", type=int, help="clips at once; default: the reference's, 1 for lgldm")
    parser.add_argument("--crop", type=int, metavar="FRAMES", help="lgldm: cut longer clips to this; others: a window's length")
    parser.add_argument("--accumulate", type=int, help="batches per step of the optimiser (occlufacediff: 4)")
    parser.add_argument("--lr", type=float, default=1e-4, help="default: %(default)s")
    parser.add_argument("--ema", type=float, default=0.0, help="decay of averaged weights, e.g. 0.999; default: none")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32", help="default: %(default)s")
    parser.add_argument("--seed", type=int, help="default: 0, occlufacediff's 10")
    parser.add_argument("--every", type=int, metavar="EPOCHS", help="between saves; default: 5 for lgldm, else 1")
    parser.add_argument("--config", type=Path, metavar="JSON", help='other sizes: {"vqvae": {"width": 64}, ...}')
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu; default: %(default)s")


def run(options: argparse.Namespace) -> int:
    """Train; exit status 0. Raises InputError."""
    counts = [options.batch, options.every, options.crop and options.crop // 2, options.epochs, options.accumulate]
    if any(n is not None and n < 1 for n in counts) or not 0 <= options.ema < 1 or options.lr <= 0:
        raise InputError("Batch, crop, epochs and every must be at least 1, the learning rate above 0, ema from 0 to below 1.")
    if not options.out.absolute().parent.is_dir():
        raise InputError(f"There is no folder '{options.out.parent}' to write '{options.out.name}' into.")
    overrides = _overrides(options.config)
    trainer = _lgldm(options, overrides) if options.stage in LGLDM_STAGES else _occlufacediff(options, overrides)
    if trainer.done:
        print(f"Continuing after epoch {trainer.done}.", file=sys.stderr)
    losses = trainer.run(_show)
    print(f"{options.out / 'model'}: " + ", ".join(f"{n} {v:.6g}" for n, v in losses.items()) + " on held-out clips")
    return 0


def _lgldm(options: argparse.Namespace, overrides: dict[str, Any]) -> Any:
    if options.dataset is None:
        raise InputError("Training lgldm needs a dataset: --dataset mead, vocaset or biwi.")
    if options.embedding or options.flint or options.accumulate:
        raise InputError("--embedding, --flint and --accumulate are not for lgldm.")
    from .devices import pick_device
    from .lgldm.train import Trainer, TrainOptions

    names = ("stage", "dataset", "data", "out", "flame", "vqvae", "audio_weights", "epochs", "crop", "lr", "ema", "precision")
    values = {n: getattr(options, n) for n in names}
    given = {n: getattr(options, n) for n in ("batch", "seed", "every") if getattr(options, n) is not None}
    return Trainer(TrainOptions(**values, **given, overrides=overrides), pick_device(options.device))


def _occlufacediff(options: argparse.Namespace, overrides: dict[str, Any]) -> Any:
    if options.dataset not in (None, "mead") or options.vqvae:
        raise InputError(f"--vqvae is not for {options.stage}, and its data are MEAD's.")
    from .devices import pick_device
    from .occlufacediff.train import OccluTrainer, OccluTrainOptions

    names = ("stage", "data", "out", "flame", "embedding", "audio_weights", "epochs", "batch", "crop", "accumulate", "lr", "ema",
             "precision")  # fmt: skip
    values = {n: getattr(options, n) for n in names}
    given = {n: getattr(options, n) for n in ("seed", "every") if getattr(options, n) is not None}
    chosen = OccluTrainOptions(**values, **given, prior=options.flint, overrides=overrides)
    trainer = OccluTrainer(chosen, pick_device(options.device), _show_step if sys.stderr.isatty() else None)
    if options.stage == "occlufacediff" and options.audio_weights is None and not trainer.done:
        print("Without --audio-weights the audio network starts from random numbers.", file=sys.stderr)
    return trainer


def _overrides(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict) or not all(isinstance(v, dict) for v in values.values()):
            raise ValueError("not an object of objects")
        return values
    except (OSError, ValueError) as error:
        raise InputError(f"'{path}' is not a configuration: {error}.") from error


def _show(epoch: int, epochs: int, losses: dict[str, float]) -> None:
    width = 30
    bar = "#" * (width * epoch // epochs)
    figures = "  ".join(f"{n} {v:.4g}" for n, v in losses.items() if n.endswith("/loss"))
    end = "" if sys.stderr.isatty() and epoch < epochs else "\n"
    print(f"\r[{bar:<{width}}] {epoch}/{epochs}  {figures}", end=end, file=sys.stderr, flush=True)


def _show_step(step: int, steps: int) -> None:
    print(f"\r  batch {step}/{steps} ", end="", file=sys.stderr, flush=True)
