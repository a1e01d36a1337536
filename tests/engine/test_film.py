"""Films of vertices: read back by a decoder, they have the frames, the sound and the movement."""

from __future__ import annotations

import av
import numpy as np
import pytest

from engine.errors import InputError
from engine.film import BACKGROUND, SIZE, load_faces, write_film

SQUARE = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], float)
FACES = np.array([[0, 1, 2], [0, 2, 3]])


def moving(frames: int) -> np.ndarray:
    """A square that shrinks to the left half."""
    vertices = np.repeat(SQUARE[None], frames, axis=0)
    vertices[:, 1:3, 0] = np.linspace(1, 0, frames)[:, None]
    return vertices


def lit(picture: np.ndarray) -> np.ndarray:
    return np.abs(picture.astype(int) - BACKGROUND).sum(-1) > 120


def test_a_film_has_every_frame_the_sound_and_the_movement(tmp_path):
    t = np.arange(16000) / 16000
    write_film(tmp_path / "film.mp4", moving(25), 25, np.sin(2 * np.pi * 440 * t).astype(np.float32) * 0.5, FACES)
    with av.open(str(tmp_path / "film.mp4")) as container:
        pictures = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
        assert float(container.streams.video[0].average_rate) == 25
    with av.open(str(tmp_path / "film.mp4")) as container:
        sound = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
    assert len(pictures) == 25 and pictures[0].shape == (SIZE, SIZE, 3)
    assert 0.95 < len(sound) / 16000 < 1.15 and np.abs(sound).max() > 0.3
    area = [lit(p).mean() for p in (pictures[0], pictures[-1])]
    assert area[0] == pytest.approx(0.84**2, abs=0.02) and area[1] == pytest.approx(area[0] / 2, abs=0.02)
    assert not lit(pictures[-1])[:, SIZE // 2 + 8 :].any()
    assert [p.name for p in tmp_path.iterdir()] == ["film.mp4"]


def test_without_triangles_the_vertices_are_dots(tmp_path):
    write_film(tmp_path / "film.mp4", moving(3), 30, np.zeros(1600, np.float32))
    with av.open(str(tmp_path / "film.mp4")) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert 4 <= lit(picture).sum() < 200


def test_triangles_from_mesh_files(tmp_path):
    (tmp_path / "m.obj").write_text("v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf 1/1 2/2 3/3 4/4\n")
    header = "ply\nformat ascii 1.0\nelement vertex 4\nproperty float x\nelement face 2\nproperty list uchar int i\nend_header\n"
    (tmp_path / "m.ply").write_text(header + "0 0 0\n1 0 0\n1 1 0\n0 1 0\n3 0 1 2\n3 0 2 3\n")
    for name in ("m.obj", "m.ply"):
        assert load_faces(tmp_path / name).tolist() == FACES.tolist()
    (tmp_path / "bad.obj").write_text("v 0 0 0\n")
    for name in ("bad.obj", "absent.obj"):
        with pytest.raises(InputError):
            load_faces(tmp_path / name)
    with pytest.raises(InputError, match="other vertices"):
        write_film(tmp_path / "film.mp4", moving(2), 25, np.zeros(9, np.float32), FACES + 3)
    assert not (tmp_path / "film.mp4").exists()
