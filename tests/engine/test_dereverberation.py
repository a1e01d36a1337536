"""Echoes of a room are taken out of the log-mel frames; dry sound stays as it is."""

import numpy as np
import pytest
from scipy.signal import butter, fftconvolve, sosfilt

from engine.audio import SAMPLE_RATE, log_mel
from engine.starter.dereverberation import BLOCK, dry_log_mel, dry_power, predicted_echo


def speech(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise through formants that change with every syllable of 180 ms, with gaps of 60 ms."""
    rng = np.random.default_rng(seed)
    out = np.zeros((round(seconds / 0.24), round(0.24 * SAMPLE_RATE)))
    for syllable in out:
        low = rng.uniform(200, 2500)
        band = butter(2, [low, low * 1.6], "bandpass", fs=SAMPLE_RATE, output="sos")
        syllable[:2880] = sosfilt(band, rng.standard_normal(2880))
    return (0.1 * out.ravel()).astype(np.float32)


def in_a_room(samples: np.ndarray) -> np.ndarray:
    """RT60 0.5 s, the echoes as loud as the direct sound."""
    length = SAMPLE_RATE // 2
    tail = np.random.default_rng(5).standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
    tail[:160] = 0
    tail /= np.sqrt((tail**2).sum())
    tail[0] = 1
    return fftconvolve(samples, tail)[: len(samples)].astype(np.float32)


@pytest.mark.parametrize("seconds", [2.88, 9.6])
def test_echoes_fill_the_gaps_less(seconds):
    dry = speech(seconds)
    wet = in_a_room(dry)
    time = np.arange(len(log_mel(dry))) / 100
    gap = (time % 0.24 > 0.20) & (time % 0.24 < 0.23)
    cleaned, echoing = dry_log_mel(wet)
    assert echoing == 1
    faint, wetter, dryer = (gap_level(frames, gap) for frames in (log_mel(dry), log_mel(wet), cleaned))
    assert faint < dryer - 10 and dryer < wetter - 1.2  # dB


def gap_level(frames: np.ndarray, gap: np.ndarray) -> float:
    """How far the gaps' power lies over the syllables', dB."""
    power = np.exp(4 * (frames - 1))
    return float(10 * np.log10(power[gap].mean() / power[~gap].mean()))


def test_dry_sound_stays_as_it_is():
    dry = speech(4.8)
    frames, echoing = dry_log_mel(dry)
    assert echoing == 0
    np.testing.assert_allclose(frames, log_mel(dry), atol=1e-5)


def test_the_first_frames_have_no_echo_and_silence_none_at_all():
    rng = np.random.default_rng(1)
    spectra = (rng.standard_normal((50, 3)) + 1j * rng.standard_normal((50, 3))).astype(np.complex64)
    assert np.abs(predicted_echo(spectra)[0]).max() == 0
    for frames in (1, 2, 30):
        assert np.array_equal(dry_power(np.zeros((frames, 5), np.complex64))[0], np.zeros((frames, 5)))


def test_an_echo_of_exactly_one_kind_is_predicted():
    rng = np.random.default_rng(2)
    direct = rng.standard_normal((3000, 1)) + 1j * rng.standard_normal((3000, 1))
    heard = direct.copy()
    heard[4:] += 0.6 * direct[:-4]  # the prediction from what was heard: 0.6, -0.36, ... every fourth frame
    left = heard.astype(np.complex64) - predicted_echo(heard.astype(np.complex64))
    assert np.abs(left - direct).mean() < 0.3 * np.abs(heard - direct).mean()


def test_long_sounds_are_cleaned_in_blocks_without_seams():
    wet = in_a_room(speech(2.4 * BLOCK / 100))
    whole, _ = dry_log_mel(wet)
    assert np.isfinite(whole).all() and len(whole) == len(log_mel(wet))
    steps = np.abs(np.diff(whole, axis=0)).mean(axis=1)
    joints = [round(len(whole) / 2) + d for d in (-51, -50, -1, 0, 49, 50)]
    assert steps[joints].max() < np.percentile(steps, 99)
