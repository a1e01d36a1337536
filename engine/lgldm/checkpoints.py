"""Released checkpoints of LG-LDM to model folders: read without running code, checked to the last tensor.

Sizes come from the tensors' shapes. Every tensor of the file is accounted for: taken, or dropped for a reason that
`reference_names` gives, or the file is refused with the full list of what does not fit.
"""

from __future__ import annotations

import math
import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from ..failures import out_of_memory
from ..model_folder import MOST_LAYERS
from .audio_encoders import AudioEncoder, AudioEncoderConfig, infer_config, new_names
from .datasets import DATASETS, Dataset
from .denoiser import DenoiserConfig
from .model import ModelConfig
from .reference_names import Layout, schedule_layout, stage1_layout, stage2_layout
from .vqvae import VQVAEConfig

AUDIO_PREFIX = "audio_encoder."
DENOISER_PREFIX = "denoise_fn."
LONGEST = 10_000_000  # an axis of a tensor
STATE_KEYS = ("model", "state_dict")  # MEAD's trainers write the first, CodeTalker's the second


@dataclass(frozen=True)
class Heads:
    """Attention heads, which no tensor's shape tells. None: the released model's number, or, where that does not divide
    the width (models of other sizes), the largest number that divides both."""

    stage1: int | None = None
    stage2: int | None = None
    audio: int | None = None

def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.mpt` or `.pth.tar` file by name. Nothing in the file is run. Raises InputError."""
    name = path.name
    if not path.is_file():
        raise InputError(f"There is no checkpoint '{path}'.")
    try:
        # Mapped, the optimiser's state, twice the model's size, is never read.
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        if "Unsupported" in str(error) or "GLOBAL" in str(error):
            raise InputError(f"The checkpoint '{name}' holds code or objects besides tensors; it was not loaded.") from None
        raise InputError(f"The checkpoint '{name}' is damaged or cut off.") from error
    except Exception as error:  # PyTorch's reader raises almost anything over a damaged file
        if out_of_memory(error):
            raise
        raise InputError(f"The checkpoint '{name}' is damaged, cut off, or not a PyTorch file.") from error
    state = content
    if isinstance(content, Mapping):
        state = next((content[k] for k in STATE_KEYS if isinstance(content.get(k), Mapping)), content)
    if not isinstance(state, Mapping) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise InputError(f"The checkpoint '{name}' has no 'model' or 'state_dict' with tensors in it.")
    if all(str(k).startswith("module.") for k in state):
        state = {str(k).removeprefix("module."): v for k, v in state.items()}
    state = {str(k): v for k, v in state.items()}
    for tensor, value in state.items():
        if reason := _why_strange(tensor, value):
            raise InputError(f"The checkpoint '{name}' is damaged or was made to do harm: '{tensor[:80]}' {reason}.")
    return state


def _why_strange(name: str, value: Tensor) -> str:
    """What no model's tensor is and what would cost more than the file is worth, or ""."""
    if value.layout is not torch.strided or value.device.type != "cpu" or value.is_quantized or value.is_complex():
        return "is not a tensor of plain numbers"
    if value.numel() * value.element_size() > value.untyped_storage().nbytes() or any(n > LONGEST for n in value.shape):
        return f"claims the shape {tuple(value.shape)}"
    if any(int(number) > MOST_LAYERS for number in re.findall(r"\.([0-9]{1,9})(?=[0-9.]|$)", name)):
        return "counts more layers than any model has"
    return ""


def stage_of(names: Mapping[str, Any]) -> int:
    """1, 2, or 0 (neither) by the names of the tensors."""
    if any(n.startswith(DENOISER_PREFIX) for n in names):
        return 2
    return 1 if any(n.startswith(("encoder.vertice_mapping", "quantize.", "decoder.vertice_map")) for n in names) else 0


def dataset_of(names: Mapping[str, Any]) -> str:
    """The dataset whose model has tensors of these names, or "" where that cannot be told."""
    if stage_of(names) == 1:
        if any("emotion_mapping" in n for n in names):
            return "mead"
        projected = any("linear_embedding_post" in n or "linear_embedding_pre" in n for n in names)
        return "biwi" if projected else "vocaset"
    inner = {n.removeprefix(DENOISER_PREFIX) for n in names}
    if any(n.startswith("emotion_embedd") for n in inner):
        return "mead"
    if any(n.startswith("style_embedd.0") for n in inner):
        return "biwi"
    return "vocaset" if any(n.startswith("style_embedd") for n in inner) else ""


def convert(dataset: str, stage1: Path, stage2: Path, heads: Heads | None = None) -> tuple[ModelConfig, dict[str, Tensor]]:
    """The configuration and our tensors (prefixed as in `model.py`) of two released files. Raises InputError."""
    facts = DATASETS[dataset]
    heads = heads or Heads()
    files = {1: (stage1, read_checkpoint(stage1)), 2: (stage2, read_checkpoint(stage2))}
    for stage, (path, state) in files.items():
        _refuse_wrong_file(path, state, stage, facts)
    first, second = files[1][1], files[2][1]
    vqvae = infer_stage1(facts, shapes(first), heads.stage1, stage1.name)
    tensors = _prefixed("vqvae", _take(stage1_layout(vqvae, _rows(first, "encoder.encoder_pos_embedding.pe")), first, stage1.name))

    inner = {n.removeprefix(DENOISER_PREFIX): v for n, v in second.items() if n.startswith(DENOISER_PREFIX)}
    audio_tensors = new_names(
        {n.removeprefix(AUDIO_PREFIX): v for n, v in inner.items() if n.startswith(AUDIO_PREFIX)}
    )
    denoiser_tensors = {n: v for n, v in inner.items() if not n.startswith(AUDIO_PREFIX)}
    buffers = {n: v for n, v in second.items() if not n.startswith(DENOISER_PREFIX)}
    denoiser, audio = infer_stage2(facts, shapes(denoiser_tensors), shapes(audio_tensors), heads, stage2.name)
    if denoiser.latent_dim != vqvae.latent_dim:
        raise InputError(
            f"'{stage1.name}' and '{stage2.name}' do not belong together: the latent has {vqvae.latent_dim} numbers per "
            f"frame in one and {denoiser.latent_dim} in the other."
        )
    layout = schedule_layout(denoiser.timesteps)
    table = shapes(denoiser_tensors).get("PE.pe")
    layout |= {DENOISER_PREFIX + n: e for n, e in stage2_layout(denoiser, table).items()}
    taken = _take(layout, buffers | {DENOISER_PREFIX + n: v for n, v in denoiser_tensors.items()}, stage2.name)
    tensors |= _prefixed("denoiser", taken)
    tensors |= _prefixed("audio", _audio_tensors(audio, audio_tensors, stage2.name))
    origin = f"converted from {stage1.name} and {stage2.name}"
    config = ModelConfig(dataset, audio, vqvae, denoiser, origin, facts.template_precision)
    return config, tensors


def infer_stage1(facts: Dataset, found: Mapping[str, tuple[int, ...]], heads: int | None, name: str) -> VQVAEConfig:
    """Stage 1's sizes from reference names and shapes. Raises InputError where a tensor they come from is missing."""
    try:
        width, motion_dim = found["encoder.vertice_mapping.0.weight"]
        codebook_size, code_dim = found["quantize.embedding.weight"]
        projected = "encoder.encoder_linear_embedding_post.net.weight" in found
        latent_dim = found["encoder.encoder_linear_embedding_post.net.weight"][0] if projected else width
        emotions = found["encoder.emotion_mapping.0.weight"][1] if facts.emotions else 0
        layers = _count(found, "encoder.encoder_transformer.net.") // 2
        mlp_width = found["encoder.encoder_transformer.net.1.fn.fn.l1.weight"][0]
    except (KeyError, ValueError, IndexError) as error:
        raise InputError(f"'{name}' is not a whole stage-1 checkpoint: '{error.args[0]}' is missing or misshapen.") from error
    heads = heads or math.gcd(width, facts.stage1_heads)
    _check_division(name, latent_dim, code_dim, "the latent", "the code dimension")
    _check_division(name, width, heads, "the width", "the number of heads")
    if emotions:
        _check_division(name, codebook_size, emotions, "the codebook", "the number of emotions")
    return VQVAEConfig(
        motion_dim=motion_dim,
        width=width,
        layers=layers,
        heads=heads,
        mlp_width=mlp_width,
        codes_per_frame=latent_dim // code_dim,
        code_dim=code_dim,
        codebook_size=codebook_size,
        emotions=emotions,
        codebook_slices=emotions or 1,
        conv_norm="instance",
        position="constant_row",
        attention_scale="width",
        latent_projection=projected,
        output_bias="decoder.vertice_map_reverse.bias" in found,
        dropout=0.1,
    )


def infer_denoiser(
    facts: Dataset, found: Mapping[str, tuple[int, ...]], heads: int | None, name: str
) -> DenoiserConfig:
    """Stage 2's sizes from reference names (without prefix) and shapes. Raises InputError as `infer_stage1`."""
    latent_active = "latent_encoder.0.weight" in found
    identity_active = "style_embedd.0.weight" in found
    try:
        width, latent_dim = found["latent_encoder.0.weight" if latent_active else "latent_encoder.weight"]
        audio_dim = found["audio_extract.0.weight"][1]
        timesteps = found["time_embedd.0.weight"][1]
        emotions = found["emotion_embedd.weight"][1] if facts.emotions else 0
        identities = found["style_embedd.0.weight" if identity_active else "style_embedd.weight"][1]
        ffn = found["transformer_decoder.layers.0.linear1.weight"][0]
    except (KeyError, ValueError, IndexError) as error:
        raise InputError(f"'{name}' is not a whole stage-2 checkpoint: '{error.args[0]}' is missing or misshapen.") from error
    heads = heads or math.gcd(width, facts.stage2_heads)
    _check_division(name, width, heads, "the width", "the number of heads")
    return DenoiserConfig(
        latent_dim=latent_dim,
        audio_dim=audio_dim,
        width=width,
        heads=heads,
        layers=_count(found, "transformer_decoder.layers."),
        ffn=ffn,
        emotions=emotions,
        identities=identities,
        timesteps=timesteps,
        norm_first=False,
        activation="relu",
        dropout=0.1,
        attention_dropout=0.1,
        bias_period=facts.bias_period,
        position=facts.position,
        latent_activation=latent_active,
        identity_activation=identity_active,
    )


def infer_stage2(
    facts: Dataset,
    found: Mapping[str, tuple[int, ...]],
    audio_shapes: Mapping[str, tuple[int, ...]],
    heads: Heads,
    name: str,
) -> tuple[DenoiserConfig, AudioEncoderConfig]:
    """Sizes of the denoiser and of the audio network inside it."""
    if any(n.startswith("transformer_encoder.") for n in found):
        raise InputError(
            f"'{name}' is the encoder variant of the BIWI denoiser, which returns one frame per clip and cannot animate."
        )
    denoiser = infer_denoiser(facts, found, heads.stage2, name)
    try:
        audio_heads = heads.audio or math.gcd(audio_shapes["feature_projection.projection.weight"][0], facts.audio_heads)
        audio = infer_config(audio_shapes, audio_heads, paired=facts.audio_paired, fps=facts.audio_fps)
    except (KeyError, ValueError, IndexError) as error:
        raise InputError(f"The audio network in '{name}' is incomplete: '{error.args[0]}' is missing.") from error
    _check_division(name, audio.hidden, audio.heads, "the audio network's width", "its number of heads")
    if audio.frame_dim != denoiser.audio_dim:
        raise InputError(
            f"'{name}' does not fit together: the audio network gives {audio.frame_dim} numbers per frame and the "
            f"denoiser takes {denoiser.audio_dim}."
        )
    return denoiser, audio


def shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Shape by name."""
    return {n: tuple(v.shape) for n, v in tensors.items()}


def take_stage1(config: VQVAEConfig, state: Mapping[str, Tensor], name: str, tables: bool = True) -> dict[str, Tensor]:
    """Our tensors of stage 1; tables: whether the file must hold the positional tables. Raises InputError."""
    layout = stage1_layout(config, _rows(state, "encoder.encoder_pos_embedding.pe"))
    return _take(layout if tables else {n: e for n, e in layout.items() if e.ours}, state, name)


def take_denoiser(config: DenoiserConfig, state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """Our tensors of a denoiser whose file leaves out the positional table. Raises InputError."""
    return _take({n: e for n, e in stage2_layout(config).items() if e.ours}, state, name)


def _take(layout: Layout, state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """Our tensors by our names, or InputError with every missing, unexpected and misshapen tensor."""
    _refuse_differences({n: e.shape for n, e in layout.items()}, state, name)
    taken = {}
    for theirs, entry in layout.items():
        value = state[theirs].float()
        if not torch.isfinite(value).all():
            raise InputError(f"'{name}' is damaged: '{theirs}' holds numbers that are not finite.")
        if entry.ours:
            taken[entry.ours] = (entry.take(value) if entry.take else value).contiguous()
        elif entry.expected is not None:
            expected = entry.expected()
            if not torch.allclose(value, expected, rtol=entry.tolerance, atol=entry.tolerance):
                raise InputError(f"'{name}' has another {entry.why} ('{theirs}') than the published models; it was refused.")
    return taken


def _refuse_differences(expected: Mapping[str, tuple[int, ...]], state: Mapping[str, Tensor], name: str) -> None:
    missing = sorted(expected.keys() - state.keys())
    extra = sorted(state.keys() - expected.keys())
    wrong = [
        f"{n} {tuple(state[n].shape)} instead of {expected[n]}"
        for n in sorted(expected.keys() & state.keys())
        if tuple(state[n].shape) != tuple(expected[n])
    ]
    parts = [f"{label}: {', '.join(names)}" for label, names in
             {"missing": missing, "unexpected": extra, "of another shape": wrong}.items() if names]  # fmt: skip
    if parts:
        raise InputError(f"The tensors of '{name}' do not fit the model; {'; '.join(parts)}.")


def _refuse_wrong_file(path: Path, state: Mapping[str, Tensor], stage: int, facts: Dataset) -> None:
    found = stage_of(state)
    if found == 0:
        raise InputError(f"'{path.name}' is not an LG-LDM checkpoint: none of its tensors has a name of one.")
    if found != stage:
        raise InputError(f"'{path.name}' was given as stage {stage} but is a stage-{found} checkpoint.")
    dataset = dataset_of(state)
    if dataset and dataset != facts.name:
        raise InputError(f"'{path.name}' is a checkpoint of {DATASETS[dataset].label}, not of {facts.label}.")


def _audio_tensors(config: AudioEncoderConfig, state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The audio network's tensors under our prefix, checked against the network that the configuration builds."""
    with torch.device("meta"):
        expected = shapes(AudioEncoder(config).network.state_dict())
    _refuse_differences({AUDIO_PREFIX + n: s for n, s in expected.items()}, {AUDIO_PREFIX + n: v for n, v in state.items()}, name)
    return {f"network.{n}": v.float().contiguous() for n, v in state.items()}


def _prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{n}": v for n, v in tensors.items()}


def _rows(state: Mapping[str, Tensor], table: str) -> int:
    """Length of a positional table: the longer of its first two axes (the other one is 1)."""
    return max(state[table].shape[:2]) if table in state and state[table].dim() == 3 else 5000


def _count(found: Mapping[str, Any], prefix: str) -> int:
    """Consecutively numbered things under a prefix: one more than the highest number."""
    parts = [n.removeprefix(prefix).split(".")[0] for n in found if n.startswith(prefix)]
    return 1 + max((int(p) for p in parts if p.isdecimal()), default=-1)


def _check_division(name: str, whole: int, part: int, whole_label: str, part_label: str) -> None:
    if part < 1 or whole % part:
        raise InputError(f"'{name}' cannot be read: {whole_label} ({whole}) is no multiple of {part_label} ({part}).")
