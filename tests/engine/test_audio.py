"""Sound loading: every format and rate arrives at the right time and level; bad files end in one sentence."""

import numpy as np
import pytest
import soundfile
from scipy.signal import resample_poly

from engine import wav
from engine.audio import MEL_BANDS, SAMPLE_RATE, load_audio, log_mel, resample
from engine.errors import InputError


def tone_with_click(rate, seconds=1.0, click_at=0.4):
    time = np.arange(round(rate * seconds)) / rate
    wave = 0.05 * np.sin(2 * np.pi * 440 * time)
    at = round(click_at * rate)
    wave[at : at + round(0.004 * rate)] += 0.8
    return wave


def click_time(samples):
    return np.argmax(np.abs(samples)) / SAMPLE_RATE


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000, 96000])
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_rates_and_channels_keep_time_and_level(tmp_path, rate, channels):
    wave = tone_with_click(rate)
    soundfile.write(tmp_path / "a.wav", np.repeat(wave[:, None], channels, 1), rate)
    samples = load_audio(tmp_path / "a.wav")
    assert samples.dtype == np.float32
    assert abs(len(samples) / SAMPLE_RATE - 1.0) < 2e-4
    assert 0.398 < click_time(samples) < 0.406
    steady = samples[SAMPLE_RATE // 2 : -1000]
    assert abs(steady.std() - 0.05 / np.sqrt(2)) < 0.003


@pytest.mark.parametrize(
    ("rate", "samples"),
    [(r, n) for r in (8000, 11025, 22050, 44100, 48000, 96000) for n in (0, 1, 2, 777, 30_001)] + [(44_101, 9000)],
)
def test_resampling_is_scipys(rate, samples):
    wave = np.random.default_rng(rate).normal(0, 0.2, samples).astype(np.float32)
    common = np.gcd(rate, SAMPLE_RATE)
    expected = resample_poly(wave.astype(np.float64), SAMPLE_RATE // common, rate // common) if samples else wave
    np.testing.assert_allclose(resample(wave, rate), expected, atol=1e-7)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("kind", ["WAV", "WAVEX"])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_wav_files_are_read_as_libsndfile_reads_them(tmp_path, subtype, kind, channels):
    path = tmp_path / "a.wav"
    wave = np.random.default_rng(1).normal(0, 0.3, (3001, channels)).clip(-1, 1)
    soundfile.write(path, wave, 22050, subtype=subtype, format=kind)
    header = wav.read_header(path)
    assert wav.is_plain(header) and (header.rate, header.channels) == (22050, channels)
    expected = soundfile.read(path, dtype="float32", always_2d=True)[0].mean(axis=1)
    np.testing.assert_allclose(wav.read_samples(path, header), expected, atol=2e-7)


def test_other_wav_files_are_left_to_libsndfile(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone_with_click(16000), 16000, subtype="IMA_ADPCM")
    assert not wav.is_plain(wav.read_header(tmp_path / "a.wav"))
    assert 0.395 < click_time(load_audio(tmp_path / "a.wav")) < 0.41


def test_a_wav_that_was_written_as_a_stream_is_read_to_its_end(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone_with_click(16000), 16000, subtype="PCM_16")
    whole = (tmp_path / "a.wav").read_bytes()
    at = whole.index(b"data") + 4
    (tmp_path / "b.wav").write_bytes(whole[:at] + b"\xff\xff\xff\xff" + whole[at + 4 :])
    np.testing.assert_array_equal(load_audio(tmp_path / "b.wav"), load_audio(tmp_path / "a.wav"))


def test_a_wav_with_any_header_is_read_or_refused_in_a_sentence(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone_with_click(16000, 0.1, 0.05), 16000, subtype="PCM_16")
    whole = bytearray((tmp_path / "a.wav").read_bytes())
    rng = np.random.default_rng(2)
    for _ in range(120):
        changed = whole.copy()
        for at in rng.integers(12, 44, rng.integers(1, 6)):
            changed[at] = rng.integers(256)
        (tmp_path / "b.wav").write_bytes(changed)
        try:
            assert np.isfinite(load_audio(tmp_path / "b.wav")).all()
        except InputError as error:
            assert str(error).endswith(".") and "\n" not in str(error)


@pytest.mark.parametrize("name", ["a.flac", "a.ogg", "a.mp3"])
def test_compressed_files(tmp_path, name):
    soundfile.write(tmp_path / name, tone_with_click(44100), 44100)
    samples = load_audio(tmp_path / name)
    assert 0.395 < click_time(samples) < 0.41


def test_the_sound_of_an_m4a_and_of_a_name_beyond_ascii(tmp_path):
    import av

    path = tmp_path / "größe 嘴.m4a"
    wave = tone_with_click(44100).astype(np.float32)
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        for start in range(0, len(wave), 1024):
            frame = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 44100, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    samples = load_audio(path)
    assert 0.39 < click_time(samples) < 0.43  # AAC starts up to 1024 samples late where the edit list is ignored


def broken_files(tmp_path):
    wave = tone_with_click(16000)
    soundfile.write(tmp_path / "whole.wav", wave, 16000)
    whole = (tmp_path / "whole.wav").read_bytes()
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "cut.wav").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "header.wav").write_bytes(whole[:30])
    (tmp_path / "text.wav").write_text("this is no sound at all, but a letter\n" * 50)
    (tmp_path / "text.mp4").write_text("neither is this\n" * 50)
    soundfile.write(tmp_path / "nan.wav", np.full(8000, np.nan), 16000, subtype="FLOAT")
    soundfile.write(tmp_path / "nothing.wav", np.zeros(0), 16000)
    return ["missing.wav", "empty.wav", "cut.wav", "header.wav", "text.wav", "text.mp4", "nan.wav", "nothing.wav", "."]


def test_bad_files_end_in_one_sentence(tmp_path):
    for name in broken_files(tmp_path):
        with pytest.raises(InputError) as caught:
            load_audio(tmp_path / name)
        sentence = str(caught.value)
        assert sentence.endswith(".") and "\n" not in sentence, name


def test_log_mel_frames_are_centred_and_ignore_the_level():
    wave = np.zeros(SAMPLE_RATE, np.float32)
    wave[8000:8800] = np.sin(2 * np.pi * 1000 * np.arange(800) / SAMPLE_RATE)
    mel = log_mel(wave)
    assert mel.shape == (101, MEL_BANDS)
    loud = mel.sum(1)
    middle = (np.arange(101) * (loud - loud.min())).sum() / (loud - loud.min()).sum()
    assert abs(middle - 52.5) < 0.6  # the burst's middle is at 525 ms
    speech = np.random.default_rng(0).normal(size=SAMPLE_RATE).astype(np.float32) * 0.1
    np.testing.assert_allclose(log_mel(speech), log_mel(speech * 0.3), atol=2e-3)


def test_silence_is_not_amplified_to_speech():
    speech = np.random.default_rng(0).normal(size=SAMPLE_RATE).astype(np.float32) * 0.1
    assert log_mel(np.zeros(SAMPLE_RATE, np.float32)).mean() < log_mel(speech).mean() - 1
    assert log_mel(speech * 1e-5).mean() < log_mel(speech).mean() - 0.8


def test_a_twentieth_of_a_second_is_enough(tmp_path):
    soundfile.write(tmp_path / "short.wav", np.zeros(800), 16000)
    assert log_mel(load_audio(tmp_path / "short.wav")).shape == (6, MEL_BANDS)
