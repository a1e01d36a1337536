"""What is in front of a face is found by its colour, over the clip and in passing."""

from __future__ import annotations

import numpy as np

from engine.occlufacediff.landmarks import mean_face
from engine.occlufacediff.starter.automatic import (
    LID_POINTS,
    POINTS,
    behind_hands,
    colours_at,
    odd_colours,
    with_irises,
    without_features,
)
from engine.occlufacediff.starter.points import LIPS

SKIN, LIP, LASHES, GREY, WHITE = (205, 160, 135), (180, 100, 100), (60, 50, 50), (128, 128, 128), (240, 240, 240)


def frames(count: int, cover: tuple[int, int, int] | None, where: np.ndarray, when: slice) -> np.ndarray:
    """(count, 468, 3) colours of a face, some points of which have another for a while."""
    rng = np.random.default_rng(0)
    colours = np.tile(np.array(SKIN, float), (count, POINTS, 1))
    colours[:, LIPS] = LIP
    colours[:, sorted(LID_POINTS)[::2]] = LASHES
    if cover is not None:
        colours[when, where] = cover
    colours = np.clip(colours + rng.normal(0, 4, colours.shape), 0, 255)
    red, green, blue = np.moveaxis(np.log(colours + 8.0), -1, 0)
    return np.stack([red - green, blue - green, green], axis=-1)


FACE = mean_face()
LOWER, CHEEK = FACE[:, 1] < -50, FACE[:, 0] > 30
ALL = np.ones(12, bool)


def share(hidden: np.ndarray, where: np.ndarray) -> tuple[float, float]:
    """Of the points in there, and of those elsewhere."""
    return float(hidden[:, where].mean()), float(hidden[:, ~where].mean())


def test_a_bare_face_hides_nothing_and_a_box_hides_what_lies_in_it():
    assert not odd_colours(frames(12, None, LOWER, slice(None)), ALL).any()
    for colour in (GREY, WHITE, (40, 40, 45), (90, 140, 190)):
        inside, outside = share(odd_colours(frames(12, colour, LOWER, slice(None)), ALL), LOWER)
        assert inside > 0.95 and outside < 0.12, colour


def test_something_of_a_skins_hue_is_found_in_passing():
    hidden = odd_colours(frames(12, (120, 90, 72), CHEEK, slice(3, 7)), ALL)
    assert share(hidden[4:6], CHEEK)[0] > 0.7 and hidden[8:].mean() < 0.05


def test_a_film_without_colours_hides_nothing():
    grey = frames(12, None, LOWER, slice(None)) * [0, 0, 1]
    assert not odd_colours(grey, ALL).any()


def test_colours_are_taken_from_around_the_points_and_irises_go_with_their_eye():
    image = np.zeros((100, 120, 3), np.uint8)
    image[:, 60:] = SKIN
    points = FACE[:, :2] * [0.5, -0.5] + [60, 50]
    colours = colours_at(image, points)
    left = points[:, 0] > 63
    assert np.allclose(colours[left, 2], np.log(SKIN[1] + 8.0)) and (colours[points[:, 0] < 57, 2] < 3).all()
    hidden = np.zeros((1, POINTS), bool)
    hidden[:, left] = True
    assert with_irises(hidden)[0, POINTS:].tolist() == [False] * 5 + [True] * 5


def test_where_lips_or_an_eye_should_be_and_skin_is_a_hand_is():
    rims = np.isin(np.arange(POINTS), sorted(LID_POINTS))
    assert not without_features(frames(12, None, rims, slice(None))).any()
    hidden = without_features(frames(12, SKIN, np.isin(np.arange(POINTS), LIPS), slice(None)))
    assert hidden[:, LIPS].all() and not hidden[:, rims].any() and hidden.mean() < 0.5
    left = rims & (FACE[:, 0] > 0)
    hidden = without_features(frames(12, SKIN, left, slice(None)))
    assert hidden[:, left].all() and not hidden[:, LIPS].any() and not hidden[:, rims & ~left].any()


def test_a_hand_covers_what_lies_under_its_fingers():
    class Seen:
        def hands(self, image: np.ndarray) -> list[np.ndarray]:
            hand = np.tile([50.0, 0.0], (21, 1))
            hand[0], hand[9:13] = [50, 100], [[50, 60], [50, 50], [50, 40], [50, 30]]
            return [hand]

    covered = behind_hands(Seen(), np.zeros((4, 4, 3), np.uint8), np.array([[50.0, 45.0], [52.0, 80.0], [70.0, 45.0]]))
    assert covered.tolist() == [True, True, False]
