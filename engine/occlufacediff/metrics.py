"""The reference's figures for one clip, each with its true unit; a set of clips is their plain mean.

Lengths are in metres inside and given in mm. Two are not what their names suggest, and are kept as published: `lve` takes
the largest error over time per lip vertex and then the mean over vertices (`lve_usual` is the other way round), and a clip
without visible (or hidden) landmarks counts as 0 in the mean of `lmk2d_vis_reproj_error` (or `..._invis_...`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .geometry import Posed
from .landmarks import FPS
from .regions import EMBEDDING, LOWER_LIP, UPPER_LIP

MM = 1000.0


def clip_metrics(
    predicted: Posed, truth: Posed, detected: np.ndarray, visible: np.ndarray, regions: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """Figures by the reference's names for one clip, a batch of 1 with n >= 4 frames.

    detected: (n, 468, 2) in the crop's -1..1; visible: (n, 468). regions: vertex numbers; "lips" is needed. Units: jitter
    m/s^3; mvpe, mvpe_<region>, lve, lmk_3d_mvpe mm; mvve mm/s; pose_error degrees; expre_error none; mouth_closure and
    lmk2d_* the crop's units in L1 (times 112: crop pixels).
    """
    vertices, true_vertices = _one(predicted.vertices), _one(truth.vertices)
    error = np.linalg.norm(vertices - true_vertices, axis=-1) * MM
    landmarks = np.linalg.norm(_one(predicted.landmarks3d) - _one(truth.landmarks3d), axis=-1) * MM
    seen = detected[:, EMBEDDING].astype(np.float64)
    flat = np.abs(_one(predicted.landmarks2d) - seen).sum(axis=-1)
    shown = visible[:, EMBEDDING].astype(bool)
    turned = _one(predicted.jaw) - _one(truth.jaw)
    figures = {
        "pred_jitter": jitter(vertices),
        "gt_jitter": jitter(true_vertices),
        "mvpe": error.mean(),
        "mvve": np.linalg.norm(np.diff(vertices - true_vertices, axis=0), axis=-1).mean() * FPS * MM,
        "pose_error": np.degrees(np.abs((turned + np.pi) % (2 * np.pi) - np.pi).mean()),
        "expre_error": np.abs(_one(predicted.expression) - _one(truth.expression)).mean(),
        "lmk_3d_mvpe": landmarks.max(axis=0).mean(),
        "lve": error[:, regions["lips"]].max(axis=0).mean(),
        "lve_usual": error[:, regions["lips"]].max(axis=1).mean(),
        "mouth_closure": np.abs(mouth_opening(seen) - mouth_opening(_one(predicted.landmarks2d))).mean(),
        "gt_mouth_closure": np.abs(mouth_opening(seen) - mouth_opening(_one(truth.landmarks2d))).mean(),
        "lmk2d_reproj_error": flat.mean(),
        "lmk2d_vis_reproj_error": flat[shown].mean() if shown.any() else 0.0,
        "lmk2d_invis_reproj_error": flat[~shown].mean() if not shown.all() else 0.0,
    }
    figures |= {f"mvpe_{name}": error[:, index].mean() for name, index in regions.items() if name != "lips"}
    return {name: float(value) for name, value in figures.items()}


def vertex_errors(predicted: Posed, truth: Posed) -> np.ndarray:
    """(V,) mm: each vertex's mean distance over time, for a picture of where a clip is wrong."""
    return np.linalg.norm(_one(predicted.vertices) - _one(truth.vertices), axis=-1).mean(axis=0) * MM


def jitter(vertices: np.ndarray) -> float:
    """(n, V, 3) metres: mean length of the third difference, m/s^3."""
    return float(np.linalg.norm(np.diff(vertices, n=3, axis=0), axis=-1).mean() * FPS**3)


def mouth_opening(points: np.ndarray) -> np.ndarray:
    """(..., 105, 2) to (..., 20): L1 distance of the lips' pairs of points."""
    return np.abs(points[..., UPPER_LIP, :] - points[..., LOWER_LIP, :]).sum(axis=-1)


def _one(values: object) -> np.ndarray:
    """The only clip of a batch, float64."""
    array = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values, np.float64)
    if len(array) != 1:
        raise ValueError("figures are of one clip at a time")
    return array[0]
