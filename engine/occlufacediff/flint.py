"""FLINT, the motion prior of EMOTE (Daněček et al., SIGGRAPH Asia 2023): 64 frames of face to 8 latents and back.

A frame is 103 numbers: 100 FLAME expression coefficients, then the jaw's axis-angle rotation in rad.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .layers import KERNEL, SLOPE, EncoderLayer, alibi, squasher

EXPRESSION = 100
FACTOR = 8  # frames per latent


@dataclass(frozen=True)
class FlintConfig:
    """Sizes of the prior; the defaults are the published ones."""

    motion_dim: int = 103
    width: int = 128
    heads: int = 8
    ff: int = 384
    layers: int = 1


class FlintEncoder(nn.Module):
    """Motion (B, T, 103) to the posterior's mean and log-variance, each (B, T // 8, width)."""

    def __init__(self, config: FlintConfig):
        super().__init__()
        self.heads = config.heads
        self.squash = squasher(config.motion_dim, config.width)
        self.embed = nn.Linear(config.width, config.width)
        self.layers = nn.ModuleList(_layer(config) for _ in range(config.layers))
        self.mean = nn.Linear(config.width, config.width)
        self.logvar = nn.Linear(config.width, config.width)

    def forward(self, motion: Tensor) -> tuple[Tensor, Tensor]:
        x = self.embed(self.squash(motion.transpose(1, 2)).transpose(1, 2))
        bias = alibi(self.heads, x.shape[1], x.device)
        for layer in self.layers:
            x = layer(x, bias)
        return self.mean(x), self.logvar(x)


class FlintDecoder(nn.Module):
    """Latents (B, L, width) to motion (B, 8 L, 103)."""

    def __init__(self, config: FlintConfig):
        super().__init__()
        width = config.width
        self.heads = config.heads
        up = nn.ConvTranspose1d(width, width, KERNEL, stride=2, padding=2, output_padding=1)
        self.expand = nn.Sequential(_block(up, width), *(_block(_convolution(width), width) for _ in range(2)))
        self.embed = nn.Linear(width, width)
        self.layers = nn.ModuleList(_layer(config) for _ in range(config.layers))
        self.post = nn.Linear(width, width)
        self.smooth = nn.Conv1d(width, config.motion_dim, KERNEL, padding=2)

    def upsample(self, latent: Tensor) -> Tensor:
        """(B, L, width) to the transformer's input (B, 8 L, width)."""
        first, *others = self.expand
        x = first(latent.transpose(1, 2))
        for block in others:
            x = block(x).repeat_interleave(2, dim=2)
        return self.embed(x.transpose(1, 2))

    def attend(self, x: Tensor) -> Tensor:
        """The transformer alone, (B, T, width)."""
        bias = alibi(self.heads, x.shape[1], x.device)
        for layer in self.layers:
            x = layer(x, bias)
        return x

    def forward(self, latent: Tensor) -> Tensor:
        x = self.post(self.attend(self.upsample(latent)))
        return self.smooth(x.transpose(1, 2)).transpose(1, 2)


class Flint(nn.Module):
    """Encoder and decoder; T must be a multiple of 8 frames."""

    def __init__(self, config: FlintConfig):
        super().__init__()
        self.config = config
        self.encoder = FlintEncoder(config)
        self.decoder = FlintDecoder(config)

    def encode(self, motion: Tensor, noise: Tensor) -> Tensor:
        """(B, T, 103) and Gaussian noise (B, T / 8, width) to a sample of the posterior; the reference has no other way."""
        if motion.shape[1] % FACTOR:
            raise ValueError(f"{motion.shape[1]} frames are no multiple of {FACTOR}")
        mean, logvar = self.encoder(motion)
        return mean + torch.exp(0.5 * logvar) * noise

    def decode(self, latent: Tensor) -> Tensor:
        """(B, L, width) to (B, 8 L, 103)."""
        return self.decoder(latent)


def _layer(config: FlintConfig) -> EncoderLayer:
    return EncoderLayer(config.width, config.heads, config.ff, dropout=0.0)


def _convolution(width: int) -> nn.Conv1d:
    return nn.Conv1d(width, width, KERNEL, padding=2, padding_mode="replicate")


def _block(convolution: nn.Module, width: int) -> nn.Sequential:
    return nn.Sequential(convolution, nn.LeakyReLU(SLOPE), nn.BatchNorm1d(width))
