"""Stage 2 of LG-LDM: the facial denoiser (FDM), which predicts the clean latent x0 from a noisy one.

"Global": causal self-attention over the motion. "Local": cross-attention in which motion frame i sees audio frame i
alone; a softmax over one key is 1, so it is a linear map per frame and is built as one (`AudioLookup`).
Song et al., TVCG 2024. `DenoiserConfig` says what differs between the datasets and the starter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .vqvae import sinusoidal_table


@dataclass(frozen=True)
class DenoiserConfig:
    """Sizes and variants of the denoiser. Defaults are what we train; comments name what the released models need."""

    latent_dim: int  # q * d of stage 1
    audio_dim: int  # per motion frame, after pairing
    width: int = 192
    heads: int = 4
    layers: int = 4
    ffn: int = 512
    emotions: int = 7
    identities: int = 0
    timesteps: int = 1000
    norm_first: bool = True  # released: False
    activation: Literal["gelu", "relu"] = "gelu"  # released: relu
    dropout: float = 0.0  # released: 0.1
    attention_dropout: float = 0.0  # of attention weights; released: 0.1
    bias_period: int = 1  # frames per step of the distance bias; released: 30 (MEAD, VOCASET), 25 (BIWI)
    window: int = 0  # frames a frame looks back; 0: all of them, as released
    position: Literal["none", "sinusoidal", "periodic"] = "none"  # released: sinusoidal (MEAD, BIWI), periodic (VOCASET)
    position_period: int = 30  # frames, for "periodic"
    latent_activation: bool = True  # BIWI: False
    identity_activation: bool = False  # BIWI: True


def attention_slopes(heads: int) -> list[float]:
    """Press et al. 2022 (ALiBi): 2^(-8/n), 2^(-16/n), ... for n heads, n a power of two.

    Other numbers take the slopes of the power below, then every second slope of the power above.
    """
    below = 1 << (heads.bit_length() - 1)
    slopes = [2 ** (-8 * (h + 1) / below) for h in range(below)]
    return slopes + [2 ** (-4 * (h + 1) / below) for h in range(0, 2 * (heads - below), 2)]


class CausalSelfAttention(nn.Module):
    """Attention to this frame and earlier ones, weaker with distance: bias = -slope * floor((i - j) / period)."""

    def __init__(self, config: DenoiserConfig):
        super().__init__()
        self.heads, self.period, self.window = config.heads, config.bias_period, config.window
        self.to_qkv = nn.Linear(config.width, 3 * config.width)
        self.to_out = nn.Linear(config.width, config.width)
        self.slopes = attention_slopes(config.heads)
        self.dropout = config.attention_dropout

    def bias(self, queries: Tensor, keys: Tensor) -> Tensor:
        """(H, Q, K) additive bias for frame numbers queries (Q,) and keys (K,); keys < 0 are padding."""
        distance = queries[:, None] - keys[None]
        blocked = (distance < 0) | (keys[None] < 0)
        if self.window:
            blocked = blocked | (distance > self.window)
        slopes = torch.tensor(self.slopes, device=queries.device)
        bias = -slopes[:, None, None] * (distance // self.period).float()
        return bias.masked_fill(blocked, -math.inf)

    def whole_bias(self, x: Tensor) -> Tensor | None:
        """(H, T, T) for x (B, T, width), the same in every layer; None where blocks are cheaper."""
        time = x.shape[1]
        if self.window and time > 2 * self.window:
            return None
        frames = torch.arange(time, device=x.device)
        return self.bias(frames, frames).to(x.dtype)

    def forward(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """x: (B, T, width); bias: from `whole_bias`."""
        batch, time, width = x.shape
        q, k, v = self.to_qkv(x).view(batch, time, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        if bias is not None:
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, dropout_p=self.dropout * self.training)
        else:
            mixed = self._in_blocks(q, k, v)
        return self.to_out(mixed.transpose(1, 2).reshape(batch, time, width))

    def _in_blocks(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The same result with memory linear in time: blocks of `window` frames see themselves and the block before."""
        batch, heads, time, dim = q.shape
        size = self.window
        blocks = -(-time // size)
        tail = blocks * size - time
        q = F.pad(q, (0, 0, 0, tail)).view(batch, heads, blocks, size, dim)
        k, v = (F.pad(y, (0, 0, size, tail)).unfold(2, 2 * size, size).transpose(3, 4) for y in (k, v))
        queries = torch.arange(size, device=q.device) + size
        keys = torch.arange(2 * size, device=q.device)
        inner = self.bias(queries, keys)
        # The first block has only padding before it.
        first = inner.masked_fill((keys < size)[None, None], -math.inf)
        bias = torch.stack([first] + [inner] * (blocks - 1), dim=1).to(q.dtype)  # (H, blocks, size, 2 size)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, dropout_p=self.dropout * self.training)
        return mixed.reshape(batch, heads, blocks * size, dim)[:, :, :time]


class AudioLookup(nn.Module):
    """One-to-one cross-attention: the value and output projections are all that is left of it.

    Dropout of its weights, which are all 1, drops whole heads.
    """

    def __init__(self, config: DenoiserConfig):
        super().__init__()
        self.heads, self.dropout = config.heads, config.attention_dropout
        self.value = nn.Linear(config.width, config.width)
        self.to_out = nn.Linear(config.width, config.width)

    def forward(self, audio: Tensor) -> Tensor:
        value = self.value(audio)
        if self.training and self.dropout:
            batch, time, width = value.shape
            weights = F.dropout(value.new_ones(batch, time, self.heads, 1), self.dropout)
            value = (value.view(batch, time, self.heads, -1) * weights).view(batch, time, width)
        return self.to_out(value)


class DecoderLayer(nn.Module):
    """Self-attention, audio, feed-forward; post-norm as Vaswani et al. 2017 (released) or pre-norm (ours)."""

    def __init__(self, config: DenoiserConfig):
        super().__init__()
        self.norm_first = config.norm_first
        self.gelu = config.activation == "gelu"
        self.self_attention = CausalSelfAttention(config)
        self.audio = AudioLookup(config)
        self.ffn_in = nn.Linear(config.width, config.ffn)
        self.ffn_out = nn.Linear(config.ffn, config.width)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(config.width) for _ in range(3))
        self.dropout = nn.Dropout(config.dropout)

    def feed_forward(self, x: Tensor) -> Tensor:
        hidden = self.ffn_in(x)
        hidden = F.gelu(hidden, approximate="tanh") if self.gelu else F.relu(hidden)
        return self.ffn_out(self.dropout(hidden))

    def forward(self, x: Tensor, audio: Tensor, bias: Tensor | None) -> Tensor:
        drop = self.dropout
        if self.norm_first:
            x = x + drop(self.self_attention(self.norm1(x), bias))
            x = x + drop(self.audio(self.norm2(audio)))
            return x + drop(self.feed_forward(self.norm3(x)))
        x = self.norm1(x + drop(self.self_attention(x, bias)))
        x = self.norm2(x + drop(self.audio(audio)))
        return self.norm3(x + drop(self.feed_forward(x)))


class Denoiser(nn.Module):
    """(x_t, t, audio, emotion, identity) -> x0; all per motion frame."""

    def __init__(self, config: DenoiserConfig):
        super().__init__()
        self.config = config
        width = config.width
        self.time_in = nn.Linear(config.timesteps, width)
        self.audio_in = nn.Linear(config.audio_dim, width)
        self.audio_out = nn.Linear(width, width)
        self.latent_in = nn.Linear(config.latent_dim, width)
        self.emotion_in = nn.Linear(config.emotions, width) if config.emotions else None
        self.identity_in = nn.Linear(config.identities, width) if config.identities else None
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.layers))
        self.dropout = nn.Dropout(config.dropout)
        # Pre-norm leaves the residual stream un-normalised; the released post-norm layers end normalised.
        self.norm_out = nn.LayerNorm(width) if config.norm_first else nn.Identity()
        self.latent_out = nn.Linear(width, config.latent_dim)
        nn.init.zeros_(self.latent_out.weight)
        nn.init.zeros_(self.latent_out.bias)

    def embed_audio(self, audio: Tensor) -> Tensor:
        """(B, T, audio_dim) features to (B, T, width); the same at every diffusion step, so computed once per clip."""
        return self.audio_out(F.mish(self.audio_in(audio)))

    def positions(self, time: int) -> Tensor | None:
        """(time, width) added to the motion, or None."""
        kind, width = self.config.position, self.config.width
        if kind == "none":
            return None
        length = self.config.position_period if kind == "periodic" else time
        return sinusoidal_table(length, width)[torch.arange(time) % length]

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        embedded_audio: Tensor,
        emotion: Tensor | None = None,
        identity: Tensor | None = None,
    ) -> Tensor:
        """x: (B, T, latent_dim); t: (B,) int64; embedded_audio: (B, >= T, width) from `embed_audio`;
        emotion: (B, E) or per frame (B, T, E); identity: (B, I). Returns the x0 prediction (B, T, latent_dim)."""
        time = x.shape[1]
        step = F.mish(self.time_in(F.one_hot(t, self.config.timesteps).to(x.dtype)))
        audio = embedded_audio[:, :time] + step[:, None]
        motion = self.latent_in(x)
        if self.config.latent_activation:
            motion = F.mish(motion)
        if self.emotion_in is not None and emotion is not None:
            felt = self.emotion_in(emotion)
            motion = motion + (felt if felt.dim() == 3 else felt[:, None])
        if self.identity_in is not None and identity is not None:
            style = self.identity_in(identity)
            motion = motion + (F.mish(style) if self.config.identity_activation else style)[:, None]
        positions = self.positions(time)
        if positions is not None:
            motion = motion + positions.to(motion)
        motion = self.dropout(motion)
        bias = self.layers[0].self_attention.whole_bias(motion)
        for layer in self.layers:
            motion = layer(motion, audio, bias)
        return self.latent_out(self.norm_out(motion))
