"""From FLAME parameters to what the losses and metrics compare: vertices, 105 landmarks, and both in the crop's plane."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..array_archive import read_arrays
from ..errors import InputError
from ..face.flame import FlameError, load_flame
from ..face.flame_torch import FlameLayer
from .flint import EXPRESSION
from .regions import EMBEDDING

SHAPE = 300  # numbers of a subject's shape in MEAD's reconstructions


@dataclass(frozen=True)
class LandmarkEmbedding:
    """Where the 105 landmarks lie on FLAME: corners (P, 3) vertex numbers, weights (P, 3), MediaPipe's numbers (P,)."""

    corners: np.ndarray
    weights: np.ndarray
    mediapipe: np.ndarray


@dataclass(frozen=True)
class Subject:
    """What is never predicted: shape (B, T, S), global rotation (B, T, 3) rad, camera (B, T, 3) as scale, x, y."""

    shape: Tensor
    rotation: Tensor
    camera: Tensor


@dataclass(frozen=True)
class Posed:
    """A motion on a subject: expression (B, T, 100), jaw (B, T, 3) rad, vertices (B, T, V, 3) and landmarks3d
    (B, T, 105, 3) in metres, landmarks2d (B, T, 105, 2) in the crop's -1..1."""

    expression: Tensor
    jaw: Tensor
    vertices: Tensor
    landmarks3d: Tensor
    landmarks2d: Tensor


def load_embedding(path: Path, faces: np.ndarray) -> LandmarkEmbedding:
    """FLAME's published `mediapipe_landmark_embedding.npz` for a model with these faces (F, 3). Raises InputError."""
    try:
        data = read_arrays(path, ("lmk_face_idx", "lmk_b_coords", "landmark_indices"))
        triangles = data["lmk_face_idx"].astype(np.int64).ravel()
        weights = data["lmk_b_coords"].astype(np.float32)
        numbers = data["landmark_indices"].astype(np.int64).ravel()
    except (OSError, ValueError, KeyError) as error:  # an ArchiveError is a ValueError
        raise InputError(f"'{path.name}' is not FLAME's MediaPipe landmark embedding.") from error
    if not np.array_equal(numbers, EMBEDDING) or weights.shape != (len(EMBEDDING), 3) or triangles.shape != numbers.shape:
        raise InputError(f"'{path.name}' has other landmarks than FLAME's published MediaPipe embedding.")
    if triangles.min() < 0 or triangles.max() >= len(faces):
        raise InputError(f"'{path.name}' does not fit the FLAME model: it names triangles that the model does not have.")
    return LandmarkEmbedding(faces[triangles], weights, numbers)


def load_face(flame: Path | None, embedding: Path | None) -> tuple[FlameLayer, LandmarkEmbedding]:
    """The user's FLAME file, with as many columns as MEAD's reconstructions, and its landmarks. Raises InputError."""
    if flame is None or embedding is None:
        raise InputError(
            "Vertices and landmarks need a FLAME file (--flame generic_model.pkl) and its landmarks (--embedding "
            "mediapipe_landmark_embedding.npz), both from flame.is.tue.mpg.de."
        )
    try:
        model = load_flame(flame)
    except FlameError as error:
        raise InputError(str(error)) from None
    if model.expression_basis.shape[2] < EXPRESSION or model.shape_basis.shape[2] < SHAPE:
        wanted = f"{SHAPE} shapes and {EXPRESSION} expressions"
        raise InputError(f"'{flame.name}' is too old: FLAME 2019 or later is needed, with {wanted}.")
    return FlameLayer(model), load_embedding(embedding, model.faces)


def pose(layer: FlameLayer, embedding: LandmarkEmbedding, motion: Tensor, subject: Subject) -> Posed:
    """Motion (B, T, 103), expression then jaw, on a subject; with gradients."""
    batch, time = motion.shape[:2]
    expression, jaw = motion[..., :EXPRESSION], motion[..., EXPRESSION:]
    vertices = layer(
        expression.flatten(0, 1),
        {"global": subject.rotation.flatten(0, 1), "jaw": jaw.flatten(0, 1)},
        subject.shape.flatten(0, 1),
    ).unflatten(0, (batch, time))
    weights = torch.from_numpy(embedding.weights).to(vertices)
    landmarks = (vertices[:, :, torch.from_numpy(embedding.corners).to(vertices.device)] * weights[..., None]).sum(dim=-2)
    return Posed(expression, jaw, vertices, landmarks, project(landmarks, subject.camera)[..., :2])


def project(points: Tensor, camera: Tensor) -> Tensor:
    """Weak perspective: (B, T, P, 3) metres with camera (B, T, 3) to the crop's -1..1, x right, y down, z away."""
    scale, shift = camera[..., None, :1], camera[..., None, 1:]
    plane = scale * (points[..., :2] + shift)
    depth = scale * points[..., 2:]
    return torch.cat([plane[..., :1], -plane[..., 1:], -depth], dim=-1)
