"""FaceMotion: what is written is read back, and nothing that is not a motion gets through."""

import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import frame_blocks
from engine import motion as motion_module
from engine.motion import Blocks, FaceMotion, MotionError


def a_motion(frames=7, **more):
    rng = np.random.default_rng(frames)
    return FaceMotion(
        29.97, ("jawOpen", "mouthClose"), rng.random((frames, 2)), ("head",), rng.normal(size=(frames, 1, 3)), **more
    )


def test_round_trip_keeps_every_array(tmp_path):
    motion = a_motion(5, vertices=np.ones((5, 4, 3)), landmarks68=np.zeros((5, 68, 3)), meta={"seed": 3, "word": "ü"})
    motion.save(tmp_path / "m.npz")
    again = FaceMotion.load(tmp_path / "m.npz")
    assert (again.fps, again.channels, again.rotation_names) == (29.97, ("jawOpen", "mouthClose"), ("head",))
    assert again.meta == {"seed": 3, "word": "ü"}
    for name in ("weights", "rotations", "vertices", "landmarks68"):
        np.testing.assert_array_equal(getattr(again, name), getattr(motion, name))
    assert again.expression is None
    with np.load(tmp_path / "m.npz", allow_pickle=False) as plain:  # the names other programs rely on
        assert {"fps", "channels", "weights", "rotations_names", "rotations", "meta"} <= set(plain.files)
        assert json.loads(str(plain["meta"]))["seed"] == 3


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "m.npz"
    a_motion(3).save(path)
    before = path.read_bytes()

    def full_disk(*_args, **_arrays):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", full_disk)
    with pytest.raises(OSError, match="No space"):
        a_motion(9).save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m.npz"]


@pytest.mark.parametrize(
    "broken",
    [
        {"fps": 0.0},
        {"fps": float("nan")},
        {"weights": np.zeros((4, 3))},
        {"weights": np.full((4, 2), np.nan)},
        {"rotations": np.zeros((3, 1, 3))},
        {"channels": ("a", "a")},
        {"landmarks68": np.zeros((4, 67, 3))},
    ],
)
def test_disagreeing_arrays_are_refused(broken):
    whole = {
        "fps": 25.0,
        "channels": ("a", "b"),
        "weights": np.zeros((4, 2)),
        "rotation_names": ("head",),
        "rotations": np.zeros((4, 1, 3)),
    }
    FaceMotion(**whole)
    with pytest.raises(MotionError):
        FaceMotion(**{**whole, **broken})


def test_large_vertices_are_written_and_read_block_by_block(tmp_path, monkeypatch):
    """No call ever asks for more than a block, and another reader sees the same numbers."""
    monkeypatch.setattr(frame_blocks, "BLOCK_BYTES", 5 * 40 * 12)
    vertices = np.random.default_rng(0).normal(size=(33, 40, 3)).astype(np.float32)
    asked = []

    def read(start, stop):
        asked.append(stop - start)
        return vertices[start:stop]

    made = FaceMotion(24.0, vertices=Blocks(vertices.shape, read), weights=np.zeros((33, 0)))
    made.save(tmp_path / "m.npz")
    assert sum(asked) == 33 and max(asked) == 5
    with np.load(tmp_path / "m.npz", allow_pickle=False) as plain:
        np.testing.assert_array_equal(plain["vertices"], vertices)
    np.testing.assert_array_equal(FaceMotion.load(tmp_path / "m.npz").vertices, vertices)
    monkeypatch.setattr(motion_module, "BLOCKS_FROM", 1000)
    again = FaceMotion.load(tmp_path / "m.npz").vertices
    assert isinstance(again, Blocks) and again.shape == vertices.shape and len(again) == 33
    for part in (slice(3, 9), slice(None, None, 7), 5, -1, [4, 1, 30], slice(9, 3)):
        np.testing.assert_array_equal(again[part], vertices[part])
    np.testing.assert_array_equal(np.asarray(again), vertices)
    np.testing.assert_array_equal(np.stack(list(again)), vertices)
    np.savez_compressed(tmp_path / "small.npz", fps=24.0, channels=np.array([], "U1"), weights=made.weights, vertices=vertices)
    np.testing.assert_array_equal(FaceMotion.load(tmp_path / "small.npz").vertices, vertices)


def test_large_vertices_that_are_damaged_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(motion_module, "BLOCKS_FROM", 1000)
    vertices = np.ones((33, 40, 3), np.float32)
    vertices[20, 3, 1] = np.inf
    whole = FaceMotion(24.0, vertices=np.ones((33, 40, 3)))
    whole.save(tmp_path / "m.npz")
    with pytest.raises(MotionError, match="not finite"):
        replace(whole, vertices=Blocks(vertices.shape, lambda a, b: vertices[a:b])).save(tmp_path / "other.npz")
    assert [p.name for p in tmp_path.iterdir()] == ["m.npz"]
    content = bytearray((tmp_path / "m.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "changed.npz").write_bytes(content)
    np.savez(tmp_path / "infinite.npz", fps=24.0, channels=np.array([], "U1"), weights=whole.weights, vertices=vertices)
    for name in ("changed", "infinite"):
        with pytest.raises(MotionError):
            FaceMotion.load(tmp_path / f"{name}.npz")
    read = FaceMotion.load(tmp_path / "m.npz").vertices
    (tmp_path / "m.npz").write_bytes(content[:2000])
    with pytest.raises(OSError, match="ends too early"):
        read[10:12]


def test_a_pickle_inside_the_file_is_never_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    np.savez(tmp_path / "m.npz", fps=25.0, channels=np.array([Trap()], object), weights=np.zeros((1, 1)))
    with pytest.raises(MotionError):
        FaceMotion.load(tmp_path / "m.npz")
    assert not (tmp_path / "ran").exists()


def test_a_header_claiming_too_much_memory_is_refused(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**12, 52)})
    with zipfile.ZipFile(tmp_path / "m.npz", "w") as archive:
        archive.writestr("weights.npy", header.getvalue())
    with pytest.raises(MotionError, match="too large"):
        FaceMotion.load(tmp_path / "m.npz")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_files_give_one_sentence(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damage")
    a_motion(4).save(folder / "m.npz")
    content = bytearray((folder / "m.npz").read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        for _ in range(data.draw(st.integers(1, 8))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (folder / "d.npz").write_bytes(content)
    try:
        FaceMotion.load(folder / "d.npz")  # harmless damage may leave a readable motion
    except MotionError as error:
        assert "\n" not in str(error)
