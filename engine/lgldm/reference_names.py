"""The reference's tensor names and ours: which tensor goes where, and which are dropped knowingly, and why.

A stage's names are given as a `Layout`: for every reference name its shape and what becomes of it. The one-to-one
cross-attention's query and key weights never reach the output (a softmax over one key is 1), so only the value part of
the stacked projection is kept; positional tables and schedule buffers are computed, so theirs are only checked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..diffusion.schedule import cosine_schedule
from .denoiser import DenoiserConfig
from .vqvae import VQVAEConfig, sinusoidal_table

SCHEDULE_RTOL = 1e-5  # buffers of another torch differ in the last bits
TABLE_ATOL = 1e-4  # sines of arguments up to 5000 rad in float32


@dataclass(frozen=True)
class Entry:
    """One reference tensor: its shape, our name for it (None: dropped) and how to get ours or to check what is dropped."""

    shape: tuple[int, ...]
    ours: str | None = None
    take: Callable[[Tensor], Tensor] | None = None
    expected: Callable[[], Tensor] | None = None  # of a dropped table: what it must be
    why: str = ""  # it is dropped
    tolerance: float = 0.0


Layout = dict[str, Entry]


def stage1_layout(config: VQVAEConfig, table_rows: int = 5000) -> Layout:
    """Reference names of stage 1 for these sizes; table_rows: length of its positional tables."""
    width, layout = config.width, Layout()

    def linear(theirs: str, ours: str, rows: int, columns: int, bias: bool = True) -> None:
        layout[f"{theirs}.weight"] = Entry((rows, columns), f"{ours}.weight")
        if bias:
            layout[f"{theirs}.bias"] = Entry((rows,), f"{ours}.bias")

    def side(theirs: str, conv: str, ours: str) -> None:
        layout[f"{theirs}.{conv}.0.0.weight"] = Entry((width, width, 5), f"{ours}.conv.weight")
        layout[f"{theirs}.{conv}.0.0.bias"] = Entry((width,), f"{ours}.conv.bias")
        linear(f"{theirs}.{theirs}_linear_embedding.net", f"{ours}.linear", width, width)
        layout[f"{theirs}.{theirs}_pos_embedding.pe"] = Entry(
            (table_rows, 1, width),
            expected=lambda: sinusoidal_table(table_rows, width)[:, None],
            why="positional table",
            tolerance=TABLE_ATOL,
        )
        for i in range(config.layers):
            attention = f"{theirs}.{theirs}_transformer.net.{2 * i}.fn"
            mlp = f"{theirs}.{theirs}_transformer.net.{2 * i + 1}.fn"
            block = f"{ours}.blocks.{i}"
            _norm(layout, f"{attention}.norm", f"{block}.norm1", width)
            linear(f"{attention}.fn.to_qkv", f"{block}.attention.to_qkv", 3 * width, width, bias=False)
            linear(f"{attention}.fn.to_out", f"{block}.attention.to_out", width, width)
            _norm(layout, f"{mlp}.norm", f"{block}.norm2", width)
            linear(f"{mlp}.fn.l1", f"{block}.mlp_in", config.mlp_width, width)
            linear(f"{mlp}.fn.l2", f"{block}.mlp_out", width, config.mlp_width)

    linear("encoder.vertice_mapping.0", "motion_in", width, config.motion_dim)
    if config.emotions:
        linear("encoder.emotion_mapping.0", "emotion_in", width, config.emotions)
    side("encoder", "squasher", "encoder")
    if config.latent_projection:
        linear("encoder.encoder_linear_embedding_post.net", "to_latent", config.latent_dim, width)
        linear("decoder.decoder_linear_embedding_pre.net", "from_latent", width, config.latent_dim)
    side("decoder", "expander", "decoder")
    linear("decoder.vertice_map_reverse", "motion_out", config.motion_dim, width, bias=config.output_bias)
    layout["quantize.embedding.weight"] = Entry((config.codebook_size, config.code_dim), "quantiser.codebook.weight")
    return layout


def stage2_layout(config: DenoiserConfig, table_shape: tuple[int, ...] | None = None) -> Layout:
    """Reference names of the denoiser (without the prefix `denoise_fn.`) for these sizes; the audio network is apart.

    table_shape: of its positional table, (1, rows, width) or, for BIWI, (rows, 1, width).
    """
    width, layout = config.width, Layout()

    def linear(theirs: str, ours: str, rows: int, columns: int) -> None:
        layout[f"{theirs}.weight"] = Entry((rows, columns), f"{ours}.weight")
        layout[f"{theirs}.bias"] = Entry((rows,), f"{ours}.bias")

    linear("audio_extract.0", "audio_in", width, config.audio_dim)
    linear("audio_extract.2", "audio_out", width, width)
    linear("time_embedd.0", "time_in", width, config.timesteps)
    if config.emotions:
        linear("emotion_embedd", "emotion_in", width, config.emotions)
    if config.identities:
        theirs = "style_embedd.0" if config.identity_activation else "style_embedd"
        linear(theirs, "identity_in", width, config.identities)
    linear("latent_encoder.0" if config.latent_activation else "latent_encoder", "latent_in", width, config.latent_dim)
    linear("latent_decoder", "latent_out", config.latent_dim, width)
    layout["PE.pe"] = _position_entry(config, table_shape)
    for i in range(config.layers):
        theirs, ours = f"transformer_decoder.layers.{i}", f"layers.{i}"
        layout[f"{theirs}.self_attn.in_proj_weight"] = Entry((3 * width, width), f"{ours}.self_attention.to_qkv.weight")
        layout[f"{theirs}.self_attn.in_proj_bias"] = Entry((3 * width,), f"{ours}.self_attention.to_qkv.bias")
        linear(f"{theirs}.self_attn.out_proj", f"{ours}.self_attention.to_out", width, width)
        for kind, shape in {"weight": (3 * width, width), "bias": (3 * width,)}.items():
            layout[f"{theirs}.multihead_attn.in_proj_{kind}"] = Entry(
                shape,
                f"{ours}.audio.value.{kind}",
                take=lambda stacked: stacked[2 * width :],
                why="query and key of the one-to-one cross-attention, which cannot change its output",
            )
        linear(f"{theirs}.multihead_attn.out_proj", f"{ours}.audio.to_out", width, width)
        linear(f"{theirs}.linear1", f"{ours}.ffn_in", config.ffn, width)
        linear(f"{theirs}.linear2", f"{ours}.ffn_out", width, config.ffn)
        for n in (1, 2, 3):
            _norm(layout, f"{theirs}.norm{n}", f"{ours}.norm{n}", width)
    return layout


def schedule_layout(timesteps: int) -> Layout:
    """The 12 schedule buffers: computed here, so those of the file are checked and dropped."""
    schedule = cosine_schedule(timesteps)

    def entry(values: Tensor) -> Entry:
        return Entry((timesteps,), expected=lambda: values, why="schedule buffer", tolerance=SCHEDULE_RTOL)

    return {name: entry(values) for name, values in vars(schedule).items()}


def _position_entry(config: DenoiserConfig, shape: tuple[int, ...] | None) -> Entry:
    width = config.width
    if shape is None or sorted(shape)[:1] != [1] or len(shape) != 3 or shape[2] != width:
        shape = (1, 5000, width)
    rows = max(shape[:2])

    def table() -> Tensor:
        if config.position == "periodic":
            whole = sinusoidal_table(config.position_period, width)[torch.arange(rows) % config.position_period]
        else:
            whole = sinusoidal_table(rows, width)
        return whole.view(shape)

    return Entry(shape, expected=table, why="positional table", tolerance=TABLE_ATOL)


def _norm(layout: Layout, theirs: str, ours: str, width: int) -> None:
    layout[f"{theirs}.weight"] = Entry((width,), f"{ours}.weight")
    layout[f"{theirs}.bias"] = Entry((width,), f"{ours}.bias")
