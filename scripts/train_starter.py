"""Make the starter model again from nothing: synthesise speech, train every stage, write engine/assets/starter.

Needs the Debian packages named in engine/starter/VOICES.md and the project's .venv. Stopped, it goes on where it was.

    .venv/bin/python scripts/train_starter.py --work DIR [--minutes 360] [--size full|quick|smoke] [--assets DIR]
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

from engine.starter.train import Plan, train  # noqa: E402

PLANS = {
    "full": Plan(),
    "quick": Plan(encoder_steps=1200, encoder_means=(), chunks=600, regressor_steps=600, vqvae_steps=800, denoiser_steps=600),
    # With --warm-start: the encoder and the VQ-VAE stay, new targets for the rest.
    "warm": Plan(encoder_steps=0, encoder_means=(), chunks=1000, regressor_steps=2000, denoiser_steps=1500),
    "smoke": Plan.smoke(),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for the corpus, checkpoints and features")
    parser.add_argument("--minutes", type=float, default=360, help="minutes of speech to synthesise")
    parser.add_argument("--size", choices=PLANS, default="full")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--assets", type=Path, default=ROOT / "engine" / "assets" / "starter")
    parser.add_argument("--corpus", type=Path, help="an existing corpus instead of WORK/corpus")
    parser.add_argument("--warm-start", type=Path, help="folder of a starter model that training begins from")
    arguments = parser.parse_args()
    corpus = arguments.corpus or arguments.work / "corpus"
    if not list(corpus.glob("shard_*.npz")):
        from engine.starter.synthesis import build_corpus

        build_corpus(corpus, arguments.minutes, arguments.seed, workers=2, progress=show)
    torch.set_flush_denormal(True)  # vanishing gradients would otherwise slow CPUs down several times
    plan = replace(PLANS[arguments.size], seed=arguments.seed)
    train(corpus, arguments.work, arguments.assets, plan, lambda line: print(line, flush=True), arguments.warm_start)
    return 0


def show(done: int, total: int, failures: object) -> None:
    print(f"speech {done}/{total}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
