"""Targets of the mouth: closures are reached whatever stands around them, vowels open in the order of their height."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.starter.articulation import (
    ARTICULATION,
    CONTROLS,
    GRID,
    JAW,
    PUCKER,
    Style,
    contact,
    contact_frames,
    mouth_controls,
    random_style,
    to_frames,
)
from engine.starter.phones import PHONES

CLOSE, FV = CONTROLS.index("close"), CONTROLS.index("fv")


def spoken(phones, length=0.1, **more):
    edges = np.arange(len(phones) + 1) * length
    return mouth_controls(phones, edges[:-1], edges[1:], edges[-1], **more)


def test_every_phone_of_the_inventory_has_a_shape():
    assert set(ARTICULATION) == set(PHONES)


def test_vowels_open_in_the_order_of_their_height():
    opening = [spoken(["sil", "d", v, "d", "sil"])[25, JAW] for v in ("i", "e", "ɛ", "a")]
    assert opening == sorted(opening) and opening[-1] > opening[0] + 0.15


def test_rounding_starts_before_the_rounded_vowel():
    curves = spoken(["sil", "s", "t", "u", "s"])
    assert curves[:, PUCKER].argmax() in range(30, 41)
    assert curves[25, PUCKER] > 0.1  # already during the t


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(PHONES), min_size=1, max_size=6),
    st.sampled_from("pbm"),
    st.lists(st.sampled_from(PHONES), min_size=1, max_size=6),
    st.floats(0.03, 0.2),
    st.integers(0, 99),
    st.sampled_from([25, 50]),
)
def test_a_bilabial_closes_completely_in_some_frame(before, bilabial, after, length, seed, rate):
    rng = np.random.default_rng(seed)
    phones = [*before, bilabial, *after]
    edges = np.arange(len(phones) + 1) * length
    style = random_style(rng)
    curves = mouth_controls(phones, edges[:-1], edges[1:], edges[-1], style, rng)
    assert curves.min() >= 0 and curves.max() <= 1
    frames = to_frames(curves, rate, round(edges[-1] * rate) + 1)
    around = (edges[len(before)] - 0.12, edges[len(before) + 1] + 0.12)  # jitter and lag move it a little
    inside = slice(max(0, int(around[0] * rate)), int(around[1] * rate) + 2)
    assert frames[inside, CLOSE].max() > 0.99


def test_no_closure_without_a_bilabial():
    curves = spoken(["sil", "a", "n", "t", "f", "u", "s", "k", "sil"])
    assert curves[:, CLOSE].max() == 0
    assert curves[40:50, FV].max() == 1


def test_a_long_closure_keeps_its_release():
    time = np.arange(0, 1, 0.01)
    shut = contact(time, 0.2, 0.8)
    assert shut[int(0.8 * GRID) - 1] == 1 and shut[int(0.8 * GRID) + 4] == 0
    assert shut[int(0.5 * GRID)] == 0  # an over-long hold is shortened at its start


def test_contact_frames_show_the_moment():
    curves = spoken(["sil", "a", "p", "a", "sil"])
    frames = contact_frames(curves, 20)
    assert frames.shape == (20, 2)
    np.testing.assert_array_equal(frames[:, 0], curves[:40:2, CLOSE])
    assert frames[:, 0].max() == 1 and contact_frames(curves, 200)[150].max() == curves[-1, CLOSE]


def test_frames_are_centred_on_their_time():
    curves = np.zeros((101, len(CONTROLS)), np.float32)
    curves[48:52, JAW] = 1  # 480 to 510 ms
    frames = to_frames(curves, 25, 25)
    assert frames[:, JAW].argmax() == 12  # 480 ms


def test_style_changes_strength_not_silence():
    loud, plain = spoken(["sil", "a", "sil"], style=Style(jaw_gain=1.5)), spoken(["sil", "a", "sil"])
    assert loud[15, JAW] > plain[15, JAW] * 1.4
    assert spoken(["sil"] * 3)[:, JAW].max() < 1e-3


def test_an_unknown_phone_is_refused():
    with pytest.raises(KeyError):
        spoken(["sil", "Q!"])
