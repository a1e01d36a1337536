"""The pieces of the tracking demo that need no detector: the drawn mask goes with the lips, and the pictures show what is where."""

from __future__ import annotations

import demo_pictures  # noqa: E401, I001
import demo_track
import numpy as np
import pytest
from facediff_tree.facediff_blender import mask_frames

from engine.detection import Detections

SIZE = (320, 240)


pytestmark = pytest.mark.usefixtures("registered")


@pytest.fixture
def found() -> Detections:
    """A face whose mouth is at (160, 150), 40 px wide and 20 px high, and wanders 20 px to the right in 11 frames."""
    points = np.full((11, 478, 2), (160.0, 100.0))
    points[:, 10], points[:, 152] = (160, 40), (160, 200)
    for i in range(11):
        points[i, demo_track.LIPS] = np.array([[140, 150], [180, 150], [160, 140], [160, 160]]) + [2 * i, 0]
    return Detections(np.arange(11) / 25, points, np.ones(11, bool), np.ones(11, int), SIZE, 0.44)


def test_the_mask_covers_the_lips_and_goes_with_them(found, tmp_path):
    mask_frames.render(demo_track.draw_mask(found), SIZE, 1, 11, tmp_path / "masks")
    for frame in (1, 4, 11):
        path = sorted((tmp_path / "masks").iterdir())[frame - 1]
        rows, columns = np.nonzero(demo_pictures.pixels(str(path))[::-1, :, 0] > 0.5)
        scale = SIZE[0] / mask_frames.WIDEST
        middle = np.array([columns.mean() + 0.5, rows.mean() + 0.5]) * scale
        assert middle == pytest.approx([160 + 2 * (frame - 1), 150], abs=1)
        reach = np.array([np.ptp(columns) + 1, np.ptp(rows) + 1]) * scale
        assert reach == pytest.approx(demo_track.REACH * [40, 20], abs=2)
        assert len(rows) * scale**2 == pytest.approx(np.pi / 4 * reach.prod(), rel=0.03), "an oval"


def test_covered_points_are_blue_and_the_others_green(found):
    inside = np.zeros(SIZE[::-1], bool)
    inside[140:170, 120:200] = True
    picture = demo_track.actor_picture(np.zeros((240, 320, 3), np.uint8), found.points[0], inside, np.array([80.0, 20.0, 200.0]))
    assert picture.shape == (demo_track.SIDE, demo_track.SIDE, 3)
    scale = demo_track.SIDE / 200
    for point, colour in ((found.points[0, 61], demo_track.HIDDEN), (found.points[0, 10], demo_track.VISIBLE)):
        column, row = np.round((point - [80, 20]) * scale).astype(int)
        assert picture[row, column].tolist() == colour.tolist()
    assert picture[5, 5].tolist() == [0, 0, 0]
