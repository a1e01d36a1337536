"""Heads made by other procedures than ours, to give shapes to: a ball that was sculpted, a low box that was mirrored, Suzanne.

Axes: +x the subject's left, +y up, +z forward. Units differ on purpose. Each comes with the points a person would have dragged.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

Face = tuple[int, ...]


@dataclass
class Mesh:
    """vertices (V, 3), polygons of any size, and points by name (engine/face/registration/points.py). rims: "mouth", "right eye",
    "left eye" -> the vertices of the upper and of the lower edge from corner to corner, where the procedure knows them."""

    name: str
    vertices: np.ndarray
    faces: list[Face]
    points: dict[str, np.ndarray]
    rims: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    @property
    def face_sizes(self) -> np.ndarray:
        """(F,)."""
        return np.array([len(f) for f in self.faces])

    @property
    def face_vertices(self) -> np.ndarray:
        """(sum of sizes,)."""
        return np.concatenate([np.array(f) for f in self.faces])


def _bump(p: np.ndarray, centre: tuple[float, float], width: tuple[float, float]) -> np.ndarray:
    """A hill on the front, mirrored where its centre is off the midline."""
    out = np.zeros(len(p))
    for side in (1, -1) if centre[0] else (1,):
        off = (p[:, :2] - np.array(centre) * [side, 1]) / width
        out += np.exp(-(off * off).sum(1) / 2)
    return out * (p[:, 2] > -0.05)


def _crowded(p: np.ndarray, share: float) -> np.ndarray:
    """Points on a ball, turned about its upright axis towards the front, where a face needs them."""
    turn, radius = np.arctan2(p[:, 0], p[:, 2]), np.hypot(p[:, 0], p[:, 2])
    turn = turn - share * np.sin(turn)
    return np.stack([radius * np.sin(turn), p[:, 1], radius * np.cos(turn)], 1)


class _Sculpture:
    """A grid of quads that is cut open along rows and sculpted."""

    def __init__(self, points: np.ndarray, faces: list[Face]) -> None:
        self.points, self.faces = points, faces

    def cut(self, row: np.ndarray, open_by: float, reach: float, bow: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """Cut along a row of vertices and part the two sides to a lens; returns upper and lower row, ends shared."""
        middle = self.points[row]
        height = np.interp(self.points[:, 0], middle[:, 0], middle[:, 1])
        below = {i for i, f in enumerate(self.faces) if self.points[list(f), 1].mean() < height[list(f)].mean()}
        inner = row[1:-1]
        copies = len(self.points) + np.arange(len(inner))
        swap = dict(zip(inner.tolist(), copies.tolist()))
        self.faces = [tuple(swap.get(v, v) for v in f) if i in below else f for i, f in enumerate(self.faces)]
        self.points = np.vstack([self.points, self.points[inner]])
        x0, x1 = middle[0, 0], middle[-1, 0]
        p = self.points
        along = np.clip((p[:, 0] - x0) / (x1 - x0), 0, 1)
        lens = 4 * along * (1 - along)
        line = np.interp(p[:, 0], middle[:, 0], middle[:, 1])
        off = p[:, 1] - line
        side = np.where(np.abs(off) < 1e-9, 0, np.sign(off))
        side[inner], side[copies] = 1, -1
        near = np.exp(-np.abs(off) / reach) * (p[:, 2] > -0.05)
        p[:, 1] += lens * (open_by / 2 * side + bow) * near
        lower = row.copy()
        lower[1:-1] = copies
        return row, lower

    def line_inside(
        self, upper: np.ndarray, lower: np.ndarray, steps: list[tuple[float, float, float]], capped: bool
    ) -> None:
        """Continue the opening inwards by rings, each (depth, width as a share of the rim's, height to either side), and close it
        when asked."""
        loop = np.concatenate([upper, lower[-2:0:-1]])
        rim = self.points[loop]
        centre = rim.mean(0)
        along = np.clip((rim[:, 0] - rim[:, 0].min()) / np.ptp(rim[:, 0]), 0, 1)
        side = np.zeros(len(loop))
        side[1 : len(upper) - 1], side[len(upper) :] = 1, -1
        for depth, width, height in steps:
            ring = rim + (width - 1) * (rim - centre) * [1, 0, 0] - [0, 0, depth]
            ring[:, 1] += side * height * 4 * along * (1 - along)
            new = len(self.points) + np.arange(len(loop))
            self.points = np.vstack([self.points, ring])
            n = len(loop)
            self.faces += [(int(loop[i]), int(loop[(i + 1) % n]), int(new[(i + 1) % n]), int(new[i])) for i in range(n)]
            loop = new
        if capped:
            self.points = np.vstack([self.points, self.points[loop].mean(0)])
            tip, n = len(self.points) - 1, len(loop)
            self.faces += [(int(loop[i]), int(loop[(i + 1) % n]), tip) for i in range(n)]

    def add_ball(self, centre: np.ndarray, radius: float, count: int) -> None:
        """An eyeball of its own."""
        first = len(self.points)
        lat = np.linspace(0, np.pi, count)[1:-1]
        lon = np.linspace(0, 2 * np.pi, 2 * count, endpoint=False)
        rows = [[np.sin(a) * np.cos(o), np.sin(a) * np.sin(o), np.cos(a)] for a in lat for o in lon]
        ball = np.array([[0, 0, 1.0], *rows, [0, 0, -1.0]])
        self.points = np.vstack([self.points, centre + radius * ball])
        n, last = len(lon), first + len(ball) - 1
        at = lambda r, c: first + 1 + r * n + c % n  # noqa: E731
        self.faces += [(first, at(0, c), at(0, c + 1)) for c in range(n)]
        self.faces += [(at(r, c), at(r + 1, c), at(r + 1, c + 1), at(r, c + 1)) for r in range(len(lat) - 1) for c in range(n)]
        self.faces += [(at(len(lat) - 1, c + 1), at(len(lat) - 1, c), last) for c in range(n)]


def sphere_head(rows: int = 72, columns: int = 88, unit: float = 1.0) -> Mesh:
    """A UV sphere pulled to a head, sculpted with soft hills, cut open at mouth and eyes, with a bag behind the lips, thick lids
    and eyeballs. unit: lengths are in m times this."""
    lat = np.linspace(0, np.pi, rows + 1)
    lon = np.linspace(0, 2 * np.pi, columns, endpoint=False) + np.pi / 2  # column 0 looks forward
    grid = [[np.sin(a) * np.cos(o), np.cos(a), np.sin(a) * np.sin(o)] for a in lat[1:-1] for o in lon]
    p = np.array([[0, 1.0, 0], *grid, [0, -1.0, 0]])
    # More of the grid where the face is: columns crowd to the front.
    p = _crowded(p, 0.45) * [0.076, 0.125, 0.098]
    p += [0, -0.015, -0.075]
    n, count = columns, rows - 1
    at = lambda r, c: 1 + r * n + c % n  # noqa: E731
    faces: list[Face] = [(0, at(0, c + 1), at(0, c)) for c in range(n)]
    faces += [(at(r, c), at(r, c + 1), at(r + 1, c + 1), at(r + 1, c)) for r in range(count - 1) for c in range(n)]
    faces += [(at(count - 1, c), at(count - 1, c + 1), len(p) - 1) for c in range(n)]
    faces = [f[::-1] for f in faces]
    for centre, width, out in (
        ((0, -0.012), (0.008, 0.016), 0.009), ((0, -0.031), (0.010, 0.008), 0.016), ((0.011, -0.036), (0.006, 0.005), 0.006),
        ((0.032, 0.0), (0.016, 0.010), -0.006), ((0.026, 0.021), (0.022, 0.006), 0.004), ((0, -0.063), (0.02, 0.006), 0.005),
        ((0, -0.077), (0.017, 0.006), 0.005), ((0, -0.103), (0.016, 0.010), 0.008), ((0.045, -0.03), (0.016, 0.012), 0.004),
        ((0.05, -0.085), (0.02, 0.02), 0.004),
    ):  # fmt: skip
        p[:, 2] += out * _bump(p, centre, width)
    s = _Sculpture(p, faces)
    front = [c for c in range(n) if s.points[at(rows // 2, c), 2] > 0]

    def row_at(y: float, x0: float, x1: float) -> np.ndarray:
        r = int(np.argmin(np.abs(s.points[[at(r, 0) for r in range(count)], 1] - y)))
        ids = np.array([at(r, c) for c in front if x0 <= s.points[at(r, c), 0] <= x1])
        return ids[np.argsort(s.points[ids, 0])]

    mouth = s.cut(row_at(-0.070, -0.023, 0.023), 0.0010, 0.008)
    eyes = [s.cut(row_at(0.0, x - 0.0145, x + 0.0145), 0.010, 0.012, 0.001) for x in (-0.032, 0.032)]
    rims = {"mouth": mouth, "R": eyes[0], "L": eyes[1]}
    places = {k: (s.points[u], s.points[v]) for k, (u, v) in rims.items()}
    s.line_inside(*mouth, [(0.003, 0.99, 0.0003), (0.007, 1.0, 0.003), (0.014, 1.05, 0.009), (0.026, 1.0, 0.010)], capped=True)
    for side, eye in zip("RL", eyes):
        upper, lower = places[side]
        s.line_inside(*eye, [(0.002, 1.0, 0.0002), (0.006, 1.05, 0.003)], capped=False)
        middle = (upper.mean(0) + lower.mean(0)) / 2
        s.add_ball(middle - [0, 0, 0.0115], 0.0115, 12)
    points = _points_from(places, s.points[: 1 + count * n + 1], _nose=(0, -0.031))
    edges = {"mouth": mouth, "right eye": eyes[0], "left eye": eyes[1]}
    return Mesh("sculpted sphere", s.points * unit, s.faces, {k: v * unit for k, v in points.items()}, edges)


def low_head(unit: float = 10.0) -> Mesh:
    """A box divided and rounded, its left half sculpted with large eyes and a wide mouth, mirrored and joined: about 700
    vertices, quads. In centimetres or so."""
    n = 10  # even, so that a line of vertices runs down the middle
    at: dict[tuple[int, int, int], int] = {}
    points: list[np.ndarray] = []

    def vertex(i: int, j: int, k: int) -> int:
        if (i, j, k) not in at:
            at[i, j, k] = len(points)
            points.append(np.array([i, j, k]) / n * 2 - 1)
        return at[i, j, k]

    faces: list[Face] = []
    for axis in range(3):
        for end in (0, n):
            for a in range(n):
                for b in range(n):
                    corner = []
                    for da, db in ((0, 0), (1, 0), (1, 1), (0, 1)):
                        place = [0, 0, 0]
                        place[axis], place[(axis + 1) % 3], place[(axis + 2) % 3] = end, a + da, b + db
                        corner.append(vertex(*place))
                    faces.append(tuple(corner) if end else tuple(corner[::-1]))
    p = np.array(points)
    q = p * np.sqrt(1 - (np.roll(p, 1, 1) ** 2 + np.roll(p, 2, 1) ** 2) / 2 + (np.roll(p, 1, 1) * np.roll(p, 2, 1)) ** 2 / 3)
    q = _crowded(q, 0.55) * [0.085, 0.115, 0.095]
    q += [0, -0.02, -0.08]
    return _mirrored_low(q, faces, unit)


def _mirrored_low(q: np.ndarray, faces: list[Face], unit: float) -> Mesh:
    keep = [f for f in faces if q[list(f), 0].mean() > 1e-6]
    used = np.unique(np.concatenate([np.array(f) for f in keep]))
    local = {int(v): i for i, v in enumerate(used)}
    half = q[used]
    seam = np.abs(half[:, 0]) < 1e-9
    count = len(half)
    other = np.arange(count)
    other[~seam] = count + np.arange((~seam).sum())
    whole = np.vstack([half, half[~seam] * [-1, 1, 1]])
    left: list[Face] = [tuple(local[v] for v in f) for f in keep]
    both = left + [tuple(int(other[v]) for v in f[::-1]) for f in left]
    p = whole
    for centre, width, out in (
        ((0, -0.02), (0.010, 0.018), 0.014), ((0.034, 0.004), (0.018, 0.013), -0.005), ((0, -0.074), (0.022, 0.010), 0.008),
        ((0, -0.108), (0.018, 0.012), 0.010), ((0.03, 0.028), (0.024, 0.008), 0.005),
    ):  # fmt: skip
        p[:, 2] += out * _bump(p, centre, width)
    s = _Sculpture(p, both)

    def row_at(y: float, x0: float, x1: float) -> np.ndarray:
        front = np.flatnonzero((s.points[:, 2] > -0.03) & (s.points[:, 0] > x0 - 0.004) & (s.points[:, 0] < x1 + 0.004))
        levels = s.points[front, 1]
        nearest = levels[np.abs(levels - y).argmin()]
        ids = front[np.abs(levels - nearest) < 0.006]
        return ids[np.argsort(s.points[ids, 0])]

    mouth = s.cut(row_at(-0.072, -0.024, 0.024), 0.003, 0.01)
    eyes = [s.cut(row_at(0.004, x - 0.017, x + 0.017), 0.014, 0.014) for x in (-0.034, 0.034)]
    places = {k: (s.points[u], s.points[v]) for k, (u, v) in {"mouth": mouth, "R": eyes[0], "L": eyes[1]}.items()}
    base = s.points.copy()
    s.line_inside(*mouth, [(0.006, 0.98, 0.002), (0.016, 1.0, 0.008)], capped=True)
    for side, eye in zip("RL", eyes):
        upper, lower = places[side]
        s.line_inside(*eye, [(0.005, 1.0, 0.001)], capped=False)
        middle = (upper.mean(0) + lower.mean(0)) / 2
        s.add_ball(middle - [0, 0, 0.012], 0.012, 6)
    points = _points_from(places, base, _nose=(0, -0.02))
    edges = {"mouth": mouth, "right eye": eyes[0], "left eye": eyes[1]}
    return Mesh("mirrored low head", s.points * unit, s.faces, {k: v * unit for k, v in points.items()}, edges)


def _points_from(
    places: dict[str, tuple[np.ndarray, np.ndarray]], skin: np.ndarray, _nose: tuple[float, float]
) -> dict[str, np.ndarray]:
    """The points a person would drag: where the rims are, and on the skin in front of places."""

    def on(x: float, y: float) -> np.ndarray:
        front = skin[skin[:, 2] > -0.07]
        return front[((front[:, :2] - [x, y]) ** 2).sum(1).argmin()]

    upper, lower = places["mouth"]
    middle = len(upper) // 2
    up, down = upper[middle], lower[middle]
    points = {
        "mouth corner R": upper[0], "mouth corner L": upper[-1], "lip upper inner": up, "lip lower inner": down,
        "lip upper outer": on(0, up[1] + 0.008), "lip lower outer": on(0, down[1] - 0.009), "chin": on(0, -0.112),
        "nose bridge": on(0, 0.005), "nose tip": on(*_nose), "nose base": on(0, _nose[1] - 0.014),
    }  # fmt: skip
    for side, sign in (("R", -1), ("L", 1)):
        upper, lower = places[side]
        ends = (upper[0], upper[-1]) if sign < 0 else (upper[-1], upper[0])
        middle = len(upper) // 2
        points |= {f"eye outer {side}": ends[0], f"eye inner {side}": ends[1]}
        points |= {f"lid upper {side}": upper[middle], f"lid lower {side}": lower[middle]}
        points |= {
            f"brow inner {side}": on(sign * 0.015, 0.021), f"brow middle {side}": on(sign * 0.035, 0.024),
            f"brow outer {side}": on(sign * 0.054, 0.015), f"nostril {side}": on(sign * 0.012, _nose[1] - 0.010),
        }  # fmt: skip
    return points


# Where a person drags the points to on Suzanne: the left half, and the midline. Blender's monkey is two units wide.
SUZANNE_LEFT = {
    "brow outer": (0.68, 0.42, 0.55), "brow middle": (0.40, 0.57, 0.70), "brow inner": (0.15, 0.50, 0.76),
    "eye outer": (0.55, 0.25, 0.67), "lid upper": (0.34, 0.41, 0.75), "eye inner": (0.20, 0.23, 0.75),
    "lid lower": (0.38, 0.09, 0.73), "nostril": (0.13, -0.20, 0.76), "mouth corner": (0.094, -0.742, 0.727),
}  # fmt: skip
SUZANNE_MIDDLE = {
    "nose bridge": (0, 0.211, 0.766), "nose tip": (0, -0.19, 0.80), "nose base": (0, -0.30, 0.79), "chin": (0, -0.984, 0.578),
    "lip upper outer": (0, -0.68, 0.734), "lip lower outer": (0, -0.945, 0.641), "lip upper inner": (0, -0.766, 0.734),
    "lip lower inner": (0, -0.875, 0.688),
}  # fmt: skip


def suzanne() -> Mesh:
    """Blender's own monkey. Needs bpy."""
    import bpy

    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.mesh.primitive_monkey_add()
    mesh = bpy.context.object.data
    places = np.array([v.co for v in mesh.vertices])
    points = {k: np.array(v, float) for k, v in SUZANNE_MIDDLE.items()}
    for name, place in SUZANNE_LEFT.items():
        points |= {f"{name} L": np.array(place), f"{name} R": np.array(place) * [-1, 1, 1]}
    vertices = np.stack([places[:, 0], places[:, 2], -places[:, 1]], 1)
    return Mesh("Suzanne", vertices, [tuple(p.vertices) for p in mesh.polygons], points, {"mouth": SUZANNE_LIPS})


# Her lips' edges from the subject's right corner to the left.
SUZANNE_LIPS = (np.array([222, 129, 221]), np.array([222, 220, 218, 216, 217, 219, 221]))
