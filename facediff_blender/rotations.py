"""Rotation matrices to and from what Blender's curves hold: Euler angles, quaternions, axis-angle. NumPy only."""

from __future__ import annotations

import numpy as np

from ..engine.face.starter_head import rotation_matrices


def euler_angles(matrices: np.ndarray, order: str) -> np.ndarray:
    """(F, 3, 3) rotations -> (F, 3) continuous Euler angles (x, y, z), rad, for Blender's order such as "XYZ".

    Blender's order "ijk" means R = R_k R_j R_i. Near the pole of the middle angle, and where angles wrap, of
    the equivalent triples the one nearest to the frame before is taken, so that no curve jumps.
    """
    i, j, k = ("XYZ".index(axis) for axis in order)
    sign = 1.0 if (j - i) % 3 == 1 else -1.0
    angles = np.zeros((len(matrices), 3))
    angles[:, i] = np.arctan2(sign * matrices[:, k, j], matrices[:, k, k])
    angles[:, j] = np.arcsin(np.clip(-sign * matrices[:, k, i], -1.0, 1.0))
    angles[:, k] = np.arctan2(sign * matrices[:, j, i], matrices[:, i, i])
    if len(angles) and np.abs(angles[:, j]).max() > np.pi / 3:
        for f in range(1, len(angles)):
            other = angles[f] + np.pi
            other[j] = np.pi - angles[f, j]
            near = [a + 2 * np.pi * np.round((angles[f - 1] - a) / (2 * np.pi)) for a in (angles[f], other)]
            angles[f] = min(near, key=lambda a: np.abs(a - angles[f - 1]).sum())
        return angles
    return np.unwrap(angles, axis=0)


def quaternions(matrices: np.ndarray) -> np.ndarray:
    """(F, 3, 3) rotations -> (F, 4) quaternions (w, x, y, z) without a jump of sign between frames."""
    m = matrices
    trace = np.stack(
        [
            1 + m[:, 0, 0] + m[:, 1, 1] + m[:, 2, 2],
            1 + m[:, 0, 0] - m[:, 1, 1] - m[:, 2, 2],
            1 - m[:, 0, 0] + m[:, 1, 1] - m[:, 2, 2],
            1 - m[:, 0, 0] - m[:, 1, 1] + m[:, 2, 2],
        ],
        -1,
    )
    a, b, c = m[:, 2, 1] - m[:, 1, 2], m[:, 0, 2] - m[:, 2, 0], m[:, 1, 0] - m[:, 0, 1]
    d, e, f = m[:, 1, 0] + m[:, 0, 1], m[:, 0, 2] + m[:, 2, 0], m[:, 2, 1] + m[:, 1, 2]
    rows = np.stack(
        [
            np.stack([trace[:, 0], a, b, c], -1),
            np.stack([a, trace[:, 1], d, e], -1),
            np.stack([b, d, trace[:, 2], f], -1),
            np.stack([c, e, f, trace[:, 3]], -1),
        ],
        1,
    )  # each row is the quaternion times another factor; the largest is the exact one (Shepperd, 1978)
    best = rows[np.arange(len(m)), trace.argmax(1)]
    best /= np.linalg.norm(best, axis=1, keepdims=True)
    if len(best):
        flips = np.where((best[1:] * best[:-1]).sum(1) < 0, -1.0, 1.0)
        best[1:] *= np.cumprod(flips)[:, None]
    return best


def axis_angles(matrices: np.ndarray) -> np.ndarray:
    """(F, 3, 3) rotations -> (F, 3) float32 axis-angle in rad, each at most pi long."""
    q = quaternions(matrices)
    q *= np.where(q[:, :1] < 0, -1.0, 1.0)
    sine = np.linalg.norm(q[:, 1:], axis=1, keepdims=True)
    angle = 2 * np.arctan2(sine, q[:, :1])
    return np.where(sine > 1e-12, q[:, 1:] / np.maximum(sine, 1e-12) * angle, 2 * q[:, 1:]).astype(np.float32)


def matrices_from_euler(angles: np.ndarray, order: str) -> np.ndarray:
    """(F, 3) Euler angles (x, y, z), rad, in Blender's order -> (F, 3, 3) rotations R = R_k R_j R_i."""
    result = np.eye(3)[None]
    for axis in order:
        turn = np.zeros_like(angles)
        turn[:, "XYZ".index(axis)] = angles[:, "XYZ".index(axis)]
        result = rotation_matrices(turn) @ result
    return result


def matrices_from_quaternions(values: np.ndarray) -> np.ndarray:
    """(F, 4) quaternions (w, x, y, z) of any length -> (F, 3, 3) rotations."""
    w, x, y, z = (values / np.linalg.norm(values, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), 2, 0)
