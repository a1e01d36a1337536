"""Measuring a model on the test part of MEAD under each kind of occlusion, visible and hidden landmarks apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import torch

from ..errors import InputError
from ..face.array_pickle import ArrayPickleError, load_array_pickle
from ..face.flame_torch import FlameLayer
from .data import Clip, OccluData
from .geometry import LandmarkEmbedding, Posed, Subject, pose
from .metrics import clip_metrics
from .model import OccluModel
from .occlusion import RandomDraws, TestType, crop_mask, visible_in_crop
from .pipeline import Clip as Heard
from .pipeline import generate

SHORTEST = 25  # frames; the reference skips shorter clips
TYPES: tuple[str, ...] = get_args(TestType)
USUAL = ("non_occ", "mouth", "upper", "asym", "missing_frames", "random")  # that the reference's command line offers
CROP_L1 = "crop L1"  # |dx| + |dy| where the crop is 2 wide; times 112: pixels
UNITS = {
    "mvpe": "mm", "mvpe_face": "mm", "lve": "mm", "lve_usual": "mm", "lmk_3d_mvpe": "mm", "mvve": "mm/s", "pose_error": "deg",
    "expre_error": "1", "mouth_closure": CROP_L1, "gt_mouth_closure": CROP_L1, "lmk2d_reproj_error": CROP_L1,
    "lmk2d_vis_reproj_error": CROP_L1, "lmk2d_invis_reproj_error": CROP_L1, "lmk2d_visible": CROP_L1, "lmk2d_hidden": CROP_L1,
    "pred_jitter": "m/s^3", "gt_jitter": "m/s^3",
}  # fmt: skip
Told = Callable[[int, int, str], None]


def evaluate(
    model: OccluModel,
    data: OccluData,
    face: tuple[FlameLayer, LandmarkEmbedding],
    regions: Mapping[str, np.ndarray],
    types: Sequence[str],
    told: Told,
    *,
    seed: int = 0,
    steps: int = 100,
    limit: int | None = None,
) -> dict[str, dict[str, float]]:
    """Figures by type of occlusion, each the plain mean over clips, as published, with "clips".

    Two are added: `lmk2d_visible` and `lmk2d_hidden` leave out clips that have no such landmark, which the published
    `lmk2d_vis_reproj_error` and `..._invis_...` count as 0. limit: the first clips alone. The masks depend on seed, type and
    clip only. Raises InputError.
    """
    rows: dict[str, list[dict[str, float]]] = {kind: [] for kind in types}
    count = min(len(data), limit or len(data))
    for index in range(count):
        clip = data.clip(index)
        truth = _posed(face, clip.motion, clip, model.device)
        for kind in types:
            visible = visibility(clip, kind, np.random.default_rng([seed, TYPES.index(kind), index]))
            motion = predict(model, clip, visible, seed, steps)
            figures = clip_metrics(_posed(face, motion, clip, model.device), truth, clip.landmarks, visible, regions)
            figures["lmk2d_visible"] = figures["lmk2d_vis_reproj_error"] if visible.any() else np.nan
            figures["lmk2d_hidden"] = figures["lmk2d_invis_reproj_error"] if not visible.all() else np.nan
            figures["visible share"] = float(visible.mean())
            rows[kind].append(figures)
        told(index + 1, count, clip.name)
    return {kind: _pooled(found) for kind, found in rows.items()}


def predict(model: OccluModel, clip: Clip, visible: np.ndarray, seed: int, steps: int) -> np.ndarray:
    """(n, 103) what `track` makes of the clip's sound and visible landmarks."""
    heard = Heard(*(torch.from_numpy(a).to(model.device) for a in (clip.landmarks, visible, clip.samples)))
    motion = generate(model, heard, seed, lambda *_: None, steps=steps)
    return np.concatenate([np.asarray(motion.expression), np.asarray(motion.jaw_pose)], axis=1)


def visibility(clip: Clip, kind: str, generator: np.random.Generator) -> np.ndarray:
    """(n, 468) bool for a type of occlusion, drawn as the published test does."""
    mask = crop_mask(clip.landmarks, kind, RandomDraws(generator))  # type: ignore[arg-type]
    return visible_in_crop(clip.landmarks, mask)


def load_regions(path: Path, vertices: int) -> dict[str, np.ndarray]:
    """Vertex numbers of "lips" and "face" from FLAME_masks.pkl. Raises InputError."""
    try:
        masks = load_array_pickle(path) if path.is_file() else None
    except ArrayPickleError as error:
        raise InputError(str(error)) from None
    if not isinstance(masks, Mapping) or not {"lips", "face"} <= masks.keys():
        raise InputError(f"'{path}' is not FLAME's file of vertex masks (FLAME_masks.pkl, from flame.is.tue.mpg.de).")
    regions = {name: np.asarray(masks[name], np.int64).reshape(-1) for name in ("lips", "face")}
    if any(not r.size or r.min() < 0 or r.max() >= vertices for r in regions.values()):
        raise InputError(f"'{path.name}' does not fit the FLAME model of {vertices} vertices.")
    return regions


def _posed(face: tuple[FlameLayer, LandmarkEmbedding], motion: np.ndarray, clip: Clip, device: torch.device) -> Posed:
    """A motion on the clip's own subject; only the recorded shape, rotation and camera are ever used."""

    def one(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, np.float32))[None].to(device)

    with torch.inference_mode():
        return pose(*face, one(motion), Subject(one(clip.shape), one(clip.rotation), one(clip.camera)))


def _pooled(rows: list[dict[str, float]]) -> dict[str, float]:
    """Means over the clips that have the figure; a figure that no clip has is left out."""
    pooled = {"clips": float(len(rows))}
    for name in rows[0]:
        values = np.array([row[name] for row in rows])
        if np.isfinite(values).any():
            pooled[name] = float(np.nanmean(values))
    return pooled
