"""Measure the landmarks found on heads whose landmarks are known, and ARKit's weights in FLAME's words and back.

python scripts/measure_arkit_flame.py                    # the starter heads, and a FLAME-format head made up by synthetic_flame.py
python scripts/measure_arkit_flame.py --seeds 0 1 2      # three of those heads
python scripts/measure_arkit_flame.py --flame FILE       # and your FLAME file; what its shapes truly are is not known there
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from synthetic_flame import synthetic_flame  # noqa: E402

from engine.detection import face_mesh  # noqa: E402
from engine.face.arkit import ARKIT_52  # noqa: E402
from engine.face.arkit_flame.fit import fit_table  # noqa: E402
from engine.face.arkit_flame.make import importance, shapes_on  # noqa: E402
from engine.face.arkit_flame.solve import to_arkit, to_flame  # noqa: E402
from engine.face.embedding.landmarks import Detector, Landmarks, embed_landmarks  # noqa: E402
from engine.face.embedding.mean_face import INNER, LOWER_CONTACT, LOWER_LIP, UPPER_CONTACT, UPPER_LIP, mean_face  # noqa: E402
from engine.face.embedding.mesh import fans  # noqa: E402
from engine.face.flame import FlameModel, flame_from_arrays, load_flame, pose_flame  # noqa: E402
from engine.face.starter_head import ASSET, HeadModel, load_starter_head, pose_landmarks68  # noqa: E402
from engine.face.transfer.sides import kept_round  # noqa: E402
from engine.motion import FaceMotion  # noqa: E402

SPEECH = ROOT / "tests" / "blender" / "demo_take.npz"  # 10 s of the starter, happy 0.6, with blinks
LIPS = np.r_[UPPER_CONTACT, LOWER_CONTACT, UPPER_LIP, LOWER_LIP]
AHEAD = np.intersect1d(INNER, np.flatnonzero(np.abs(mean_face()[:, 0]) < 0.045))
CLOSED_MM = 1.0  # lips this near each other are closed


def starter_points(head: HeadModel) -> np.ndarray:
    """(468, 3) m: where FaceMesh's points lie on the default starter head."""
    with np.load(ASSET.with_name("facemesh_points.npz"), allow_pickle=False) as data:
        return (head.vertices[data["triangles"].astype(int)] * data["weights"][..., None]).sum(axis=1)


def landmark_row(name: str, found: Landmarks, vertices: np.ndarray, truth: np.ndarray | None, truth68: np.ndarray | None) -> None:
    """Print how well the landmarks of one mesh were found. truth: (468, 3), truth68: (68, 3), in the mesh's unit."""
    mm = 1000 * found.metres_per_unit
    told = f"{name:34} {found.views} of 9  {found.residual_mm:5.2f}"
    if truth is not None:
        off = mm * np.linalg.norm(found.points468(vertices) - truth, axis=1)
        told += f"  {off[INNER].mean():5.2f}  {off[AHEAD].mean():5.2f}  {off[LIPS].mean():5.2f}"
    else:
        told += "      -      -      -"
    if truth68 is not None:
        told += f"  {mm * np.linalg.norm(found.points68(vertices) - truth68, axis=1)[17:].mean():5.2f}"
    print(told)


def starter_rows(detect: Detector) -> None:
    """Print the rows of the starter heads, with and without their colours."""
    for path in sorted(ASSET.parent.glob("head*.npz")):
        head = load_starter_head(path)
        vertices, faces = head.vertices.astype(float), fans(head.face_sizes, head.face_vertices)
        known = starter_points(head) if path == ASSET else None
        ibug = (vertices[head.landmark_triangles] * head.landmark_barycentric[..., None]).sum(axis=1)
        for look, colours in (("coloured", head.vertex_colors), ("plain", None)):
            found = embed_landmarks(vertices, faces, colours, detect)
            landmark_row(f"starter {path.stem}, {look}", found, vertices, known, ibug)


def flame_row(name: str, model: FlameModel, found: Landmarks, take: FaceMotion, truth: np.ndarray | None) -> None:
    """Print ARKit -> FLAME -> ARKit of a take. truth: (52, V, 3) m, the shapes that the model truly ought to show."""
    started = time.process_time()
    shapes = shapes_on(model, found, name)
    table = fit_table(model, shapes, importance(model, found), source=name)
    spent = time.process_time() - started
    head = load_starter_head()
    weights = np.zeros((take.frames, len(ARKIT_52)))
    weights[:, [ARKIT_52.index(c) for c in take.channels]] = take.weights
    expression, jaw = to_flame(table, ARKIT_52, weights)
    started = time.process_time()
    again = to_arkit(table, expression, jaw)
    solved = time.process_time() - started
    posed = pose_flame(model, expression, {"jaw": jaw}).astype(float)
    wanted = model.template + np.einsum("tk,kvc->tvc", weights, shapes if truth is None else truth, optimize=True)
    lips = 1000 * np.linalg.norm(found.points468(posed)[:, LIPS] - found.points468(wanted)[:, LIPS], axis=2)
    face = 1000 * np.linalg.norm(found.points468(posed)[:, INNER] - found.points468(wanted)[:, INNER], axis=2)
    before, after = (1000 * pose_landmarks68(head, w)[:, 48:] for w in (weights, again))
    back = np.linalg.norm(before - after, axis=2)
    gap, gap_there = (_gap(found, v) for v in (wanted, posed))
    closed = gap - np.quantile(gap, 0.02) < CLOSED_MM
    print(f"{name}: {len(model.template)} vertices, {take.frames} frames; table {spent:.1f} s, solve {solved:.2f} s of CPU")
    print(f"  table: shapes off by {table.residual_mm.mean():.2f} mm on average, at most {table.residual_mm.max():.2f} "
          f"({ARKIT_52[int(table.residual_mm.argmax())]}); coefficients up to {np.abs(expression).max():.1f}")  # fmt: skip
    which = "as carried over" if truth is None else "as they truly are"
    print(f"  ARKit -> FLAME, against the shapes {which}: lips {_told(lips)}, face {_told(face)}")
    print(f"  lips apart in the {int(closed.sum())} frames that close them: {(gap_there - gap)[closed].mean():+.2f} mm on average, "
          f"{(gap_there - gap)[closed].max():+.2f} at most")  # fmt: skip
    off = np.abs(again - weights)
    print(f"  ARKit -> FLAME -> ARKit: lips {_told(back)}; weights off by {off.mean():.4f} on average, {off.max():.3f} at most")


def _gap(found: Landmarks, vertices: np.ndarray) -> np.ndarray:
    """(T,) mm between the middles of the lips."""
    points = found.points468(vertices)
    return 1000 * np.linalg.norm(points[:, 13] - points[:, 14], axis=1)


def _told(off: np.ndarray) -> str:
    return f"{off.mean():.2f} mm on average, {np.quantile(off, 0.99):.2f} (99 %), {off.max():.2f} at most"


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0], help="made-up FLAME-format heads; default: %(default)s")
    parser.add_argument("--flame", type=Path, help="your FLAME file too")
    parser.add_argument("--motion", type=Path, default=SPEECH, help="a motion in ARKit's weights; default: 10 s of the starter")
    options = parser.parse_args()
    take, head = FaceMotion.load(options.motion), kept_round(load_starter_head())
    rows = []
    print("mm                                 pictures disagree  inner  ahead   lips  iBUG 18-68")
    with face_mesh() as detect:
        starter_rows(detect)
        for seed in options.seeds:
            made = synthetic_flame(head, starter_points(head), seed)
            model = flame_from_arrays(made.arrays)
            found = embed_landmarks(model.template, model.faces, None, detect)
            landmark_row(f"made-up FLAME head {seed}, plain", found, model.template, made.points468, made.points68)
            rows.append((f"made-up FLAME head {seed}", model, found, made.shapes))
        if options.flame is not None:
            model = load_flame(options.flame)
            found = embed_landmarks(model.template, model.faces, None, detect)
            landmark_row(options.flame.name, found, model.template, None, None)
            rows.append((options.flame.name, model, found, None))
    print("The second column: how far the pictures disagree (root mean square). Then from where the points truly are: all but the"
          "\noutline, those ahead (within 45 mm of the middle), lips; and iBUG's points without the outline.\n")  # fmt: skip
    for name, model, found, truth in rows:
        flame_row(name, model, found, take, truth)


if __name__ == "__main__":
    main()
