"""The structured rings: mouth and eyes from the landmarks' rings, nostrils and ear roots as ellipses."""

from __future__ import annotations

import numpy as np

from .chart import Surface
from .geometry import FLIP, closed_curve, unit
from .landmarks import EYE_RINGS, LIP_RINGS, Landmarks
from .sampling import Samples

MOUTH_SPOKES, EYE_SPOKES, NOSTRIL_SPOKES, EAR_SPOKES = 40, 32, 12, 36
NOSTRIL = np.array([8.0, -41.8, 27.5])
EAR_ROOT = np.array([71.0, -13.0, -87.0])


def feature_rings(
    surface: Surface, landmarks: Landmarks, samples: Samples
) -> tuple[np.ndarray, dict[str, list[np.ndarray]]]:
    chart = surface.landmark_directions
    loops: dict[str, list[np.ndarray]] = {"mouth": _mouth_loops(chart)}
    eye = _eye_loops(chart, landmarks)
    along, across = unit(np.array([-0.35, -0.15, 1.0])), unit(np.array([1.0, -0.2, 0.35]))
    back, up = unit(np.array([-0.25, 0, -1.0])), unit(np.array([0, 1.0, -0.14]))

    def ellipse(centre: np.ndarray, u: np.ndarray, v: np.ndarray, a: float, b: float, n: int) -> np.ndarray:
        t = np.arange(n) / n * 2 * np.pi
        return samples.direction_at(centre + np.outer(np.cos(t) * a, u) + np.outer(np.sin(t) * b, v))

    nostril = [ellipse(NOSTRIL, along, across, a, b, NOSTRIL_SPOKES) for a, b in ((5.7, 3.4), (7.1, 4.6))]
    ear = [ellipse(EAR_ROOT, back, up, a, b, EAR_SPOKES) for a, b in ((8.5, 25.0), (12.5, 29.5))]
    for name, half in (("eye", eye), ("nostril", nostril), ("ear", ear)):
        loops[name + "Left"], loops[name + "Right"] = half, [loop * FLIP for loop in half]
    rings, directions = {}, []
    for name, family in loops.items():
        rings[name] = []
        for loop in family:
            rings[name].append(np.arange(len(directions), len(directions) + len(loop)))
            directions.extend(loop)
    return np.array(directions), rings


def _mouth_loops(chart: np.ndarray) -> list[np.ndarray]:
    keys = [unit(closed_curve(chart[r], MOUTH_SPOKES)) for r in LIP_RINGS]
    down = np.sin(
        np.arange(MOUTH_SPOKES) / MOUTH_SPOKES * 2 * np.pi
    )  # 1 at the chin's side, -1 below the nose: no room there
    keys.append(_relaxed(unit(keys[4] + (0.37 + 0.18 * down)[:, None] * (keys[4] - keys[3])), 2))
    keys[4] = _relaxed(keys[4], 1)
    return _between_loops(keys, (0, 0.6, 1.3, 2.2, 3, 3.5, 4, 4.5, 5))


def _eye_loops(chart: np.ndarray, landmarks: Landmarks) -> list[np.ndarray]:
    keys = [unit(closed_curve(chart[landmarks.left(r)], EYE_SPOKES)) for r in EYE_RINGS]
    keys[2] = _relaxed(keys[2], 1)
    keys[3] = _relaxed(unit(keys[2] + 0.55 * (keys[3] - keys[2])), 2)
    return _between_loops(keys, (0, 0.5, 1, 1.5, 2, 2.5, 3))


def _between_loops(keys: list[np.ndarray], positions: tuple[float, ...]) -> list[np.ndarray]:
    loops = []
    for position in positions:
        k = min(int(position), len(keys) - 2)
        loops.append(unit(keys[k] + (position - k) * (keys[k + 1] - keys[k])))
    return loops


def _relaxed(loop: np.ndarray, rounds: int) -> np.ndarray:
    for _ in range(rounds):
        loop = unit(0.5 * loop + 0.25 * np.roll(loop, 1, 0) + 0.25 * np.roll(loop, -1, 0))
    return loop
