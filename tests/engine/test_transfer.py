"""Shapes given to heads that have none: lips and lids close, nothing is turned over, bad input is one sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import transfer_meshes  # noqa: E402

from engine.errors import Cancelled, InputError  # noqa: E402
from engine.face.arkit import ARKIT_52  # noqa: E402
from engine.face.registration.closest import TriangleIndex  # noqa: E402
from engine.face.registration.points import POINTS, guessed_points, similarity, starter_points  # noqa: E402
from engine.face.registration.surface import Neighbours, Surface, edges_of, islands_of, smooth_field, triangulate  # noqa: E402
from engine.face.registration.warp import fit_warp  # noqa: E402
from engine.face.starter_head import load_starter_head  # noqa: E402
from engine.face.transfer import sides  # noqa: E402
from engine.face.transfer.file import MeshFile, ShapesFile, load_mesh, load_shapes  # noqa: E402
from engine.face.transfer.give import give_shapes  # noqa: E402
from engine.face.transfer.jobs import find_points  # noqa: E402


@pytest.fixture(scope="module")
def head():
    return load_starter_head()


@pytest.fixture(scope="module")
def mesh():
    return transfer_meshes.sphere_head(44, 52, unit=100.0)


@pytest.fixture(scope="module")
def given(head, mesh):
    return give_shapes(head, mesh.vertices, mesh.face_sizes, mesh.face_vertices, mesh.points, "Ball")


def give(head, mesh, **changes):
    arguments = {name: getattr(mesh, name) for name in ("vertices", "face_sizes", "face_vertices", "points")}
    arguments |= {"name": "Ball", **changes}
    return give_shapes(head, **arguments)


def gaps(mesh, given, opening: str, **weights: float) -> np.ndarray:
    """mm at the starter's size between the two edges, station by station."""
    posed = mesh.vertices + sum(w * given.deltas[given.names.index(n)] for n, w in weights.items())
    edges = given.openings[opening]
    return np.linalg.norm(edges.upper.along(posed) - edges.lower.along(posed), axis=1) * given.unit * 1000


def test_all_shapes_are_there_and_move_the_right_part(mesh, given):
    assert given.names == ARKIT_52 and given.deltas.shape == (52, len(mesh.vertices), 3)
    height = mesh.vertices[:, 1] / 100
    for name, low, high in (("browInnerUp", -0.02, 0.09), ("mouthSmileLeft", -0.13, 0.02), ("jawOpen", -0.16, 0.0)):
        moved = np.abs(given.deltas[given.names.index(name)]).max(axis=1) > 0.05
        assert moved.sum() > 20 and low < height[moved].min() and height[moved].max() < high, name
    left = given.deltas[given.names.index("mouthSmileLeft")]
    strongest = mesh.vertices[np.linalg.norm(left, axis=1).argmax()]
    assert strongest[0] > 1 and left[np.linalg.norm(left, axis=1).argmax(), 1] > 0, "the subject's left corner goes up"


def test_the_lips_open_and_close(mesh, given):
    wide = gaps(mesh, given, "mouth", jawOpen=1.0)
    assert wide.max() > 15
    for weight in (0.25, 0.5, 1.0):
        closed = gaps(mesh, given, "mouth", jawOpen=weight, mouthClose=weight)
        rest = gaps(mesh, given, "mouth")
        assert np.median(closed) <= (1 - weight) * np.median(rest) + 0.1 and closed.max() < 0.1 * wide.max(), weight
    assert closed.max() < 0.5


@pytest.mark.parametrize(("eye", "blink"), [("left eye", "eyeBlinkLeft"), ("right eye", "eyeBlinkRight")])
def test_the_lids_close_and_the_other_eye_stays_open(mesh, given, eye, blink):
    other = "eyeBlinkRight" if blink.endswith("Left") else "eyeBlinkLeft"
    open_ = gaps(mesh, given, eye)
    assert open_.max() > 6 and gaps(mesh, given, eye, **{blink: 1.0}).max() < 0.5
    assert np.allclose(gaps(mesh, given, eye, **{other: 1.0}), open_, atol=0.05)


def test_nothing_is_turned_over_and_the_eyeballs_turn_in_place(mesh, given):
    assert len(given.turned_over) == 52 and not any(given.turned_over.values()), given.turned_over
    edges, _ = edges_of(triangulate(mesh.face_sizes, mesh.face_vertices))
    label = islands_of(len(mesh.vertices), edges)
    ball = label == label[-1]  # the left eye's was made last
    look, smile = (given.deltas[given.names.index(n)][ball] for n in ("eyeLookOutLeft", "mouthSmileLeft"))
    p = mesh.vertices[ball]
    centre = p.mean(0)
    away = np.linalg.norm(p + look - centre, axis=1) / np.linalg.norm(p - centre, axis=1)
    front = p[:, 2].argmax()
    assert np.abs(away - 1).max() < 0.02 and look[front, 0] > 0.3 and not smile.any()


def test_it_does_not_depend_on_place_size_turn_or_inside_out(head, mesh, given):
    angle = 0.7
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    flipped_faces = np.concatenate([np.array(f[::-1]) for f in mesh.faces])
    points = {n: 0.03 * (turn @ p) + [5, 6, 7] for n, p in mesh.points.items()}
    again = give(
        head, mesh, vertices=0.03 * mesh.vertices @ turn.T + [5, 6, 7], points=points, face_vertices=flipped_faces
    )
    error = np.linalg.norm(again.deltas / 0.03 - given.deltas @ turn.T.astype(np.float32), axis=-1) * given.unit * 1000
    assert np.percentile(error, 99) < 0.3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"vertices": np.zeros((0, 3))}, "has no vertices"),
        ({"face_vertices": np.zeros(0, int), "face_sizes": np.zeros(0, int)}, "has no faces"),
        ({"vertices": np.full((10, 3), np.nan)}, "nowhere"),
        ({"vertices": np.zeros((sides.MAX_VERTICES + 1, 3))}, "lower resolution"),
        ({"points": {}}, "is missing"),
    ],
)
def test_bad_input_is_one_sentence(head, mesh, changes, words):
    with pytest.raises(InputError, match=words) as caught:
        give(head, mesh, **changes)
    assert str(caught.value).count(". ") == 0 and "Ball" in str(caught.value)


def test_what_is_no_face_is_refused(head, mesh):
    shuffled = dict(zip(mesh.points, reversed(list(mesh.points.values()))))
    with pytest.raises(InputError, match="do not lie as on a face"):
        give(head, mesh, points=shuffled)
    cube = [(0, 3, 2, 1), (4, 5, 6, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7)]
    corners = np.array([[x, y, z] for z in (-9, 9) for x, y in ((-9, -9), (9, -9), (9, 9), (-9, 9))], float)
    guess = guessed_points(head, Surface(corners, triangulate(np.full(6, 4), np.array(cube).ravel())))
    with pytest.raises(InputError):
        give(head, mesh, vertices=corners, face_sizes=np.full(6, 4), face_vertices=np.array(cube).ravel(), points=guess)


def test_a_mouth_without_an_opening_is_told_and_of_two_faces_one_moves(head):
    ball = transfer_meshes.sphere_head(36, 44)
    upper, lower = ball.rims["mouth"]
    joined = np.arange(len(ball.vertices))
    joined[lower] = upper
    sealed = give(head, ball, face_vertices=joined[ball.face_vertices])
    assert any("has no opening" in note for note in sealed.notes)
    assert np.abs(sealed.deltas[sealed.names.index("jawOpen")]).max() * sealed.unit > 0.01
    low = transfer_meshes.low_head()
    count = len(low.vertices)
    both = give(
        head,
        low,
        vertices=np.vstack([low.vertices, low.vertices + [3, 0, 0]]),
        face_sizes=np.tile(low.face_sizes, 2),
        face_vertices=np.concatenate([low.face_vertices, low.face_vertices + count]),
    )
    assert np.abs(both.deltas[:, :count]).max() > 0.1 and not both.deltas[:, count:].any()


def test_it_can_be_cancelled(head, mesh):
    with pytest.raises(Cancelled):
        give(head, mesh, cancelled=lambda: True)


def test_points_are_guessed_on_the_face(head, mesh):
    found = find_points(MeshFile(mesh.vertices, mesh.face_sizes, mesh.face_vertices), "Ball", detect=False)
    assert list(found.points) == list(POINTS) and "guessed" in found.notes[0]
    off = [np.linalg.norm(found.points[n] - p) / 100 for n, p in mesh.points.items()]
    assert np.median(off) < 0.02, "within 2 cm of a head of 22"


def test_files_come_back_as_they_went(tmp_path, mesh):
    MeshFile(mesh.vertices, mesh.face_sizes, mesh.face_vertices, mesh.points).save(tmp_path / "mesh.npz")
    back = load_mesh(tmp_path / "mesh.npz")
    assert np.allclose(back.vertices, mesh.vertices, atol=1e-4) and back.points.keys() == mesh.points.keys()
    deltas = np.zeros((2, 5, 3), np.float32)
    deltas[1, 3] = 4
    ShapesFile(("a", "b"), deltas, ["Note."]).save(tmp_path / "shapes.npz")
    shapes = load_shapes(tmp_path / "shapes.npz")
    assert np.array_equal(shapes.deltas, deltas) and shapes.names == ("a", "b") and shapes.notes == ["Note."]
    (tmp_path / "shapes.npz").write_bytes(b"PK nonsense")
    with pytest.raises(InputError, match="cannot be read"):
        load_shapes(tmp_path / "shapes.npz")


def test_the_command_writes_shapes_or_says_why_not(tmp_path, mesh):
    low = transfer_meshes.low_head()
    lines = [f"v {x} {y} {z}" for x, y, z in low.vertices]
    lines += ["f " + " ".join(str(v + 1) for v in face) for face in low.faces]
    (tmp_path / "low.obj").write_text("\n".join(lines))
    (tmp_path / "points.json").write_text(json.dumps({n: p.tolist() for n, p in low.points.items()}))
    command = [sys.executable, "-m", "engine", "give-shapes", str(tmp_path / "low.obj"), "--out", str(tmp_path / "s.npz")]
    done = subprocess.run([*command, "--points", str(tmp_path / "points.json")], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert load_shapes(tmp_path / "s.npz").deltas.shape == (52, len(low.vertices), 3)
    (tmp_path / "s.npz").unlink()
    (tmp_path / "points.json").write_text("[1]")
    done = subprocess.run([*command, "--points", str(tmp_path / "points.json")], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0 and done.stderr.count("\n") == 1 and not (tmp_path / "s.npz").exists()


def test_the_nearest_place_is_the_nearest():
    rng = np.random.default_rng(5)
    corners = rng.uniform(size=(400, 1, 3)) + rng.normal(size=(400, 3, 3)) * 0.03
    points, triangles = corners.reshape(-1, 3), np.arange(1200).reshape(-1, 3)
    queries = rng.uniform(size=(300, 3))
    found = TriangleIndex(points, triangles).nearest(queries)
    dense = rng.dirichlet(np.ones(3), 400)  # the same by trying many places on every triangle
    places = np.einsum("sk,tkc->tsc", dense, corners).reshape(-1, 3)
    tried = np.array([np.linalg.norm(places - q, axis=1).min() for q in queries])
    hit = (points[triangles[found.triangle]] * found.weights[..., None]).sum(1)
    assert np.allclose(np.linalg.norm(hit - queries, axis=1), found.distance)
    assert (found.distance <= tried + 1e-9).all() and np.median(tried - found.distance) < 0.01


def test_warp_similarity_and_smooth_field(head):
    a = starter_points(head)
    scale, turn, shift = similarity(a, 3 * a[:, [1, 2, 0]] + 1)
    assert np.allclose(scale * a @ turn.T + shift, 3 * a[:, [1, 2, 0]] + 1) and np.isclose(scale, 3)
    target = a * [1.1, 0.9, 1] + 0.002
    warp = fit_warp(a, target)
    assert np.abs(warp(a) - target).max() < 1e-6 and np.allclose(warp.stretch(a), np.diag([1.1, 0.9, 1]), atol=1e-3)
    line = Neighbours(9, np.stack([np.arange(8), np.arange(1, 9)], 1))
    trust = np.zeros(9)
    trust[[0, 8]] = 1e4
    ends = np.zeros((9, 1))
    ends[8] = 8
    between = smooth_field(line, ends, trust, 1.0, tolerance=1e-8)[:, 0]
    assert (np.diff(between) > 0).all() and np.isclose(between[4], 4, atol=0.01), "from end to end without a kink"
