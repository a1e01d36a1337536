"""Takes as curves: values, timing, closures, continuity, and that nothing that existed is lost."""

from __future__ import annotations

import time

import bpy
import numpy as np
import pytest
from facediff_tree.engine.face.arkit import ARKIT_52
from facediff_tree.engine.face.starter_head import load_starter_head, rotation_matrices
from facediff_tree.engine.motion import FaceMotion
from facediff_tree.facediff_blender import bake, compat, heads, resample, rotations
from facediff_tree.facediff_blender.strips import Timing

ROTATIONS = ("head", "jaw", "left_eye", "right_eye")


@pytest.fixture
def head():
    return heads.add_head(load_starter_head(), bpy.context.scene)


def a_motion(fps: float, frames: int, seed: int = 1) -> FaceMotion:
    """Smooth noise on every channel and joint."""
    rng = np.random.default_rng(seed)
    t = np.arange(frames)[:, None] / fps
    weights = 0.5 + 0.5 * np.sin(2 * np.pi * (t * rng.uniform(0.2, 2, 52) + rng.uniform(size=52)))
    turns = 0.3 * np.sin(2 * np.pi * (t * rng.uniform(0.2, 1, 12) + rng.uniform(size=12))).reshape(frames, 4, 3)
    return FaceMotion(fps=fps, channels=ARKIT_52, weights=weights, rotation_names=ROTATIONS, rotations=turns)


def at(head: bpy.types.Object, frame: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The evaluated weights (52,) and bone rotation matrices of a frame, as Blender itself plays them."""
    bpy.context.scene.frame_set(frame)
    graph = bpy.context.evaluated_depsgraph_get()
    blocks = head.evaluated_get(graph).data.shape_keys.key_blocks
    rig = heads.rig_of(head).evaluated_get(graph)
    turns = {n: np.array(rig.pose.bones[n].matrix_basis.to_3x3()) for n in heads.JOINTS}
    return np.array([blocks[n].value for n in ARKIT_52]), turns


def test_at_the_scenes_own_rate_every_frame_is_the_motions(head):
    motion = a_motion(24, 60)
    take = bake.bake(head, motion, Timing(11.0, 24.0), "one")
    assert (take.frame_start, take.frame_end) == (11, 70)
    assert (take.action.frame_start, take.action.frame_end) == (11, 70)
    for i in (0, 1, 29, 59):
        weights, turns = at(head, 11 + i)
        assert np.abs(weights - motion.weights[i]).max() < 1e-6
        for name, turn in turns.items():
            assert np.abs(turn - rotation_matrices(motion.rotation(name)[i])).max() < 1e-5, name


@pytest.mark.parametrize(
    "fps, scene_fps, start", [(25, 24, 1.0), (60, 24, 5.4), (30, 60, 3.0), (25, 24 / 1.001, 100.25)]
)
def test_every_scene_frame_shows_its_moment(head, fps, scene_fps, start):
    """A ramp without lips: the value of a frame tells the second that it shows."""
    seconds = np.arange(int(fps * 4)) / fps
    ramp = FaceMotion(fps=fps, channels=("browInnerUp",), weights=seconds[:, None] / 4)
    take = bake.bake(head, ramp, Timing(start, scene_fps))
    curve = compat.curves_of(head.data.shape_keys)[('key_blocks["browInnerUp"].value', 0)]
    frames = np.arange(take.frame_start, take.frame_end + 1)
    shown = np.array([curve.evaluate(f) for f in frames]) * 4
    expected = np.clip((frames - start) / scene_fps, 0, seconds[-1])
    assert np.abs(shown - expected).max() < 1e-4
    assert abs(take.frame_start - start) <= 0.5 and abs(take.frame_end - start - seconds[-1] * scene_fps) <= 0.5
    assert [k.co.x for k in curve.keyframe_points] == frames.tolist()
    assert {k.interpolation for k in curve.keyframe_points} == {"LINEAR"}


@pytest.mark.parametrize("scene_fps", [24.0, 25.0, 30.0, 24 / 1.001, 60.0])
@pytest.mark.parametrize("fps", [25.0, 30.0, 60.0])
def test_a_lip_closure_of_one_frame_never_falls_between_two(head, fps, scene_fps):
    """Closed at single frames wherever they fall; the scene must show each within half a scene frame, and no others."""
    count = int(6 * fps)
    closed_at = np.arange(7, count - 7, 11)
    jaw = np.full(count, 0.5, np.float32) + 0.1 * np.sin(np.arange(count) / 5)
    close = 0.2 * jaw
    close[closed_at] = jaw[closed_at]
    motion = FaceMotion(fps=fps, channels=("jawOpen", "mouthClose"), weights=np.stack([jaw, close], 1))
    take = bake.bake(head, motion, Timing(1.0, scene_fps))
    curves = compat.curves_of(head.data.shape_keys)
    frames = np.arange(take.frame_start, take.frame_end + 1)
    jaw, close = (curves[(f'key_blocks["{name}"].value', 0)] for name in motion.channels)
    gap = np.array([jaw.evaluate(f) - close.evaluate(f) for f in frames])
    shut = frames[gap < 0.02]
    moments = 1.0 + closed_at / fps * scene_fps
    assert all(np.abs(shut - m).min() <= 0.5 for m in moments), "a closure was lost"
    assert all(np.abs(moments - s).min() <= 0.5 for s in shut), "a closure came from nowhere"


def test_weights_stay_between_0_and_1(head):
    wild = FaceMotion(fps=24, channels=("jawOpen",), weights=np.array([[-1.0], [0.5], [3.0]]))
    bake.bake(head, wild, Timing(1, 24))
    assert [float(at(head, f)[0][ARKIT_52.index("jawOpen")]) for f in (1, 2, 3)] == [0.0, 0.5, 1.0]


def test_a_second_take_leaves_the_first_and_the_users_own_curves(head):
    keys = head.data.shape_keys
    keys.key_blocks["jawOpen"].value = 0.25
    keys.key_blocks["jawOpen"].keyframe_insert("value", frame=3)
    own = keys.animation_data.action
    first = bake.bake(head, a_motion(24, 20, 1), Timing(1, 24), "first").action
    name, curve = first.name, compat.curves_of(keys)[('key_blocks["jawOpen"].value', 0)]
    curve.keyframe_points[5].co.y = 0.123
    curve.update()
    second = bake.bake(head, a_motion(24, 20, 2), Timing(1, 24), "first").action
    assert bake.current_take(head) == second != first and first.name == name
    assert own.use_fake_user and first.use_fake_user and second.use_fake_user
    assert curve.keyframe_points[5].co.y == pytest.approx(0.123)
    keys.animation_data.action, keys.animation_data.action_slot = own, own.slots[0]
    assert compat.curves_of(keys)[('key_blocks["jawOpen"].value', 0)].evaluate(3) == pytest.approx(0.25)


def test_takes_survive_saving_and_loading(head, tmp_path):
    for seed in (1, 2):
        bake.bake(head, a_motion(24, 20, seed), Timing(1, 24), f"take {seed}")
    name = head.name
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    assert {a.name for a in bpy.data.actions} == {"FaceDiff take 1", "FaceDiff take 2"}
    weights, _ = at(bpy.data.objects[name], 11)
    assert np.abs(weights - a_motion(24, 20, 2).weights[10]).max() < 1e-6


def test_groups_by_region(head):
    bake.bake(head, a_motion(24, 5), Timing(1, 24))
    groups = {path: curve.group.name for (path, _), curve in compat.curves_of(head.data.shape_keys).items()}
    assert groups['key_blocks["jawOpen"].value'] == "Jaw" and groups['key_blocks["eyeBlinkLeft"].value'] == "Eyes"
    assert groups['key_blocks["noseSneerLeft"].value'] == "Cheeks and Nose"
    assert {c.group.name for c in compat.curves_of(heads.rig_of(head)).values()} == set(heads.JOINTS)


def test_curves_read_back_as_the_motion(head):
    motion = a_motion(24, 40)
    bake.bake(head, motion, Timing(5, 24))
    back = bake.read_motion(head, 24.0, 5, 44)
    assert np.abs(back.weights - motion.weights).max() < 1e-6 and back.channels == motion.channels
    for name in heads.JOINTS:
        assert np.abs(back.rotation(name) - motion.rotation(name)).max() < 1e-5


def test_quaternion_bones_get_quaternion_curves(head):
    bone = heads.rig_of(head).pose.bones["head"]
    bone.rotation_mode = "QUATERNION"
    motion = a_motion(24, 30)
    bake.bake(head, motion, Timing(1, 24))
    assert np.abs(at(head, 12)[1]["head"] - rotation_matrices(motion.rotation("head")[11])).max() < 1e-5
    assert np.abs(bake.read_motion(head, 24.0, 1, 30).rotation("head") - motion.rotation("head")).max() < 1e-5


@pytest.mark.parametrize("order", ["XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX"])
def test_euler_curves_are_exact_and_never_jump(order):
    """Through several full turns about every axis, as Blender's own mathutils understands the order."""
    from mathutils import Euler

    t = np.linspace(0, 1, 400)
    for axis in np.eye(3):
        matrices = rotation_matrices((t * 9)[:, None] * (axis + 0.05))
        angles = rotations.euler_angles(matrices, order)
        again = np.array([Euler(a, order).to_matrix() for a in angles])
        assert np.abs(again - matrices).max() < 1e-5
        if order[1] != "XYZ"[axis.argmax()]:  # the middle axis passes its pole, where any triple of angles must hurry
            assert np.abs(np.diff(angles, axis=0)).max() < 0.6
        assert np.abs(rotations.matrices_from_euler(angles, order) - matrices).max() < 1e-9
    q = rotations.quaternions(matrices)
    assert (np.sum(q[1:] * q[:-1], 1) > 0.9).all()
    assert np.abs(rotations.matrices_from_quaternions(q) - matrices).max() < 1e-9


def test_1800_frames_of_60_channels_in_a_fifth_of_a_second(head):
    for k in range(8):
        head.shape_key_add(name=f"own {k}", from_mix=False)
    names = (*ARKIT_52, *(f"own {k}" for k in range(8)))
    motion = FaceMotion(fps=24, channels=names, weights=np.random.default_rng(0).uniform(size=(1800, 60)))
    spent = []
    for _ in range(3):
        start = time.perf_counter()
        bake.bake(head, motion, Timing(1, 24))
        spent.append(time.perf_counter() - start)
    assert min(spent) < 0.2, spent
    assert len(compat.curves_of(head.data.shape_keys)) == 60


def test_what_cannot_be_baked_is_refused_in_a_sentence_and_changes_nothing(head):
    plain = bpy.data.objects.new("Plain", bpy.data.meshes.new("Plain"))
    for target, motion, word in (
        (plain, a_motion(24, 5), "shape keys"),
        (head, FaceMotion(fps=24, channels=("nonsense",), weights=np.zeros((4, 1))), "jawOpen"),
        (head, FaceMotion(fps=24, channels=("jawOpen",), weights=np.zeros((0, 1))), "no frames"),
    ):
        with pytest.raises(bake.BakeError, match=word):
            bake.bake(target, motion, Timing(1, 24))
    heads.rig_of(head).pose.bones["head"].rotation_mode = "AXIS_ANGLE"
    with pytest.raises(bake.BakeError, match="Axis Angle"):
        bake.bake(head, a_motion(24, 5), Timing(1, 24))
    assert len(bpy.data.actions) == 0 and head.data.shape_keys.animation_data.action is None


def test_resampling_at_the_same_rate_is_exact_for_any_whole_start():
    motion = a_motion(60, 600)
    frames, weights, _ = resample.to_scene(motion, 7 + np.arange(600) / 60 * 60.0)
    assert np.abs(weights - motion.weights).max() < 1e-5 and frames[0] == 7 and len(frames) == 600
