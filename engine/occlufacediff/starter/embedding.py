"""Where FaceMesh's points lie on the starter head: a triangle and barycentric weights for each of 468. Needs SciPy.

The head is built over FaceMesh's mean face, so each point's direction in the head's chart is known and nothing is guessed.
`python scripts/train_tracker.py --points` writes the answer to engine/assets/starter_head; see `points.py`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

NOSTRIL = 20  # its direction falls into the subject's right nostril, so it takes its mirror's place, mirrored
MIRROR = 250


def embed_points() -> tuple[np.ndarray, np.ndarray]:
    """(468, 3) vertices of the starter head and (468, 3) barycentric weights. Takes seconds."""
    from ...face.build.asset import build_mesh
    from ...face.build.chart import Surface
    from ...face.build.landmarks import load_landmarks
    from ...face.build.locate import locate
    from ...face.build.plan import MEAN
    from ...face.build.topology import build_skin

    landmarks = load_landmarks()
    surface = Surface(landmarks)
    mesh = build_mesh(build_skin(surface, landmarks), MEAN)
    triangles, weights = locate(mesh, surface.landmark_directions)
    triangles[NOSTRIL], weights[NOSTRIL] = mesh.mirror[triangles[MIRROR]], weights[MIRROR]
    return triangles, weights


def write_points(path: Path) -> None:
    """Write the file that `points.py` reads."""
    triangles, weights = embed_points()
    np.savez_compressed(path, triangles=triangles.astype(np.uint16), weights=weights.astype(np.float32))
