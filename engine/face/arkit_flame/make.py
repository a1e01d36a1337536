"""ARKit's shapes on the user's FLAME file: the whole way from that file to a table. NumPy only, but for the face detector."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ...errors import InputError
from ..arkit import ARKIT_52
from ..embedding.landmarks import Detector, Landmarks, embed_landmarks
from ..embedding.mean_face import EYES, LOWER_CONTACT, LOWER_LIP, UPPER_CONTACT, UPPER_LIP
from ..flame import JOINTS, FlameError, FlameModel, load_flame
from ..registration.points import POINTS, points_of_68
from ..starter_head import load_starter_head
from ..transfer.give import give_shapes
from .fit import EXPRESSIONS, Table, fit_table

# m around a landmark within which vertices count, and how much more those of lips and lids do.
FACE, LIPS, LIDS = 0.012, 0.006, 0.005
LIPS_MORE, LIDS_MORE = 4.0, 2.0


def make_table(
    path: Path,
    expressions: int = EXPRESSIONS,
    detector: Detector | None = None,
    told: Callable[[str], None] = lambda stage: None,
) -> Table:
    """ARKit's shapes as expression and jaw of the user's FLAME file. 10 to 20 s. told(what is done now).

    Raises InputError: no FLAME file, no face in it, no detector.
    """
    model = flame_model(path)
    told("looking for the face's landmarks")
    found = embed_landmarks(model.template, model.faces, None, detector)
    told("carrying the starter head's shapes over")
    shapes = shapes_on(model, found, path.name)
    told("fitting expression and jaw")
    return fit_table(model, shapes, importance(model, found), expressions, path.name)


def flame_model(path: Path) -> FlameModel:
    """The user's FLAME file. Raises InputError."""
    try:
        return load_flame(path)
    except FlameError as error:
        raise InputError(str(error)) from None


def shapes_on(model: FlameModel, found: Landmarks, name: str) -> np.ndarray:
    """(52, V, 3) m: the starter head's shapes on the model's neutral mesh, in the order of ARKIT_52. Raises InputError."""
    points = dict(zip(POINTS, points_of_68(found.points68(model.template))))
    sizes = np.full(len(model.faces), 3)
    given = give_shapes(load_starter_head(), model.template, sizes, model.faces.ravel(), points, name)
    return given.deltas[[given.names.index(n) for n in ARKIT_52]].astype(np.float64)


def importance(model: FlameModel, found: Landmarks) -> np.ndarray:
    """(V,) how much each vertex counts: those of the face, lips and lids most; eyeballs, which turn by their joints, nothing."""
    points = found.points468(model.template)

    def near(ids: np.ndarray, reach: float) -> np.ndarray:
        squared = (model.template**2).sum(axis=1)[:, None] - 2 * model.template @ points[ids].T + (points[ids] ** 2).sum(axis=1)
        return np.exp(-np.maximum(squared.min(axis=1), 0) / (2 * reach**2))

    lips = np.r_[UPPER_CONTACT, LOWER_CONTACT, UPPER_LIP, LOWER_LIP]
    face = near(np.arange(len(points)), FACE)
    balls = model.skin[:, JOINTS.index("left_eye") : JOINTS.index("right_eye") + 1].sum(axis=1)
    return face * (1 + LIPS_MORE * near(lips, LIPS) + LIDS_MORE * near(EYES, LIDS)) * np.clip(1 - balls, 0, 1)
