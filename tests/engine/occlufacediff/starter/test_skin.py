"""The jaw under a box over the mouth, told from the skin beside it: on pictures whose motion is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from engine.occlufacediff.preview import write_png
from engine.occlufacediff.starter import jaw as jaw_module
from engine.occlufacediff.starter.channels import FACE
from engine.occlufacediff.starter.jaw import covered_by_sight, covered_in_pictures, jaw_beside
from engine.occlufacediff.starter.pipeline import JAW_TRUST, mouth_hidden, observe, with_jaw, with_jaw_shown
from engine.occlufacediff.starter.points import CHIN, LIPS, face_points, shape
from engine.occlufacediff.starter.skin import layout
from engine.video import VideoFrame

from .conftest import filmed

FRAMES, WIDTH, HEIGHT = 16, 360, 300
OPEN = 0.3 - 0.3 * np.cos(np.arange(FRAMES) / 2)
NOD = np.stack([0.08 * np.sin(np.arange(FRAMES) / 3), 0.1 * np.cos(np.arange(FRAMES) / 4), np.zeros(FRAMES)], axis=1)
POINTS = filmed({"jawOpen": np.zeros(FRAMES)}, NOD)  # what a detector makes up: no jaw moves
BOX = (slice(195, 255), slice(135, 225))


def skin_film() -> list[np.ndarray]:
    """The layout's texture, moved by the jaw, on a face that nods as POINTS do; the box is painted grey."""
    rng, places, fields = np.random.default_rng(1), layout().places, layout().fields
    texture = 130 + 60 * gaussian_filter(rng.normal(size=places.shape[:2]), 2.5) * 5
    rows, columns = np.mgrid[: places.shape[0], : places.shape[1]]
    observed = observe(POINTS[:, :468] * [1, -1], np.ones((FRAMES, 468), bool))
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    images = []
    for i in range(FRAMES):
        back = map_coordinates(texture, (rows - OPEN[i] * fields[0, ..., 1], columns - OPEN[i] * fields[0, ..., 0]), order=1)
        pose = observed.pose
        seen = (places @ pose.rotation[i, :2].T * pose.scale[i] + pose.shift[i]) * [1, -1]
        row = np.interp(y, seen[:, seen.shape[1] // 2, 1], np.arange(len(rows)))  # upright enough for that
        column = np.interp(x, seen[seen.shape[0] // 2, :, 0], np.arange(rows.shape[1]))
        image = map_coordinates(back, (row, column), order=1)
        image[BOX] = 128
        images.append(np.repeat(image[..., None], 3, axis=2).clip(0, 255).astype(np.uint8))
    return images


@pytest.fixture(scope="module")
def mask(tmp_path_factory) -> Path:
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[BOX] = 255
    path = tmp_path_factory.mktemp("mask") / "mask.png"
    write_png(path, picture)
    return path


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    return skin_film()


def in_sight() -> np.ndarray:
    x, y = np.floor(POINTS).astype(int).transpose(2, 0, 1)
    return ~((y >= BOX[0].start) & (y < BOX[0].stop) & (x >= BOX[1].start) & (x < BOX[1].stop))


def found(images, covered, points=POINTS, visible=None) -> np.ndarray | None:
    frames = [VideoFrame(i / 25, image) for i, image in enumerate(images)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaw_module, "read_frames", lambda video, span: iter(frames))
        seen = in_sight() if visible is None else visible
        return jaw_beside(Path("film"), points, np.ones(FRAMES, bool), seen, covered, lambda time: None)


def test_the_jaw_is_told_from_the_skin_beside_a_box_whatever_the_detector_says(images, mask):
    told = found(images, covered_in_pictures([mask]))
    known = np.isfinite(told[:, 0])
    assert known.mean() > 0.8
    opened, told = OPEN[known], told[known]
    assert np.corrcoef(told[:, 0], opened)[0, 1] > 0.97 and np.polyfit(opened, told[:, 0], 1)[0] == pytest.approx(1, abs=0.25)
    assert np.abs(told[:, 1]).max() < 0.2


def test_neither_covered_pixels_nor_hidden_points_have_an_influence(images, mask):
    told = found(images, covered_in_pictures([mask]))
    other = [image.copy() for image in images]
    for i, image in enumerate(other):
        image[BOX] = 20 * (i % 7)
    points = np.where(in_sight()[..., None], POINTS, np.nan)
    assert np.array_equal(told, found(other, covered_in_pictures([mask]), points), equal_nan=True)


def test_what_hides_points_is_found_by_colour_and_a_hand_by_nearness():
    y, x = np.mgrid[BOX[0], BOX[1]].astype(float)
    inside, cheek = np.stack([x, y], axis=-1)[::6, ::6], np.array([[130.0, 185.0], [180.0, 120.0]])
    skin = np.full((HEIGHT, WIDTH, 3), (205, 160, 135), np.uint8)
    boxed = skin.copy()
    boxed[BOX] = (90, 140, 190)
    for picture in (boxed, skin):  # a blue box, a hand
        with pytest.MonkeyPatch.context() as patch:
            frames = [VideoFrame(i / 25, picture) for i in range(FRAMES)]
            patch.setattr(jaw_module, "read_frames", lambda video, span, frames=frames: iter(frames))
            covered = covered_by_sight(Path("film"), POINTS, np.ones(FRAMES, bool), in_sight())
        assert covered(3, picture, inside).mean() > 0.85 and not covered(3, picture, cheek).any()


def test_nothing_is_told_of_a_mouth_in_view_or_where_no_skin_is_left(images, mask):
    assert found(images, covered_in_pictures([mask]), visible=np.ones((FRAMES, 478), bool)) is None
    assert found(images, lambda frame, image, pixels: np.ones(pixels.shape[:-1], bool)) is None
    flat = [np.full_like(image, 140) for image in images]
    assert found(flat, covered_in_pictures([mask])) is None


def test_a_hidden_mouths_jaw_goes_to_what_the_skin_tells_from_the_zero_of_the_frames_in_view():
    visible = np.ones((60, 468), bool)
    visible[30:, LIPS] = False
    assert mouth_hidden(visible)[30:].all() and not mouth_hidden(visible)[:30].any()
    pixels = filmed({"jawOpen": np.zeros(60)}, np.zeros((60, 3)))[:, :468]
    observed = observe(pixels * [1, -1], visible)
    told = np.zeros((60, 2))
    told[40:, 0] = 0.4
    told[50:] = np.nan
    shown = with_jaw_shown(observed, told).flat - observed.flat
    assert np.array_equal(shown[:30], np.zeros_like(shown[:30])) and not shown[50:].any() and not shown[:, LIPS].any()
    moved = 0.4 * face_points().basis[shape("jawOpen"), CHIN, 1]
    assert np.abs(shown[45, CHIN, 1]).max() > 0.5 * np.abs(moved).max()
    face = np.full((60, len(FACE)), 0.1)
    drawn = with_jaw(face, observed, told[:, 0])[:, FACE.index("jawOpen")]
    assert drawn[:30] == pytest.approx(0.1) and drawn[36:40] == pytest.approx(0.1) and drawn[55] == pytest.approx(0.1)
    assert drawn[44] == pytest.approx(0.1 + JAW_TRUST * 0.4)
