"""In which ways a mesh of unknown axes may be held so that its face is seen. NumPy only."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

# (towards the viewer, up) as signed axes 1, 2, 3: glTF's and FLAME's, Blender's, the same from behind, then what is rarer.
LIKELY = ((3, 2), (-2, 3), (-3, 2), (2, 3), (1, 2), (-1, 2), (1, 3), (-1, 3))


def directions(points: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of unit vectors (towards the viewer, up): the 24 along the mesh's axes, likely ones first, then the 24 along its
    principal axes (N, 3)."""
    others = [(f, u) for f in (3, -3, 1, -1, 2, -2) for u in (2, -2, 3, -3, 1, -1) if abs(f) != abs(u) and (f, u) not in LIKELY]
    principal = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)[2]
    for axes in (np.eye(3), principal):
        for back, up in (*LIKELY, *others):
            yield np.sign(back) * axes[abs(back) - 1], np.sign(up) * axes[abs(up) - 1]
