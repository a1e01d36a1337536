"""ARKit weights that move the starter head's points where the visible points are: boxed least squares. NumPy only.

The denoiser's weights are what the fit is pulled to, so where nothing is visible they are the answer, and where much is
visible they decide between mixtures of shapes that look the same.
"""

from __future__ import annotations

import numpy as np

from ..regions import FACE_OVAL, LEFT_EYE_BROW, RIGHT_EYE_BROW
from .channels import FACE, FACE_ROWS
from .points import CHEEKS, CHIN, LIP_RINGS, LIPS, NOSE, FacePoints
from .pose import Pose

BLOCK = 128  # frames at a time, so that memory stays bounded
SWEEPS = 25
PULL = 5.0  # mm2 per squared weight, towards the denoiser's
UNSEEN_PULL = 500.0  # for shapes of the mouth where no lip is visible: what moves the nose a little must not move them
MOUTH_SHAPES = np.array([name.startswith(("jaw", "mouth", "tongue", "cheekPuff")) for name in FACE])
UNSEEN = frozenset(("tongueOut", "cheekPuff"))  # no point of FaceMesh follows the tongue, nor how full a cheek is


def point_weights() -> np.ndarray:
    """(468,) how much each point counts: most where the shapes differ most and FaceMesh looks closest."""
    weights = np.full(468, 0.03)
    weights[FACE_OVAL] = 0.03
    weights[list(CHEEKS)], weights[list(CHIN)], weights[list(NOSE)] = 0.1, 0.1, 0.1
    weights[LEFT_EYE_BROW], weights[RIGHT_EYE_BROW] = 0.5, 0.5
    weights[list(LIP_RINGS[4])] = 0.4
    weights[LIPS] = 1.0
    return weights


def counted(visible: np.ndarray) -> np.ndarray:
    """(T, 468) how much each point counts, for how visible (T, 468) it is, 0..1.

    Skin around the mouth counts only with the lips: how much of a jaw's motion a detector shows on cheeks and chin differs
    between people, and beside something that hides the mouth it is hardly any. The denoiser was taught to judge that.
    """
    around = ~np.isin(np.arange(468), [*LIPS, *LEFT_EYE_BROW, *RIGHT_EYE_BROW, *NOSE])
    share = np.where(around, visible[:, LIPS].mean(axis=1, keepdims=True), 1.0)
    return visible * share * point_weights()


def fit_weights(
    flat: np.ndarray, weight: np.ndarray, pose: Pose, rest: np.ndarray, points: FacePoints, expected: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """(T, 44) weights of FACE in 0..1.

    flat (T, 468, 2) mm in the picture less everything that FACE does not explain but for `rest` (468, 3) mm; weight
    (T, 468) >= 0, 0 for hidden points, whose places count nowhere; expected (T, 44).
    """
    lips = np.clip(weight[:, LIPS].mean(axis=1, keepdims=True), 0, 1)
    pulls = PULL + MOUTH_SHAPES * UNSEEN_PULL * (1 - lips)
    basis = points.basis[FACE_ROWS]
    out = np.empty(expected.shape)
    for start in range(0, len(flat), BLOCK):
        part = slice(start, start + BLOCK)
        camera, count = pose.rotation[part, :2], len(flat[part])
        counted = weight[part, :, None] > 0
        wrong = np.where(counted, flat[part] - (rest @ camera.transpose(0, 2, 1)), 0.0).reshape(count, 1, -1)
        moved = np.einsum("tij,kpj->tkpi", camera, basis, optimize=True).reshape(count, len(FACE), -1)
        weighted = moved * np.repeat(weight[part], 2, axis=1)[:, None]
        gram = weighted @ moved.transpose(0, 2, 1)
        right = (weighted @ wrong.transpose(0, 2, 1))[..., 0]
        gram += pulls[part, :, None] * np.eye(len(FACE))
        out[part] = boxed(gram, right + pulls[part] * expected[part], expected[part])
    for name in UNSEEN:
        out[:, FACE.index(name)] = expected[:, FACE.index(name)]
    return np.clip(out, 0, 1)


def boxed(gram: np.ndarray, right: np.ndarray, start: np.ndarray) -> np.ndarray:
    """(T, K) minimiser of w G w / 2 - right w over 0 <= w <= 1, by coordinate descent. gram: (T, K, K) positive."""
    w = np.clip(start, 0, 1).astype(np.float64)
    diagonal = np.einsum("tkk->tk", gram)
    for _ in range(SWEEPS):
        for k in range(w.shape[1]):
            others = np.einsum("tj,tj->t", gram[:, k], w) - diagonal[:, k] * w[:, k]
            w[:, k] = np.clip((right[:, k] - others) / diagonal[:, k], 0, 1)
    return w
