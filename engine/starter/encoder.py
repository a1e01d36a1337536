"""The starter's ears: a small convolutional speech encoder with a phone head, and the mouth regressor on top of it.

Plain layers only (linear, conv, ReLU-like, LayerNorm), so that the models also run without torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..audio import MEL_BANDS

# Frames of 20 ms computed at once, and their overlap: a frame sees at most 66 to both sides (and the stem one more).
BLOCK, OVERLAP = 3000, 72
DROPOUT = 0.1


@dataclass(frozen=True)
class EncoderConfig:
    """Sizes of the speech encoder. bands: of a frame it hears, see `front_end.hear`."""

    phones: int
    controls: int
    width: int = 224
    dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4, 8)
    bands: int = MEL_BANDS


@dataclass(frozen=True)
class RegressorConfig:
    """Sizes of the mouth regressor. `mouth`: names of its ARKit channels; the two contacts follow them, each
    `contacts_per_frame` times."""

    feature_dim: int
    emotions: int
    mouth: tuple[str, ...] = field(default_factory=tuple)
    width: int = 192
    layers: int = 3
    contacts_per_frame: int = 2


class ResidualConv(nn.Module):
    """x + W relu(conv(LN(x))): LN over channels, conv over 5 (dilated) frames, DROPOUT before W in training."""

    def __init__(self, width: int, dilation: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.conv = nn.Conv1d(width, width, 5, padding=2 * dilation, dilation=dilation)
        self.out = nn.Linear(width, width)
        self.drop = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.out(self.drop(F.relu(self.conv(self.norm(x).transpose(1, 2)).transpose(1, 2))))


class SpeechEncoder(nn.Module):
    """(B, T100, bands) frames at 100 Hz to features at 50 Hz; frame m is centred on m * 20 ms."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.config = config
        self.stem = nn.Conv1d(config.bands, config.width, 5, stride=2, padding=2)
        self.layers = nn.ModuleList(ResidualConv(config.width, d) for d in config.dilations)
        self.norm = nn.LayerNorm(config.width)
        self.phone_head = nn.Linear(config.width, config.phones)
        self.control_head = nn.Linear(config.width, config.controls)

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features (B, T50, width), phone logits (B, T50, phones), control logits (B, T50, controls)."""
        x = F.relu(self.stem(mel.transpose(1, 2))).transpose(1, 2)
        for layer in self.layers:
            x = layer(x)
        x = self.norm(x)
        return x, self.phone_head(x), self.control_head(x)

    def in_blocks(self, mel: Tensor) -> Tensor:
        """Features and phone posteriors (B, T50, width + phones), computed a minute at a time: long clips need no more
        memory than short ones, and the overlap is wider than what a frame sees, so the blocks join exactly."""
        total = (mel.shape[1] + 1) // 2
        out = mel.new_empty(len(mel), total, self.config.width + self.config.phones)
        for first in range(0, total, BLOCK):
            low, high = max(0, first - OVERLAP), min(total, first + BLOCK + OVERLAP)
            x, phones, _ = self(mel[:, 2 * low : 2 * high])
            kept = slice(first - low, first - low + BLOCK)
            out[:, first : first + BLOCK] = torch.cat([x[:, kept], phones[:, kept].softmax(-1)], dim=-1)
        return out

    @property
    def feature_dim(self) -> int:
        """Numbers per 25 Hz frame that `conditions` gives."""
        return 2 * (self.config.width + self.config.phones)

    def conditions(self, mel: Tensor, frames: int) -> Tensor:
        """(B, T100, bands) to (B, frames, feature_dim) at 25 Hz: features and phone posteriors, consecutive frames paired."""
        both = self.in_blocks(mel)
        missing = 2 * frames - both.shape[1]
        if missing > 0:
            both = torch.cat([both, both[:, -1:].expand(-1, missing, -1)], dim=1)
        return both[:, : 2 * frames].reshape(len(both), frames, -1)

    def silence(self, conditions: Tensor) -> Tensor:
        """(B, T, feature_dim) from `conditions` to (B, T): how sure the phone head is that nobody speaks, 0..1.

        "sil" is the first phone; of the two paired frames the less silent one counts.
        """
        first = self.config.width
        second = first + self.config.width + self.config.phones
        return torch.minimum(conditions[..., first], conditions[..., second])


class MouthRegressor(nn.Module):
    """The deterministic mouth: features and emotion to ARKit mouth weights and the two contacts (close, fv)."""

    def __init__(self, config: RegressorConfig):
        super().__init__()
        self.config = config
        self.features_in = nn.Linear(config.feature_dim, config.width)
        self.emotion_in = nn.Linear(config.emotions, config.width)
        self.layers = nn.ModuleList(ResidualConv(config.width, 1) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.out = nn.Linear(config.width, len(config.mouth) + 2 * config.contacts_per_frame)

    def forward(self, features: Tensor, emotion: Tensor) -> tuple[Tensor, Tensor]:
        """features (B, T, feature_dim), emotion (B, T, E) -> mouth weights (B, T, M) and contact logits (B, K T, 2), K in a
        frame: of its time, and 1 / K of a frame later."""
        x = self.features_in(features) + self.emotion_in(emotion)
        for layer in self.layers:
            x = layer(x)
        out = self.out(self.norm(x))
        mouth = len(self.config.mouth)
        return out[..., :mouth], out[..., mouth:].reshape(len(out), -1, 2)
