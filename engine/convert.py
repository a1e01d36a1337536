"""Turn released checkpoints into a model folder that `animate --model DIR` and Blender can use."""

from __future__ import annotations

import argparse
from pathlib import Path

from .errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("system", choices=["lgldm"], help="the published system that the files are of")
    parser.add_argument("--dataset", required=True, choices=["mead", "vocaset", "biwi"])
    parser.add_argument("--stage1", required=True, type=Path, metavar="FILE", help="the vertex autoencoder: .mpt or .pth.tar")
    parser.add_argument("--stage2", required=True, type=Path, metavar="FILE", help="the diffusion model: .mpt")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="the model folder to write")
    parser.add_argument("--template", type=Path, metavar="FILE", help="the neutral face: .npy, templates.pkl, or a FLAME file")
    parser.add_argument("--flame", type=Path, metavar="FILE", help="your FLAME file (3D MEAD): adds expression and jaw")
    parser.add_argument("--subject", help="whose face of templates.pkl; default: the first by name")
    for part in ("stage1", "stage2", "audio"):
        parser.add_argument(f"--{part}-heads", type=int, metavar="N", help="attention heads, if not the released model's")


def run(options: argparse.Namespace) -> int:
    """Convert; exit status 0. Raises InputError, and then nothing is written."""
    import torch

    from .face.flame import FlameError, load_flame
    from .lgldm.checkpoints import Heads, convert
    from .lgldm.model import check_folder, flame_tensors, save_model
    from .lgldm.template import load_template

    check_folder(options.out)
    given = [options.stage1_heads, options.stage2_heads, options.audio_heads]
    if any(h is not None and h < 1 for h in given):
        raise InputError("A number of heads must be at least 1.")
    config, tensors = convert(options.dataset, options.stage1, options.stage2, Heads(*given))
    if options.flame is not None:
        if options.dataset != "mead":
            raise InputError(f"--flame is for 3D MEAD; {config.facts.label} has no FLAME parameters.")
        try:
            tensors |= flame_tensors(load_flame(options.flame))
        except FlameError as error:
            raise InputError(str(error)) from None
    neutral = options.template or options.flame
    if neutral is not None:
        template = load_template(neutral, options.subject)
        if len(template) != config.vqvae.motion_dim:
            raise InputError(
                f"The neutral face '{neutral.name}' has {len(template) // 3} vertices, the model "
                f"{config.vqvae.motion_dim // 3}."
            )
        tensors["template"] = torch.from_numpy(template)
    save_model(options.out, config, tensors)
    print(f"{options.out}: {config.facts.label}, {config.vqvae.motion_dim // 3} vertices, {config.facts.fps} frames per second")
    heads = (config.vqvae.heads, config.denoiser.heads, config.audio.heads)
    if None in given and heads != (config.facts.stage1_heads, config.facts.stage2_heads, config.facts.audio_heads):
        print(f"The files do not tell the numbers of attention heads; taken are {', '.join(map(str, heads))}.")
    if neutral is None:
        print("Without --template or --flame the model gives displacements from the neutral face instead of positions.")
    return 0
