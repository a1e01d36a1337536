"""A denoiser made ready for a sampler: what is the same at every step is worked out once.

`Stepper` gives what `Denoiser.forward` gives but for rounding, in about a third of the time on a CPU: the memory is looked
up once; each normalisation and the scale and shift by the timestep after it become one, for all timesteps together; and
weights are laid out for so few rows (`onednn.py`).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..onednn import laid_out
from .denoiser import DecoderLayer, Denoiser, Film, positions
from .layers import SLOPE, causal_alibi

Affine = tuple[Tensor, Tensor]


class Stepper:
    """(x_t, t) -> x0 for one memory. For evaluation only: there is no dropout."""

    def __init__(self, denoiser: Denoiser, memory: Tensor, latents: int, times: Iterable[int] = ()):
        """memory: (B, >= latents, width). times: the timesteps that will be asked for; others cost more when they are."""
        self._denoiser = denoiser
        self._device = memory.device
        rows = len(memory) * latents
        self._layers = [_Layer(layer, layer.look_up(memory, latents), rows) for layer in denoiser.decoder]
        self._latent_in, self._out_hidden, self._out = (
            laid_out(part.weight, part.bias, rows) for part in (denoiser.latent_in, denoiser.out_hidden, denoiser.out)
        )
        self._positions = positions(latents, denoiser.config.width).to(memory)
        config = denoiser.config
        self._bias = causal_alibi(config.heads, latents, device=memory.device).to(memory) if config.causal else None
        self._affines: dict[int, list[list[Affine]]] = {}
        self._prepare(list(times))

    def __call__(self, x: Tensor, t: int) -> Tensor:
        """x: (B, latents, latent_channels); B and latents are the memory's."""
        if t not in self._affines:
            self._prepare([t])
        hidden = self._latent_in(x) + self._positions
        for layer, affines in zip(self._layers, self._affines[t], strict=True):
            hidden = layer(hidden, affines, self._bias)
        return self._out(F.leaky_relu(self._out_hidden(hidden), SLOPE))

    def _prepare(self, times: list[int]) -> None:
        if not times:
            return
        activated = F.mish(self._denoiser.time_embedding(torch.tensor(times, device=self._device)))[:, 0]
        tables = [layer.affines(activated) for layer in self._layers]
        for i, t in enumerate(times):
            self._affines[t] = [[(scale[i], shift[i]) for scale, shift in table] for table in tables]


class _Layer:
    """A `DecoderLayer` with what it takes from the memory."""

    def __init__(self, layer: DecoderLayer, looked: Tensor, rows: int):
        attention = layer.self_attn
        self._layer, self._looked, self._heads = layer, looked, attention.heads
        self._in = laid_out(attention.in_proj_weight, attention.in_proj_bias, rows)
        self._mixed, self._wide, self._narrow = (
            laid_out(part.weight, part.bias, rows) for part in (attention.out_proj, layer.linear1, layer.linear2)
        )

    def affines(self, activated: Tensor) -> list[Affine]:
        """Mish of the times' embeddings (K, width) to weights and biases (K, width) of the three normalisations."""
        own = self._layer
        return [_affine(*pair, activated) for pair in ((own.norm1, own.film1), (own.norm2, own.film2), (own.norm3, own.film3))]

    def __call__(self, x: Tensor, affines: list[Affine], bias: Tensor | None) -> Tensor:
        batch, time, width = x.shape
        q, k, v = self._in(x).view(batch, time, 3, self._heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        x = F.layer_norm(x + self._mixed(mixed.transpose(1, 2).reshape(batch, time, width)), (width,), *affines[0])
        x = F.layer_norm(x + self._looked, (width,), *affines[1])
        return F.layer_norm(x + self._narrow(F.gelu(self._wide(x))), (width,), *affines[2])


def _affine(norm: nn.LayerNorm, film: Film, activated: Tensor) -> Affine:
    scale, shift = film.linear(activated).chunk(2, dim=-1)
    return scale * norm.weight, scale * norm.bias + shift
