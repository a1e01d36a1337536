"""Turn released checkpoints into a model folder that the engine (`--model DIR`) and Blender can use."""

from __future__ import annotations

import argparse
from pathlib import Path

from .errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of each published system."""
    systems = parser.add_subparsers(dest="system", required=True, metavar="SYSTEM")
    lgldm = systems.add_parser("lgldm", help="speech to vertices: trained on 3D MEAD, VOCASET or BIWI")
    lgldm.add_argument("--dataset", required=True, choices=["mead", "vocaset", "biwi"])
    lgldm.add_argument("--stage1", required=True, type=Path, metavar="FILE", help="the vertex autoencoder: .mpt or .pth.tar")
    lgldm.add_argument("--stage2", required=True, type=Path, metavar="FILE", help="the diffusion model: .mpt")
    lgldm.add_argument("--out", required=True, type=Path, metavar="DIR", help="the model folder to write")
    lgldm.add_argument("--template", type=Path, metavar="FILE", help="the neutral face: .npy, templates.pkl, or a FLAME file")
    lgldm.add_argument("--flame", type=Path, metavar="FILE", help="your FLAME file (3D MEAD): adds expression and jaw")
    lgldm.add_argument("--subject", help="whose face of templates.pkl; default: the first by name")
    for part in ("stage1", "stage2", "audio"):
        lgldm.add_argument(f"--{part}-heads", type=int, metavar="N", help="attention heads, if not the released model's")
    occlu = systems.add_parser("occlufacediff", help="a partly hidden actor to FLAME's expression and jaw")
    occlu.add_argument("--denoiser", required=True, type=Path, metavar="FILE", help="the diffusion model: model_46.pt")
    occlu.add_argument("--flint", required=True, type=Path, metavar="FILE", help="the motion prior: FLINT's .ckpt")
    occlu.add_argument("--out", required=True, type=Path, metavar="DIR", help="the model folder to write")
    occlu.add_argument("--causal", action="store_true", help="the denoiser was trained with use_mask: True")
    for part in ("denoiser", "flint", "audio"):
        occlu.add_argument(f"--{part}-heads", type=int, metavar="N", help="attention heads, if not the released model's")


def run(options: argparse.Namespace) -> int:
    """Convert; exit status 0. Raises InputError, and then nothing is written."""
    return _occlufacediff(options) if options.system == "occlufacediff" else _lgldm(options)


def _occlufacediff(options: argparse.Namespace) -> int:
    from .model_folder import check_folder
    from .occlufacediff.checkpoints import RELEASED_HEADS, Heads, convert
    from .occlufacediff.model import KIND, save_model

    check_folder(options.out, KIND)
    heads = Heads(options.flint_heads, options.denoiser_heads, options.audio_heads)
    _check_heads(heads.flint, heads.denoiser, heads.audio)
    config, tensors = convert(options.denoiser, options.flint, heads, causal=options.causal)
    save_model(options.out, config, tensors)
    print(f"{options.out}: OccluFaceDiff, {len(tensors)} tensors, {config.denoiser.latent_channels} latent channels")
    found = {"FLINT": config.flint.heads, "denoiser": config.denoiser.heads, "audio network": config.audio.heads}
    if heads == Heads() and tuple(found.values()) != RELEASED_HEADS:
        told = ", ".join(f"{n} {h}" for n, h in found.items())
        print(f"The files do not tell the numbers of attention heads; taken are: {told}.")
    return 0


def _check_heads(*given: int | None) -> None:
    if any(h is not None and h < 1 for h in given):
        raise InputError("A number of heads must be at least 1.")


def _lgldm(options: argparse.Namespace) -> int:
    import torch

    from .face.flame import FlameError, load_flame
    from .lgldm.checkpoints import Heads, convert
    from .lgldm.model import KIND, flame_tensors, save_model
    from .lgldm.template import load_template
    from .model_folder import check_folder

    check_folder(options.out, KIND)
    given = [options.stage1_heads, options.stage2_heads, options.audio_heads]
    _check_heads(*given)
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
        told = ", ".join(f"{n} {h}" for n, h in zip(("stage 1", "stage 2", "audio network"), heads))
        print(f"The files do not tell the numbers of attention heads; taken are: {told}.")
    if neutral is None:
        given_by = "--flame" if options.dataset == "mead" else "--template"
        print(f"Without {given_by} the model gives displacements from the neutral face instead of positions.")
    return 0
