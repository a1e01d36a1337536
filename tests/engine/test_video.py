"""Frames in time and upright, and the sound on the picture's clock."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from engine.errors import InputError
from engine.video import read_frames, read_soundtrack, told_seconds, video_seconds

RATE = 48_000


def clicks(seconds: float, at: float) -> np.ndarray:
    samples = np.zeros(int(seconds * RATE), np.float32)
    samples[int(at * RATE) : int(at * RATE) + 200] = 0.9
    return samples


def video(
    path: Path, times: list[float], sound: np.ndarray | None = None, sound_at: float = 0.0, begins: float = 0.0
) -> Path:
    """Grey frames 64 x 48, red in the top left corner, brighter each; `begins`: the file's own clock at the first frame."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25, options={"qscale": "2"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        audio = None
        if sound is not None:
            audio = container.add_stream("pcm_s16le" if path.suffix == ".mkv" else "aac", rate=RATE, layout="mono")
        for i, time in enumerate(times):
            image = np.full((48, 64, 3), 20 + 5 * i, np.uint8)
            image[:16, :16] = (255, 0, 0)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = round(1000 * (time + begins)), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if audio is not None:
            for start in range(0, len(sound), 1024):
                part = (sound[None, start : start + 1024] * 32767).astype(np.int16)
                frame = av.AudioFrame.from_ndarray(part, format="s16", layout="mono")
                frame.sample_rate = RATE
                frame.pts, frame.time_base = start + round((begins + sound_at) * RATE), Fraction(1, RATE)
                container.mux(audio.encode(frame))
            container.mux(audio.encode())
    return path


def heard_at(samples: np.ndarray) -> float:
    return float(np.argmax(np.abs(samples) > 0.2)) / 16_000


@pytest.mark.parametrize("begins", [0.0, 3.2])
def test_frames_keep_their_times_whatever_the_rate_and_the_file_s_clock(tmp_path, begins):
    times = [0.0, 0.04, 0.09, 0.3, 0.31, 0.7]
    frames = list(read_frames(video(tmp_path / "v.mkv", times, begins=begins)))
    assert [f.time for f in frames] == pytest.approx(times, abs=1e-3)
    assert [int(f.image[30, 40].mean()) for f in frames] == pytest.approx([20 + 5 * i for i in range(6)], abs=4)
    assert frames[0].image.shape == (48, 64, 3) and frames[0].image[5, 5, 0] > 180 > frames[0].image[5, 5, 1] + 100


@pytest.mark.parametrize("length", [1.0, 8.0])
def test_a_part_begins_with_the_frame_on_the_screen_and_has_its_own_clock(tmp_path, length):
    times = [i / 25 for i in range(round(length * 25))]
    path = video(tmp_path / "v.mkv", times, begins=1.5)
    whole = list(read_frames(path))
    start = length - 0.6
    first = round(start * 25)
    for wanted in (0.0, 0.03):  # from a frame on; from between two frames on
        part = list(read_frames(path, (start + wanted, start + 0.4)))
        assert len(part) == 10
        assert part[0].time == 0 and part[1].time == pytest.approx(0.04 - wanted, abs=2e-3)
        assert np.array_equal(part[0].image, whole[first].image) and np.array_equal(part[-1].image, whole[first + 9].image)
    assert len(list(read_frames(path, (start, None)))) == len(times) - first
    assert told_seconds(video(tmp_path / "w.mkv", times)) == pytest.approx(length, abs=0.1)


def test_the_sound_of_a_part_begins_with_it(tmp_path):
    path = video(tmp_path / "v.mkv", [i / 25 for i in range(50)], clicks(2.0, 1.1), 0.25)
    assert heard_at(read_soundtrack(path, 0.5, 1.0)) == pytest.approx(0.35, abs=0.002)


def test_one_frame_is_a_short_video(tmp_path):
    frames = list(read_frames(video(tmp_path / "v.mkv", [0.0])))
    assert len(frames) == 1 and video_seconds(np.array([0.0])) == 0.04
    assert video_seconds(np.arange(10) / 30) == pytest.approx(10 / 30)


@pytest.mark.parametrize("begins", [0.0, 5.0])
@pytest.mark.parametrize("late", [-0.2, 0.0, 0.25])
def test_a_click_is_heard_when_it_is_seen(tmp_path, late, begins):
    """The click is half a second into the sound, the sound begins `late` after the picture."""
    begins = max(begins, -late)
    path = video(tmp_path / "v.mkv", [i / 25 for i in range(25)], clicks(1.0, 0.5), late, begins)
    samples = read_soundtrack(path, 1.0)
    assert len(samples) == 16_000
    assert heard_at(samples) == pytest.approx(0.5 + late, abs=0.002)


def test_compressed_sound_of_an_mp4_is_not_late(tmp_path):
    samples = read_soundtrack(video(tmp_path / "v.mp4", [i / 25 for i in range(50)], clicks(2.0, 1.1)), 2.0)
    assert heard_at(samples) == pytest.approx(1.1, abs=0.01)


def test_sound_is_cut_or_padded_to_the_picture_and_may_be_absent(tmp_path):
    path = video(tmp_path / "v.mkv", [0.0, 0.5], clicks(0.3, 0.1))
    assert [len(read_soundtrack(path, s)) for s in (0.1, 2.0)] == [1600, 32_000]
    assert read_soundtrack(video(tmp_path / "mute.mkv", [0.0, 0.5]), 1.0) is None


@pytest.mark.parametrize(("turn", "corner"), [(90, (slice(0, 16), slice(-16, None))), (270, (slice(-16, None), slice(0, 16)))])
def test_a_phone_s_turned_video_stands_upright(tmp_path, turn, corner):
    """The matrix in the track header of an mp4 (ISO/IEC 14496-12, 8.3.2): a quarter turn clockwise, and the other way."""
    path = video(tmp_path / "v.mp4", [0.0, 0.04, 0.08])
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 4 + 40
    one = (1 << 16).to_bytes(4, "big", signed=True)
    minus, zero, unity = (-(1 << 16)).to_bytes(4, "big", signed=True), bytes(4), (1 << 30).to_bytes(4, "big")
    a, b = (one, minus) if turn == 90 else (minus, one)
    content[place : place + 36] = zero + a + zero + b + zero + zero + zero + zero + unity
    path.write_bytes(content)
    image = next(iter(read_frames(path))).image
    assert image.shape == (64, 48, 3)
    patch = image[corner].astype(int).reshape(-1, 3).mean(axis=0)
    assert patch[0] > 150 and patch[1] < 90


def test_what_is_no_video_is_said_in_one_sentence(tmp_path):
    import soundfile

    (tmp_path / "text.mp4").write_text("hello")
    soundfile.write(tmp_path / "sound.wav", np.zeros(1000), 16_000)
    whole = video(tmp_path / "v.mp4", [0.0, 0.04]).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.mp4").write_bytes(b"")
    for name in ("absent.mp4", "text.mp4", "sound.wav", "cut.mp4", "empty.mp4"):
        with pytest.raises(InputError, match=r"^[A-Z'].*\.$"):
            list(read_frames(tmp_path / name))
