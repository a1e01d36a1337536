"""What the starter's encoder hears beside the log-mel frames does not depend on steady noise or on a band's level."""

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from engine.audio import MEL_BANDS, SAMPLE_RATE, log_mel
from engine.starter.augment import at_frames, augment_mel, other_throat, other_voice, speaking_pace
from engine.starter.dereverberation import dry_log_mel
from engine.starter.front_end import BANDS, above_noise, hear, signal_to_noise


@pytest.fixture
def speech():
    """4 s of a buzz with moving formants, in syllables of 150 ms with gaps of 100 ms."""
    time = np.arange(4 * SAMPLE_RATE) / SAMPLE_RATE
    buzz = np.sign(np.sin(2 * np.pi * 120 * time)) * (0.3 + 0.2 * np.sin(2 * np.pi * 0.7 * time))
    sos = butter(2, [400, 2500], "bandpass", fs=SAMPLE_RATE, output="sos")
    return (sosfilt(sos, buzz) * ((time % 0.25) < 0.15)).astype(np.float32)


def test_the_second_half_ignores_the_microphone(speech):
    rng = np.random.default_rng(0)
    heard = speech + rng.normal(0, 1e-3, len(speech)).astype(np.float32)
    coloured = sosfilt(butter(1, 800, "highpass", fs=SAMPLE_RATE, output="sos"), heard).astype(np.float32)
    middle = slice(15, 60)  # bands well inside the speech
    plain = np.abs(log_mel(heard)[:, middle] - log_mel(coloured)[:, middle]).mean()
    steady = np.abs(above_noise(log_mel(heard))[:, middle] - above_noise(log_mel(coloured))[:, middle]).mean()
    assert steady < 0.3 * plain


def test_the_second_half_sinks_steady_noise(speech):
    rng = np.random.default_rng(1)
    noise = rng.normal(0, speech.std() * 10 ** (-15 / 20), len(speech)).astype(np.float32)
    time = np.arange(len(log_mel(speech))) / 100
    gap = (time % 0.25 > 0.19) & (time % 0.25 < 0.22)

    def depth(frames):
        """How far the gaps lie under the syllables, of what they do in the clean sound."""
        return frames[~gap].mean() - frames[gap].mean()

    middle = slice(15, 60)
    plain = depth(log_mel(speech + noise)[:, middle]) / depth(log_mel(speech)[:, middle])
    steady = depth(above_noise(log_mel(speech + noise))[:, middle]) / depth(above_noise(log_mel(speech))[:, middle])
    assert steady > plain + 0.1


def test_frames_are_finite_for_every_sound_and_ignore_the_level(speech):
    for samples in (np.zeros(100, np.float32), np.zeros(SAMPLE_RATE, np.float32), speech, speech[:50]):
        frames = hear(samples).frames
        assert frames.shape == (1 + len(samples) // 160, BANDS) and np.isfinite(frames).all()
        assert frames.dtype == np.float32 and np.abs(frames).max() < 5
    np.testing.assert_allclose(hear(speech).frames, hear(speech * 0.3).frames, atol=5e-3)
    np.testing.assert_array_equal(hear(speech, MEL_BANDS).frames, dry_log_mel(speech)[0])


def test_frames_are_read_where_the_pace_says(speech):
    mel = log_mel(speech)
    slow = at_frames(mel, np.arange(len(mel)) * 0.8)
    np.testing.assert_allclose(slow[100], mel[80], atol=1e-6)
    np.testing.assert_array_equal(at_frames(mel, np.arange(len(mel))), mel)


@pytest.mark.parametrize("seed", range(5))
def test_the_pace_never_stands_still_nor_runs_out_of_sound(seed):
    pace = speaking_pace(1024, np.random.default_rng(seed))
    assert pace.shape == (1025,) and pace[0] == 0 and pace[-1] <= 1024
    assert np.diff(pace).min() > 0.3 and np.diff(pace).max() < 2.5


def test_another_voice_keeps_or_flattens_what_it_is_told_to(speech):
    mel = log_mel(speech)
    np.testing.assert_allclose(other_voice(mel, 1.0, 1.0), mel, atol=1e-4)
    blurred = other_voice(mel, 0.0, 1.0)
    np.testing.assert_allclose(blurred.mean(axis=1), mel.mean(axis=1), atol=1e-4)
    assert np.abs(np.diff(blurred, axis=1)).mean() < 0.8 * np.abs(np.diff(mel, axis=1)).mean()
    assert np.ptp(other_voice(mel, 0.0, 0.0), axis=1).max() < 1e-3


def test_another_throat_moves_formants_and_no_times(speech):
    mel = log_mel(speech)
    moved = other_throat(mel, np.random.default_rng(3))
    assert np.abs(moved - mel).max() > 0.1
    np.testing.assert_allclose(np.corrcoef(moved.mean(axis=1), mel.mean(axis=1))[0, 1], 1, atol=0.02)
    assert augment_mel(mel, np.random.default_rng(0)).shape == mel.shape


def test_noise_is_told_from_a_quiet_room_at_any_level(speech):
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 1, len(speech)).astype(np.float32)
    quality = {db: signal_to_noise(log_mel(speech + noise * speech.std() * 10 ** (-db / 20))) for db in (5, 15, 25, 60)}
    assert quality[5] < quality[15] < quality[25] < quality[60]
    assert signal_to_noise(log_mel(0.1 * speech)) == pytest.approx(signal_to_noise(log_mel(speech)), abs=0.5)
