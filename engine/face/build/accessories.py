"""The separate pieces: eyeballs, teeth with gums, tongue, brow hairs, lashes. Each is authored here in mm."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .chart import Surface
from .geometry import FLIP, Face, open_curve, unit
from .landmarks import BROW_LOWER, BROW_UPPER, EYE, EYE_RADIUS, Landmarks
from .locate import locate
from .mesh import Mesh
from .plan import HeadPlan

CORNEA, IRIS, PUPIL = 31.5, 28.6, 10.5  # degrees from the eye's axis; the iris is 11.5 mm wide
EYE_RINGS_AT = (10.5, 12, 19, 26.5, 29.4, 36, 46, 58, 78, 115)
EYE_SEGMENTS = 24
# width of each tooth from the middle outwards, and its height, mm
TEETH = {
    "upper": ((8.5, 6.5, 7.6, 7, 6.6, 10, 9.5), (9.5, 8.3, 9.5, 8, 7.2, 6.8, 6.5)),
    "lower": ((5.3, 5.8, 6.8, 7, 7, 11, 10), (8.5, 8.5, 9.5, 8, 7.5, 7, 6.8)),
}
BROW_COLUMNS, BROW_ROWS, BROW_SEED = 18, 3, 11
UPPER_LASHES, LOWER_LASHES = 18, 10


@dataclass
class Part:
    """A loose piece of the head.

    anchors, weights: (V, A) skin vertices that carry each point (brows, lashes); roots: (V, 3) the carried place of each;
    tags: facts per point for the colours.
    """

    name: str
    points: np.ndarray
    faces: list[Face]
    materials: list[str]
    anchors: np.ndarray | None = None
    weights: np.ndarray | None = None
    roots: np.ndarray | None = None
    tags: dict[str, np.ndarray] = field(default_factory=dict)

    def mirrored(self, name: str, mirror: np.ndarray) -> Part:
        """The same piece on the other side."""
        return Part(
            name, self.points * FLIP, [f[::-1] for f in self.faces], list(self.materials),
            None if self.anchors is None else mirror[self.anchors], self.weights,
            None if self.roots is None else self.roots * FLIP, self.tags,
        )  # fmt: skip


def build_parts(mesh: Mesh, surface: Surface, landmarks: Landmarks, plan: HeadPlan) -> list[Part]:
    """Every loose piece of the head but its hair, left before right."""
    pairs = (_eyeball(), _brow(mesh, surface, landmarks, plan), _lashes(mesh, plan))
    sides = [p for left in pairs for p in (left, left.mirrored(left.name.replace("Left", "Right"), mesh.mirror))]
    inside = [_teeth("upper"), _teeth("lower"), _tongue()]
    contact = mesh.loops["mouth"][0]
    shift = (mesh.points[contact] - mesh.reference[contact]).mean(0)  # teeth go where the lips went
    for part in inside:
        part.points = part.points + shift * [0, 1, 1]
    return [*sides, *inside]


def _eyeball() -> Part:
    def radius(degrees: float) -> float:
        return EYE_RADIUS * (1 + 0.035 * max(0.0, 1 - (degrees / CORNEA) ** 2))

    turn = 2 * np.pi * np.arange(EYE_SEGMENTS) / EYE_SEGMENTS
    rings = []
    for degrees in EYE_RINGS_AT:
        polar = np.radians(degrees)
        ring = np.stack(
            [np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.full_like(turn, np.cos(polar))], 1
        )
        rings.append(radius(degrees) * ring)
    points = np.vstack([[[0, 0, radius(0)]], *rings, [[0, 0, -EYE_RADIUS]]])
    last = len(points) - 1

    def at(ring: int, k: int) -> int:
        return 1 + ring * EYE_SEGMENTS + k % EYE_SEGMENTS

    faces: list[Face] = [(0, at(0, k), at(0, k + 1)) for k in range(EYE_SEGMENTS)]
    materials = ["pupil"] * EYE_SEGMENTS
    for ring, degrees in enumerate(EYE_RINGS_AT[1:]):
        faces += [(at(ring, k), at(ring + 1, k), at(ring + 1, k + 1), at(ring, k + 1)) for k in range(EYE_SEGMENTS)]
        materials += ["iris" if degrees < IRIS + 1 else "eye_white"] * EYE_SEGMENTS
    end = len(EYE_RINGS_AT) - 1
    faces += [(last, at(end, k + 1), at(end, k)) for k in range(EYE_SEGMENTS)]
    materials += ["eye_white"] * EYE_SEGMENTS
    degrees = np.r_[0, np.repeat(EYE_RINGS_AT, EYE_SEGMENTS), 180]
    return Part("eyeLeft", points + EYE, faces, materials, tags={"degrees": degrees})


def _teeth(jaw: str) -> Part:
    upper = jaw == "upper"
    widths, heights = TEETH[jaw]
    front, half_width, depth = (12.5, 28.5, 45.0) if upper else (10.2, 26.5, 45.0)
    edge, down = (-71.2, -1) if upper else (-69.8, 1)
    turn = np.linspace(0, np.pi / 2, 600)  # the arch as an ellipse, measured by its length
    arch_x, arch_z = half_width * np.sin(turn), front - depth * (1 - np.cos(turn))
    length = np.r_[0, np.cumsum(np.hypot(np.diff(arch_x), np.diff(arch_z)))]
    columns, start = [], 0.0
    for width, height in zip(widths, heights):
        columns += [
            (start + width * f, height, bulge, abs(f - 0.5)) for f, bulge in ((0.03, 0.3), (0.5, 1), (0.97, 0.3))
        ]
        start += width
    columns = [(-a, *rest) for a, *rest in columns[::-1]] + columns
    points, gum, gap = [], [], []
    for along, height, bulge, off_middle in columns:
        x = np.interp(abs(along), length, arch_x) * np.sign(along)
        z, t = np.interp(abs(along), length, arch_z), np.interp(abs(along), length, turn)
        nx, nz = unit(np.array([np.sin(t) * depth, np.cos(t) * half_width]))
        nx *= np.sign(along)
        rise, notch = -down * height, 0.5 * (off_middle / 0.47) ** 3
        back = np.clip((abs(along) - 22) / 10, 0, 1)
        thick = 3.0 + 5 * back
        profile = (  # (height above the cutting edge, out): gum, neck, belly, near the edge, edge, back, gum behind
            (-down * 3.4 + rise, 0.8), (rise, 0.3), (rise * 0.5, bulge * 0.9), (-down * (0.8 + notch), bulge * 0.5),
            (-down * notch, -0.8 - 0.5 * back), (-down * 1.5, -thick), (rise * 1.1, -thick - 1),
        )  # fmt: skip
        for k, (dy, out) in enumerate(profile):
            points.append([x + nx * (out - 0.4), edge + dy, z + nz * (out - 0.4)])
            gum.append(k in (0, 6))
            gap.append(off_middle > 0.4)
    rows = 7
    faces, materials = [], []
    for c in range(len(columns) - 1):
        for r in range(rows - 1):
            quad = (c * rows + r, c * rows + r + 1, (c + 1) * rows + r + 1, (c + 1) * rows + r)
            faces.append(quad if upper else quad[::-1])
            materials.append("gums" if r in (0, 5) else "teeth")
    return Part(f"{jaw}Teeth", np.array(points), faces, materials, tags={"gum": np.array(gum), "gap": np.array(gap)})


def _tongue() -> Part:
    rings, spokes = 11, 12
    points = []
    for i in range(rings):
        t = i / (rings - 1)
        width = 17 * np.sqrt(np.clip(1 - (1 - min(t * 2.2, 1)) ** 2.2, 0.02, 1))
        middle = -79 + 7 * np.sin(np.pi * min(t * 1.1, 1) * 0.9)
        turn = 2 * np.pi * np.arange(spokes) / spokes
        x = width * np.cos(turn)
        groove = np.where(np.sin(turn) > 0, np.exp(-((x / 4) ** 2)), 0)
        y = middle + 5.5 * np.sin(turn) * min(1, 0.25 + t * 3) - groove
        points.append(np.stack([x, y, np.full(spokes, 6 - 43 * t)], 1))
    points = np.vstack(points)
    points = (points + _reflected_rings(points, rings, spokes)) / 2
    faces: list[Face] = []
    for i in range(rings - 1):
        for k in range(spokes):
            n = (k + 1) % spokes
            faces.append((i * spokes + k, i * spokes + n, (i + 1) * spokes + n, (i + 1) * spokes + k))
    faces += [(len(points), (k + 1) % spokes, k) for k in range(spokes)]
    points = np.vstack([points, points[:spokes].mean(0) + [0, 0, 1.2]])
    return Part("tongue", points, faces, ["tongue"] * len(faces))


def _reflected_rings(points: np.ndarray, rings: int, spokes: int) -> np.ndarray:
    k = (spokes // 2 - np.arange(spokes)) % spokes
    return (points.reshape(rings, spokes, 3)[:, k] * FLIP).reshape(-1, 3)


def _brow(mesh: Mesh, surface: Surface, landmarks: Landmarks, plan: HeadPlan) -> Part:
    """Hairs in rows along the brow: upright at the nose, leaning outwards, lying down at the tail."""
    chart = surface.landmark_directions
    upper = open_curve(chart[landmarks.left(list(BROW_UPPER))[::-1]], 101)  # from the nose to the temple
    lower = open_curve(chart[landmarks.left(list(BROW_LOWER))[::-1]], 101)
    random = np.random.default_rng(BROW_SEED)
    along = np.interp(np.linspace(0, 1, BROW_COLUMNS), [0, 1], [0.01, 0.9])
    t = np.repeat(along, BROW_ROWS) + random.normal(0, 0.008, BROW_COLUMNS * BROW_ROWS)
    row = np.tile(np.linspace(-1, 1, BROW_ROWS), BROW_COLUMNS) + random.normal(0, 0.12, len(t))
    t = np.clip(t, 0, 0.95)
    thick = np.interp(t, [0, 0.08, 0.25, 0.6, 1], [0.55, 0.85, 0.85, 0.6, 0.1]) * plan.brow_thickness
    reach = np.interp(t, [0, 0.2, 0.6, 1], [0.12, 0.19, 0.20, 0.12])  # how far outwards a hair runs
    lean = np.interp(t, [0, 0.15, 0.4, 0.8], [1.1, 0.7, 0.2, -0.1]) - 0.35 * row

    def band(u: np.ndarray, height: np.ndarray) -> np.ndarray:
        i = np.clip(u, 0, 1) * 100
        a, b = (np.stack([np.interp(i, np.arange(101), c[:, k]) for k in range(3)], 1) for c in (upper, lower))
        beyond = np.clip(u - 1, 0, None)[:, None] * (a - b) * [1.5, -1, -1.5]
        return unit(0.5 * (a + b) + 0.42 * height[:, None] * (a - b) + beyond)

    root, tip = band(t, row * thick), band(t + reach, (row + lean) * np.minimum(thick, 0.8))
    ids, weights = locate(mesh, np.vstack([root, tip]))
    n = len(root)
    skin, normal = ((a[ids] * weights[..., None]).sum(1) for a in (mesh.points, mesh.normals()))
    normal = unit(normal)
    across = unit(np.cross(skin[n:] - skin[:n], normal[:n])) * (0.7 * np.clip(thick, 0.55, 1))[:, None]
    lifted = skin + normal * np.r_[np.full(n, 0.25), np.full(n, 0.75)][:, None]
    points = np.stack([lifted[:n] - across, lifted[:n] + across, lifted[n:]], 1).reshape(-1, 3)
    carried = np.stack([np.arange(n), np.arange(n), np.arange(n, 2 * n)], 1).ravel()
    faces = [(3 * i, 3 * i + 1, 3 * i + 2) for i in range(n)]
    return Part("browLeft", points, faces, ["hair"] * n, ids[carried], weights[carried], points)


def _lashes(mesh: Mesh, plan: HeadPlan) -> Part:
    """Curved lashes along the left lids, longest outside the middle, sparser and shorter below."""
    margin = mesh.loops["eyeLeft"][0]
    p, spokes = mesh.points[margin], len(margin)
    outer, inner = int(np.argmax(p[:, 0])), int(np.argmin(p[:, 0]))
    ways = []
    for step in (1, -1):
        way = [(outer + step * k) % spokes for k in range(spokes)]
        ways.append(np.array(way[: way.index(inner) + 1]))
    upper, lower = sorted(ways, key=lambda way: -p[way, 1].mean())
    rows = (
        (upper, UPPER_LASHES, 0.70, (4.6, 6.4, 7.6, 6.0, 2.4), (0, 0.30, 0.62), 0.30, 3.0),
        (lower, LOWER_LASHES, 0.40, (2.6, 3.0, 2.8, 2.2, 1.4), (0, -0.55, 0.1), 0.18, 4.0),
    )
    points, faces, ids, weights, roots = [], [], [], [], []
    random = np.random.default_rng(BROW_SEED)
    for way, count, half, lengths, lift, half_middle, short in rows:
        s = np.linspace(0.3, len(way) - short, count) + random.uniform(-0.08, 0.08, count)
        i = s.astype(int)
        ends = margin[np.stack([way[i], way[i + 1]], 1)]
        share = np.stack([1 - (s - i), s - i], 1)
        root = (mesh.points[ends] * share[..., None]).sum(1)
        along = unit(mesh.points[ends[:, 1]] - mesh.points[ends[:, 0]])
        out = unit(root - EYE)
        fan = np.interp(np.linspace(0, 1, count), [0, 0.5, 1], [0.75, 0.1, -0.55])
        start = unit(out * [1, 0.5, 1] + [0, -0.1 if lift[1] > 0 else -0.2, 0.25] + np.outer(fan, [1, 0, 0]))
        curl = unit(start + np.array(lift) * 1.4)
        length = np.interp(np.linspace(0, 1, count), np.linspace(0, 1, 5), lengths) * random.uniform(0.85, 1.1, count)
        length = (length * plan.lash_length)[:, None]
        base, middle = root + out * 0.1, root + start * 0.55 * length
        tip = middle + curl * 0.45 * length
        lash = [base + along * half, base - along * half, middle + along * half_middle, middle - along * half_middle, tip]
        first = len(roots) * 5
        points.append(np.stack(lash, 1).reshape(-1, 3))
        for k in range(first, first + 5 * count, 5):
            faces += [(k, k + 1, k + 3, k + 2), (k + 2, k + 3, k + 4)]
        ids.append(ends)
        weights.append(share)
        roots.extend(root)
    five = np.repeat(np.arange(len(roots)), 5)
    carried, share, places = np.concatenate(ids)[five], np.concatenate(weights)[five], np.array(roots)[five]
    return Part("lashesLeft", np.concatenate(points), faces, ["hair"] * len(faces), carried, share, places)
