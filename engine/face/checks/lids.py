"""Whether shut lids hide the eyeball, and whether the eyeball ever comes through them."""

from __future__ import annotations

import numpy as np

from ..arkit import ARKIT_52
from ..starter_head import HeadModel, pose_vertices
from .surface import first_hits, normals_of, triangles_of

GAZE_DOWN, GAZE_UP, GAZE_SIDE = 0.45, 0.45, 0.55  # rad of eyeball turn that go with eyeLook* at 1, as in engine.life
SHUT_FROM = ((0, 0), (30, 0), (-30, 0), (0, 20), (0, -20))  # degrees of yaw and pitch from which shut eyes are looked at
REACH = 15e-3  # m around the eyeball's centre within which skin is lid
AROUND = 60e-3  # m around it within which anything can hide it
GRAZING = 0.25  # cosine between a place's normal and the view under which it is not looked at: it is seen edge-on
QUARTERS = np.array([[4, 1, 1], [1, 4, 1], [1, 1, 4], [2, 2, 2]]) / 6  # middles of a triangle's four quarters
LIFT = 0.05e-3  # m off the eyeball that a ray starts


def gaze(pitch: float, yaw: float) -> tuple[dict[str, float], np.ndarray]:
    """ARKit weights and the eyeballs' axis-angle (rad) of a gaze in shares (-1..1) of the range; pitch > 0 down, yaw > 0 left."""
    weights = {}
    for side, toward in (("Left", 1), ("Right", -1)):
        weights["eyeLook" + ("Down" if pitch > 0 else "Up") + side] = abs(pitch)
        weights["eyeLook" + ("Out" if yaw * toward > 0 else "In") + side] = abs(yaw)
    return weights, np.array([pitch * (GAZE_DOWN if pitch > 0 else GAZE_UP), yaw * GAZE_SIDE, 0.0])


def posed_eyes(head: HeadModel, weights: dict[str, float], turn: np.ndarray) -> np.ndarray:
    """(V, 3) m: a pose by named weights, both eyeballs turned by an axis-angle (3,)."""
    row = np.zeros((1, len(ARKIT_52)), np.float32)
    for name, weight in weights.items():
        row[0, ARKIT_52.index(name)] = weight
    return pose_vertices(head, row, {"left_eye": turn[None], "right_eye": turn[None]})[0]


class Lids:
    """The measures on one head."""

    def __init__(self, head: HeadModel) -> None:
        """Sort the triangles into eyeballs, the skin around them, and all else."""
        self.head = head
        triangles, faces = triangles_of(head)
        self.balls, self.outer, self.near = {}, {}, {}
        in_ball = (head.skin["left_eye"] > 0) | (head.skin["right_eye"] > 0)
        hair = np.array([m.name in ("hair", "lashes", "brows") for m in head.materials])[head.material_index[faces]]
        for side, joint in (("Left", "left_eye"), ("Right", "right_eye")):
            self.balls[side] = triangles[(head.skin[joint][triangles] > 0).all(1)]
            around = np.linalg.norm(head.vertices - head.joints[joint], axis=1) < AROUND
            close = around[triangles].all(1) & ~in_ball[triangles].any(1) & ~hair
            hidden = np.zeros(len(head.vertices), bool)
            for loop in head.rings[f"eye{side}_in"]:
                hidden[loop] = True
            self.near[side] = triangles[close]
            self.outer[side] = triangles[close & ~hidden[triangles].any(1)]

    def uncovered(self, posed: np.ndarray, side: str, yaw: float, pitch: float) -> float:
        """mm2 of the eyeball that nothing hides from a direction (degrees): a ray from each quarter of its triangles."""
        turn, nod = np.radians([yaw, pitch])
        toward = np.array([np.sin(turn) * np.cos(nod), np.sin(nod), np.cos(turn) * np.cos(nod)])
        points = posed.astype(float)
        corners = points[self.balls[side]]
        normal = normals_of(points, self.balls[side])
        area = np.linalg.norm(normal, axis=1)
        facing = normal @ toward > GRAZING * area
        corners, out = corners[facing], (normal / area[:, None])[facing]
        origins = np.einsum("qk,tkd->tqd", QUARTERS, corners) + LIFT * out[:, None]
        hit = first_hits(origins.reshape(-1, 3), toward, points, self.near[side])
        return float((~np.isfinite(hit) * np.repeat(area[facing] / 8, 4)).sum() * 1e6)

    def clearance(self, posed: np.ndarray, side: str) -> float:
        """mm from the eyeball's surface out to the outer skin of the lids, where that is nearest; negative: it comes through.

        The skin is sampled at its vertices, edges and middles; the surface is the ball's own triangles, cornea included.
        """
        centre = self.head.joints[f"{side.lower()}_eye"]
        corners = posed[self.outer[side]] - centre
        middle = corners.mean(1)
        samples = np.concatenate([corners.reshape(-1, 3), ((corners + np.roll(corners, 1, 1)) / 2).reshape(-1, 3), middle])
        distance = np.linalg.norm(samples, axis=1)
        samples = samples[(samples[:, 2] > 0.003) & (distance < REACH)]
        distance = np.linalg.norm(samples, axis=1)
        ball = posed[np.unique(self.balls[side])] - centre
        length = np.linalg.norm(ball, axis=1)
        along = (samples / distance[:, None]) @ (ball / length[:, None]).T
        nearest = np.argsort(-along, axis=1)[:, :3]
        weight = 1 / (1.0001 - np.take_along_axis(along, nearest, 1))
        radius = (length[nearest] * weight).sum(1) / weight.sum(1)
        return float((distance - radius).min() * 1000)
