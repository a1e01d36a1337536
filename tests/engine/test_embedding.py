"""Landmarks of any mesh: the real detector on heads whose landmarks are known, and everything around it on known geometry."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import detection
from engine.cli import main
from engine.detection import face_mesh
from engine.errors import InputError
from engine.face.embedding.file import from_json, to_json
from engine.face.embedding.landmarks import EmbeddingError, Landmarks, embed_landmarks
from engine.face.embedding.mean_face import INNER, LOWER_CONTACT, POINTS, UPPER_CONTACT, fit_similarity, mean_face
from engine.face.embedding.mesh import fans, load_mesh, parse_obj
from engine.face.embedding.places import closest_places, components, nearer_to, nearest_on_triangles
from engine.face.embedding.rasteriser import barycentric, look_at, render, vertex_normals, visible_triangles
from engine.face.starter_head import ASSET, load_starter_head, rotation_matrices


@pytest.fixture(scope="module")
def detect() -> Iterator[Callable]:
    with face_mesh() as running:
        yield running


def starter() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    head = load_starter_head()
    return head.vertices.astype(float), fans(head.face_sizes, head.face_vertices), head.vertex_colors


def sphere(rows: int = 24) -> tuple[np.ndarray, np.ndarray]:
    polar, turn = np.meshgrid(np.linspace(0.01, 3.13, rows), np.linspace(0, 2 * np.pi, rows), indexing="ij")
    points = np.stack([np.sin(polar) * np.cos(turn), np.cos(polar), np.sin(polar) * np.sin(turn)], -1).reshape(-1, 3)
    number = np.arange(rows * rows).reshape(rows, rows)
    quads = np.stack([number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]], -1).reshape(-1, 4)
    return points, np.concatenate([quads[:, :3], quads[:, [0, 2, 3]]])


@pytest.fixture(scope="module")
def turned(detect) -> tuple[np.ndarray, np.ndarray, np.ndarray, Landmarks]:
    """The starter head in centimetres, held askew; its landmarks as found."""
    vertices, faces, colours = starter()
    turn = rotation_matrices(np.array([1.3, 0.4, -0.5]))
    moved = 100 * vertices @ turn.T + [10, -20, 5]
    return moved, faces, turn, embed_landmarks(moved, faces, colours, detect)


def test_landmarks_of_the_starter_head_lie_where_they_should(turned):
    vertices, _, turn, found = turned
    assert found.metres_per_unit == pytest.approx(0.01, rel=0.05) and found.views >= 7
    assert found.forward @ turn[:, 2] > 0.99 and found.up @ turn[:, 1] > 0.99 and found.left @ turn[:, 0] > 0.99
    assert np.linalg.norm(found.centre - [10, -20, 5]) < 0.5
    with np.load(ASSET.with_name("facemesh_points.npz")) as known:
        truth = (vertices[known["triangles"].astype(int)] * known["weights"][..., None]).sum(axis=1)
    off = 10 * np.linalg.norm(found.points468(vertices) - truth, axis=1)
    ahead = np.intersect1d(INNER, np.flatnonzero(np.abs(mean_face()[:, 0]) < 0.045))
    assert off[INNER].mean() < 3.5 and off[ahead].mean() < 2.5 and found.residual_mm < 3
    head = load_starter_head()
    ibug = (vertices[head.landmark_triangles] * head.landmark_barycentric[..., None]).sum(axis=1)
    assert 10 * np.linalg.norm(found.points68(vertices) - ibug, axis=1)[17:].mean() < 3


def test_every_place_is_on_a_triangle_of_the_skin_and_lips_keep_their_side(turned):
    _, faces, _, found = turned
    assert np.allclose(found.weights468.sum(axis=1), 1) and found.weights468.min() >= 0
    triangles = {tuple(sorted(t)) for t in faces.tolist()}
    assert all(tuple(sorted(t)) in triangles for t in found.triangles468.tolist())
    shape = load_starter_head().blendshapes[load_starter_head().blendshape_names.index("jawOpen")]
    dropped = -(found.points468(shape))[:, 1]
    assert dropped[LOWER_CONTACT[2:-2]].min() > 0.012 and dropped[UPPER_CONTACT[2:-2]].max() < 0.006


def test_what_is_no_face_or_two_is_said(detect):
    vertices, faces, colours = starter()
    beside = vertices + [0.25, 0, 0]
    two = np.concatenate([vertices, beside]), np.concatenate([faces, faces + len(vertices)])
    with pytest.raises(EmbeddingError, match="two faces"):
        embed_landmarks(*two, np.concatenate([colours, colours]), detect)
    with pytest.raises(EmbeddingError, match="No face was found"):
        embed_landmarks(*sphere(), None, detect)


@pytest.mark.parametrize(
    ("vertices", "faces", "colours", "words"),
    [
        (np.zeros((0, 3)), np.zeros((0, 3), int), None, "no triangles"),
        (np.zeros((4, 2)), np.zeros((1, 3), int), None, "no triangles"),
        (np.full((4, 3), np.nan), np.zeros((1, 3), int), None, "not numbers"),
        (np.eye(3), np.array([[0, 1, 3]]), None, "triangles of vertices"),
        (np.zeros((3, 3)), np.array([[0, 1, 2]]), None, "in one place"),
        (np.eye(3), np.array([[0, 1, 2]]), np.zeros((2, 3)), "3 vertices but 2 colours"),
    ],
)
def test_what_is_no_mesh_is_said(vertices, faces, colours, words):
    with pytest.raises(EmbeddingError, match=words):
        embed_landmarks(vertices, faces, colours, lambda image: [])


def test_without_a_detector_one_sentence_says_so(monkeypatch, tmp_path):
    (tmp_path / "worker.py").write_text("raise SystemExit(1)")
    monkeypatch.setattr(detection, "WORKER", tmp_path / "worker.py")
    with pytest.raises(InputError, match="mediapipe"):
        embed_landmarks(*sphere(6))


def test_the_command_writes_json_and_refuses_other_files(tmp_path, capsys, turned, monkeypatch):
    monkeypatch.setattr("engine.face.embedding.file.embed_landmarks", lambda *mesh: turned[3])
    out = tmp_path / "l.json"
    assert main(["landmarks", str(ASSET), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "468 and 68 points" in said and "mm" in said and "looks along" in said
    assert from_json(out.read_text(), len(turned[0])).views == turned[3].views
    (tmp_path / "bad.obj").write_text("v 1 2\n")
    assert main(["landmarks", str(tmp_path / "bad.obj"), "--out", str(tmp_path / "no.json")]) != 0
    assert "Line 1 of 'bad.obj' is no vertex" in capsys.readouterr().err and not (tmp_path / "no.json").exists()


def test_landmarks_come_back_from_json_and_damage_is_said(turned):
    vertices, _, _, found = turned
    text = to_json(found, len(vertices), "head")
    again = from_json(text, len(vertices))
    assert np.array_equal(again.triangles468, found.triangles468) and np.abs(again.weights468 - found.weights468).max() < 2e-6
    assert np.array_equal(again.triangles68, found.triangles68) and np.allclose(again.forward, found.forward)
    with pytest.raises(EmbeddingError, match=f"{len(vertices)} vertices, but this one has 7"):
        from_json(text, 7)
    data = json.loads(text)
    for damage in ({"triangles468": [[0, 0, 10**9]] * POINTS}, {"weights468": "x"}, {"forward": [0, 0]}, {"metres_per_unit": -1},
                   {"spread_mm": [None] * POINTS}):  # fmt: skip
        with pytest.raises(EmbeddingError, match="damaged"):
            from_json(json.dumps({**data, **damage}), len(vertices))
    for other in ("", "[]", "{}", "[" * 100000, '{"format": "facediff_landmarks", "version": 2}'):
        with pytest.raises(EmbeddingError):
            from_json(other, 3)


def test_a_triangle_covers_the_pixels_whose_centres_it_holds_and_the_nearest_is_shown():
    camera = look_at(np.zeros(3), np.array([0, 0, 1.0]), np.array([0, 1.0, 0]), 2.0, 10.0, 10)
    # At depth 2 a unit is 5 pixels: corners at (0, 10), (10, 10), (0, 0) pixels; one in front of it, and one behind.
    far = np.array([[-1, -1, 0], [1, -1, 0], [-1, 1, 0]], float)
    near = np.array([[-0.25, -0.25, 1], [0.05, -0.25, 1], [-0.25, 0.05, 1]])
    hidden = far * 0.5 - [0, 0, 1]
    shown, depth = visible_triangles(np.concatenate([far, near, hidden]), np.arange(9).reshape(3, 3), camera)
    rows, columns = np.mgrid[0:10, 0:10]
    assert ((shown >= 0) == (columns <= rows)).all() or ((shown >= 0) == (columns < rows + 1)).all()
    assert (shown[shown >= 0] != 2).all() and np.allclose(depth[shown == 0], 2) and np.allclose(depth[shown == 1], 1)
    assert (shown == 1).sum() > 0 and np.isinf(depth[shown < 0]).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_pixel_is_cast_back_to_the_place_that_it_shows(seed):
    rng = np.random.default_rng(seed)
    vertices, faces = rng.normal(size=(12, 3)), rng.integers(0, 12, (20, 3))
    back, up = rng.normal(size=3), rng.normal(size=3)
    camera = look_at(rng.normal(size=3), back, up, 8.0, 100.0, 64)
    hit, share = rng.integers(0, 20, 15), rng.dirichlet(np.ones(3), 15)
    corners = vertices[faces[hit]]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    flat = camera.project(corners.reshape(-1, 3))[0].reshape(-1, 3, 2)
    ab, ac = flat[:, 1] - flat[:, 0], flat[:, 2] - flat[:, 0]
    use = (area > 1e-3) & (np.abs(ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]) > 1)
    places = (corners * share[..., None]).sum(axis=1)
    found = barycentric(vertices, faces, camera, camera.project(places)[0], hit)
    assert np.allclose((corners * found[..., None]).sum(axis=1)[use], places[use], atol=1e-6)


def test_both_sides_are_lit_and_colours_are_shown():
    vertices, faces = sphere()
    camera = look_at(np.zeros(3), np.array([0, 0, 1.0]), np.array([0, 1.0, 0]), 4.0, 120.0, 64)
    normals = vertex_normals(vertices, faces)
    one = render(vertices, faces, camera, normals)
    other = render(vertices, faces[:, ::-1], camera, vertex_normals(vertices, faces[:, ::-1]))
    assert np.abs(one.image.astype(int) - other.image).max() <= 1
    red = render(vertices, faces, camera, normals, np.tile([0.8, 0.0, 0.0], (len(vertices), 1))).image[32, 32]
    assert red[0] > 150 and red[1] == red[2] == 0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_nearest_place_on_a_triangle_is_nearer_than_any_other(seed):
    rng = np.random.default_rng(seed)
    corners = rng.normal(size=(3, 3)) * 10.0 ** rng.integers(-3, 3)
    points = rng.normal(size=(20, 3)) * 10.0 ** rng.integers(-3, 3)
    share = nearest_on_triangles(points, np.broadcast_to(corners, (20, 3, 3)))
    assert share.min() >= 0 and np.allclose(share.sum(axis=1), 1)
    nearest = np.linalg.norm(share @ corners - points, axis=1)
    others = rng.dirichlet(np.ones(3), 300) @ corners
    edges = np.concatenate([np.linspace(corners[i], corners[i - 1], 50) for i in range(3)])
    reached = np.linalg.norm(points[:, None] - np.concatenate([others, edges]), axis=2).min(axis=1)
    assert (nearest <= reached * (1 + 1e-9) + 1e-12).all()


def test_the_nearest_place_on_a_mesh():
    vertices, faces = sphere(30)
    points = np.random.default_rng(0).normal(size=(50, 3))
    points *= (np.random.default_rng(1).uniform(0.8, 1.3, 50) / np.linalg.norm(points, axis=1))[:, None]
    triangle, share, distance = closest_places(points, vertices, faces)
    place = (vertices[faces[triangle]] * share[..., None]).sum(axis=1)
    assert np.allclose(np.linalg.norm(place - points, axis=1), distance)
    assert np.abs(distance - np.abs(np.linalg.norm(points, axis=1) - 1)).max() < 0.01


def test_parts_and_the_two_sides_of_a_slit():
    width = 9
    number = np.arange(width * width).reshape(width, width)
    quads = np.stack([number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]], -1)
    quads[3, 2:6] = 0  # the slit: a row of holes, so that the way around it is longer
    faces = quads.reshape(-1, 4)
    faces = np.concatenate([faces[:, :3], faces[:, [0, 2, 3]]])
    faces = faces[(faces != 0).any(axis=1)]
    vertices = np.stack([*np.divmod(np.arange(width * width), width), np.zeros(width * width)], axis=1).astype(float)
    above = nearer_to(vertices, faces, np.array([number[0, 4]]), np.array([number[8, 4]]))
    row, column = vertices[faces].mean(axis=1)[:, :2].T
    by_the_slit = (column > 2.5) & (column < 5.5)
    assert above[by_the_slit & (row < 3)].all() and not above[by_the_slit & (row > 4)].any()
    parts = components(np.concatenate([faces, faces + width * width]), 2 * width * width)
    assert len(np.unique(parts)) == 2 and (parts[: len(faces)] != parts[len(faces) :]).all()


def test_a_similarity_is_found_again_and_never_mirrors():
    rng = np.random.default_rng(0)
    turn, shift = rotation_matrices(rng.normal(size=3)), rng.normal(size=3)
    target = 2.5 * mean_face() @ turn.T + shift
    found = fit_similarity(mean_face(), target, rng.uniform(0.1, 1, POINTS))
    assert found.scale == pytest.approx(2.5) and np.allclose(found.rotation, turn) and np.allclose(found.shift, shift)
    assert found.error < 1e-9
    assert np.linalg.det(fit_similarity(mean_face(), target * [-1, 1, 1], np.ones(POINTS)).rotation) == pytest.approx(1)


def obj_text(vertices: np.ndarray, polygons: list[list[int]], style: int, back: bool) -> str:
    corner = ["{}", "{}/1", "{}//2", "{}/3/4"][style]
    lines = [f"v {x!r} {y!r} {z!r}" for x, y, z in vertices.tolist()]
    for polygon in polygons:
        numbers = [p - len(vertices) if back else p + 1 for p in polygon]
        lines.append("f " + " ".join(corner.format(n) for n in numbers))
    return "# a comment\no thing\n" + "\n".join(lines) + "\nusemtl none\n"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 3), st.booleans())
def test_an_obj_is_read_as_it_was_written(seed, style, back):
    rng = np.random.default_rng(seed)
    vertices = rng.normal(size=(rng.integers(3, 20), 3)) * 10.0 ** rng.integers(-6, 6)
    polygons = [rng.integers(0, len(vertices), rng.integers(3, 7)).tolist() for _ in range(rng.integers(1, 9))]
    mesh = parse_obj(obj_text(vertices, polygons, style, back))
    assert np.array_equal(mesh.vertices, vertices) and mesh.colours is None
    sizes = np.array([len(p) for p in polygons])
    assert np.array_equal(mesh.faces, fans(sizes, np.concatenate(polygons)))
    assert len(mesh.faces) == (sizes - 2).sum() and np.array_equal(mesh.faces[0], polygons[0][:3])


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="vf 0123456789.-/#\nenainft\\\x00ü", max_size=200))
def test_any_text_is_a_mesh_or_one_sentence(text):
    try:
        mesh = parse_obj(text)
    except InputError as error:
        assert str(error).endswith(".") and "\n" not in str(error)
    else:
        assert np.isfinite(mesh.vertices).all() and 0 <= mesh.faces.min() and mesh.faces.max() < len(mesh.vertices)


def test_colours_of_an_obj_become_linear_and_other_files_are_read(tmp_path):
    mesh = parse_obj("v 0 0 0 1 0.5 0\nv 1 0 0 0 0 0\nv 0 1 0 1 1 1\nf 1 2 3\n")
    assert np.allclose(mesh.colours[0], [1, 0.2140, 0], atol=1e-4)
    np.savez(tmp_path / "mesh.npz", vertices=np.eye(3), faces=np.array([[0, 1, 2]]), colours=np.eye(3))
    assert np.array_equal(load_mesh(tmp_path / "mesh.npz").colours, np.eye(3))
    head = load_mesh(ASSET)
    assert len(head.vertices) == len(load_starter_head().vertices) and head.faces.max() < len(head.vertices)
    for name, content in (("a.pkl", b"junk"), ("b.npz", b"PK\x03\x04"), ("c.txt", b""), ("d.obj", b"\xff\xfe\x00")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError):
            load_mesh(tmp_path / name)
    with pytest.raises(InputError, match="There is no mesh file"):
        load_mesh(tmp_path / "none.obj")
