"""Sampling a part of a dataset to files, and measuring files of predictions against the recordings.

A prediction is `<clip>.npy` (T, V, 3) float32, positions at the dataset's rate; under another speaker's condition
`<clip>_condition_<speaker>.npy`, with another seed `<clip>_seed_<n>.npy`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import torch

from ..errors import InputError
from .data import Clip, MotionData
from .metrics import Clip as Pair
from .metrics import diversity, facial_dynamics_deviation, mean_region_error, mean_vertex_error, region_error
from .model import LgldmModel
from .pipeline import Sampler, generate

UNITS = {
    "LVE": "m^2", "FVE": "m^2", "EME": "m^2", "MVE": "m", "ALL": "m^2", "FDD": "m^2", "|FDD|": "m^2",
    "diversity over speakers": "m", "diversity over seeds": "m",
}  # fmt: skip
Progress = Callable[[int, int, str], None]


def units_of(dataset: str) -> dict[str, str]:
    """Unit by metric; BIWI's publication of vertices does not say what its length unit is."""
    return {n: u.replace("m", "units") if dataset == "biwi" else u for n, u in UNITS.items()}


def sample_split(
    model: LgldmModel,
    data: MotionData,
    out: Path,
    progress: Progress,
    *,
    sampler: Sampler | None = None,
    steps: int | None = None,
    seeds: Iterable[int] = (0,),
    all_speakers: bool = False,
) -> int:
    """Write a prediction for every clip into the folder `out`, made where it is missing;
    returns their number. A speaker the model was not trained on gets column 0.

    seeds: the first names the plain file, further ones theirs. all_speakers: one file per column of the one-hot, too.
    """
    if len(data.template()) != model.vqvae.config.motion_dim:
        raise InputError(f"The model '{model.name}' is of another mesh than the data.")
    out.mkdir(exist_ok=True)
    first, *others = seeds
    written = 0
    for index in range(len(data)):
        clip = data.clip(index)
        own = clip.item.identity or 0
        jobs = [(first, own, clip.item.name)]
        jobs += [(seed, own, f"{clip.item.name}_seed_{seed}") for seed in others]
        if all_speakers:
            columns = range(model.config.denoiser.identities)
            jobs += [(first, i, f"{clip.item.name}_condition_{data.facts.identities[i]}") for i in columns]
        for seed, identity, name in jobs:
            np.save(out / f"{name}.npy", predict(model, clip, seed, identity, sampler, steps))
            written += 1
        progress(index + 1, len(data), clip.item.name)
    return written


def predict(
    model: LgldmModel, clip: Clip, seed: int, identity: int, sampler: Sampler | None, steps: int | None
) -> np.ndarray:
    """(T, V, 3) positions on the clip's own neutral face."""
    emotion = {clip.item.emotion: 1.0} if clip.item.emotion else {}
    motion = generate(
        model, clip.samples, emotion, seed, lambda *_: None, sampler=sampler, steps=steps, identity=identity
    )
    neutral = model.config.neutral(torch.from_numpy(clip.template)).numpy()
    if model.template is not None:
        neutral = neutral - model.template.cpu().numpy()
    return np.asarray(motion.vertices) + neutral.reshape(-1, 3)


def evaluate_split(data: MotionData, predictions: Path, regions: Mapping[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Figures by name, for "all" clips and by emotion; a metric without its region is left out.

    Raises InputError when a prediction is missing or does not fit.
    """
    rows: dict[str, list[dict[str, float]]] = {}
    worst: dict[str, list[np.ndarray]] = {}
    for index in range(len(data)):
        clip = data.clip(index)
        pair = _pair(clip, _prediction(predictions / f"{clip.item.name}.npy", clip))
        for group in ("all", *filter(None, [clip.item.emotion])):
            rows.setdefault(group, []).append(clip_figures(pair, regions))
            worst.setdefault(group, []).append(_largest(pair))
    figures = {group: pooled(found) for group, found in rows.items()}
    for group, found in worst.items():
        figures[group]["ALL"] = float(np.max(found, axis=0).mean())
    names = [i.name for i in data.items]
    for label, pattern in (("diversity over speakers", "_condition_*"), ("diversity over seeds", "_seed_*")):
        found_groups = [sorted(predictions.glob(f"{n}{pattern}.npy")) for n in names]
        if label.endswith("seeds"):
            found_groups = [[predictions / f"{n}.npy", *g] if g else g for n, g in zip(names, found_groups)]
        found_groups = [g for g in found_groups if len(g) > 1]
        if found_groups:
            each = [diversity([[np.load(p, allow_pickle=False) for p in g]]) for g in found_groups]
            figures["all"][label] = float(np.mean(each))
    return figures


def clip_figures(pair: Pair, regions: Mapping[str, np.ndarray]) -> dict[str, float]:
    """One clip's figures, and its "frames" for pooling."""
    figures = {"frames": float(min(len(pair.truth), len(pair.predicted))), "MVE": mean_vertex_error([pair])}
    if "lip" in regions:
        figures["LVE"] = region_error([pair], regions["lip"])
    if "face" in regions:
        figures["FVE"] = region_error([pair], regions["face"])
    if "emotion" in regions:
        figures["EME"] = mean_region_error([pair], regions["emotion"])
    if "upper" in regions:
        figures["FDD"], figures["|FDD|"] = facial_dynamics_deviation([pair], regions["upper"])
    return figures


def pooled(rows: list[dict[str, float]]) -> dict[str, float]:
    """Over clips: frames count alike, except in FDD, where clips do."""
    frames = np.array([r["frames"] for r in rows])
    result = {"clips": float(len(rows)), "frames": float(frames.sum())}
    for name in (n for n in rows[0] if n != "frames"):
        values = np.array([r[name] for r in rows])
        result[name] = float(values.mean() if "FDD" in name else (values * frames).sum() / frames.sum())
    return result


def _pair(clip: Clip, predicted: np.ndarray) -> Pair:
    truth = (clip.displacement + clip.template).reshape(len(clip.displacement), -1, 3)
    return Pair(truth, predicted, clip.template.reshape(-1, 3))


def _largest(pair: Pair) -> np.ndarray:
    truth, predicted = pair.cut()
    return ((truth - predicted) ** 2).sum(-1).max(axis=0)


def _prediction(path: Path, clip: Clip) -> np.ndarray:
    try:
        vertices = np.load(path, allow_pickle=False)
        return np.asarray(vertices, np.float32).reshape(-1, len(clip.template) // 3, 3)
    except FileNotFoundError:
        raise InputError(f"There is no prediction '{path}'; make them with python -m engine sample.") from None
    except (OSError, ValueError, EOFError, TypeError) as error:
        raise InputError(f"'{path}' does not hold a prediction of this mesh.") from error
