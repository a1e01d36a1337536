"""FLAME as a PyTorch layer with gradients, for training; the same description and results as `flame.py`."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from .flame import JOINTS, FlameModel


class FlameLayer(nn.Module):
    """Expression and joint rotations to vertices. Buffers are float32 and not saved: FLAME's file is the user's."""

    def __init__(self, model: FlameModel):
        super().__init__()
        self.parents = model.parents.tolist()
        arrays = {
            "template": model.template,
            "shape_basis": model.shape_basis,
            "expression_basis": model.expression_basis,
            "pose_basis": model.pose_basis,
            "regressor": model.regressor,
            "skin": model.skin,
        }
        for name, value in arrays.items():
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(value, np.float32)), persistent=False)

    def forward(self, expression: Tensor, rotations: dict[str, Tensor] | None = None, betas: Tensor | None = None) -> Tensor:
        """expression: (T, e); rotations: axis-angle (T, 3) rad by joint name; betas: (T, s). Returns (T, V, 3) metres."""
        frames = len(expression)
        still = expression.new_zeros(frames, 3)
        pose = torch.stack([(rotations or {}).get(n, still) for n in JOINTS[: len(self.parents)]], 1)
        shaped = self.template + torch.einsum("vce,te->tvc", self.expression_basis[:, :, : expression.shape[1]], expression)
        if betas is not None:
            shaped = shaped + torch.einsum("vcs,ts->tvc", self.shape_basis[:, :, : betas.shape[1]], betas)
        joints = self.regressor @ shaped
        matrices = rotation_matrices(pose)
        eye = torch.eye(3, dtype=pose.dtype, device=pose.device)
        feature = (matrices[:, 1:] - eye).reshape(frames, -1)
        shaped = shaped + torch.einsum("vcp,tp->tvc", self.pose_basis, feature)
        world, place = [matrices[:, 0]], [joints[:, 0]]
        for j in range(1, len(self.parents)):
            p = self.parents[j]
            world.append(world[p] @ matrices[:, j])
            place.append(place[p] + (world[p] @ (joints[:, j] - joints[:, p])[..., None])[..., 0])
        turned, placed = torch.stack(world, 1), torch.stack(place, 1)
        offset = placed - (turned @ joints[..., None])[..., 0]
        blended = torch.einsum("vj,tjab->tvab", self.skin, turned)
        return (blended @ shaped[..., None])[..., 0] + torch.einsum("vj,tja->tva", self.skin, offset)


def rotation_matrices(axis_angle: Tensor) -> Tensor:
    """(..., 3) rad to (..., 3, 3) by Rodrigues' formula; gradients are finite at zero."""
    squared = axis_angle.square().sum(-1, keepdim=True)
    small = squared < 1e-12
    angle = torch.where(small, torch.ones_like(squared), squared).sqrt()[..., None]
    sine = torch.where(small[..., None], torch.ones_like(angle), torch.sin(angle) / angle)
    cosine = torch.where(small[..., None], torch.full_like(angle, 0.5), (1 - torch.cos(angle)) / angle.square())
    x, y, z = axis_angle.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*axis_angle.shape[:-1], 3, 3)
    eye = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    return eye + sine * cross + cosine * (cross @ cross)
