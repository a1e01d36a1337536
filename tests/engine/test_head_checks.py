"""The measures of a head's shapes, on geometry whose answers are known, and correctives in posing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.face.arkit import ARKIT_52
from engine.face.checks.contact import lip_gap, lips_of
from engine.face.checks.folds import Folds
from engine.face.checks.surface import first_hits, open_edges, signed_distances, triangles_of, vertex_normals
from engine.face.starter_head import (
    HeadModel,
    corrective_factors,
    corrective_weights,
    load_starter_head,
    pose_landmarks68,
    pose_vertices,
)


def grid(columns: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """A flat sheet of unit squares in the plane z = 0, facing +z: points (V, 3) and quads (F, 4)."""
    x, y = np.meshgrid(np.arange(columns), np.arange(rows), indexing="ij")
    points = np.stack([x.ravel(), y.ravel(), 0 * x.ravel()], 1).astype(float)
    at = np.arange(columns * rows).reshape(columns, rows)
    quads = np.stack([at[:-1, :-1], at[1:, :-1], at[1:, 1:], at[:-1, 1:]], -1).reshape(-1, 4)
    return points, quads


def model_of(points: np.ndarray, quads: np.ndarray, **more: object) -> HeadModel:
    count = len(points)
    return HeadModel(
        "sheet", points.astype(np.float32), np.full(len(quads), 4, np.int32), quads.ravel().astype(np.int32),
        np.zeros(len(quads), np.int32), (), None, ARKIT_52, np.zeros((52, count, 3), np.float32), {},
        {}, np.zeros((68, 3), np.int32), np.zeros((68, 3), np.float32), **more,
    )  # fmt: skip


# --- surfaces


def test_triangles_of_quads_and_triangles():
    head = replace(
        model_of(np.zeros((7, 3)), np.zeros((1, 4))),
        face_sizes=np.array([4, 3], np.int32),
        face_vertices=np.array([0, 1, 2, 3, 4, 5, 6], np.int32),
    )
    triangles, faces = triangles_of(head)
    assert triangles.tolist() == [[0, 1, 2], [0, 2, 3], [4, 5, 6]] and faces.tolist() == [0, 0, 1]


def test_signed_distances_know_the_side_and_leave_out_what_lies_beyond_the_end():
    points, quads = grid(6, 6)
    triangles, _ = triangles_of(model_of(points, quads))
    ends = np.zeros(len(points), bool)
    ends[open_edges(triangles)] = True
    assert ends.sum() == 20 and np.allclose(vertex_normals(points, triangles), [0, 0, 1])
    found = signed_distances(np.array([[2.5, 2.4, 0.3], [2.1, 3, -0.2], [-4, 2, 0.1]]), points, triangles, ends)
    assert np.allclose(found[:2], [0.3, -0.2]) and np.isnan(found[2])


def test_rays_hit_the_first_triangle_or_nothing():
    points, quads = grid(3, 3)
    triangles, _ = triangles_of(model_of(points, quads))
    origins = np.array([[0.5, 0.6, 4.0], [1.2, 1.9, 4.0], [5.0, 0.5, 4.0], [0.5, 0.6, -1.0]])
    hits = first_hits(origins, np.array([0, 0, -1.0]), points, triangles)
    assert np.allclose(hits[:2], 4) and np.isinf(hits[2:]).all()


# --- folds


def test_a_triangle_pushed_over_its_neighbour_is_flipped_and_a_turned_sheet_is_not():
    points, quads = grid(9, 9)
    search = Folds(model_of(points, quads))
    assert len(search.folded_at_rest()) == 0 and len(search.flipped(points)) == 0
    half_turn = points * [-1, 1, -1]
    assert len(search.flipped(half_turn)) == 0, "what turns as a whole is no fold"
    pushed = points.copy()
    middle = 4 * 9 + 4
    pushed[middle] += [1.6, 0, 0]
    flipped = search.flipped(pushed)
    assert 1 <= len(flipped) <= 4 and all(middle in search.triangles[t] for t in flipped)
    folded = Folds(model_of(pushed, quads))
    assert set(folded.folded_at_rest()) & set(flipped.tolist())


# --- lips


def two_lips(gap: float) -> HeadModel:
    """Two facing sheets in the manner of lips: 16 spokes, seven loops, the upper lip `gap` above the lower."""
    spokes, half = 16, 8
    loops, points = [], []
    for row in range(7):
        loop = []
        for k in range(spokes):
            x = 2 * k / half - 1 if k <= half else 3 - 2 * k / half
            side = 0.0 if k in (0, half) else -1.0 if k < half else 1.0
            depth = (0, 1, 2, 3, -1, -2, -3)[row]
            loop.append(len(points))
            points.append([10 * x, side * gap / 2, depth])
        loops.append(np.array(loop))
    order = [loops[i] for i in (6, 5, 4, 0, 1, 2, 3)]
    quads = [
        (a[k], b[k], b[(k + 1) % spokes], a[(k + 1) % spokes]) for a, b in zip(order, order[1:]) for k in range(spokes)
    ]
    rings = {"mouth": tuple(loops[:4]), "mouth_in": tuple(loops[4:])}
    return model_of(np.array(points, float), np.array(quads), rings=rings)


@pytest.mark.parametrize("gap", [1.0, 0.25])
def test_the_gap_of_parted_and_of_crossing_lips(gap):
    head = two_lips(gap)
    lips = lips_of(head)
    assert lip_gap(lips, head.vertices) == pytest.approx(gap, rel=0.03)  # towards the corners the sheets lean
    crossed = head.vertices * [1, -1, 1]
    assert lip_gap(lips, crossed) == pytest.approx(-gap, rel=0.03)


def test_a_head_without_rings_is_refused():
    with pytest.raises(ValueError, match="no named rings"):
        lips_of(model_of(*grid(3, 3)))


# --- correctives


def test_a_correctives_name_is_its_formula():
    assert corrective_factors("jawOpen*mouthPucker") == (("jawOpen", ""), ("mouthPucker", ""))
    assert corrective_factors("eyeBlinkLeft*1-eyeBlinkLeft") == (("eyeBlinkLeft", ""), ("", "eyeBlinkLeft"))
    assert corrective_factors("jawOpen-mouthClose*mouthFunnel") == (("jawOpen", "mouthClose"), ("mouthFunnel", ""))
    for wrong in ("jawOpen", "jawOpen*nothing", "jawOpen*1", "", "jawOpen*", "jawOpen-1*mouthFunnel"):
        with pytest.raises(ValueError, match="no product"):
            corrective_factors(wrong)


def test_correctives_act_as_the_product_of_clamped_weights():
    plain = load_starter_head()
    push = np.zeros((3, len(plain.vertices), 3), np.float32)
    push[0, :, 0], push[1, :, 1] = 0.01, 0.02
    names = ("jawOpen*mouthPucker", "jawOpen*1-jawOpen", "mouthPucker-jawOpen*jawOpen")
    head = replace(plain, corrective_names=names, correctives=push)
    bare = replace(plain, corrective_names=(), correctives=push[:0])
    weights = np.zeros((4, 52), np.float32)
    weights[:, ARKIT_52.index("jawOpen")] = [0.5, 1.0, 1.5, -0.5]
    weights[:, ARKIT_52.index("mouthPucker")] = [0.4, 0.25, 1.0, 1.0]
    assert np.allclose(corrective_weights(head, weights), [[0.2, 0.25, 0], [0.25, 0, 0], [1, 0, 0], [0, 0, 0]])
    fewer = weights[:1] * [[1 if n == "mouthPucker" else 0.5 for n in ARKIT_52]]
    assert np.allclose(corrective_weights(head, fewer)[0], [0.1, 0.1875, 0.15 * 0.25])
    added = pose_vertices(head, weights) - pose_vertices(bare, weights)
    assert np.allclose(added[:, 7], [[0.002, 0.005, 0], [0.0025, 0, 0], [0.01, 0, 0], [0, 0, 0]], atol=1e-7)
    added = pose_landmarks68(head, weights) - pose_landmarks68(bare, weights)
    assert np.allclose(added[:, 40], [[0.002, 0.005, 0], [0.0025, 0, 0], [0.01, 0, 0], [0, 0, 0]], atol=1e-7)
