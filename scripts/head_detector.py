"""What MediaPipe FaceMesh, which never saw the starter heads, finds on renders of them; part of `measure_head.py --detector`.

    python scripts/head_detector.py render POSES.npz PICTURES.npy     (needs bpy)
    python scripts/head_detector.py detect PICTURES.npy FOUND.npz     (needs mediapipe)

Both run in processes of their own: neither library ends cleanly beside the other.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from engine.face.arkit import ARKIT_52, mirrored  # noqa: E402
from engine.face.build.landmarks import load_landmarks  # noqa: E402
from engine.face.checks.lids import GAZE_DOWN, GAZE_SIDE, GAZE_UP  # noqa: E402
from engine.face.starter_head import HeadModel, pose_vertices  # noqa: E402

CONFIDENCE = 0.9
SIZE, DISTANCE_MM, LENS_MM, SENSOR_MM = 400, 620.0, 85.0, 36.0
FACE_MM = 50.0  # how much nearer the face is than the point that the camera circles
YAWS = (0, 20, -20, 40, -40)
STILL = (33, 133, 362, 263, 168, 6)  # corners of the eyes, bridge of the nose: what shapes leave where it is
POINTS = Path(__file__).resolve().parent.parent / "engine" / "assets" / "starter_head" / "facemesh_points.npz"
Line = tuple[str, str, str, bool]


@dataclass(frozen=True)
class Expectation:
    """What a shape at 1 does to FaceMesh's points.

    moved minus against: points whose mean displacement is taken. along: direction in head axes (x left, y up, z forward).
    least: mm that it must be at least. base: shapes that stay at 1 before and after. yaw: where the camera stands, degrees.
    """

    shape: str
    says: str
    moved: tuple[int, ...]
    along: tuple[float, float, float]
    least: float
    against: tuple[int, ...] = STILL
    base: tuple[str, ...] = ()
    yaw: float = 0.0


UP, DOWN, OUT, IN, FORWARD = (0, 1, 0), (0, -1, 0), (1, 0, 0), (-1, 0, 0), (0, 0, 1)
LID_U, LID_L, CORNER, OTHER = (386, 385, 387), (374, 380, 373), (291,), (61,)
EYE_CORNERS = (362, 263)
# Of pairs the left one, mirrored for the right. The least that must be seen is about a third of what the geometry does,
# less where FaceMesh is known to under-report (lids, wide eyes, stretched lips).
EXPECTATIONS = (
    Expectation("browDownLeft", "AU4: brow down", (285, 336, 295), DOWN, 1.5),
    Expectation("browInnerUp", "AU1: inner brows up", (55, 107, 285, 336), UP, 2.0),
    Expectation("browOuterUpLeft", "AU2: outer brow up", (276, 300, 283, 293), UP, 2.0),
    Expectation("cheekSquintLeft", "AU6: lower lid pushed up", LID_L, UP, 0.25, LID_U),
    Expectation("eyeBlinkLeft", "AU45: lids meet", LID_U, DOWN, 4.0, LID_L),
    Expectation("eyeLookDownLeft", "AU64: upper lid follows the iris down", LID_U, DOWN, 1.0, LID_L),
    Expectation("eyeLookInLeft", "iris towards the nose", (473,), IN, 1.5, EYE_CORNERS),
    Expectation("eyeLookOutLeft", "AU61: iris outwards", (473,), OUT, 1.5, EYE_CORNERS),
    Expectation("eyeLookUpLeft", "AU63: iris up", (473,), UP, 1.0, EYE_CORNERS),
    Expectation("eyeSquintLeft", "AU7: lids narrow", LID_L, UP, 0.7, LID_U),
    Expectation("eyeWideLeft", "AU5: upper lid up", LID_U, UP, 0.3, LID_L),
    Expectation("jawForward", "AU29: chin forward (from 40 degrees)", (152, 148, 377), FORWARD, 1.5, yaw=40.0),
    Expectation("jawLeft", "AU30: chin to the left", (152, 148, 377), OUT, 1.5),
    Expectation("jawRight", "AU30: chin to the right", (152, 148, 377), IN, 1.5),
    Expectation("jawOpen", "AU26/27: lower lip away from the upper", (14,), DOWN, 12.0, (13,)),
    Expectation("mouthClose", "lips meet on an open jaw", (14,), UP, 12.0, (13,), base=("jawOpen",)),
    Expectation("mouthDimpleLeft", "AU14: corner out", CORNER, OUT, 0.8),
    Expectation("mouthFrownLeft", "AU15: corner down", CORNER, DOWN, 2.0),
    Expectation("mouthFunnel", "AU22: lips apart", (14,), DOWN, 2.5, (13,)),
    Expectation("mouthLeft", "mouth to the left", (13, 14), OUT, 2.5),
    Expectation("mouthRight", "mouth to the right", (13, 14), IN, 2.5),
    Expectation("mouthLowerDownLeft", "AU16: lower lip down", (405, 321), DOWN, 2.0),
    Expectation("mouthPressLeft", "AU24: red of the lips narrows", (269, 270), DOWN, 0.3, (405, 321)),
    Expectation("mouthPucker", "AU18: corners together", CORNER, IN, 5.0, OTHER),
    Expectation("mouthRollLower", "AU28: lower red narrows", (17,), UP, 1.0, (14,)),
    Expectation("mouthRollUpper", "AU28: upper red narrows", (0,), DOWN, 0.8, (13,)),
    Expectation("mouthShrugLower", "AU17: chin and lower lip up", (17, 18, 200), UP, 1.5),
    Expectation("mouthShrugUpper", "upper lip up", (0, 37, 267), UP, 1.0),
    Expectation("mouthSmileLeft", "AU12: corner up and out", CORNER, (0.6, 0.8, 0), 3.0),
    Expectation("mouthStretchLeft", "AU20: corner out", CORNER, OUT, 1.2),
    Expectation("mouthUpperUpLeft", "AU10: upper lip up", (269, 270), UP, 1.8),
    Expectation("noseSneerLeft", "AU9: wing of the nose and upper lip up", (278, 294, 279, 267, 269), UP, 0.6),
)
# FaceMesh moves both halves of these alike, so that their sides are told apart on the mesh, at the same points.
COUPLED = ("mouthLowerDown", "mouthPress", "noseSneer")
SIDED = 0.6  # the other side may move by at most this share


@dataclass(frozen=True)
class Shot:
    """One picture: named weights, the eyeballs' axis-angle (rad) and the camera's yaw (degrees)."""

    weights: np.ndarray
    gaze: tuple[float, float]
    yaw: float


def photographed(head: HeadModel, shots: list[Shot]) -> list[np.ndarray | None]:
    """Per shot FaceMesh's (478, 2) px, or None where it finds no face at CONFIDENCE."""
    turns = np.array([(*shot.gaze, 0.0) for shot in shots])
    posed = pose_vertices(head, np.array([s.weights for s in shots]), {"left_eye": turns, "right_eye": turns})
    with tempfile.TemporaryDirectory() as folder:
        poses, pictures, found = (Path(folder) / n for n in ("poses.npz", "pictures.npy", "found.npz"))
        np.savez(poses, vertices=posed, yaws=[s.yaw for s in shots], head=np.array(head.name))
        for verb, source, target in (("render", poses, pictures), ("detect", pictures, found)):
            done = subprocess.run([sys.executable, __file__, verb, source, target], capture_output=True, text=True)
            if not target.is_file():
                raise RuntimeError(f"'{verb}' failed: {done.stderr[-2000:]}")
        with np.load(found) as data:
            return [p if there else None for p, there in zip(data["points"], data["found"])]


def found_faces(head: HeadModel, frames: np.ndarray) -> list[Line]:
    """Rows on whether a face is found: neutral, the emotions' poses and frames (N, 52) of speech, from each of YAWS."""
    from engine.starter.performance import POSES

    named = {"neutral": np.zeros(len(ARKIT_52), np.float32)}
    for emotion, pose in POSES.items():
        named[emotion] = weights_at(pose)
    named |= {f"speech {i + 1}": frame for i, frame in enumerate(frames)}
    shots = [Shot(weights, (0.0, 0.0), yaw) for weights in named.values() for yaw in YAWS]
    points = photographed(head, shots)
    seen = np.array([p is not None for p in points]).reshape(len(named), len(YAWS))
    lines = [
        (f"face found: {name}", f"{row.sum()} of {len(YAWS)}" + _missed(row), f"{len(YAWS)} at {CONFIDENCE}", bool(row.all()))
        for name, row in list(zip(named, seen))[: 1 + len(POSES)]
    ]
    speech = seen[1 + len(POSES) :]
    said = f"{speech.sum()} of {speech.size}" + _missed(speech.all(axis=0))
    lines.append((f"face found: {len(speech)} speech frames", said, f"{speech.size} at {CONFIDENCE}", bool(speech.all())))
    return lines


def _missed(found: np.ndarray) -> str:
    return "" if found.all() else f" (missed at {', '.join(str(y) for y, there in zip(YAWS, found) if not there)})"


def weights_at(pose: dict[str, float]) -> np.ndarray:
    """(52,) weights of named shapes; a name without its side means both."""
    weights = np.zeros(len(ARKIT_52), np.float32)
    for name, weight in pose.items():
        for full in (name, name + "Left", name + "Right"):
            if full in ARKIT_52:
                weights[ARKIT_52.index(full)] = weight
    return weights


def _gaze(shape: str) -> tuple[float, float]:
    """Pitch and yaw (rad) of the eyeballs that go with an eyeLook shape."""
    side = 1 if shape.endswith("Left") else -1
    turns = {"Down": (GAZE_DOWN, 0.0), "Up": (-GAZE_UP, 0.0), "Out": (0.0, side * GAZE_SIDE), "In": (0.0, -side * GAZE_SIDE)}
    return next((turn for way, turn in turns.items() if shape.startswith(f"eyeLook{way}")), (0.0, 0.0))


def on_other_side(row: Expectation) -> Expectation:
    """The expectation of the right shape of a pair. The irises' middles are 468 (right) and 473."""
    mirror = load_landmarks().mirror

    def across(points: tuple[int, ...]) -> tuple[int, ...]:
        return tuple({468: 473, 473: 468}.get(p) or int(mirror[p]) for p in points)

    x, y, z = row.along
    return Expectation(
        mirrored(row.shape), row.says, across(row.moved), (-x, y, z), row.least, across(row.against), row.base, row.yaw
    )


def shape_table(head: HeadModel) -> list[Line]:
    """A row per ARKit shape: how far FaceMesh's points move the way they should, and the other side's points."""
    rows: list[Expectation] = []
    for row in EXPECTATIONS:
        rows += [row, on_other_side(row)] if row.shape.endswith("Left") and row.shape[:-4] not in ("jaw", "mouth") else [row]
    shots = []
    for row in rows:
        base = weights_at(dict.fromkeys(row.base, 1.0))
        whole = base + weights_at({row.shape: 1.0})
        shots += [Shot(base, (0.0, 0.0), row.yaw), Shot(whole, _gaze(row.shape), row.yaw)]
    points = photographed(head, shots)
    with np.load(POINTS) as data:
        places = data["triangles"], data["weights"]
    lines: list[Line] = []
    for row, before, after in zip(rows, points[::2], points[1::2], strict=True):
        if before is None or after is None:
            lines.append((row.shape, "no face found", row.says, False))
            continue
        moved, own = displacement(row, before, after), on_mesh(head, places, row)
        said, passed = f"{moved:+.1f} mm", moved >= row.least
        if own is not None:
            said += f" ({own:+.1f} on the mesh)"
        if row.shape.endswith(("Left", "Right")) and not row.shape.startswith(("jaw", "mouthLeft", "mouthRight", "eyeLook")):
            across = on_other_side(row)
            other, own_other = displacement(across, before, after), on_mesh(head, places, across, row.shape)
            said += f", other side {other:+.1f} ({own_other or 0:+.1f})"
            if row.shape.startswith(COUPLED):
                passed &= own is not None and own_other is not None and own_other <= SIDED * own
            else:
                passed &= other <= SIDED * moved
        lines.append((row.shape, said, f"{row.says}, >= {row.least} mm", bool(passed)))
    return lines + unseen(head)


def displacement(row: Expectation, before: np.ndarray, after: np.ndarray) -> float:
    """mm that the row's points (478, 2) px move in its direction, as its camera sees it."""
    turn = np.radians(row.yaw)
    right = np.array([np.cos(turn), 0.0, -np.sin(turn)])
    flat = np.array([np.dot(row.along, right), row.along[1]])
    flat /= max(np.linalg.norm(flat), 1e-9)
    mm = (DISTANCE_MM - FACE_MM) / (SIZE * LENS_MM / SENSOR_MM)
    moved = (after - before) * [mm, -mm]
    return float((moved[list(row.moved)].mean(0) - moved[list(row.against)].mean(0)) @ flat)


def on_mesh(
    head: HeadModel, places: tuple[np.ndarray, np.ndarray], row: Expectation, shape: str | None = None
) -> float | None:
    """mm that the head's own places of FaceMesh's points truly move by the row; None for irises, which are no place of it.

    shape: moves them instead of the row's own.
    """
    if max(*row.moved, *row.against) >= len(places[0]):
        return None
    before = weights_at(dict.fromkeys(row.base, 1.0))
    posed = pose_vertices(head, np.stack([before, before + weights_at({shape or row.shape: 1.0})]))
    spots = (posed[:, places[0]] * places[1][..., None]).sum(2) * 1000
    moved = (spots[1] - spots[0]) @ (np.array(row.along) / np.linalg.norm(row.along))
    return float(moved[list(row.moved)].mean() - moved[list(row.against)].mean())


def unseen(head: HeadModel) -> list[Line]:
    """Rows for what FaceMesh has no points for, measured on the mesh: the tongue, and the cheeks between its outlines."""
    tongue = np.zeros(len(head.vertices), bool)
    names = [m.name for m in head.materials]
    starts = np.repeat(head.material_index, head.face_sizes)
    tongue[head.face_vertices[starts == names.index("tongue")]] = True
    out = pose_vertices(head, weights_at({"tongueOut": 1.0, "jawOpen": 0.5})[None])[0]
    lips = out[np.concatenate(head.rings["mouth"][:2])]
    past = float((out[tongue, 2].max() - lips[:, 2].max()) * 1000)
    puffed = head.blendshapes[ARKIT_52.index("cheekPuff")] * 1000
    sides = [float((puffed[:, 0] * side).max()) for side in (1, -1)]
    return [
        ("tongueOut", f"{past:+.1f} mm before the lips (on the mesh: FaceMesh has no tongue)", "AU19: > 5 mm", past > 5),
        ("cheekPuff", f"cheeks {sides[0]:+.1f} and {sides[1]:+.1f} mm outwards (on the mesh)", "AU34: > 5 mm", min(sides) > 5),
    ]


# --- the two processes


def render_pictures(poses: Path, pictures: Path) -> None:
    """Workbench renders (N, SIZE, SIZE, 3) uint8 of posed vertices."""
    import bpy
    from render_head import add_head, blender_axes, place_camera, render, set_up_scene

    from engine.face.starter_head import HEADS, load_starter_head

    with np.load(poses) as data:
        vertices, yaws, wanted = data["vertices"], data["yaws"], str(data["head"])
    head = next(h for h in map(load_starter_head, HEADS) if h.name == wanted)
    camera = set_up_scene("workbench", SIZE, 1)
    mesh = add_head(head).data
    made = np.empty((len(yaws), SIZE, SIZE, 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        for number, (posed, yaw) in enumerate(zip(vertices, yaws)):
            mesh.vertices.foreach_set("co", blender_axes(posed).ravel())
            mesh.update()
            place_camera(camera, float(yaw), DISTANCE_MM)
            picture = render(Path(folder) / "view.png")
            made[number] = np.rint(picture[..., :3] * 255).clip(0, 255)
    assert bpy.context.scene.render.resolution_x == SIZE
    np.save(pictures, made)


def detect_points(pictures: Path, found: Path) -> None:
    """FaceMesh's points (N, 478, 2) px and whether there was a face (N,), every picture by itself."""
    import mediapipe

    images = np.load(pictures)
    points, there = np.zeros((len(images), 478, 2)), np.zeros(len(images), bool)
    mesh = mediapipe.solutions.face_mesh.FaceMesh(
        static_image_mode=True, refine_landmarks=True, max_num_faces=1, min_detection_confidence=CONFIDENCE
    )
    for number, image in enumerate(images):
        if faces := mesh.process(image).multi_face_landmarks:
            points[number] = [(p.x * SIZE, p.y * SIZE) for p in faces[0].landmark]
            there[number] = True
    np.savez(found, points=points, found=there)


if __name__ == "__main__":
    {"render": render_pictures, "detect": detect_points}[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
    sys.stdout.flush()
    os._exit(0)  # bpy's and mediapipe's own shutdown can hang
