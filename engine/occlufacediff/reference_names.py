"""The reference's tensor names and ours, and which of its tensors are dropped knowingly.

Dropped: the positional tables and the causal mask, which are computed here (theirs are checked first), and the query and
key rows of the decoder's cross-attention, which cannot reach its output.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from torch import Tensor

from ..lgldm.vqvae import sinusoidal_table
from .layers import causal_alibi

AUDIO = "audio_encoder."
STACKED = ".multihead_attn.in_proj_"
# Beginnings of names in the reference and here, `{i}` and `{k}` being numbers; the first that fits is used.
Rules = tuple[tuple[str, str], ...]
DENOISER_RULES: Rules = (
    ("lmk_process.inputEmbedding.0.", "landmarks_in."),
    ("audio_process.inputEmbedding.0.", "audio_in."),
    ("input_process.inputEmbedding.0.", "latent_in."),
    ("embed_timestep.time_embed.0.", "time_in."),
    ("embed_timestep.time_embed.2.", "time_out."),
    ("transformer_encoder.layers.", "encoder."),
    ("squash_layer.", "squash."),
    ("transformer_decoder.layers.{i}.FiLM_linear{k}.", "decoder.{i}.film{k}.linear."),
    ("transformer_decoder.layers.{i}.multihead_attn.out_proj.", "decoder.{i}.memory.to_out."),
    ("transformer_decoder.layers.{i}.multihead_attn.in_proj_", "decoder.{i}.memory.value."),
    ("transformer_decoder.layers.", "decoder."),
    ("outputprocess_motion.fc.0.", "out_hidden."),
    ("outputprocess_motion.fc.2.", "out."),
)
FLINT_RULES: Rules = (
    ("motion_encoder.squasher.", "encoder.squash."),
    ("motion_encoder.encoder_linear_embedding.", "encoder.embed."),
    ("motion_encoder.encoder_transformer.layers.", "encoder.layers."),
    ("motion_encoder.", "encoder."),
    ("motion_decoder.expander.", "decoder.expand."),
    ("motion_decoder.decoder_linear_embedding.", "decoder.embed."),
    ("motion_decoder.decoder_transformer.layers.", "decoder.layers."),
    ("motion_decoder.cross_smooth_layer.", "decoder.smooth."),
    ("motion_decoder.post_transformer_linear.", "decoder.post."),
)
# FLAME layers around FLINT's training; they hold the user's licensed model and nothing that is needed here.
FLINT_IGNORED = ("preprocessor.", "postprocessor.")


def to_ours(name: str, rules: Rules) -> str | None:
    """Our name for one of the reference's, or None where no rule fits."""
    return _renamed(name, rules)


def to_theirs(name: str, rules: Rules) -> str | None:
    """The reference's name for one of ours, or None."""
    return _renamed(name, tuple((ours, theirs) for theirs, ours in rules))


def _renamed(name: str, rules: Rules) -> str | None:
    for beginning, other in rules:
        pattern = re.escape(beginning).replace(r"\{i\}", r"(?P<i>\d+)").replace(r"\{k\}", r"(?P<k>\d)")
        if match := re.match(pattern, name):
            return other.format(**match.groupdict()) + name[match.end() :]
    return None


def value_rows(name: str, value: Tensor) -> Tensor:
    """The value part of a cross-attention's stacked query, key and value projection; other tensors as they are."""
    return value[2 * (len(value) // 3) :] if STACKED in name else value


def reference_shapes(ours: Mapping[str, tuple[int, ...]], rules: Rules) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the reference's tensors behind ours."""
    shapes = {to_theirs(n, rules) or n: tuple(s) for n, s in ours.items()}
    return {n: (3 * s[0], *s[1:]) if STACKED in n else s for n, s in shapes.items()}


def computed_tables(encoder_width: int, width: int, heads: int) -> dict[str, Callable[[tuple[int, ...]], Tensor | None]]:
    """What the denoiser's buffers must hold, by name: a function of the shape found, None where that is impossible."""

    def sinusoidal(columns: int) -> Callable[[tuple[int, ...]], Tensor | None]:
        def table(shape: tuple[int, ...]) -> Tensor | None:
            return sinusoidal_table(shape[0], columns)[:, None] if shape[1:] == (1, columns) else None

        return table

    def mask(shape: tuple[int, ...]) -> Tensor | None:
        return causal_alibi(heads, shape[1]) if len(shape) == 3 and shape == (heads, shape[1], shape[1]) else None

    return {
        "sequence_pos_encoder.pe": sinusoidal(encoder_width),
        "sequence_pos_decoder.pe": sinusoidal(width),
        "embed_timestep.sequence_pos_encoder.pe": sinusoidal(width),
        "tgt_mask": mask,
    }
