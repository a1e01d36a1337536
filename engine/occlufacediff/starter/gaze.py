"""Where the eyes look, from the irises: FaceMesh's ten points of them. NumPy only."""

from __future__ import annotations

import numpy as np

from .pose import Pose

EYEBALL = 12.0  # mm, radius
CORNERS = ((263, 362), (133, 33))  # left eye, right eye
LIDS = ((386, 374), (159, 145))
CENTRES = (5, 0)  # of the left and the right iris among the ten
SHUT = 0.12  # of an eye's width between the lids: less hides the iris
MOST = np.array([0.45, 0.6])  # rad: pitch, yaw
USUAL = np.array([10.0, 0.12])  # rad: how far from straight ahead a clip's middle gaze may be and still count as straight


def iris_gaze(
    pose: Pose, flat: np.ndarray, visible: np.ndarray, irises: np.ndarray, irises_visible: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(T, 2) rad pitch and yaw (positive: down, to the subject's left), (T,) bool where it is known, and (T, 2) bool which
    eye's lids are seen, left then right.

    flat (T, 468, 2) and irises (T, 10, 2): mm in the picture; visible and irises_visible: which of them are seen. An iris
    is told from the middle between its eye's corners; the clip's middle gaze counts as straight ahead, in yaw only if it
    is nearly so. A shut eye keeps looking where it did.
    """
    angles = np.full((2, len(flat), 2), np.nan)
    lids_seen = np.zeros((len(flat), 2), bool)
    for side, (corners, lids, centre) in enumerate(zip(CORNERS, LIDS, CENTRES, strict=True)):
        lids_seen[:, side] = visible[:, [*corners, *lids]].all(axis=1) & pose.known
        seen = lids_seen[:, side] & irises_visible[:, centre]
        inner, outer = flat[:, corners[0]], flat[:, corners[1]]
        width = np.linalg.norm(inner - outer, axis=1)
        apart = np.linalg.norm(flat[:, lids[0]] - flat[:, lids[1]], axis=1)
        seen &= apart > SHUT * width
        away = pose.upright((irises[:, centre] - (inner + outer) / 2)[:, None])[:, 0, :2]
        turned = np.arcsin(np.clip(away / EYEBALL, -0.9, 0.9))
        angles[side, seen] = np.stack([-turned[:, 1], turned[:, 0]], axis=1)[seen]
    known = np.isfinite(angles[..., 0]).any(axis=0)
    count = np.isfinite(angles).sum(axis=0)
    looking = np.nansum(angles, axis=0) / np.maximum(count, 1)
    if known.any():
        middle = np.median(looking[known], axis=0)
        looking = looking - np.clip(middle, -USUAL, USUAL)
    return np.clip(looking, -MOST, MOST), known, lids_seen
