"""The distances a head is compared with people by. NumPy only."""

from __future__ import annotations

import numpy as np

from ..starter_head import HeadModel, pose_landmarks68

# name -> landmarks (iBUG 68) and the range of adults' means, women to men, mm (Farkas 1994; ANSUR II 2012)
BETWEEN = {
    "inner corners of the eyes": (39, 42, 31, 34), "outer corners of the eyes": (36, 45, 86, 91), "lids apart": (43, 47, 9, 11),
    "nose's height": (27, 33, 48, 53), "nose's protrusion": (33, 30, 19, 21), "nose's width at the base": (31, 35, 28, 35),
    "mouth": (48, 54, 50, 56), "upper lip's red": (51, 62, 7, 9), "lower lip's red": (57, 66, 8, 10),
    "lower face": (33, 8, 64, 72), "face's height": (27, 8, 112, 122),
}  # fmt: skip
OF_SKIN = {
    "jaw angles": (94, 107), "cheekbones": (130, 139), "head's breadth": (145, 154), "head's length": (184, 197),
    "head's height": (216, 232), "ear's height": (59, 63), "ear's depth": (31, 35), "neck": (96, 116),
}  # fmt: skip


def proportions(head: HeadModel) -> dict[str, tuple[float, float, float]]:
    """Name -> (measured, lowest, highest mean of adults), mm."""
    p = pose_landmarks68(head, np.zeros((1, len(head.blendshape_names))))[0] * 1000
    rows = {name: (float(np.linalg.norm(p[a] - p[b])), low, high) for name, (a, b, low, high) in BETWEEN.items()}
    skin = head.vertices[_skin(head)].astype(float) * 1000
    ear = np.concatenate([head.vertices[loop] for loop in head.rings["earLeft_in"]]) * 1000
    x, y, z = skin.T
    size = head.joints["left_eye"][0] / 0.0315  # places below are given on the mean head

    def breadth(height: float, reach: float, behind: float, before: float) -> float:
        level = (np.abs(y / size - height) < reach) & (z / size > behind) & (z / size < before)
        return float(np.ptp(x[level]))

    above_ears = y > 25 * size
    found = (
        breadth(-79, 3, -70, -40), breadth(-25, 8, -60, 0), np.ptp(x[above_ears]), np.ptp(z[above_ears]), y.max() - p[8, 1],
        np.ptp(ear[:, 1]), np.ptp(ear[:, 2]), breadth(-128, 5, -300, 0),
    )  # fmt: skip
    return rows | {name: (float(value), *limits) for value, (name, limits) in zip(found, OF_SKIN.items(), strict=True)}


def _skin(head: HeadModel) -> np.ndarray:
    """The vertices connected with the lips."""
    corners = np.split(head.face_vertices, np.cumsum(head.face_sizes)[:-1])
    first = np.repeat([c[0] for c in corners], head.face_sizes)
    label = np.arange(len(head.vertices))
    while True:
        before = label.copy()
        np.minimum.at(label, first, label[head.face_vertices])
        np.minimum.at(label, head.face_vertices, label[first])
        if np.array_equal(label, before):
            return np.flatnonzero(label == label[head.rings["mouth"][0][0]])
