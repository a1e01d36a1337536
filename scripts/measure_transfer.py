"""Give shapes to heads made by other procedures, print how well lips and lids close, and show them. Needs bpy.

python scripts/measure_transfer.py                              # the table
python scripts/measure_transfer.py --sheet docs/transfer.jpg    # and the pictures
python scripts/measure_transfer.py --detect                     # and how near MediaPipe's points come to those placed by hand

Gaps are the largest distance from a vertex of the upper edge to the lower edge, in mm at the starter head's size. Eyeballs: what is
seen of them from one metre in front, in mm2 likewise. Seconds are the processor's, of the transfer alone.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # noqa: E402

sys.path[:0] = [str(Path(__file__).resolve().parent.parent), str(Path(__file__).resolve().parent)]

import transfer_meshes  # noqa: E402

from engine.face.embedding.rasteriser import look_at, visible_triangles  # noqa: E402
from engine.face.registration.points import POINTS, fitted_ball, points_of_68, similarity, starter_points  # noqa: E402
from engine.face.registration.surface import edges_of, islands_of, triangulate  # noqa: E402
from engine.face.starter_head import load_starter_head  # noqa: E402
from engine.face.transfer.file import MeshFile  # noqa: E402
from engine.face.transfer.give import GivenShapes, give_shapes  # noqa: E402
from engine.face.transfer.jobs import find_points  # noqa: E402
from engine.face.transfer.sides import FACEMESH, kept_round  # noqa: E402

SMILE, BLINK = {"mouthSmileLeft": 1, "mouthSmileRight": 1}, {"eyeBlinkLeft": 1, "eyeBlinkRight": 1}
POSES = ({}, {"jawOpen": 1}, SMILE, BLINK, {"mouthPucker": 1}, {"mouthFunnel": 1}, {"jawOpen": 1, "mouthClose": 1})
FRONT, SEEN = 1.0, (0.16, 640)  # m from which eyeballs are looked at; m across that are seen, and pixels
SIZE, VIEW = 230, 24.0  # pixels of a picture, degrees from the front


def flame_mesh() -> tuple[transfer_meshes.Mesh, np.ndarray]:
    """A held-out FLAME-format head and what ARKit's shapes truly are on it, (52, V, 3) m."""
    from synthetic_flame import synthetic_flame

    head = kept_round(load_starter_head())
    with np.load(FACEMESH) as data:
        corners = head.vertices.astype(float)[data["triangles"].astype(int)]
        points = (corners * data["weights"][..., None]).sum(1)
    made = synthetic_flame(head, points, seed=7)
    vertices, faces = np.asarray(made.arrays["v_template"], float), np.asarray(made.arrays["f"]).astype(int)
    placed = dict(zip(POINTS, points_of_68(made.points68)))
    return transfer_meshes.Mesh("FLAME format", vertices, [tuple(f) for f in faces], placed), made.shapes


def gap(mesh: transfer_meshes.Mesh, given: GivenShapes, opening: str, pose: dict[str, float]) -> float:
    """mm between the edges in a pose; nan where there is no such opening."""
    posed = posed_vertices(mesh, given, pose)
    if opening in mesh.rims:
        upper, lower = (posed[ids] for ids in mesh.rims[opening])
    elif opening in given.openings:
        upper, lower = (edge.along(posed) for edge in (given.openings[opening].upper, given.openings[opening].lower))
    else:
        return float("nan")
    a, ab = lower[:-1], np.diff(lower, axis=0)
    share = ((upper[:, None] - a) * ab).sum(-1) / np.maximum((ab * ab).sum(-1), 1e-30)
    nearest = a + np.clip(share, 0, 1)[..., None] * ab
    return float(np.linalg.norm(upper[:, None] - nearest, axis=-1).min(1).max() * given.unit * 1000)


def eyeballs_seen(mesh: transfer_meshes.Mesh, given: GivenShapes, poses: list[dict[str, float]]) -> list[float]:
    """mm2 of the eyeballs that are seen from the front in each pose; nan where there are none."""
    starter = starter_points(load_starter_head())[[list(POINTS).index(name) for name in mesh.points]]
    scale, turn, shift = similarity(np.array(list(mesh.points.values())), starter)
    triangles = triangulate(mesh.face_sizes, mesh.face_vertices)
    eyes = starter[[list(mesh.points).index(f"eye {end} {side}") for side in "RL" for end in ("outer", "inner")]]
    rest = scale * mesh.vertices @ turn.T + shift
    label = islands_of(len(rest), edges_of(triangles)[0])
    ball = np.zeros(len(rest), bool)
    for island in np.unique(label):
        found = fitted_ball(rest[label == island]) if 12 <= (label == island).sum() <= 20_000 else None
        ball |= (label == island) & bool(found and np.linalg.norm(eyes - found[0], axis=1).min() < 0.025)
    camera = look_at(eyes.mean(0), np.array([0, 0, 1.0]), np.array([0, 1.0, 0]), FRONT, FRONT / SEEN[0] * SEEN[1], SEEN[1])
    areas = []
    for pose in poses:
        shown, _ = visible_triangles(scale * posed_vertices(mesh, given, pose) @ turn.T + shift, triangles, camera)
        pixels = int(ball[triangles[shown[shown >= 0]]].all(1).sum())
        areas.append(pixels * (SEEN[0] / SEEN[1] * 1000) ** 2 if ball.any() else float("nan"))
    return areas


def posed_vertices(mesh: transfer_meshes.Mesh, given: GivenShapes, pose: dict[str, float]) -> np.ndarray:
    """(V, 3)."""
    moves = [weight * given.deltas[given.names.index(name)] for name, weight in pose.items()]
    return mesh.vertices + sum(moves, np.zeros_like(mesh.vertices))


def measured(mesh: transfer_meshes.Mesh) -> tuple[GivenShapes, float]:
    """The shapes, and the processor's seconds."""
    started = time.process_time()
    given = give_shapes(load_starter_head(), mesh.vertices, mesh.face_sizes, mesh.face_vertices, mesh.points, mesh.name)
    return given, time.process_time() - started


def row(mesh: transfer_meshes.Mesh, given: GivenShapes, seconds: float) -> str:
    """One line of the table."""
    sealed = {"jawOpen": 1, "mouthClose": 1}
    lips = [gap(mesh, given, "mouth", pose) for pose in ({}, {"jawOpen": 1}, sealed)]
    lids = [max(gap(mesh, given, eye, pose) for eye in ("right eye", "left eye")) for pose in ({}, BLINK)]
    seen = eyeballs_seen(mesh, given, [{}, dict.fromkeys(BLINK, 0.5), BLINK])
    over = {name: count for name, count in given.turned_over.items() if count and name != "mouthClose"}
    return (
        f"{mesh.name:20} {len(mesh.vertices):7} {seconds:6.1f}  {lips[0]:6.1f} {lips[1]:6.1f} {lips[2]:7.2f}  "
        f"{lids[0]:6.1f} {lids[1]:6.2f}  {seen[0]:5.0f} {seen[1]:5.0f} {seen[2]:6.2f}  "
        f"{sum(over.values()):5}  {', '.join(f'{n} {c}' for n, c in over.items())}"
    )


def detected(mesh: transfer_meshes.Mesh, given: GivenShapes) -> str:
    """How near the points that MediaPipe finds come to those that were placed."""
    started = time.perf_counter()
    found = find_points(MeshFile(mesh.vertices, mesh.face_sizes, mesh.face_vertices), mesh.name, detect=True)
    off = [np.linalg.norm(found.points[n] - p) * given.unit * 1000 for n, p in mesh.points.items()]
    took = time.perf_counter() - started
    return f"{mesh.name}: {found.notes[0]} {np.median(off):.1f} mm (median), {max(off):.1f} mm at most; {took:.0f} s"


def sheet(meshes: list[tuple[transfer_meshes.Mesh, GivenShapes]], path: Path) -> None:
    """One row of poses per mesh, Workbench."""
    import bpy

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for mesh, given in meshes:
            draw = _stage(mesh, Path(folder))
            rows.append(np.concatenate([draw(posed_vertices(mesh, given, pose)) for pose in POSES], axis=1))
    pixels = np.concatenate(rows[::-1], axis=0)
    image = bpy.data.images.new("Sheet", pixels.shape[1], pixels.shape[0])
    image.pixels.foreach_set(np.ascontiguousarray(pixels, np.float32).ravel())
    image.filepath_raw, image.file_format = str(path), "JPEG" if path.suffix.lower() in (".jpg", ".jpeg") else "PNG"
    image.save(quality=88)


def _stage(mesh: transfer_meshes.Mesh, folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    import bpy

    def axes(points: np.ndarray) -> np.ndarray:
        return np.stack([points[:, 0], -points[:, 2], points[:, 1]], 1)

    bpy.ops.wm.read_factory_settings(use_empty=True)
    data = bpy.data.meshes.new("Head")
    data.from_pydata(axes(mesh.vertices).tolist(), [], [list(map(int, f)) for f in mesh.faces])
    if len(mesh.vertices) > 2000:
        data.shade_smooth()
    scene = bpy.context.scene
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    for thing in (bpy.data.objects.new("Head", data), camera):
        scene.collection.objects.link(thing)
    scene.camera, camera.data.type = camera, "ORTHO"
    face = np.array(list(mesh.points.values()))
    centre, span = (face.min(0) + face.max(0)) / 2, np.ptp(face, axis=0)[:2].max()
    centre = centre + np.array([0, 0.06, -0.3]) * span  # of the head, not of its face
    camera.data.ortho_scale, camera.data.clip_end = 1.85 * span, 100 * span
    turn, reach = np.radians(VIEW), 10 * span
    camera.location = (centre[0] + reach * np.sin(turn), -centre[2] - reach * np.cos(turn), centre[1])
    camera.rotation_euler = (np.pi / 2, 0, turn)
    scene.render.engine = "BLENDER_WORKBENCH"
    scene.render.resolution_x = scene.render.resolution_y = SIZE
    scene.view_settings.view_transform = "Standard"
    scene.world = bpy.data.worlds.new("World")
    shading = scene.display.shading
    shading.light, shading.show_cavity, shading.cavity_type = "STUDIO", True, "BOTH"
    shading.show_specular_highlight = False
    scene.display.render_aa = "8"
    scene.render.filepath = str(folder / "view.png")

    def draw(points: np.ndarray) -> np.ndarray:
        data.vertices.foreach_set("co", axes(points).astype(np.float32).ravel())
        data.update()
        bpy.ops.render.render(write_still=True)
        image = bpy.data.images.load(scene.render.filepath)
        pixels = np.empty(SIZE * SIZE * 4, np.float32)
        image.pixels.foreach_get(pixels)
        bpy.data.images.remove(image)
        return pixels.reshape(SIZE, SIZE, 4)

    return draw


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sheet", type=Path, help="the JPEG or PNG to write")
    parser.add_argument("--detect", action="store_true", help="find the points by MediaPipe too, and compare")
    parser.add_argument("--only", nargs="+", choices=("flame", "suzanne", "sphere", "low", "dense"), help="default: all")
    options = parser.parse_args()
    wanted = options.only or ("flame", "suzanne", "sphere", "low", "dense")
    print(f"{'':20} {'':7} {'':6}  {'lips mm':^21}  {'lids mm':^13}  {'eyeballs mm2':^18}  turned")
    print(f"{'mesh':20} {'vertices':>7} {'s':>5}  {'rest':>6} {'open':>6} {'sealed':>7}  {'rest':>6} {'blink':>6}  "
          f"{'rest':>5} {'half':>5} {'blink':>6}    over")  # fmt: skip
    made, truth = [], None
    for name in wanted:
        if name == "flame":
            mesh, truth = flame_mesh()
        else:
            mesh = {
                "suzanne": transfer_meshes.suzanne,
                "sphere": lambda: transfer_meshes.sphere_head(unit=1.0),
                "low": transfer_meshes.low_head,
                "dense": lambda: transfer_meshes.sphere_head(124, 146),
            }[name]()
        given, seconds = measured(mesh)
        print(row(mesh, given, seconds), flush=True)
        for note in given.notes:
            print(f"{'':20} {note}")
        if name == "flame" and truth is not None:
            error = np.linalg.norm(given.deltas - truth, axis=-1)
            moved = np.linalg.norm(truth, axis=-1) > 0.0005
            print(f"{'':20} against its true shapes: {error[moved].mean() * 1000:.2f} mm (mean where they move 0.5 mm or more, "
                  f"which is {np.linalg.norm(truth, axis=-1)[moved].mean() * 1000:.2f} mm on the mean)")  # fmt: skip
        if options.detect and name != "dense":
            print(f"{'':20} {detected(mesh, given)}", flush=True)
        if name != "dense":
            made.append((mesh, given))
    if options.sheet:
        sheet(made, options.sheet)
        print(f"{options.sheet}: {len(made)} heads, {len(POSES)} poses")


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # bpy's own shutdown can hang or crash after rendering without a display
