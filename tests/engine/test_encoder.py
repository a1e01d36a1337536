"""The speech encoder's frames stand where they claim to stand."""

import pytest
import torch

from engine.starter.encoder import EncoderConfig, MouthRegressor, RegressorConfig, SpeechEncoder


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return SpeechEncoder(EncoderConfig(phones=5, controls=3, width=16, dilations=(1, 2))).eval()


@pytest.mark.parametrize("at", [40, 41, 120])
def test_a_feature_frame_is_centred_on_twenty_milliseconds_times_its_number(encoder, at):
    mel = torch.zeros(1, 201, 80)
    quiet = encoder(mel)[0]
    mel[0, at] = 3.0  # 10 ms frame `at`
    change = (encoder(mel)[0] - quiet).abs().sum(-1)[0]
    frames = torch.nonzero(change > 1e-6).flatten().double()
    assert abs(frames.mean().item() * 2 - at) <= 1  # symmetric about its own time


def test_conditions_pair_consecutive_frames_and_cover_every_motion_frame(encoder):
    mel = torch.randn(2, 101, 80)
    features, phones, _ = encoder(mel)
    conditions = encoder.conditions(mel, 30)
    assert conditions.shape == (2, 30, encoder.feature_dim) and encoder.feature_dim == 2 * (16 + 5)
    first = torch.cat([features[:, 6], phones[:, 6].softmax(-1)], dim=-1)
    torch.testing.assert_close(conditions[:, 3, : 16 + 5], first)
    torch.testing.assert_close(conditions[:, 29], conditions[:, 28])  # beyond the sound the last frame is held


def test_silence_is_the_less_silent_of_the_pair(encoder):
    mel = torch.randn(1, 101, 80)
    probability = encoder(mel)[1].softmax(-1)[..., 0]
    expected = torch.minimum(probability[:, 0:50:2], probability[:, 1:51:2])
    torch.testing.assert_close(encoder.silence(encoder.conditions(mel, 25)), expected)


def test_the_regressor_gives_its_mouth_and_two_contacts_twice_a_frame():
    regressor = MouthRegressor(RegressorConfig(feature_dim=10, emotions=7, mouth=("jawOpen", "mouthClose")))
    mouth, contacts = regressor(torch.zeros(3, 20, 10), torch.zeros(3, 20, 7))
    assert mouth.shape == (3, 20, 2) and contacts.shape == (3, 40, 2)


def test_blocks_join_exactly(encoder, monkeypatch):
    mel = torch.randn(1, 701, 80)
    whole = encoder.in_blocks(mel)
    monkeypatch.setattr("engine.starter.encoder.BLOCK", 100)
    torch.testing.assert_close(encoder.in_blocks(mel), whole, rtol=1e-5, atol=1e-5)
    assert whole.shape == (1, 351, 21)
