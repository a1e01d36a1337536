"""HuBERT and wav2vec2 as LG-LDM hears through them, built from a configuration and never downloaded.

The networks are transformers' (imported late: it takes seconds); what is ours is what stands between them and the
denoiser: the odd frame dropped before the projection, the cut to the motion's length, VOCASET's interpolation from
50 Hz to the motion's rate, and two 50 Hz tokens side by side for one 25 Hz frame.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..windows import Windows, join

TOKEN_RATE = 50  # Hz, nominal: 16000 samples/s over a hop of 320
STRIDES = (5, 2, 2, 2, 2, 2, 2)  # of both published networks; no tensor's shape tells them
MIN_SAMPLES = 400  # what the convolutions need for one token
MAX_TOKENS = 1500  # 30 s at once; the reference stops at 24 s
TOKEN_OVERLAP = 200
LAYER_NORM_PIECE = 500  # tokens (10 s) convolved at once
OLD_TO_NEW = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}


@dataclass(frozen=True)
class AudioEncoderConfig:
    """Sizes of the network and how its tokens become motion frames."""

    family: Literal["hubert", "wav2vec2"]
    hidden: int = 1024
    layers: int = 24
    heads: int = 16
    ffn: int = 4096
    conv_channels: tuple[int, ...] = (512,) * 7
    conv_kernels: tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)
    conv_strides: tuple[int, ...] = STRIDES
    conv_bias: bool = True
    layer_norm: bool = True  # of the large models: layer norm in every convolution, pre-norm layers; else the base models'
    position_kernel: int = 128
    position_groups: int = 16
    paired: bool = True  # two tokens side by side are one motion frame
    fps: int = 0  # > 0: features are interpolated to this rate, one token per motion frame
    # Where the interpolation stands; the reference calls it nowhere, FaceFormer interpolates the convolutions' output.
    interpolate: Literal["features", "hidden"] = "features"

    @property
    def frame_dim(self) -> int:
        """Numbers per motion frame."""
        return self.hidden * (2 if self.paired else 1)


class AudioEncoder(nn.Module):
    """Normalised samples (B, S) at 16 kHz to features per motion frame (B, N, frame_dim)."""

    def __init__(self, config: AudioEncoderConfig):
        super().__init__()
        self.config = config
        self.network = _network(config)

    def hidden_states(self, samples: Tensor, frames: int | None = None) -> Tensor:
        """(B, S) to the last hidden states (B, N, hidden); N is even unless interpolated, at most 2 * frames.

        Clips longer than MAX_TOKENS pass the transformer in overlapping windows: memory grows with the square of them.
        """
        config = self.config
        features = self.convolve(samples)
        if config.fps:
            length = int(features.shape[1] / TOKEN_RATE * config.fps)
            if config.interpolate == "features":
                features = interpolate(features, length)
        else:
            features = features[:, : features.shape[1] // 2 * 2]
            if frames is not None:
                features = features[:, : 2 * frames]
        windows = Windows(features.shape[1], MAX_TOKENS, TOKEN_OVERLAP)
        if windows.total <= windows.size:
            hidden = self.transform(features)
        else:
            hidden = features.new_zeros(windows.total, len(features), config.hidden)
            join(windows, lambda _, part: self.transform(features[:, part]).transpose(0, 1), hidden)
            hidden = hidden.transpose(0, 1)
        if config.fps and config.interpolate == "hidden":
            hidden = interpolate(hidden, length)
        return hidden

    def convolve(self, samples: Tensor) -> Tensor:
        """(B, S) to the convolutions' output (B, N, channels), long clips in pieces.

        With layer norm a piece gives exactly what the whole would; the base model's group norm spans the whole clip, so
        for clips longer than its piece the statistics are each piece's own.
        """
        config = self.config
        extract = self.network.feature_extractor
        hop = math.prod(config.conv_strides)
        piece = LAYER_NORM_PIECE if config.layer_norm else MAX_TOKENS
        tokens = token_count(samples.shape[1], config.conv_kernels, config.conv_strides)
        if tokens <= piece:
            return extract(samples).transpose(1, 2)
        reach = receptive_field(config.conv_kernels, config.conv_strides)
        pieces = []
        for start in range(0, tokens, piece):
            stop = min(start + piece, tokens)
            pieces.append(extract(samples[:, start * hop : (stop - 1) * hop + reach]).transpose(1, 2))
        return torch.cat(pieces, dim=1)

    def transform(self, features: Tensor) -> Tensor:
        """(B, N, channels) to hidden states (B, N, hidden)."""
        network = self.network
        hidden = network.feature_projection(features)
        hidden = hidden if torch.is_tensor(hidden) else hidden[0]
        hidden = network._mask_hidden_states(hidden)  # SpecAugment, in training only
        return network.encoder(hidden)[0]

    def forward(self, samples: Tensor, frames: int | None = None) -> Tensor:
        """(B, S) to (B, N, frame_dim), one row per motion frame; cut to `frames` where given."""
        hidden = self.hidden_states(samples, frames)
        if self.config.paired:
            hidden = pair(hidden)
        return hidden if frames is None else hidden[:, :frames]

    def freeze_convolutions(self) -> None:
        """Exclude the convolutional feature extractor from training, as the reference does; all else trains."""
        self.network.feature_extractor.requires_grad_(False)


def pair(hidden: Tensor) -> Tensor:
    """(B, N, C) to (B, N // 2, 2 C): consecutive tokens side by side."""
    batch, tokens, width = hidden.shape
    return hidden[:, : tokens // 2 * 2].reshape(batch, tokens // 2, 2 * width)


def interpolate(features: Tensor, length: int) -> Tensor:
    """(B, N, C) to (B, length, C), linearly, with the first and last frames aligned."""
    return F.interpolate(features.transpose(1, 2), size=length, mode="linear", align_corners=True).transpose(1, 2)


def normalise(samples: np.ndarray) -> np.ndarray:
    """(S,) to zero mean and unit variance over the clip, float32; what both networks were trained on."""
    samples = np.asarray(samples, np.float32)
    return ((samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)).astype(np.float32)


def token_count(samples: int, kernels: tuple[int, ...], strides: tuple[int, ...] = STRIDES) -> int:
    """Tokens that the convolutions make of that many samples."""
    for kernel, stride in zip(kernels, strides, strict=True):
        samples = (samples - kernel) // stride + 1
    return max(0, samples)


def receptive_field(kernels: tuple[int, ...], strides: tuple[int, ...] = STRIDES) -> int:
    """Samples that one token sees."""
    reach = 1
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        reach = (reach - 1) * stride + kernel
    return reach


def infer_config(shapes: Mapping[str, tuple[int, ...]], heads: int, *, paired: bool, fps: int = 0) -> AudioEncoderConfig:
    """The configuration behind a state dict's shapes (names as in `new_names`). KeyError names a tensor it needs."""
    convolutions = sorted(
        int(n.split(".")[2]) for n in shapes if n.startswith("feature_extractor.conv_layers.") and n.endswith(".conv.weight")
    )
    kernels = [shapes[f"feature_extractor.conv_layers.{i}.conv.weight"] for i in convolutions]
    position = shapes["encoder.pos_conv_embed.conv.parametrizations.weight.original1"]
    layers = {int(n.split(".")[2]) for n in shapes if n.startswith("encoder.layers.")}
    layer_norm = "feature_extractor.conv_layers.1.layer_norm.weight" in shapes
    hidden = shapes["feature_projection.projection.weight"][0]
    return AudioEncoderConfig(
        family="hubert" if layer_norm else "wav2vec2",
        hidden=hidden,
        layers=len(layers),
        heads=heads,
        ffn=shapes["encoder.layers.0.feed_forward.intermediate_dense.weight"][0],
        conv_channels=tuple(k[0] for k in kernels),
        conv_kernels=tuple(k[2] for k in kernels),
        conv_strides=STRIDES[: len(kernels)],
        conv_bias="feature_extractor.conv_layers.0.conv.bias" in shapes,
        layer_norm=layer_norm,
        position_kernel=position[2],
        position_groups=hidden // position[1],
        paired=paired,
        fps=fps,
    )


def new_names(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """The same entries with the positional convolution's old weight-norm names (PyTorch < 2.1) made new."""
    prefix = "encoder.pos_conv_embed.conv."
    return {
        prefix + OLD_TO_NEW[n.removeprefix(prefix)] if n.removeprefix(prefix) in OLD_TO_NEW and n.startswith(prefix) else n: v
        for n, v in tensors.items()
    }


def _network(config: AudioEncoderConfig) -> Any:
    import transformers

    transformers.logging.set_verbosity_error()
    sizes: dict[str, Any] = {
        "hidden_size": config.hidden,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "intermediate_size": config.ffn,
        "conv_dim": list(config.conv_channels),
        "conv_kernel": list(config.conv_kernels),
        "conv_stride": list(config.conv_strides),
        "conv_bias": config.conv_bias,
        "feat_extract_norm": "layer" if config.layer_norm else "group",
        "do_stable_layer_norm": config.layer_norm,
        "num_conv_pos_embeddings": config.position_kernel,
        "num_conv_pos_embedding_groups": config.position_groups,
        # The reference forces attention maps out, which the default implementation cannot give; nobody reads them.
        "attn_implementation": "sdpa",
    }
    if config.family == "hubert":
        return transformers.HubertModel(transformers.HubertConfig(**sizes))
    return transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(**sizes))
