"""OccluFaceDiff's denoiser: a noisy latent, the timestep, partly hidden 2-D landmarks and the sound give the clean latent.

All of the conditions become one `memory` that depends on neither the noise nor the timestep, so it is computed once per
clip. Cross-attention sees only the aligned memory token; a softmax over one key is 1, so it is a linear map per token
(`MemoryLookup`) and its query and key weights do not exist here. Samplers use `stepping.Stepper`, which gives the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..lgldm.audio_encoders import AudioEncoder, interpolate
from ..lgldm.vqvae import sinusoidal_table
from .layers import SLOPE, EncoderLayer, SelfAttention, causal_alibi, squasher

LANDMARKS = 468
SAMPLES_PER_FRAME = 640  # 16 kHz at 25 frames per second


@dataclass(frozen=True)
class DenoiserConfig:
    """Sizes of the denoiser; the defaults are the published ones. landmark_width + audio_width is the encoder's width."""

    latent_channels: int = 128
    landmark_dim: int = 2 * LANDMARKS
    landmark_width: int = 256
    audio_dim: int = 768
    audio_width: int = 512
    encoder_layers: int = 3
    encoder_ff: int = 1536
    width: int = 384  # of the decoder
    decoder_layers: int = 6
    decoder_ff: int = 768
    heads: int = 4
    causal: bool = False  # `use_mask` of the reference: latents attend to earlier ones only, weaker with distance
    dropout: float = 0.1
    timesteps: int = 1000

    @property
    def encoder_width(self) -> int:
        """Width of the encoder that joins landmarks and sound."""
        return self.landmark_width + self.audio_width


class Film(nn.Module):
    """Scale and shift by the timestep: scale * x + shift, without the usual 1 + scale."""

    def __init__(self, width: int):
        super().__init__()
        self.linear = nn.Linear(width, 2 * width)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """x: (B, L, width); time: (B, 1, width)."""
        scale, shift = self.linear(F.mish(time)).chunk(2, dim=-1)
        return torch.addcmul(shift, scale, x)


class MemoryLookup(nn.Module):
    """The aligned cross-attention: value and output projections are all that is left of it.

    In training its dropout, of a weight that is 1, silences whole heads, as the reference's does.
    """

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.value = nn.Linear(width, width)
        self.to_out = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, memory: Tensor) -> Tensor:
        """(B, L, width) to (B, L, width), token by token."""
        value = self.value(memory)
        if self.training:
            heads = value.unflatten(-1, (self.heads, -1))
            value = (self.dropout(torch.ones_like(heads[..., :1])) * heads).flatten(-2)
        return self.to_out(value)


class DecoderLayer(nn.Module):
    """Post-norm self-attention, aligned memory and feed-forward, each followed by FiLM."""

    def __init__(self, config: DenoiserConfig):
        super().__init__()
        width = config.width
        self.self_attn = SelfAttention(width, config.heads, config.dropout)
        self.memory = MemoryLookup(width, config.heads, config.dropout)
        self.linear1 = nn.Linear(width, config.decoder_ff)
        self.linear2 = nn.Linear(config.decoder_ff, width)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.film1, self.film2, self.film3 = (Film(width) for _ in range(3))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, memory: Tensor, time: Tensor, bias: Tensor | None) -> Tensor:
        """x: (B, L, width); memory: (B, >= L, width); time: (B, 1, width)."""
        drop = self.dropout
        x = self.film1(self.norm1(x + drop(self.self_attn(x, bias))), time)
        x = self.film2(self.norm2(x + drop(self.look_up(memory, x.shape[1]))), time)
        fed = self.linear2(drop(F.gelu(self.linear1(x))))
        return self.film3(self.norm3(x + drop(fed)), time)

    def look_up(self, memory: Tensor, latents: int) -> Tensor:
        """The aligned cross-attention's output (B, latents, width); memory may be longer."""
        return self.memory(memory[:, :latents])


class Denoiser(nn.Module):
    """(x_t, t, memory) -> x0; `condition` makes the memory."""

    def __init__(self, config: DenoiserConfig):
        super().__init__()
        self.config = config
        width = config.width
        self.landmarks_in = nn.Linear(config.landmark_dim, config.landmark_width)
        self.audio_in = nn.Linear(config.audio_dim, config.audio_width)
        self.encoder = nn.ModuleList(
            EncoderLayer(config.encoder_width, config.heads, config.encoder_ff, config.dropout)
            for _ in range(config.encoder_layers)
        )
        self.squash = squasher(config.encoder_width, width)
        self.latent_in = nn.Linear(config.latent_channels, width)
        self.time_in = nn.Linear(width, width)
        self.time_out = nn.Linear(width, width)
        self.decoder = nn.ModuleList(DecoderLayer(config) for _ in range(config.decoder_layers))
        self.out_hidden = nn.Linear(width, width // 2)
        self.out = nn.Linear(width // 2, config.latent_channels)
        self.dropout = nn.Dropout(config.dropout)

    def embed_landmarks(self, landmarks: Tensor, visible: Tensor) -> Tensor:
        """Crop-normalised landmarks (B, N, P, 2) and visibility (B, N, P), 1 or True seen, to (B, N, landmark_width).

        A hidden landmark counts as (0, 0), whatever stands there, be it not a number.
        """
        seen = torch.where(visible[..., None] > 0, landmarks, torch.zeros_like(landmarks))
        return self.landmarks_in(seen.flatten(2))

    def encode(self, joined: Tensor) -> Tensor:
        """(B, N, encoder_width) with positions to the transformer's output, same shape."""
        x = self.dropout(joined)
        for layer in self.encoder:
            x = layer(x)
        return x

    def join(self, landmarks: Tensor, audio: Tensor) -> Tensor:
        """Both embedded conditions side by side, with positions: (B, N, encoder_width)."""
        both = torch.cat([landmarks, audio], dim=-1)
        return both + positions(both.shape[1], both.shape[2]).to(both)

    def condition(self, landmarks: Tensor, visible: Tensor, audio_hidden: Tensor) -> Tensor:
        """Landmarks (B, N, P, 2), visibility (B, N, P) and audio states (B, N, audio_dim) to memory (B, N // 8, width)."""
        joined = self.join(self.embed_landmarks(landmarks, visible), self.audio_in(audio_hidden))
        squashed = self.squash(self.encode(joined).transpose(1, 2)).transpose(1, 2)
        return self.dropout(squashed + positions(squashed.shape[1], self.config.width).to(squashed))

    def time_embedding(self, t: Tensor) -> Tensor:
        """Original timesteps (B,) int64 to (B, 1, width): the positional row of that number through two layers."""
        row = positions(self.config.timesteps, self.config.width).to(t.device)[t]
        return self.time_out(F.silu(self.time_in(row)))[:, None]

    def forward(self, x: Tensor, t: Tensor, memory: Tensor) -> Tensor:
        """x: (B, L, latent_channels); t: (B,) int64; memory: (B, >= L, width). Returns x0 in x's shape."""
        hidden = self.latent_in(x)
        hidden = self.dropout(hidden + positions(hidden.shape[1], self.config.width).to(hidden))
        bias = causal_alibi(self.config.heads, hidden.shape[1], device=hidden.device) if self.config.causal else None
        time = self.time_embedding(t)
        for layer in self.decoder:
            hidden = layer(hidden, memory, time, bias)
        return self.read_out(hidden)

    def read_out(self, hidden: Tensor) -> Tensor:
        """(B, L, width) to (B, L, latent_channels)."""
        return self.out(F.leaky_relu(self.out_hidden(hidden), SLOPE))


@lru_cache(maxsize=16)
def positions(rows: int, width: int) -> Tensor:
    """(rows, width) sinusoidal positions, kept because every step of the sampler reads the same ones."""
    return sinusoidal_table(rows, width)


def audio_states(encoder: AudioEncoder, samples: Tensor, frames: int) -> Tensor:
    """Normalised samples (B, frames * 640) to wav2vec2's last hidden states (B, frames, audio_dim) at 25 per second.

    The convolutions' output is interpolated to the frames before the transformer, not after it.
    """
    return encoder.transform(interpolate(encoder.convolve(samples), frames))
