"""Landmarks in time and in the crop, and that what is hidden cannot be felt anywhere."""

from __future__ import annotations

import numpy as np
import pytest

from engine.occlufacediff.landmarks import (
    CROP,
    Crop,
    at_times,
    crop_of,
    crop_pixels,
    fill_gaps,
    frame_times,
    mean_face,
    normalise,
    normalised_visible,
    prepare,
    visible_at_times,
    warp,
)


def face(yaw: float = 0.0, scale: float = 3.0, x: float = 400.0, y: float = 300.0) -> np.ndarray:
    """The mean face turned by `yaw` rad and seen from afar, (478, 2) px; the irises stand between the eyes."""
    points = mean_face()
    turned = points[:, 0] * np.cos(yaw) + points[:, 2] * np.sin(yaw)
    flat = np.stack([x + scale * turned, y - scale * points[:, 1]], axis=1)
    return np.concatenate([flat, np.repeat(flat[168:169], 10, axis=0)])


def moving(frames: int = 30) -> np.ndarray:
    return np.stack([face(0.3 * np.sin(i / 5), 3 + 0.01 * i, 400 + 2 * i) for i in range(frames)])


def test_the_crop_is_a_square_of_1_485_mean_sides_around_the_middle():
    points = np.array([[100.0, 50.0], [300.0, 50.0], [100.0, 310.0], [200.0, 200.0]])
    crop = crop_of(points)
    assert crop.size == int(1.1 * 1.35 * 230) and crop.centre.tolist() == [200.0, 180.0]
    corner = crop.centre - crop.size / 2
    assert np.allclose(crop.apply(corner), 0) and np.allclose(crop.apply(corner + crop.size), 223)
    assert np.allclose(normalise(corner, crop), -1) and np.allclose(normalise(corner + crop.size, crop), 223 / 112 - 1)
    assert crop_pixels(np.array([[-1.0039, 0.0], [-1.01, 1.0]])).tolist() == [[0, 112], [-1, 224]]


def test_gaps_are_filled_linearly_and_ends_held():
    points = np.arange(6.0)[:, None, None] * np.ones((1, 3, 2))
    points[[0, 2, 3, 5]] = np.nan
    detected = np.array([False, True, False, False, True, False])
    assert fill_gaps(points, detected)[:, 0, 0].tolist() == [1, 1, 2, 3, 4, 4]
    with pytest.raises(ValueError):
        fill_gaps(points, np.zeros(6, bool))


@pytest.mark.parametrize("rate", [23.976, 25.0, 29.97, 50.0, 60.0])
def test_25_frames_per_second_are_exact_in_time(rate):
    times = np.arange(int(4 * rate)) / rate + np.random.default_rng(0).uniform(0, 0.2 / rate, int(4 * rate))
    wanted = frame_times(3.9)
    assert len(wanted) == 98 and wanted[50] == 2.0
    points = np.stack([times * 100, 7 - times], axis=1)[:, None].repeat(5, axis=1)
    out = at_times(points, times, wanted)
    inside = (wanted >= times[0]) & (wanted <= times[-1])
    assert np.allclose(out[inside, 0], np.stack([wanted * 100, 7 - wanted], axis=1)[inside], atol=1e-9)
    assert [len(frame_times(s)) for s in (0.0, 0.04, 0.041, 1.0)] == [1, 1, 2, 25]


def test_a_point_is_visible_in_between_only_if_both_sides_show_it():
    visible = np.array([[True], [False], [True], [True]])
    times = np.array([0.0, 1.0, 2.0, 3.0])
    wanted = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 9.0])
    assert visible_at_times(visible, times, wanted)[:, 0].tolist() == [True, False, False, False, True, True, True]


def test_without_anything_hidden_the_crop_is_the_reference_s():
    points = moving()
    out, visible = normalised_visible(points, np.ones(points.shape[:2], bool))
    assert visible.all() and out.dtype == np.float32
    for own, expected in zip(out, points):
        assert np.allclose(own, normalise(expected[:468], crop_of(expected[:468])), atol=1e-6)


@pytest.mark.parametrize("part", ["left", "upper", "lower", "most"])
def test_with_a_part_hidden_the_crop_stays_where_it_was(part):
    points = moving()
    whole, _ = normalised_visible(points, np.ones(points.shape[:2], bool))
    x, y = whole[..., 0], whole[..., 1]
    hidden = {"left": x < 0, "upper": y < 0, "lower": y > 0, "most": ~((x > 0) & (y < 0.1))}[part]
    visible = np.ones(points.shape[:2], bool)
    visible[:, :468] = ~hidden
    out, _ = normalised_visible(points, visible)
    assert (np.abs(out - whole)[~hidden] < 0.01).all() and (out[hidden] == 0).all()


def test_hidden_points_have_no_influence_to_the_last_bit():
    points, generator = moving(), np.random.default_rng(1)
    visible = generator.random(points.shape[:2]) > 0.4
    visible[10:13] = False
    times = np.arange(len(points)) / 30
    detected = generator.random(len(points)) > 0.2
    before = prepare(points, times, detected, visible, 1.0)
    for junk in (generator.normal(0, 1e4, points.shape), np.full_like(points, np.nan)):
        moved = np.where(visible[..., None] & detected[:, None, None], points, junk)
        after = prepare(moved, times, detected, visible, 1.0)
        assert np.array_equal(before[0], after[0]) and np.array_equal(before[1], after[1])
    assert before[0][before[1]].std() > 0.1 and not before[1].all()


def test_a_short_gap_is_bridged_and_a_long_one_shows_nothing():
    points, times = moving(75), np.arange(75) / 25
    detected = np.ones(75, bool)
    detected[10:14] = detected[30:60] = False
    landmarks, visible = prepare(points, times, detected, np.ones(points.shape[:2], bool), 3.0)
    assert visible.all(axis=1)[:34].all() and not visible[36:54].any() and visible[56:].all()
    assert np.abs(landmarks[12] - landmarks[9]).max() < 0.2 and (landmarks[40] == 0).all()


def test_too_few_points_take_their_crop_from_other_frames_or_count_as_hidden():
    points = moving(10)
    visible = np.ones(points.shape[:2], bool)
    visible[5] = False
    visible[5, [13, 14]] = True
    out, _ = normalised_visible(points, visible)
    whole, _ = normalised_visible(points, np.ones_like(visible))
    assert np.abs(out[5, 13] - whole[5, 13]).max() < 0.02
    alone, seen = normalised_visible(points[5:6], visible[5:6])
    assert not seen.any() and (alone == 0).all()


def test_the_warped_crop_shows_the_picture_where_its_points_say():
    rows, columns = np.mgrid[:120, :160]
    image = np.stack([columns / 160, rows / 120, np.zeros_like(rows)], axis=-1)
    crop = Crop(np.array([80.0, 60.0]), 60)
    out = warp(image, crop)
    assert out.shape == (CROP, CROP, 3)
    for point in ([80.0, 60.0], [65.0, 45.0], [100.0, 80.0]):
        x, y = np.round(crop.apply(np.array(point))).astype(int)
        assert np.allclose(out[y, x, :2], [point[0] / 160, point[1] / 120], atol=0.005)
    assert (warp(image, Crop(np.array([0.0, 0.0]), 60))[:100, :100] == 0).all()
