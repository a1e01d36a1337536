"""The training loss of OccluFaceDiff: on the latent, and on the face that FLINT decodes from it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from .geometry import Posed
from .regions import EMBEDDING, LOWER_LIP, UPPER_LIP

LATENT, VERTICES, LANDMARKS_3D, LANDMARKS_2D, MOUTH = 1.0, 100.0, 0.5, 0.5, 0.01


class Losses(NamedTuple):
    """Terms, each (). latent: squared error; vertices, landmarks3d: mean distance in metres; landmarks2d, mouth: L1 in the
    crop's units; expression, jaw: squared errors that the reference computes but does not weigh in."""

    latent: Tensor
    vertices: Tensor
    landmarks3d: Tensor
    landmarks2d: Tensor
    mouth: Tensor
    expression: Tensor
    jaw: Tensor

    @property
    def total(self) -> Tensor:
        """The weighted sum."""
        return (
            LATENT * self.latent
            + VERTICES * self.vertices
            + LANDMARKS_3D * self.landmarks3d
            + LANDMARKS_2D * self.landmarks2d
            + MOUTH * self.mouth
        )


def losses(latent: Tensor, target: Tensor, predicted: Posed, truth: Posed, detected: Tensor) -> Losses:
    """latent, target: (B, L, C), predicted and recorded. detected: (B, T, 468, 2) landmarks in the crop's -1..1, whether
    they were hidden from the network or not."""
    seen = detected[:, :, torch.from_numpy(EMBEDDING).to(detected.device)]
    return Losses(
        latent=F.mse_loss(latent, target),
        vertices=(predicted.vertices - truth.vertices).norm(dim=-1).mean(),
        landmarks3d=(predicted.landmarks3d - truth.landmarks3d).norm(dim=-1).mean(),
        landmarks2d=(predicted.landmarks2d - seen).abs().sum(dim=-1).mean(),
        mouth=(mouth_opening(seen) - mouth_opening(predicted.landmarks2d)).abs().mean(),
        expression=F.mse_loss(predicted.expression, truth.expression),
        jaw=F.mse_loss(predicted.jaw, truth.jaw),
    )


def mouth_opening(points: Tensor) -> Tensor:
    """(..., 105, 2) to (..., 20): L1 distance of the lips' pairs of points."""
    return (points[..., UPPER_LIP, :] - points[..., LOWER_LIP, :]).abs().sum(dim=-1)
