"""What the starter tracker's denoiser is shown: how far each point is from where this face usually has it. NumPy only.

The head's own motion is taken out, and so is the person: of every point only the difference from its mean over the clip is
left, in head axes. Hidden points count nowhere.
"""

from __future__ import annotations

import numpy as np

MILLIMETRES, RADIANS = 4.0, 0.08  # that become 1
FEW, CLOSE = 15, 25.0  # visible points, and mm they must spread over in both directions, to tell how the head is held


def rigid_modes(rest: np.ndarray) -> np.ndarray:
    """(6, P, 2): how points at rest (P, 3) seem to move with small turns about x, y, z, a growth, and shifts."""
    x, y, z = rest.T
    none, one = np.zeros_like(x), np.ones_like(x)
    return np.stack(
        [
            np.stack(mode, axis=1)
            for mode in ((none, -z), (z, none), (-y, x), (x, y), (30 * one, none), (none, 30 * one))
        ]
    )


def enough(visible: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """(T,) bool: whether the visible ones (T, P) of points at rest (P, 3) tell how the head is held."""
    known = visible.sum(axis=1) >= FEW
    for axis in (0, 1):
        low = np.where(visible, rest[:, axis], np.inf).min(axis=1)
        high = np.where(visible, rest[:, axis], -np.inf).max(axis=1)
        known &= high - low >= CLOSE
    return known


def without_rigid_motion(
    moved: np.ndarray, visible: np.ndarray, rest: np.ndarray, steady: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """moved (T, P, 2) mm less the small turn, growth and shift that explain it best at the visible (T, P) points, weighed
    by `steady` (P,); and (T,) bool where there were enough of them."""
    known = enough(visible, rest)
    modes = rigid_modes(rest)
    columns = modes.reshape(6, -1).astype(moved.dtype)
    weight = visible * steady
    products = np.einsum("apc,bpc->abp", modes, modes).reshape(36, -1)
    gram = (weight @ products.T).reshape(-1, 6, 6) + 1e-3 * np.eye(6)
    weighted = np.where(visible[..., None], moved, 0) * weight[..., None].astype(moved.dtype)
    right = weighted.reshape(len(moved), -1) @ columns.T
    share = np.linalg.solve(gram, right[..., None])[..., 0].astype(moved.dtype)
    return moved - (share @ columns).reshape(moved.shape), known


def looked_at_input(
    moved: np.ndarray, visible: np.ndarray, head: np.ndarray, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """moved (T, P, 2) mm, visible (T, P), head (T, 3) rad, known (T,) to (T, P + 2, 3) float32 and (T, P + 2) bool.

    The last of the three numbers is 1, so that a hidden point, which is given as zeros, differs from one at rest. Two more
    "points" are the head's pitch, yaw and roll.
    """
    count = np.maximum(visible.sum(axis=0), 1)[:, None]
    seen = np.where(visible[..., None], moved, 0.0)
    seen = (seen - seen.sum(axis=0) / count) / MILLIMETRES
    turn = np.where(known[:, None], head, 0.0)
    turn = (turn - turn.sum(axis=0) / max(known.sum(), 1)) / RADIANS
    pose = np.stack([turn[:, :2], np.stack([turn[:, 2], np.zeros(len(turn))], axis=1)], axis=1)
    places = np.concatenate([seen, pose], axis=1)
    shown = np.concatenate([visible, np.repeat(known[:, None], 2, axis=1)], axis=1)
    whole = np.concatenate([places, np.ones((*places.shape[:2], 1))], axis=2)
    return np.where(shown[..., None], whole, 0.0).astype(np.float32), shown
