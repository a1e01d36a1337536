"""Pieces of a mesh that hang loose from its skin: eyeballs, teeth, tongue; hair, brows and lashes.

Eyeballs turn about their own centres with eyeLook*; lower teeth and tongue go rigidly with the jaw; upper teeth stay;
everything else goes with the skin nearest to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..registration.closest import TriangleIndex
from ..registration.points import fitted_ball
from ..registration.surface import Surface
from ..starter_head import HeadModel, rotation_matrices

# shape -> axis-angle that an eyeball turns by, rad in the head's axes; the inner side is the other eye's
LOOKS = {"Up": (-np.radians(25), 0.0), "Down": (np.radians(28), 0.0), "In": (0.0, np.radians(30)), "Out": (0.0, np.radians(30))}
NEAR_EYE = 0.022  # m from the middle of an eye within which the centre of its ball lies
FOLLOWING = (0.010, 0.030)  # m from the skin up to which a piece follows wholly, and from which on not at all
BULGE = 90  # per cent of an eyeball's front, flat or with a cornea, that lids must clear
JAW_SHAPES = ("jawOpen", "jawForward", "jawLeft", "jawRight")


@dataclass(frozen=True)
class Piece:
    """kind: "eyeball", "upper teeth", "lower teeth", "tongue" or "other"; eye: "right eye" or "left eye" of an eyeball."""

    kind: str
    vertices: np.ndarray
    eye: str = ""
    ball: tuple[np.ndarray, float] | None = None


def pieces_of(points: np.ndarray, label: np.ndarray, skin: np.ndarray, landmarks: np.ndarray) -> list[Piece]:
    """What every loose piece is. points: (V, 3); label: (V,) of `islands_of`; skin: (V,); landmarks: (68, 3) on the skin."""
    middles = {"right eye": landmarks[36:42].mean(0), "left eye": landmarks[42:48].mean(0)}
    pieces = []
    for island in np.unique(label[~skin]):
        ids = np.flatnonzero((label == island) & ~skin)
        ball = fitted_ball(points[ids]) if 12 <= len(ids) <= 20_000 else None
        eye = ""
        if ball is not None:
            eye = min(middles, key=lambda name: np.linalg.norm(ball[0] - middles[name]))
        if ball is not None and np.linalg.norm(ball[0] - middles[eye]) < NEAR_EYE:
            pieces.append(Piece("eyeball", ids, eye, ball))
        else:
            pieces.append(Piece(_in_mouth(points[ids], landmarks), ids))
    return pieces


def _in_mouth(p: np.ndarray, landmarks: np.ndarray) -> str:
    """Teeth and tongue lie behind the lips, between the nose's base and the chin, and no wider than the jaw."""
    lips, line = landmarks[48:60], (landmarks[62] + landmarks[66]) / 2
    width = np.linalg.norm(landmarks[54] - landmarks[48])
    front = np.percentile(p[:, 2], 95)
    inside = (
        front < lips[:, 2].max() + 0.002
        and np.abs(p[:, 0] - line[0]).max() < 1.1 * width
        and landmarks[8, 1] < p[:, 1].mean() < landmarks[33, 1]
        and p[:, 2].mean() < line[2]
        and np.ptp(p[:, 0]) > 0.05 * width
    )
    if not inside:
        return "other"
    # Arches are hollow: nothing of teeth is on the midline behind the front ones, but the tongue is there.
    central = p[np.abs(p[:, 0] - p[:, 0].mean()) < 0.2 * np.ptp(p[:, 0])]
    if len(central) and np.ptp(central[:, 2]) > 0.6 * np.ptp(p[:, 2]) and abs(p[:, 0].mean() - line[0]) < 0.2 * width:
        return "tongue"
    return "upper teeth" if p[:, 1].mean() > line[1] else "lower teeth"


def jaw_motion(head: HeadModel, names: list[str], shapes: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """For each shape of the jaw the matrix A and vector b of the displacement A p + b (m) of what is fixed to it, from the
    starter head's own lower teeth: the loose vertices in the mouth that jawOpen moves most evenly."""
    p = head.vertices.astype(float)
    fixed = _lower_teeth(head)
    motions = {}
    for name in JAW_SHAPES:
        d = shapes[names.index(name)][fixed].astype(float)
        solution = np.linalg.lstsq(np.c_[p[fixed], np.ones(len(fixed))], d, rcond=None)[0]
        motions[name] = solution[:3].T, solution[3]
    return motions


def _lower_teeth(head: HeadModel) -> np.ndarray:
    teeth = [i for i, m in enumerate(head.materials) if m.name.startswith(("teeth", "gum"))]
    per_corner = np.repeat(np.isin(head.material_index, teeth), head.face_sizes)
    ids = np.unique(head.face_vertices[per_corner])
    jaw = head.blendshapes[head.blendshape_names.index("jawOpen"), ids]
    return ids[np.abs(jaw).max(axis=1) > 0.003]


def piece_shapes(
    piece: Piece,
    names: list[str],
    surface: Surface,
    skin_shapes: np.ndarray,
    index: TriangleIndex,
    skin_triangles: np.ndarray,
    jaw: dict[str, tuple[np.ndarray, np.ndarray]],
    lay: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """(K, N, 3) displacements of a piece's N vertices. skin_shapes: (K, V, 3) of the skin; lay: the affine map (matrix, shift)
    that lays the starter's mouth over this one."""
    p = surface.points[piece.vertices]
    out = np.zeros((len(names), len(p), 3))
    if piece.kind == "eyeball":
        assert piece.ball is not None
        for look, (nod, turn) in LOOKS.items():
            for side, sign in (("Left", 1.0), ("Right", -1.0)):
                if piece.eye == f"{side.lower()} eye":
                    outwards = sign if look == "Out" else -sign
                    matrix = rotation_matrices(np.array([nod, outwards * turn, 0.0]))
                    q = p - piece.ball[0]
                    out[names.index(f"eyeLook{look}{side}")] = q @ matrix.T - q
    elif piece.kind in ("lower teeth", "tongue"):
        matrix, shift = lay
        home = (p - shift) @ np.linalg.inv(matrix).T
        for name, (a, b) in jaw.items():
            out[names.index(name)] = (home @ a.T + b) @ matrix.T
        if piece.kind == "tongue":
            out[names.index("tongueOut")] = tongue_out(p, matrix)
    elif piece.kind == "other" and len(skin_triangles):
        found = index.nearest(p)
        share = np.clip((FOLLOWING[1] - found.distance) / (FOLLOWING[1] - FOLLOWING[0]), 0, 1)
        corners = skin_triangles[found.triangle]
        for k in range(3):
            out += skin_shapes[:, corners[:, k]] * (found.weights[:, k] * share)[:, None]
    return out


def tongue_out(p: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """(N, 3): the tongue's front comes forward by its own length and dips at the tip."""
    share = (p[:, 2] - p[:, 2].min()) / max(np.ptp(p[:, 2]), 1e-9)
    forward = matrix @ np.array([0.0, 0.0, 0.034])
    down = matrix @ np.array([0.0, -0.006, 0.0])
    return share[:, None] * forward + np.clip(2 * share - 1, 0, 1)[:, None] * down


def balls(points: np.ndarray, pieces: list[Piece]) -> dict[str, tuple[np.ndarray, float]]:
    """The eyeballs: name of the eye -> centre, and radius up to which most of the front reaches; of the largest where an eye has
    several, as a cornea about a ball. points: (V, 3)."""
    found: dict[str, tuple[np.ndarray, float, np.ndarray]] = {}
    for piece in pieces:
        if piece.ball is not None and (piece.eye not in found or piece.ball[1] > found[piece.eye][1]):
            found[piece.eye] = (*piece.ball, piece.vertices)
    reach = {}
    for eye, (centre, radius, vertices) in found.items():
        away = points[vertices] - centre
        front = np.linalg.norm(away[away[:, 2] > 0], axis=1)
        reach[eye] = (centre, max(radius, float(np.percentile(front, BULGE))) if len(front) else radius)
    return reach
