"""The starter head: sound topology, exact symmetry, shapes that do what their names say, posing, refusals, and its making."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np
import pytest

from engine.face.arkit import ARKIT_52, mirrored
from engine.face.checks.folds import Folds
from engine.face.starter_head import (
    ASSET,
    HEADS,
    HeadError,
    head_path,
    load_starter_head,
    pose_landmarks68,
    pose_vertices,
    rotation_matrices,
)

FLIP = np.array([-1, 1, 1], np.float32)
MM = 1e-3
# iBUG's points on the other side of the face
MIRROR68 = [
    *range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1), 45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), 67, 66, 65,
]  # fmt: skip


@pytest.fixture(scope="module")
def head():
    return load_starter_head()


@pytest.fixture(scope="module")
def polygons(head):
    return [tuple(f) for f in np.split(head.face_vertices, np.cumsum(head.face_sizes)[:-1])]


@pytest.fixture(scope="module")
def pieces(head, polygons):
    """(V,) which connected piece each vertex belongs to, numbered from the largest."""
    label = np.arange(len(head.vertices))
    while True:
        before = label.copy()
        for face in polygons:
            label[list(face)] = label[list(face)].min()
        if (label == before).all():
            break
    order = {piece: i for i, (piece, _) in enumerate(Counter(label.tolist()).most_common())}
    return np.array([order[piece] for piece in label])


@pytest.fixture(scope="module")
def mirror(head, pieces):
    """(V,) each vertex's counterpart on the other side."""
    wanted = head.vertices * FLIP
    found = np.array([np.abs(head.vertices - w).sum(1).argmin() for w in wanted])
    assert np.abs(head.vertices[found] - wanted).max() < 1e-9
    return found


def weights_of(**shapes: float) -> np.ndarray:
    row = np.zeros((1, 52), np.float32)
    for name, weight in shapes.items():
        names = [name + "Left", name + "Right"] if name not in ARKIT_52 else [name]
        for each in names:
            row[0, ARKIT_52.index(each)] = weight
    return row


def landmarks(head, **shapes: float) -> np.ndarray:
    return pose_landmarks68(head, weights_of(**shapes))[0]


def distance(points, a, b) -> float:
    return float(np.linalg.norm(points[a] - points[b])) / MM


# --- the file and the mesh


def test_the_file_is_small_and_needs_no_pickle(head):
    assert ASSET.stat().st_size < 3e6
    with np.load(ASSET, allow_pickle=False) as data:
        assert all(data[name].dtype.kind in "fiuU" for name in data.files)
    assert head.blendshape_names == ARKIT_52
    assert 6000 <= len(head.vertices) <= 7000
    assert head.vertices.dtype == head.blendshapes.dtype == np.float32


def test_skin_is_open_only_at_neck_and_lids_and_every_edge_agrees(head, polygons, pieces):
    directed = Counter((a, b) for f in polygons for a, b in zip(f, (*f[1:], f[0])))
    assert max(directed.values()) == 1, "two faces run along an edge the same way"
    open_edges = [(a, b) for a, b in directed if (b, a) not in directed and pieces[a] == 0]
    neck = [(a, b) for a, b in open_edges if head.vertices[a, 1] < -0.17]
    lids = [(a, b) for a, b in open_edges if head.vertices[a, 1] > -0.02]
    assert len(lids) == 64 and 40 <= len(neck) <= 60
    assert len(neck) + len(lids) == len(open_edges)
    for edges in (neck, lids):  # closed loops
        assert Counter(a for a, _ in edges) == Counter(b for _, b in edges)


def test_faces_look_outwards(head, polygons, pieces):
    v = head.vertices.astype(float)
    normal = np.array([np.cross(v[f[2]] - v[f[0]], v[f[-1]] - v[f[1]]) for f in polygons])
    middle = np.array([v[list(f)].mean(0) for f in polygons])
    material = np.array([head.materials[i].name for i in head.material_index])
    for joint in ("left_eye", "right_eye"):
        ball = head.skin[joint][[f[0] for f in polygons]] == 1
        assert ((normal * (middle - head.joints[joint])).sum(1)[ball] > 0).all()
    on_skin = np.array([pieces[f[0]] == 0 for f in polygons])
    skull = on_skin & (middle[:, 1] > 0.03)
    assert ((normal * (middle - [0, 0.02, -0.08])).sum(1)[skull] > 0).all()
    front_teeth = (material == "teeth") & (np.abs(middle[:, 0]) < 0.012)
    outer = front_teeth & (middle[:, 2] > np.median(middle[front_teeth, 2]))
    assert outer.any() and (normal[outer, 2] > 0).mean() > 0.8
    hairs = (material == "hair") & ~on_skin & (middle[:, 1] > 0.012)
    brows = hairs & (middle[:, 1] < 0.035) & (middle[:, 2] > -0.015)
    assert brows.sum() > 100 and (normal[brows, 2] > 0).mean() > 0.9
    locks = hairs & (middle[:, 1] > 0.05)
    assert ((normal * (middle - [0, -0.02, -0.07])).sum(1)[locks] > 0).mean() > 0.9


def test_every_vertex_is_used_and_faces_are_triangles_or_quads(head, polygons):
    assert set(np.concatenate(polygons).tolist()) == set(range(len(head.vertices)))
    assert set(np.unique(head.face_sizes)) <= {3, 4}
    assert all(len(set(f)) == len(f) for f in polygons)


def test_the_skin_is_of_quads_where_they_fit(head, polygons, pieces):
    sizes = np.array([len(f) for f in polygons if pieces[f[0]] == 0])
    assert (sizes == 4).mean() > 0.9


@pytest.mark.parametrize("name", HEADS)
def test_no_skin_is_folded_over_at_rest(name):
    some = load_starter_head(name)
    search = Folds(some)
    folded = search.faces[search.folded_at_rest()]
    assert {some.materials[i].name for i in some.material_index[folded]} <= {"hair"}


def test_left_and_right_are_exact_mirror_images(head, mirror):
    for name in ARKIT_52:
        here, there = (head.blendshapes[ARKIT_52.index(n)] for n in (name, mirrored(name)))
        assert np.abs(there[mirror] * FLIP - here).max() < 1e-8, name
    rest = landmarks(head)
    assert np.abs(rest[MIRROR68] * FLIP - rest).max() < 1e-8


def test_materials_and_colours(head):
    names = {m.name for m in head.materials}
    assert {"skin", "lips", "eye_white", "iris", "pupil", "teeth", "gums", "mouth", "tongue", "hair"} == names
    assert {head.materials[i].name for i in np.unique(head.material_index)} == names
    assert all(0 <= c <= 1 for m in head.materials for c in (*m.base_color, m.roughness, m.subsurface, m.coat))
    assert head.vertex_colors.shape == head.vertices.shape
    assert 0 <= head.vertex_colors.min() and head.vertex_colors.max() <= 1
    lids, cheek = head.gloss[head.rings["eyeLeft"][0]], head.gloss[(np.abs(head.vertices / MM - [50, -55, -12]) < 8).all(1)]
    assert head.gloss.shape == (len(head.vertices),) and lids.min() > 0.8 and 0 <= cheek.max() < 0.2


# --- proportions (ranges of adults; Farkas 1994, ANSUR II 2012)


@pytest.mark.parametrize(
    ("what", "a", "b", "low", "high"),
    [
        ("inner corners of the eyes", 39, 42, 31, 35),
        ("outer corners of the eyes", 36, 45, 84, 92),
        ("lids apart", 37, 41, 8, 11.5),
        ("nose's height", 27, 33, 46, 54),
        ("nose's protrusion", 33, 30, 17, 23),
        ("mouth's width", 48, 54, 47, 55),
        ("face's height", 27, 8, 108, 124),
        ("upper lip's red", 51, 62, 6, 10.5),
        ("lower lip's red", 57, 66, 8, 12),
    ],
)
def test_distances_are_those_of_a_human_face(head, what, a, b, low, high):
    assert low <= distance(landmarks(head), a, b) <= high, what


def test_width_of_head_and_jaw(head, pieces):
    x, y, z = head.vertices[pieces == 0].T / MM
    jaw_angle = (np.abs(y + 75) < 4) & (z > -70) & (z < -40)
    assert 92 <= 2 * np.abs(x[jaw_angle]).max() <= 107
    skull = y > 25
    assert 140 <= np.ptp(x[skull]) <= 160 and 180 <= np.ptp(z[skull]) <= 205


def test_landmarks_are_in_ibug_order(head):
    p = landmarks(head) / MM
    assert (np.diff(p[:17, 0]) > 0).all() and p[8, 1] == p[:17, 1].min()
    assert (np.diff(p[17:27, 0]) > 0).all() and (p[17:27, 1] > 8).all()
    assert (np.diff(p[27:31, 2]) > 0).all() and (np.abs(p[27:31, 0]) < 1e-3).all()
    assert p[36, 0] < p[39, 0] < 0 < p[42, 0] < p[45, 0]
    assert p[37, 1] > p[41, 1] and p[38, 1] > p[40, 1]
    assert p[48, 0] < 0 < p[54, 0] and p[51, 1] > p[62, 1] > p[66, 1] > p[57, 1]
    assert distance(landmarks(head), 62, 66) < 0.5


def test_joints_lie_where_they_should(head):
    left, right = (head.joints[n] / MM for n in ("left_eye", "right_eye"))
    assert np.allclose(left * FLIP, right) and 60 <= left[0] - right[0] <= 66
    assert np.allclose((left + right)[[0, 1]] / 2, 0, atol=0.5)
    for name, joint in (("left_eye", left), ("right_eye", right)):
        ball = head.vertices[head.skin[name] == 1] / MM
        radius = np.linalg.norm(ball - joint, axis=1)
        assert len(ball) > 100 and 11.9 < radius.min() and radius.max() < 12.6
    v = head.vertices / MM
    for name in ("head", "neck", "jaw"):
        x, y, z = head.joints[name] / MM
        level = v[np.abs(v[:, 1] - y) < 8]
        assert x == 0 and level[:, 2].min() + 20 < z < level[:, 2].max() - 20, name
    assert head.joints["neck"][1] < head.joints["head"][1] < 0
    assert -0.05 < head.joints["head"][1] and -0.11 < head.joints["head"][2] < -0.07


# --- the other heads, and what all have in common


@pytest.fixture(scope="module")
def others(head):
    return {name: head if name == next(iter(HEADS)) else load_starter_head(name) for name in HEADS}


def test_every_head_in_the_list_is_there_and_small(others):
    assert len(others) == 3 and len({other.name for other in others.values()}) == 3
    assert sum(head_path(name).stat().st_size for name in HEADS) < 1.6e6
    with pytest.raises(KeyError):
        head_path("nobody")


def test_all_heads_share_their_topology(head, others):
    for name, other in others.items():
        for same in ("face_sizes", "face_vertices", "landmark_triangles", "landmark_barycentric", "uvs"):
            assert np.array_equal(getattr(other, same), getattr(head, same)), (name, same)
        for joint in head.skin:
            assert np.abs(other.skin[joint] - head.skin[joint]).max() < 1e-3, (name, joint)


def test_heads_differ_as_people_do(others):
    """Otto is broader in jaw, nose and ears and thinner-lipped than Robin; Amara has fuller lips and a smaller chin."""
    p = {name: landmarks(other) for name, other in others.items()}
    jaw = {name: distance(q, 4, 12) for name, q in p.items()}
    nose = {name: distance(q, 31, 35) for name, q in p.items()}
    lips = {name: distance(q, 51, 62) + distance(q, 57, 66) for name, q in p.items()}
    chin = {name: distance(q, 57, 8) for name, q in p.items()}
    assert jaw["otto"] > jaw["robin"] + 8 and jaw["amara"] < jaw["robin"] - 4
    assert nose["otto"] > nose["robin"] + 3
    assert lips["otto"] < lips["robin"] - 2 and lips["amara"] > lips["robin"] + 2.5
    assert chin["amara"] < chin["robin"] - 4 and chin["otto"] > chin["robin"] + 2
    skin = [other.materials[0].base_color for other in others.values()]
    assert np.ptp(skin, axis=0).max() > 0.2


def test_every_head_is_mirror_symmetric_and_seals_its_lips(others, mirror):
    for name, other in others.items():
        assert np.abs(other.vertices[mirror] * FLIP - other.vertices).max() < 1e-8, name
        rest, sealed = landmarks(other), landmarks(other, jawOpen=0.7, mouthClose=0.7)
        assert abs(distance(sealed, 62, 66) - distance(rest, 62, 66)) < 0.02, name
        shut = landmarks(other, eyeBlink=1.0) / MM
        assert rest[43, 1] / MM - rest[47, 1] / MM > 7 and abs(shut[43, 1] - shut[47, 1]) < 0.8, name


def test_texture_coordinates_cover_the_square_without_overlaps(head, polygons, pieces):
    assert head.uvs.shape == (len(head.face_vertices), 2) and 0 <= head.uvs.min() and head.uvs.max() <= 1
    first = np.cumsum(head.face_sizes) - head.face_sizes
    corners = [head.uvs[a : a + n] for a, n in zip(first, head.face_sizes)]
    area = np.array([np.cross(c[1:-1] - c[0], c[2:] - c[0]).sum() / 2 for c in corners])
    skin = np.array([pieces[f[0]] == 0 for f in polygons])
    assert (area[skin] > 0).mean() > 0.99, "the skin is not turned over"
    assert 0.5 < area[skin].sum() < 0.9
    crown = np.array([head.vertices[list(f), 1].max() > 0.095 for f in polygons])
    assert max(np.ptp(c[:, 0]) for c, s in zip(corners, skin & ~crown) if s) < 0.25, "no face runs back across the seam"


def test_teeth_stand_inside_the_mouth(others):
    """Seen from every tooth's vertex, the mouth's lining closes all round: a winding number of one."""
    for name, other in others.items():
        names = np.array([other.materials[i].name for i in other.material_index])
        polygons = np.split(other.face_vertices, np.cumsum(other.face_sizes)[:-1])
        loops = [*other.rings["mouth_in"], other.rings["mouth"][0]]
        lining = set(np.concatenate(loops).tolist())
        inner = [f for f, m in zip(polygons, names) if m == "mouth" or (m == "lips" and set(f.tolist()) <= lining)]
        triangles = np.array([(f[0], f[i], f[i + 1]) for f in inner for i in range(1, len(f) - 1)])
        teeth = other.vertices[np.unique(np.concatenate([f for f, m in zip(polygons, names) if m == "teeth"]))]
        a, b, c = (other.vertices[triangles[:, k]].astype(float)[None] - teeth[:, None] for k in range(3))
        la, lb, lc = (np.linalg.norm(x, axis=2) for x in (a, b, c))
        below = la * lb * lc + (a * b).sum(2) * lc + (b * c).sum(2) * la + (a * c).sum(2) * lb
        turns = 2 * np.arctan2((a * np.cross(b, c)).sum(2), below).sum(1) / (4 * np.pi)
        assert (np.abs(turns) > 0.9).all(), f"{name}: {(np.abs(turns) < 0.9).sum()} of {len(turns)} stand in the flesh"


@pytest.mark.parametrize("name", HEADS)
def test_the_low_version_is_the_same_head_on_fewer_vertices(name):
    full, low = load_starter_head(name), load_starter_head(name, level="low")
    assert 1700 <= len(low.vertices) <= 2300 and low.uvs.shape == (len(low.face_vertices), 2)
    assert {m.name for m in low.materials} == {low.materials[i].name for i in np.unique(low.material_index)}
    corners = np.split(low.face_vertices, np.cumsum(low.face_sizes)[:-1])
    directed = Counter((a, b) for f in corners for a, b in zip(f.tolist(), np.roll(f, -1).tolist()))
    assert max(directed.values()) == 1, "two faces run along an edge the same way"
    assert set(np.concatenate(corners).tolist()) == set(range(len(low.vertices)))
    for shapes in ({}, {"jawOpen": 0.6}, {"mouthSmile": 1.0}, {"eyeBlink": 1.0}):
        away = np.linalg.norm(landmarks(low, **shapes) - landmarks(full, **shapes), axis=1) / MM
        assert away.mean() < 0.7 and away.max() < 4, shapes
    assert distance(landmarks(low, jawOpen=1.0, mouthClose=1.0), 62, 66) < 0.2
    with pytest.raises(ValueError, match="level"):
        load_starter_head(name, level="high")


# --- shapes


@pytest.mark.parametrize("weight", [0.1, 0.25, 0.5, 0.75, 1.0])
def test_mouth_close_seals_an_open_jaw(head, weight):
    rest, sealed = landmarks(head), landmarks(head, jawOpen=weight, mouthClose=weight)
    for upper, lower in ((61, 67), (62, 66), (63, 65)):
        assert abs(distance(sealed, upper, lower) - distance(rest, upper, lower)) < 0.02
    assert rest[8, 1] - sealed[8, 1] > 0.015 * weight


def test_jaw_opens_the_mouth(head):
    rest, opened = landmarks(head), landmarks(head, jawOpen=1.0)
    assert 25 <= distance(opened, 62, 66) <= 31
    assert np.abs(opened[27:36] - rest[27:36]).max() < 1e-3
    for shape in ("jawForward", "jawLeft"):
        assert 3 * MM < np.linalg.norm(landmarks(head, **{shape: 1.0})[8] - rest[8]) < 12 * MM
    assert landmarks(head, jawLeft=1.0)[8, 0] > 3 * MM


def test_lids_close_over_the_eyeball(head):
    rest, shut = landmarks(head) / MM, landmarks(head, eyeBlink=1.0) / MM
    for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46)):
        assert rest[upper, 1] - rest[lower, 1] > 8
        assert abs(shut[upper, 1] - shut[lower, 1]) < 0.6
    wide = landmarks(head, eyeWide=1.0) / MM
    squint = landmarks(head, eyeSquint=1.0) / MM
    assert wide[43, 1] > rest[43, 1] + 1.5 and squint[47, 1] > rest[47, 1] + 1


@pytest.mark.parametrize("weight", [0.25, 0.5, 0.75, 1.0])
def test_a_blink_never_cuts_into_the_eyeball(head, pieces, weight):
    posed = pose_vertices(head, weights_of(eyeBlink=weight))[0] / MM
    outer_skin = (pieces == 0) & (np.linalg.norm(head.vertices / MM - head.joints["left_eye"] / MM, axis=1) >= 12.8)
    away = posed[outer_skin] - head.joints["left_eye"] / MM
    front = away[:, 2] > 2
    assert np.linalg.norm(away[front], axis=1).min() > 12.0


def test_gaze_shapes_move_lids_and_no_eyeball(head):
    balls = (head.skin["left_eye"] > 0) | (head.skin["right_eye"] > 0)
    for name in ARKIT_52:
        assert not head.blendshapes[ARKIT_52.index(name)][balls].any(), name
        if name.startswith("eyeLook"):
            assert head.blendshapes[ARKIT_52.index(name)].any(), name
    rest, down, up = (landmarks(head, **s)[43, 1] / MM for s in ({}, {"eyeLookDown": 1.0}, {"eyeLookUp": 1.0}))
    assert down < rest - 3 and up > rest + 1


def test_lashes_stay_on_the_lid(head, pieces):
    """The root of every lash keeps its distance from the skin when the eye shuts."""
    blink = head.blendshapes[ARKIT_52.index("eyeBlinkLeft")]
    still = pose_vertices(head, weights_of(eyeBlink=1.0))[0]
    skin = np.flatnonzero(pieces == 0)
    loose = np.flatnonzero((pieces > 0) & (np.abs(blink).max(1) > 2 * MM))
    assert len(loose) >= 40
    roots = [i for i in loose if np.linalg.norm(head.vertices[skin] - head.vertices[i], axis=1).min() < 1.0 * MM]
    assert len(roots) >= 20
    for i in roots:
        assert np.linalg.norm(still[skin] - still[i], axis=1).min() < 2.0 * MM


@pytest.mark.parametrize(
    ("shape", "point", "axis", "low", "high"),
    [
        ("browInnerUp", 21, 1, 4, 9), ("browOuterUp", 18, 1, 4, 10), ("browDown", 21, 1, -8, -3), ("mouthSmile", 54, 1, 5, 10),
        ("mouthSmile", 54, 0, 4, 9), ("mouthFrown", 54, 1, -9, -4), ("mouthStretch", 54, 0, 5, 10),
        ("mouthPucker", 54, 0, -13, -7),
        ("mouthPucker", 51, 2, 4, 9), ("mouthFunnel", 57, 2, 3, 9), ("mouthUpperUp", 51, 1, 2, 8),
        ("mouthLowerDown", 57, 1, -9, -3),
        ("mouthDimple", 54, 0, 2, 6), ("mouthLeft", 51, 0, 6, 10), ("mouthShrugLower", 57, 1, 2, 6), ("noseSneer", 35, 1, 0.5, 5),
        ("mouthRollLower", 57, 2, -5, -1), ("mouthRollUpper", 51, 2, -5, -1),
        ("mouthShrugUpper", 51, 1, 2, 6), ("jawForward", 8, 2, 4, 8),
    ],
)  # fmt: skip
def test_shapes_move_the_way_their_names_say(head, shape, point, axis, low, high):
    moved = (landmarks(head, **{shape: 1.0}) - landmarks(head))[point, axis] / MM
    assert low <= moved <= high, f"{shape} moves point {point} by {moved:.1f} mm"


def test_every_shape_does_something_sane(head):
    size = np.linalg.norm(head.blendshapes, axis=2).max(1) / MM
    assert (size > 0.3).all() and (size < 45).all(), dict(zip(ARKIT_52, size.round(1)))
    neck_end = head.vertices[:, 1] < -0.175
    assert not head.blendshapes[:, neck_end].any()


def test_closed_mouth_shapes_keep_the_lips_closed(head):
    for name in ("mouthSmile", "mouthFrown", "mouthPucker", "mouthPress", "mouthLeft", "mouthDimple", "mouthShrugLower"):
        assert distance(landmarks(head, **{name: 1.0}), 62, 66) < 0.3, name


# --- posing


def test_rotation_matrices_match_known_turns():
    quarter = rotation_matrices(np.array([[0, 0, np.pi / 2], [0, 0, 0], [np.pi / 2, 0, 0]]))
    assert np.allclose(quarter[0] @ [1, 0, 0], [0, 1, 0]) and np.allclose(quarter[1], np.eye(3))
    assert np.allclose(quarter[2] @ [0, 1, 0], [0, 0, 1])
    tiny = rotation_matrices(np.array([1e-9, 0, 0]))
    assert np.allclose(tiny, [[1, 0, 0], [0, 1, -1e-9], [0, 1e-9, 1]], atol=1e-15)


def test_the_head_turns_rigidly_above_the_neck_which_stays(head):
    axis_angle = np.array([[0.2, -0.3, 0.1]])
    posed = pose_vertices(head, weights_of(), {"head": axis_angle})[0]
    rigid = head.skin["head"] == 1
    joint = head.joints["head"]
    expected = (head.vertices[rigid] - joint) @ rotation_matrices(axis_angle)[0].T + joint
    assert rigid.sum() > 4500 and np.abs(posed[rigid] - expected).max() < 1e-6
    assert head.vertices[rigid, 1].min() < -0.11, "the chin belongs to the head"
    fixed = head.skin["head"] == 0
    assert fixed.sum() >= 40 and (posed[fixed] == head.vertices[fixed]).all()


def test_skin_weights_fade_smoothly(head, polygons):
    w = head.skin["head"]
    assert w.min() == 0 and w.max() == 1
    steps = [abs(w[a] - w[b]) for f in polygons for a, b in zip(f, (*f[1:], f[0]))]
    assert max(steps) < 0.5


def test_eyes_turn_about_their_centres(head):
    posed = pose_vertices(head, weights_of(), {"left_eye": np.array([[0, 0.4, 0]]), "right_eye": np.array([[0, 0, 0]])})[0]
    ball = head.skin["left_eye"] == 1
    assert (posed[~ball] == head.vertices[~ball]).all()
    pupil = np.flatnonzero(ball)[head.vertices[ball, 2].argmax()]
    assert posed[pupil, 0] - head.vertices[pupil, 0] > 4 * MM  # +y turns the gaze to the subject's left


def test_landmarks_are_the_posed_vertices_landmarks(head):
    random = np.random.default_rng(0)
    weights = random.random((7, 52))
    rotations = {name: random.normal(0, 0.2, (7, 3)) for name in ("head", "left_eye", "right_eye", "jaw")}
    posed = pose_vertices(head, weights, rotations)
    expected = (posed[:, head.landmark_triangles] * head.landmark_barycentric[..., None]).sum(2)
    assert np.abs(pose_landmarks68(head, weights, rotations) - expected).max() < 2e-6


def test_long_clips_are_posed_in_blocks_that_agree(head):
    weights = np.random.default_rng(1).random((40, 52))
    turn = {"head": np.linspace(0, 0.3, 120).reshape(40, 3)}
    whole = pose_vertices(head, weights, turn)
    for t in (0, 17, 39):
        one = pose_vertices(head, weights[t : t + 1], {"head": turn["head"][t : t + 1]})[0]
        assert np.abs(whole[t] - one).max() < 1e-6
    assert pose_vertices(head, np.zeros((0, 52))).shape == (0, len(head.vertices), 3)


def test_ten_thousand_frames_of_landmarks_in_a_second(head):
    weights = np.random.default_rng(2).random((10_000, 52))
    turn = {"head": np.full((10_000, 3), 0.1)}
    pose_landmarks68(head, weights[:10], {"head": turn["head"][:10]})
    start = time.process_time()  # not the clock on the wall: other tests may be running beside this one
    assert pose_landmarks68(head, weights, turn).shape == (10_000, 68, 3)
    assert time.process_time() - start < 1.0


def test_wrong_shapes_are_refused(head):
    with pytest.raises(ValueError, match="weights must be"):
        pose_vertices(head, np.zeros((3, 51)))
    with pytest.raises(ValueError, match="rotation of 'head'"):
        pose_landmarks68(head, np.zeros((3, 52)), {"head": np.zeros((2, 3))})


# --- bad files


def damaged(kind: str, tmp_path):
    path = tmp_path / "head.npz"
    if kind == "missing":
        return path
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("not a head")
    elif kind == "truncated":
        path.write_bytes(ASSET.read_bytes()[: ASSET.stat().st_size // 2])
    elif kind == "one array":
        with open(path, "wb") as stream:
            np.save(stream, np.zeros(3))
    else:
        with np.load(ASSET) as data:
            arrays = dict(data)
        if kind == "pickle":
            arrays["vertices"] = np.array([{"a": 1}], dtype=object)
        elif kind == "no faces":
            del arrays["face_vertices"]
        elif kind == "other format":
            arrays["format"] = np.array("starter-head/99")
        elif kind == "faces beyond":
            arrays["face_vertices"] = arrays["face_vertices"].copy()
            arrays["face_vertices"][5] = 60_000
        elif kind == "not finite":
            arrays["vertices"] = arrays["vertices"] * np.nan
        elif kind == "other shapes":
            arrays["blendshape_names"] = arrays["blendshape_names"][::-1]
        elif kind == "short shapes":
            arrays["shape_starts"] = arrays["shape_starts"][:5]
        np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    "kind",
    ["missing", "empty", "text", "truncated", "one array", "pickle", "no faces", "other format", "faces beyond", "not finite",
     "other shapes", "short shapes"],
)  # fmt: skip
def test_a_bad_head_file_ends_in_one_sentence(kind, tmp_path):
    with pytest.raises(HeadError) as caught:
        load_starter_head(damaged(kind, tmp_path))
    message = str(caught.value)
    assert "head.npz" in message and message.endswith(".") and "\n" not in message and len(message) < 200


# --- the making


def test_the_procedure_makes_the_committed_head_again(head, tmp_path):
    from engine.face.build.asset import build_head, save

    save(build_head(), tmp_path / "again.npz")
    again = load_starter_head(tmp_path / "again.npz")
    assert np.array_equal(again.face_vertices, head.face_vertices)
    assert np.abs(again.vertices - head.vertices).max() < 1e-4
    assert np.abs(again.blendshapes - head.blendshapes).max() < 1e-4
    assert np.abs(landmarks(again, jawOpen=0.5) - landmarks(head, jawOpen=0.5)).max() < 1e-4
    assert [p.name for p in tmp_path.iterdir()] == ["again.npz"]


def test_recovered_edges_are_in_the_triangulation():
    from engine.face.build.delaunay import constrained_delaunay

    random = np.random.default_rng(4)
    points = np.vstack([random.random((60, 2)), [[-0.1, 0.5], [1.1, 0.52], [0.5, -0.1], [0.48, 1.1]]])
    triangles = constrained_delaunay(points, [(60, 61)])
    edges = {frozenset(e) for t in triangles.tolist() for e in ((t[0], t[1]), (t[1], t[2]), (t[2], t[0]))}
    assert frozenset((60, 61)) in edges
    a, b, c = (points[triangles[:, k]] for k in range(3))
    area = ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]) / 2
    from scipy.spatial import ConvexHull

    assert (area > 0).all() and np.isclose(area.sum(), ConvexHull(points).volume)
    with pytest.raises(ValueError, match="cross"):
        constrained_delaunay(points, [(60, 61), (62, 63)])
