"""Stage 1 of LG-LDM: a per-frame vector-quantised autoencoder of motion (VQ-VAE; with emotion slices, EVQ-VAE).

Song et al., "Expressive 3D Facial Animation Generation Based on Local-to-global Latent Diffusion", TVCG 2024; the
architecture is CodeTalker's (Xing et al., CVPR 2023). One set of classes serves vertices (3D MEAD, VOCASET, BIWI) and
parameters (the starter: ARKit weights and rotations); `VQVAEConfig` says what differs, quirks of the released
checkpoints included.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class VQVAEConfig:
    """Sizes and variants of stage 1. Defaults are what we train; the released checkpoints need the values named last."""

    motion_dim: int  # numbers per frame: 3 * vertices, or channels
    width: int = 128
    layers: int = 0  # transformer blocks on each side
    heads: int = 4
    mlp_width: int = 192
    codes_per_frame: int = 8
    code_dim: int = 8
    codebook_size: int = 256
    emotions: int = 0  # > 0: a linear emotion embedding in the encoder
    codebook_slices: int = 1  # MEAD: 7, one slice of the codebook per emotion
    conv_norm: Literal["none", "instance"] = "none"  # released: instance, over the time of the clip
    position: Literal["none", "constant_row"] = "none"  # released: row 0 of the table on every frame
    attention_scale: Literal["head", "width"] = "head"  # released: width
    latent_projection: bool = True  # VOCASET: no linear layer between transformer and codes
    output_bias: bool = True  # MEAD, BIWI: no
    dropout: float = 0.0  # released: 0.1, after the positional row

    @property
    def latent_dim(self) -> int:
        """Numbers per frame in the latent: codes per frame times code dimension."""
        return self.codes_per_frame * self.code_dim


class Quantised(NamedTuple):
    """`latent`: (B, T, q * d) with straight-through gradients; `indices`: (B, T, q) within the emotion's slice;
    `loss`: () codebook + 0.25 commitment, as van den Oord et al. 2017."""

    latent: Tensor
    indices: Tensor
    loss: Tensor


class Attention(nn.Module):
    """Multi-head self-attention over all frames, no mask; or, where asked, over the `window` frames around each."""

    def __init__(self, width: int, heads: int, scale: Literal["head", "width"]):
        super().__init__()
        self.heads = heads
        self.scale = (width if scale == "width" else width // heads) ** -0.5
        self.to_qkv = nn.Linear(width, 3 * width, bias=False)
        self.to_out = nn.Linear(width, width)

    def forward(self, x: Tensor, window: int | None = None) -> Tensor:
        batch, time, width = x.shape
        q, k, v = self.to_qkv(x).view(batch, time, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        if window is None or time <= window:
            mixed = F.scaled_dot_product_attention(q, k, v, scale=self.scale)
        else:
            mixed = self._around(q, k, v, window)
        return self.to_out(mixed.transpose(1, 2).reshape(batch, time, width))

    def _around(self, q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
        """(B, H, T, dim): frame i sees the `window` frames around it, at the clip's ends the first or last ones; in blocks,
        so that memory grows with time and not with its square. From frame to frame one key goes and one comes: no seams."""
        first = (torch.arange(q.shape[2], device=q.device) - window // 2).clamp(0, q.shape[2] - window)
        mixed = torch.empty_like(q)
        for start in range(0, q.shape[2], window // 2):
            own = first[start : start + window // 2]
            low, high = int(own[0]), int(own[-1]) + window
            keys = torch.arange(low, high, device=q.device)
            seen = (keys >= own[:, None]) & (keys < own[:, None] + window)
            part = q[:, :, start : start + len(own)]
            mixed[:, :, start : start + len(own)] = F.scaled_dot_product_attention(
                part, k[:, :, low:high], v[:, :, low:high], attn_mask=seen, scale=self.scale
            )
        return mixed


class Block(nn.Module):
    """Pre-norm transformer block: x += Attention(LN(x)); x += MLP(LN(x)) with tanh-approximated GELU."""

    def __init__(self, config: VQVAEConfig):
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width)
        self.attention = Attention(config.width, config.heads, config.attention_scale)
        self.norm2 = nn.LayerNorm(config.width)
        self.mlp_in = nn.Linear(config.width, config.mlp_width)
        self.mlp_out = nn.Linear(config.mlp_width, config.width)

    def forward(self, x: Tensor, window: int | None = None) -> Tensor:
        x = x + self.attention(self.norm1(x), window)
        return x + self.mlp_out(F.gelu(self.mlp_in(self.norm2(x)), approximate="tanh"))


class ConvTransformer(nn.Module):
    """The middle that encoder and decoder share: conv over 5 frames, linear, positional row, transformer blocks."""

    def __init__(self, config: VQVAEConfig):
        super().__init__()
        self.conv = nn.Conv1d(config.width, config.width, 5, padding=2, padding_mode="replicate")
        self.norm = nn.InstanceNorm1d(config.width) if config.conv_norm == "instance" else nn.Identity()
        self.linear = nn.Linear(config.width, config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        # Row 0 of the sinusoidal table is 0, 1, 0, 1, ...: the released code adds it to every frame.
        self.constant_row = config.position == "constant_row"

    def forward(self, x: Tensor, window: int | None = None) -> Tensor:
        x = self.norm(F.leaky_relu(self.conv(x.transpose(1, 2)), 0.2)).transpose(1, 2)
        x = self.linear(x)
        if self.constant_row:
            x = x + torch.arange(x.shape[-1], device=x.device) % 2
        x = self.dropout(x)
        for block in self.blocks:
            x = block(x, window)
        return x


class Quantiser(nn.Module):
    """Nearest-neighbour codebook, optionally in slices chosen by the emotion (van den Oord et al. 2017)."""

    def __init__(self, config: VQVAEConfig):
        super().__init__()
        self.config = config
        self.codebook = nn.Embedding(config.codebook_size, config.code_dim)
        nn.init.uniform_(self.codebook.weight, -1 / config.codebook_size, 1 / config.codebook_size)

    def slice_start(self, emotion: Tensor | None, batch: int) -> Tensor:
        """(B,) first codebook row for each clip. An all-zero emotion (neutral) takes slice 0, as the reference does."""
        if emotion is None or self.config.codebook_slices == 1:
            return torch.zeros(batch, dtype=torch.long, device=self.codebook.weight.device)
        return emotion.reshape(batch, -1).argmax(dim=1) * self.slice_size

    @property
    def slice_size(self) -> int:
        """Codebook rows one clip may use."""
        return self.config.codebook_size // self.config.codebook_slices

    def forward(self, latent: Tensor, emotion: Tensor | None = None) -> Quantised:
        """latent: (B, T, q * d); emotion: (B, E) or None."""
        batch, time, _ = latent.shape
        codes = latent.reshape(batch, -1, self.config.code_dim)
        start = self.slice_start(emotion, batch)
        rows = start[:, None] + torch.arange(self.slice_size, device=latent.device)
        books = self.codebook(rows)  # (B, K', d)
        distance = codes.square().sum(-1, keepdim=True) + books.square().sum(-1)[:, None]
        distance = distance - 2 * codes @ books.transpose(1, 2)
        indices = distance.argmin(-1)
        chosen = self.codebook(indices + start[:, None])
        loss = 0.25 * F.mse_loss(chosen.detach(), codes) + F.mse_loss(chosen, codes.detach())
        straight_through = codes + (chosen - codes).detach()
        return Quantised(straight_through.view_as(latent), indices.view(batch, time, -1), loss)


class VQVAE(nn.Module):
    """Motion displacement (B, T, motion_dim) <-> latent (B, T, q * d), frame by frame in time."""

    def __init__(self, config: VQVAEConfig):
        super().__init__()
        self.config = config
        self.motion_in = nn.Linear(config.motion_dim, config.width)
        self.emotion_in = nn.Linear(config.emotions, config.width) if config.emotions else None
        self.encoder = ConvTransformer(config)
        if not config.latent_projection and config.latent_dim != config.width:
            raise ValueError("without a latent projection the width must be codes per frame times code dimension")
        project = config.latent_projection
        self.to_latent = nn.Linear(config.width, config.latent_dim) if project else nn.Identity()
        self.quantiser = Quantiser(config)
        self.from_latent = nn.Linear(config.latent_dim, config.width) if project else nn.Identity()
        self.decoder = ConvTransformer(config)
        self.motion_out = nn.Linear(config.width, config.motion_dim, bias=config.output_bias)

    def encode(self, motion: Tensor, emotion: Tensor | None = None) -> Tensor:
        """(B, T, motion_dim) displacement from the neutral face to the un-quantised latent (B, T, q * d)."""
        x = F.leaky_relu(self.motion_in(motion), 0.2)
        if self.emotion_in is not None:
            if emotion is None:
                raise ValueError("this model needs an emotion")
            x = x + F.leaky_relu(self.emotion_in(emotion), 0.2)[:, None]
        return self.to_latent(self.encoder(x))

    def decode(self, latent: Tensor) -> Tensor:
        """(B, T, q * d) to the displacement (B, T, motion_dim)."""
        return self.motion_out(self.decoder_features(latent))

    def decoder_features(self, latent: Tensor, window: int | None = None) -> Tensor:
        """(B, T, q * d) to the decoder's last features (B, T, width), of which `motion_out` makes motion frame by frame.

        window: how many frames a frame sees; None is all of them, as in the reference.
        """
        return self.decoder(self.from_latent(latent), window)

    def forward(self, motion: Tensor, emotion: Tensor | None = None) -> tuple[Tensor, Quantised]:
        """Reconstruction (B, T, motion_dim) through the codebook, and what the codebook did."""
        quantised = self.quantiser(self.encode(motion, emotion), emotion)
        return self.decode(quantised.latent), quantised


def perplexity(indices: Tensor, codebook_size: int) -> Tensor:
    """() exp of the entropy of the code use; indices: any shape of int64."""
    share = torch.bincount(indices.reshape(-1), minlength=codebook_size).double() / indices.numel()
    return torch.exp(-(share * torch.log(share + 1e-10)).sum())


def sinusoidal_table(length: int, width: int) -> Tensor:
    """(length, width) float32 sinusoidal positions (Vaswani et al. 2017, 3.5)."""
    position = torch.arange(length, dtype=torch.float32)[:, None]
    rate = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10000.0) / width))
    table = torch.zeros(length, width)
    table[:, 0::2] = torch.sin(position * rate)
    table[:, 1::2] = torch.cos(position * rate)
    return table
