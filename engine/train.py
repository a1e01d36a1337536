"""Train the models of the published systems on data that you have; see each system's data.py for its layout."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from .errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("stage", choices=["lgldm-vq", "lgldm-diffusion"], help="first the autoencoder, then the diffusion model")
    parser.add_argument("--dataset", required=True, choices=["mead", "vocaset", "biwi"])
    parser.add_argument("--data", required=True, type=Path, metavar="DIR")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="of the run; a run there is continued")
    parser.add_argument("--flame", type=Path, metavar="FILE", help="your FLAME file (3D MEAD)")
    parser.add_argument("--vqvae", type=Path, metavar="DIR", help="the trained stage 1 (for lgldm-diffusion)")
    parser.add_argument("--audio-weights", type=Path, metavar="FILE", help="pretrained HuBERT or wav2vec2 to start from")
    parser.add_argument("--epochs", type=int, help="default: the reference's for the dataset")
    parser.add_argument("--batch", type=int, default=1, help="clips at once; default: %(default)s")
    parser.add_argument("--crop", type=int, metavar="FRAMES", help="cut longer clips to this; default: not")
    parser.add_argument("--lr", type=float, default=1e-4, help="default: %(default)s")
    parser.add_argument("--ema", type=float, default=0.0, help="decay of averaged weights, e.g. 0.999; default: none")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=5, metavar="EPOCHS", help="between saves; default: %(default)s")
    parser.add_argument("--config", type=Path, metavar="JSON", help='other sizes: {"vqvae": {"width": 64}, ...}')
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu; default: %(default)s")


def run(options: argparse.Namespace) -> int:
    """Train; exit status 0. Raises InputError."""
    from .devices import pick_device
    from .lgldm.train import Trainer, TrainOptions

    if min(options.batch, options.every, options.crop or 2, options.epochs or 1) < 1 or not 0 <= options.ema < 1 or options.lr <= 0:
        raise InputError("Batch, crop, epochs and every must be at least 1, the learning rate above 0, ema from 0 to below 1.")
    if not options.out.absolute().parent.is_dir():
        raise InputError(f"There is no folder '{options.out.parent}' to write '{options.out.name}' into.")
    values = {k: v for k, v in vars(options).items() if k not in ("config", "device")}
    trainer = Trainer(TrainOptions(**values, overrides=_overrides(options.config)), pick_device(options.device))
    if trainer.done:
        print(f"Continuing after epoch {trainer.done}.", file=sys.stderr)
    losses = trainer.run(_show)
    print(f"{options.out / 'model'}: " + ", ".join(f"{n} {v:.6g}" for n, v in losses.items()) + " on held-out clips")
    return 0


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
