"""The two stages' training losses, as the reference weighs them: every term counts once."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torch.nn import functional as F

from .vqvae import VQVAE


class StageOneLosses(NamedTuple):
    """Terms of stage 1, each (): L1 of the reconstruction, and the quantiser's."""

    reconstruction: Tensor
    quantiser: Tensor

    @property
    def total(self) -> Tensor:
        """Their sum."""
        return self.reconstruction + self.quantiser


class StageTwoLosses(NamedTuple):
    """Terms of stage 2, each (): squared error of the latent, and of the vertices decoded from the quantised prediction."""

    latent: Tensor
    motion: Tensor

    @property
    def total(self) -> Tensor:
        """Their sum."""
        return self.latent + self.motion


def stage_one_losses(vqvae: VQVAE, displacement: Tensor, emotion: Tensor | None) -> StageOneLosses:
    """displacement: (B, T, motion_dim) from the neutral face."""
    reconstruction, quantised = vqvae(displacement, emotion)
    return StageOneLosses(F.l1_loss(reconstruction, displacement), quantised.loss)


def stage_two_losses(
    vqvae: VQVAE, predicted: Tensor, x0: Tensor, displacement: Tensor, emotion: Tensor | None
) -> StageTwoLosses:
    """predicted, x0: (B, T, q * d); displacement: (B, T, motion_dim); gradients pass the frozen stage 1 to `predicted`."""
    decoded = vqvae.decode(vqvae.quantiser(predicted, emotion).latent)
    return StageTwoLosses(F.mse_loss(predicted, x0), F.mse_loss(decoded, displacement))
