"""Frame rates, blinks and gaze: short events survive, eyes behave."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.life import blinks, eye_channels, gaze
from engine.starter.resample import contacts_at, values_at


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 40), st.sampled_from([12, 23.976, 24, 25, 29.97, 30, 48, 50, 59.94, 60, 120]))
def test_a_one_frame_closure_survives_every_frame_rate(at, fps):
    contacts = np.zeros((50, 2), np.float32)
    contacts[at, 0] = 1
    out = contacts_at(contacts, 25, fps, int(2 * fps))
    assert out[:, 0].max() == 1
    assert abs(out[:, 0].argmax() / fps - at / 25) <= 0.5 / fps + 1e-6
    assert out[:, 1].max() == 0


def test_a_contact_becomes_no_longer():
    contacts = np.zeros((50, 2), np.float32)
    contacts[20:23, 0] = 1  # 400 to 440 ms
    for fps in (24, 30, 60):
        out = contacts_at(contacts, 50, fps, 2 * fps)[:, 0]
        assert set(np.flatnonzero(out == 1) / fps) <= {f / fps for f in range(2 * fps) if 0.4 - 1e-9 <= f / fps <= 0.44 + 1e-9}
        assert out.max() == 1 and out[: int(0.38 * fps) + 1].max() == 0


def test_values_are_placed_exactly_in_time():
    ramp = np.arange(26, dtype=np.float32)[:, None] / 25  # value = seconds
    for fps in (24, 25, 30, 60):
        out = values_at(ramp, 25, fps, int(fps))
        np.testing.assert_allclose(out[:, 0], np.arange(int(fps)) / fps, atol=1e-5)


def test_a_single_frame_can_be_resampled():
    assert values_at(np.ones((1, 3)), 25, 60, 2).shape == (2, 3)
    assert contacts_at(np.ones((1, 2), np.float32), 25, 60, 2).min() == 1


@pytest.mark.parametrize("fps", [24, 25, 30, 60])
def test_blinks_close_completely_and_come_as_often_as_people_blink(fps):
    minutes, counts = 5, []
    for seed in range(3):
        lids = blinks(fps, int(fps * 60 * minutes), np.zeros(int(fps * 60 * minutes), bool), np.random.default_rng(seed))
        assert 0 <= lids.min() and lids.max() <= 1
        starts = np.flatnonzero(np.diff((lids > 0.5).astype(int)) == 1)
        counts.append(len(starts) / minutes)
        peaks = [lids[s : s + int(0.3 * fps) + 2].max() for s in starts[:-1]]
        assert min(peaks) > 0.9
        assert np.diff(starts).min() / fps > 0.5
    assert 10 <= np.mean(counts) <= 25


def test_blinks_prefer_the_start_of_a_pause():
    fps, frames = 25, 25 * 600
    quiet = np.zeros(frames, bool)
    for start in range(0, frames, 75):  # a pause every 3 s
        quiet[start : start + 15] = True
    starts = np.flatnonzero(np.diff((blinks(fps, frames, quiet, np.random.default_rng(0)) > 0.5).astype(int)) == 1)
    shut = np.minimum(starts + 2, frames - 1)
    assert np.mean(quiet[shut]) > 0.36  # by chance it would be 0.2


def test_eyes_hold_their_target_when_the_head_turns():
    head = np.zeros((200, 3))
    head[:, 1] = 0.1 * np.sin(np.arange(200) / 20)
    still, turned = (gaze(25, 200, h, np.random.default_rng(5)) for h in (np.zeros((200, 3)), head))
    np.testing.assert_allclose(turned[:, 1] + head[:, 1], still[:, 1], atol=1e-9)
    assert np.abs(still).max() < 0.6


def test_lids_follow_the_gaze_on_the_right_side():
    down_left = eye_channels(np.array([[0.2, 0.3]]))  # positive pitch looks down, positive yaw to the subject's left
    assert down_left["eyeLookDownLeft"][0] > 0.3 and down_left["eyeLookUpLeft"][0] == 0
    assert down_left["eyeLookOutLeft"][0] > 0.3 and down_left["eyeLookInRight"][0] > 0.3
    assert down_left["eyeLookInLeft"][0] == down_left["eyeLookOutRight"][0] == 0
