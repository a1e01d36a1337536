"""FLAME as the MEAD loader uses it, and the two metric scripts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from engine.face.flame import NEEDED, flame_from_arrays, pose_flame
from engine.face.flame_torch import FlameLayer
from engine.lgldm.metrics import (
    Clip,
    all_vertex_error,
    diversity,
    facial_dynamics_deviation,
    mean_region_error,
    mean_vertex_error,
    region_error,
)

from .rows import Arrays, Comparison, Row

FLAME_TOLERANCE = 1.1e-4  # the reference rounds to 4 decimals; a last-bit difference may flip one
METRIC_TOLERANCE = 1e-4


def flame(path: Path) -> list[Row]:
    """Vertices of a synthetic FLAME-format model, by NumPy and by PyTorch, rounded as the MEAD loader does."""
    arrays = Arrays(path)
    check = Comparison(arrays)
    model = flame_from_arrays({n: arrays[n] for n in NEEDED}, path.name)
    expression, pose = arrays["expression"][0], arrays["pose"][0]
    rotations = {"global": pose[:, :3], "jaw": pose[:, 3:]}
    posed = np.round(pose_flame(model, expression, rotations), 4)
    check.close("out", posed.reshape(arrays["out"].shape), FLAME_TOLERANCE)
    with torch.inference_mode():
        layer = FlameLayer(model)(torch.from_numpy(expression), {n: torch.from_numpy(r) for n, r in rotations.items()})
    check.close("out", np.round(layer.numpy(), 4).reshape(arrays["out"].shape), FLAME_TOLERANCE, label="out (torch)")
    neutral = np.round(pose_flame(model, np.zeros((1, expression.shape[1]))), 4)
    check.close("template", neutral.reshape(arrays["template"].shape), FLAME_TOLERANCE)
    return check.finish()


def biwi_metrics(path: Path) -> list[Row]:
    """MVE, LVE, FDD and diversity of the BIWI script."""
    arrays = Arrays(path)
    check = Comparison(arrays)
    whole = _spread(arrays)
    templates, gt, pred = whole("templates"), arrays["gt"], arrays["pred"]
    clips, groups = [], []
    for subject in range(gt.shape[0]):
        for sentence in range(gt.shape[1]):
            place = (subject, sentence)
            clips.append(Clip(whole("gt", place), whole("pred", place), templates[subject]))
            groups.append([whole("cond_pred", (*place, c)) for c in range(arrays["cond_pred"].shape[2])])
    signed, absolute = facial_dynamics_deviation(clips, arrays["upper_index"])
    frames = sum(min(len(c.truth), len(c.predicted)) for c in clips)
    check.exact("exp_frames", np.array(frames))
    assert pred.shape[:2] == gt.shape[:2]
    for name, value in {
        "exp_MVE": mean_vertex_error(clips),
        "exp_LVE": region_error(clips, arrays["lip_index"]),
        "exp_FDD": signed,
        "exp_ABS_FDD": absolute,
        "exp_Diversity": diversity(groups),
    }.items():
        check.close(name, value, METRIC_TOLERANCE, relative=True)
    return check.finish()


def mead_metrics(path: Path) -> list[Row]:
    """FVE, LVE, EME and "all vertices" of the MEAD script."""
    arrays = Arrays(path)
    check = Comparison(arrays)
    whole = _spread(arrays)
    template = whole("template")
    clips = [Clip(whole(name), whole(f"pred{match[1]}"), template) for name, match in arrays.matching(r"gt(\d+)")]
    for name, value in {
        "exp_FVE": region_error(clips, arrays["face_index"]),
        "exp_LVE": region_error(clips, arrays["lip_index"]),
        "exp_EME": mean_region_error(clips, arrays["emotion_index"]),
        "exp_ALL": all_vertex_error(clips),
    }.items():
        check.close(name, value, METRIC_TOLERANCE, relative=True)
    return check.finish()


def _spread(arrays: Arrays):  # noqa: ANN202
    """A function that gives an array (or one entry of it) on the whole mesh, zero outside the stored vertices."""

    def whole(name: str, place: tuple[int, ...] = ()) -> np.ndarray:
        stored = arrays[name][place]
        out = np.zeros((*stored.shape[:-2], int(arrays["total_vertices"]), 3), stored.dtype)
        out[..., arrays["active"], :] = stored
        return out

    return whole
