"""Released checkpoints of OccluFaceDiff to a model folder: read without running code, checked to the last tensor.

Sizes come from the tensors' shapes. Every tensor of either file is taken, or dropped for a reason that
`reference_names` gives, or the file is refused with the list of what does not fit.
"""

from __future__ import annotations

import math
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..lgldm.audio_encoders import AudioEncoder, AudioEncoderConfig, infer_config, new_names
from ..lgldm.checkpoints import read_checkpoint, shapes
from .denoiser import Denoiser, DenoiserConfig
from .flint import Flint, FlintConfig
from .model import ModelConfig
from .reference_names import (
    AUDIO,
    DENOISER_RULES,
    FLINT_IGNORED,
    FLINT_RULES,
    Rules,
    computed_tables,
    reference_shapes,
    to_ours,
    value_rows,
)

RELEASED_HEADS = FLINT_HEADS, DENOISER_HEADS, AUDIO_HEADS = 8, 4, 12
TABLE_ATOL = 1e-4  # sines of arguments up to 5000 rad in float32


@dataclass(frozen=True)
class Heads:
    """Attention heads, which no tensor's shape tells. None: the released model's number, or, where that does not divide
    the width (models of other sizes), the largest number that divides both."""

    flint: int | None = None
    denoiser: int | None = None
    audio: int | None = None


class _Inert:
    """Stands in for whatever a Lightning file carries beside its tensors (training settings): an empty dictionary, the one
    thing that PyTorch's safe reader lets be filled and have attributes, so that it reads on to the tensors."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return OrderedDict()


def read_flint(path: Path) -> dict[str, Tensor]:
    """The tensors of a Lightning file. Classes and functions that it names are never imported: inert objects take their
    place. Raises InputError."""
    names: list[str] = []
    if path.is_file() and zipfile.is_zipfile(path):
        try:
            names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        except Exception:  # PyTorch's reader raises almost anything over a damaged file
            names = []  # read_checkpoint says what is wrong with it
    with torch.serialization.safe_globals([(_Inert, name) for name in names]):
        return read_checkpoint(path)


def convert(
    denoiser: Path, flint: Path, heads: Heads | None = None, causal: bool = False
) -> tuple[ModelConfig, dict[str, Tensor]]:
    """The configuration and our tensors (prefixed as in `model.py`) of the two files; causal as in `take_denoiser`.
    Raises InputError."""
    heads = heads or Heads()
    states = {denoiser: read_checkpoint(denoiser), flint: read_flint(flint)}
    for path, wanted in ((denoiser, "denoiser"), (flint, "FLINT")):
        found = kind_of(states[path])
        if not found:
            raise InputError(f"'{path.name}' is not a checkpoint of OccluFaceDiff: none of its tensors has a name of one.")
        if found != wanted:
            raise InputError(f"'{path.name}' was given as the {wanted} but holds the {found}.")
    flint_config, flint_tensors = take_flint(states[flint], flint.name, heads.flint)
    denoiser_config, denoiser_tensors = take_denoiser(states[denoiser], denoiser.name, heads.denoiser, causal=causal)
    audio_config, audio_tensors = take_audio(states[denoiser], denoiser.name, heads.audio)
    if audio_config.hidden != denoiser_config.audio_dim:
        raise InputError(
            f"'{denoiser.name}' does not fit together: the audio network gives {audio_config.hidden} numbers per frame "
            f"and the denoiser takes {denoiser_config.audio_dim}."
        )
    if denoiser_config.latent_channels != flint_config.width:
        raise InputError(
            f"'{denoiser.name}' and '{flint.name}' do not belong together: the latent has "
            f"{denoiser_config.latent_channels} channels in one and {flint_config.width} in the other."
        )
    config = ModelConfig(audio_config, flint_config, denoiser_config, f"converted from {denoiser.name} and {flint.name}")
    parts = {"audio": audio_tensors, "flint": flint_tensors, "denoiser": denoiser_tensors}
    return config, {f"{part}.{n}": v for part, tensors in parts.items() for n, v in tensors.items()}


def kind_of(names: Mapping[str, Any]) -> str:
    """"denoiser", "FLINT" or "" by the names of the tensors."""
    if any(n.startswith(("motion_encoder.", "motion_decoder.")) for n in names):
        return "FLINT"
    denoiser = ("lmk_process.", "squash_layer.", "transformer_decoder.", "outputprocess_motion.", "input_process.")
    return "denoiser" if any(n.startswith(denoiser) for n in names) else ""


def take_flint(state: Mapping[str, Tensor], name: str, heads: int | None = None) -> tuple[FlintConfig, dict[str, Tensor]]:
    """The prior's sizes and our tensors from the reference's, FLAME layers left out. Raises InputError."""
    state = {n: v for n, v in state.items() if not n.startswith(FLINT_IGNORED)}
    found = shapes(state)
    try:
        width, motion_dim, _ = found["motion_encoder.squasher.0.0.weight"]
        ff = found["motion_encoder.encoder_transformer.layers.0.linear1.weight"][0]
    except (KeyError, ValueError, IndexError) as error:
        raise InputError(f"'{name}' is not a whole FLINT checkpoint: '{error.args[0]}' is missing or misshapen.") from error
    config = FlintConfig(
        motion_dim=motion_dim,
        width=width,
        heads=_heads(name, width, heads, FLINT_HEADS),
        ff=ff,
        layers=_count(found, "motion_encoder.encoder_transformer.layers."),
    )
    if motion_dim <= 3:
        raise InputError(f"'{name}' cannot be used: its motion has {motion_dim} numbers per frame.")
    with torch.device("meta"):
        network = Flint(config)
    return config, _take(network, state, FLINT_RULES, name)


def take_denoiser(
    state: Mapping[str, Tensor], name: str, heads: int | None = None, tables: bool = True, causal: bool = False
) -> tuple[DenoiserConfig, dict[str, Tensor]]:
    """The denoiser's sizes and our tensors; its audio network is apart. tables: whether the file must hold the computed
    tables, which are checked. causal: trained with `use_mask`, which no tensor tells. Raises InputError."""
    state = {n: v for n, v in state.items() if not n.startswith(AUDIO)}
    found = shapes(state)
    try:
        landmark_width, landmark_dim = found["lmk_process.inputEmbedding.0.weight"]
        audio_width, audio_dim = found["audio_process.inputEmbedding.0.weight"]
        width, channels = found["input_process.inputEmbedding.0.weight"]
        encoder_ff = found["transformer_encoder.layers.0.linear1.weight"][0]
        decoder_ff = found["transformer_decoder.layers.0.linear1.weight"][0]
    except (KeyError, ValueError, IndexError) as error:
        raise InputError(f"'{name}' is not a whole denoiser checkpoint: '{error.args[0]}' is missing or misshapen.") from error
    whole = landmark_width + audio_width
    config = DenoiserConfig(
        latent_channels=channels,
        landmark_dim=landmark_dim,
        landmark_width=landmark_width,
        audio_dim=audio_dim,
        audio_width=audio_width,
        encoder_layers=_count(found, "transformer_encoder.layers."),
        encoder_ff=encoder_ff,
        width=width,
        decoder_layers=_count(found, "transformer_decoder.layers."),
        decoder_ff=decoder_ff,
        heads=_heads(name, math.gcd(width, whole), heads, DENOISER_HEADS),
        causal=causal,
    )
    expected = computed_tables(whole, width, config.heads) if tables else {}
    for table, make in expected.items():
        _check_table(state, table, make, name)
    with torch.device("meta"):
        network = Denoiser(config)
    rest = {n: v for n, v in state.items() if n not in expected}
    return config, _take(network, rest, DENOISER_RULES, name)


def take_audio(state: Mapping[str, Tensor], name: str, heads: int | None = None) -> tuple[AudioEncoderConfig, dict[str, Tensor]]:
    """The sizes and tensors of the wav2vec2 inside the denoiser's file. Raises InputError."""
    own = new_names({n.removeprefix(AUDIO): v for n, v in state.items() if n.startswith(AUDIO)})
    if not own:
        raise InputError(f"The audio network in '{name}' is missing: no tensor's name begins with '{AUDIO}'.")
    found = shapes(own)
    try:
        hidden = found["feature_projection.projection.weight"][0]
        config = infer_config(found, _heads(name, hidden, heads, AUDIO_HEADS), paired=False)
    except (KeyError, ValueError, IndexError) as error:
        raise InputError(f"The audio network in '{name}' is incomplete: '{error.args[0]}' is missing.") from error
    with torch.device("meta"):
        expected = shapes(AudioEncoder(config).network.state_dict())
    _refuse_differences({AUDIO + n: s for n, s in expected.items()}, {AUDIO + n: s for n, s in found.items()}, name)
    for n, v in own.items():
        _check_finite(AUDIO + n, v, name)
    return config, {f"network.{n}": v.float().contiguous() for n, v in own.items()}


def _take(network: nn.Module, state: Mapping[str, Tensor], rules: Rules, name: str) -> dict[str, Tensor]:
    """Our tensors by our names, or InputError with every missing, unexpected and misshapen one by the reference's names."""
    ours = {n: tuple(v.shape) for n, v in network.state_dict().items()}
    _refuse_differences(reference_shapes(ours, rules), shapes(state), name)
    taken = {}
    for n, whole in state.items():
        _check_finite(n, whole, name)
        value = value_rows(n, whole)
        taken[to_ours(n, rules) or n] = (value.float() if value.is_floating_point() else value).contiguous()
    return taken


def _refuse_differences(
    expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]], name: str
) -> None:
    wrong = [f"{n} {found[n]} instead of {expected[n]}" for n in sorted(expected.keys() & found.keys()) if found[n] != expected[n]]
    kinds = {
        "missing": sorted(expected.keys() - found.keys()),
        "unexpected": sorted(found.keys() - expected.keys()),
        "of another shape": wrong,
    }
    parts = [f"{label}: {', '.join(names)}" for label, names in kinds.items() if names]
    if parts:
        raise InputError(f"The tensors of '{name}' do not fit the model; {'; '.join(parts)}.")


def _check_table(state: Mapping[str, Tensor], table: str, make: Any, name: str) -> None:
    if table not in state:
        raise InputError(f"The tensors of '{name}' do not fit the model; missing: {table}.")
    expected = make(tuple(state[table].shape))
    if expected is None:
        raise InputError(f"The tensors of '{name}' do not fit the model; of another shape: {table} {tuple(state[table].shape)}.")
    if not torch.allclose(state[table].float(), expected, rtol=TABLE_ATOL, atol=TABLE_ATOL):
        raise InputError(f"'{name}' has another table '{table}' than the published model; it was refused.")


def _check_finite(tensor: str, value: Tensor, name: str) -> None:
    if value.is_floating_point() and not torch.isfinite(value).all():
        raise InputError(f"'{name}' is damaged: '{tensor}' holds numbers that are not finite.")


def _heads(name: str, width: int, wanted: int | None, released: int) -> int:
    heads = wanted or math.gcd(width, released)
    if width % heads:
        raise InputError(f"'{name}' cannot be read: a width of {width} is no multiple of {heads} attention heads.")
    return heads


def _count(found: Mapping[str, Any], prefix: str) -> int:
    """Consecutively numbered things under a prefix: one more than the highest number."""
    parts = [n.removeprefix(prefix).split(".")[0] for n in found if n.startswith(prefix)]
    return 1 + max((int(p) for p in parts if p.isdecimal()), default=-1)
