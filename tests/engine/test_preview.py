"""The preview shows each frame with its points, visible and hidden, as a picture or a film."""

from __future__ import annotations

import av
import numpy as np
import pytest

from engine.errors import InputError
from engine.occlufacediff.mask_pictures import read_rgba
from engine.occlufacediff.preview import HIDDEN, VISIBLE, check_preview, drawn, write_preview

from .test_video import video

TIMES = [0.0, 0.04, 0.08, 0.2]
POINTS = np.tile([[10.0, 20.0], [40.0, 30.0]], (4, 1, 1))
SEEN = np.tile([True, False], (4, 1))


@pytest.fixture
def film(tmp_path):
    return video(tmp_path / "film.mkv", TIMES)


def test_points_are_green_where_visible_and_blue_where_not():
    image = np.zeros((48, 64, 3), np.uint8)
    picture = drawn(image, np.array([[10.2, 20.0], [40.0, 30.0], [np.nan, 1], [200, 5]]), np.array([True, False, True, True]))
    assert picture.shape == (144, 192, 3)  # three times as large
    assert (picture[60, 31] == VISIBLE).all() and (picture[90, 120] == HIDDEN).all()
    assert picture.any(axis=2).sum() == 2 and not image.any()
    assert drawn(np.zeros((900, 1600, 3), np.uint8), POINTS[0], SEEN[0]).shape == (300, 534, 3)


def test_a_picture_of_six_frames_and_a_film_of_all(film, tmp_path):
    write_preview(tmp_path / "sheet.png", film, POINTS, SEEN)
    pixels = read_rgba(tmp_path / "sheet.png")[0]
    assert pixels.shape[:2] == (2 * 144, 3 * 192)
    assert (pixels[60, 30, :3] == VISIBLE).all() and (pixels[144 + 90, 2 * 192 + 120, :3] == HIDDEN).all()
    write_preview(tmp_path / "film.mp4", film, POINTS, SEEN)
    with av.open(str(tmp_path / "film.mp4")) as container:
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    assert len(frames) == 4 and frames[0].shape == (144, 192, 3)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["film.mkv", "film.mp4", "sheet.png"]


def test_a_part_of_a_film_is_drawn_alone(film, tmp_path):
    write_preview(tmp_path / "part.mp4", film, POINTS[1:], SEEN[1:], (0.06, None))
    with av.open(str(tmp_path / "part.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 3


def test_other_names_are_refused(tmp_path):
    for path in (tmp_path / "x.gif", tmp_path / "absent" / "x.png"):
        with pytest.raises(InputError, match=r"^[A-Z].*\.$"):
            check_preview(path)
