"""What the FLINT prior and the denoiser are built of: attention of our own, the encoder layer, and the 8x down-sampler.

PyTorch's TransformerEncoderLayer must not be used here: in evaluation without gradients its fast path takes an additive
float bias for a boolean mask, so that every frame attends to itself alone, and the motion is silently wrong.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..lgldm.denoiser import attention_slopes

KERNEL = 5
SLOPE = 0.2  # of the leaky ReLU


class SelfAttention(nn.Module):
    """Multi-head self-attention with an optional additive bias (H, T, T) or (T, T); dropout is of attention weights."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        if width % heads:
            raise ValueError(f"a width of {width} is no multiple of {heads} attention heads")
        self.heads = heads
        self.dropout = dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        batch, time, width = x.shape
        stacked = F.linear(x, self.in_proj_weight, self.in_proj_bias)
        q, k, v = stacked.view(batch, time, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mask = None if bias is None else bias.to(x)
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
        return self.out_proj(mixed.transpose(1, 2).reshape(batch, time, width))


class EncoderLayer(nn.Module):
    """Post-norm transformer layer (Vaswani et al. 2017) with GELU."""

    def __init__(self, width: int, heads: int, ff: int, dropout: float):
        super().__init__()
        self.self_attn = SelfAttention(width, heads, dropout)
        self.linear1 = nn.Linear(width, ff)
        self.linear2 = nn.Linear(ff, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        drop = self.dropout
        x = self.norm1(x + drop(self.self_attn(x, bias)))
        return self.norm2(x + drop(self.linear2(drop(F.gelu(self.linear1(x))))))




def squasher(inputs: int, width: int) -> nn.Sequential:
    """Convolutions that take (B, inputs, T) to (B, width, T // 8): stride 2, then pooling by 2 twice."""

    def block(channels: int, stride: int, pool: bool) -> nn.Sequential:
        convolution = nn.Conv1d(channels, width, KERNEL, stride, padding=2, padding_mode="replicate")
        layers: list[nn.Module] = [convolution, nn.LeakyReLU(SLOPE), nn.BatchNorm1d(width)]
        return nn.Sequential(*layers, *([nn.MaxPool1d(2)] if pool else []))

    return nn.Sequential(block(inputs, 2, False), block(width, 1, True), block(width, 1, True))


def alibi(heads: int, frames: int, device: torch.device | None = None) -> Tensor:
    """(H, T, T) additive bias -slope |i - j| (Press et al. 2022, made symmetric)."""
    place = torch.arange(frames, device=device)
    distance = (place[:, None] - place[None]).abs().float()
    return -torch.tensor(attention_slopes(heads), device=device)[:, None, None] * distance


def causal_alibi(heads: int, frames: int, period: int = 2, device: torch.device | None = None) -> Tensor:
    """(H, T, T): -slope floor((i - j) / period) for frames up to the own one, -inf for later ones."""
    place = torch.arange(frames, device=device)
    distance = place[:, None] - place[None]
    slopes = torch.tensor(attention_slopes(heads), device=device)[:, None, None]
    return (-slopes * (distance // period).float()).masked_fill(distance < 0, -torch.inf)
