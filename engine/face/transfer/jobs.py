"""Find the points of a mesh, and give it shapes: what Blender asks of the engine, and `python -m engine give-shapes`.

With the full engine MediaPipe finds the points; without it they are guessed from the mesh's form, for a person to correct.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ...errors import Cancelled, InputError
from ..registration.points import POINTS, guessed_points, points_of_68
from ..registration.surface import Surface, triangulate
from ..starter_head import load_starter_head
from .file import MeshFile, PointsFile, ShapesFile, load_mesh
from .give import give_shapes

Report = Callable[[str, int, int], None]
FIND_SHARES = {"detect": 0.98, "save": 0.02}
GIVE_SHARES = {"fit": 0.55, "carry": 0.22, "close": 0.06, "smooth": 0.15, "save": 0.02}
GUESSED = "The points were guessed from the form of '{}'{}: drag them to where their names say."


def find_points(mesh: MeshFile, name: str, detect: bool, cancelled: Callable[[], bool] | None = None) -> PointsFile:
    """The points of POINTS on a mesh. detect: use MediaPipe; where it finds no face, and without it, they are guessed for a
    face that looks along +z with +y up. Raises InputError where there is nothing to put points on, Cancelled."""
    if not len(mesh.vertices) or not len(mesh.face_vertices):
        raise InputError(f"'{name}' has no faces, so there is nothing to put points on.")
    corners = np.asarray(mesh.face_vertices)
    if corners.min() < 0 or corners.max() >= len(mesh.vertices) or not np.isfinite(mesh.vertices).all():
        raise InputError(f"'{name}' has vertices that are missing or nowhere.")
    triangles = triangulate(mesh.face_sizes, mesh.face_vertices)
    why = ""
    if detect:
        from ..embedding.landmarks import embed_landmarks

        try:
            found = embed_landmarks(np.asarray(mesh.vertices, float), triangles)
            places = points_of_68(found.points68(np.asarray(mesh.vertices, float)))
            return PointsFile(dict(zip(POINTS, places)), [f"A face was found on '{name}' in {found.views} views."])
        except InputError as error:
            why = f", for no face was recognised ({str(error).rstrip('.')})"
    if cancelled is not None and cancelled():
        raise Cancelled
    guess = guessed_points(load_starter_head(), Surface(np.asarray(mesh.vertices, float), triangles))
    return PointsFile(guess, [GUESSED.format(name, why)])


def shapes_for(
    mesh: MeshFile, name: str, progress: Report | None = None, cancelled: Callable[[], bool] | None = None
) -> ShapesFile:
    """The 52 shapes of a mesh whose points are placed; see `give_shapes`. Raises InputError, Cancelled."""
    head = load_starter_head()
    given = give_shapes(
        head, mesh.vertices, mesh.face_sizes, mesh.face_vertices, mesh.points, name, progress, cancelled
    )
    return ShapesFile(given.names, given.deltas, given.notes)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `give-shapes`."""
    parser.add_argument("mesh", type=Path, help="a mesh at rest: Wavefront .obj, or .npz with vertices, face_sizes, face_vertices")
    parser.add_argument("--out", type=Path, required=True, help="the file of shapes to write, .npz")
    parser.add_argument("--points", type=Path, metavar="FILE", help='JSON, {"nose tip": [x, y, z], ...}; default: find them')
    parser.add_argument("--write-points", type=Path, metavar="FILE", help="write the points that were used as such a file")


def run(options: argparse.Namespace) -> int:
    """Write the shapes, or raise InputError with nothing written."""
    out: Path = options.out
    if not out.parent.is_dir() or out.is_dir() or not os.access(out.parent, os.W_OK):
        raise InputError(f"'{out}' cannot be written.")
    mesh, name = load_mesh(options.mesh), options.mesh.name
    if options.points is not None:
        mesh = MeshFile(mesh.vertices, mesh.face_sizes, mesh.face_vertices, _read_points(options.points))
    elif not mesh.points:
        from ...devices import has_torch

        found = find_points(mesh, name, has_torch())
        mesh = MeshFile(mesh.vertices, mesh.face_sizes, mesh.face_vertices, found.points)
        print(*found.notes, sep="\n")
    shapes = shapes_for(mesh, name)
    shapes.save(out)
    if options.write_points is not None:
        text = json.dumps({n: [round(float(x), 6) for x in p] for n, p in mesh.points.items()}, indent=1)
        options.write_points.write_text(text, encoding="utf-8")
    print(*shapes.notes, sep="\n")
    moved = int((np.abs(shapes.deltas).max(axis=(0, 2)) > 0).sum())
    print(f"{out}: {len(shapes.names)} shapes that move {moved} of {len(mesh.vertices)} vertices")
    return 0


def _read_points(path: Path) -> dict[str, np.ndarray]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {str(n): np.array([float(x) for x in p]) for n, p in content.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f"'{path.name}' is not a file of points: {{\"nose tip\": [x, y, z], ...}}.") from error
