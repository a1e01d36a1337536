"""From a video to a motion file with a small model: occlusion, sound, time, and bad input."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.errors import Cancelled, InputError
from engine.motion import FaceMotion
from engine.occlufacediff.model import save_model
from engine.track import TrackOptions, track

from .occlufacediff.conftest import CONFIG, tensors_of
from .occlufacediff.test_landmarks import face
from .occlufacediff.test_occlusion import picture
from .test_video import clicks, video

ROOT = Path(__file__).resolve().parents[2]
MOUTH_POINTS = [0, 13, 14, 17, 61, 291]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_model(folder, CONFIG, tensors_of())
    return folder


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    """2 s at 30 frames per second; the picture is grey, the face comes from `actor`."""
    return video(tmp_path_factory.mktemp("film") / "film.mkv", [i / 30 for i in range(60)], clicks(2.0, 0.7))


def actor(moved: float = 0.0):
    """A detector of a face in the middle of the 64 x 48 frame, whose mouth is `moved` px down."""
    counter = iter(range(10_000))

    def detect(image: np.ndarray) -> list[np.ndarray]:
        points = face(0.2 * np.sin(next(counter) / 7), 0.2, 32, 22)
        points[MOUTH_POINTS] += [0, moved]
        return [points]

    return detect


def run(film: Path, model: Path, moved: float = 0.0, **options) -> FaceMotion:
    return track(film, TrackOptions(**{"steps": 4, "device": "cpu", **options}), model, detector=actor(moved))


def test_a_video_gives_25_frames_per_second_of_expression_and_jaw(film, model):
    motion = run(film, model)
    assert motion.frames == 50 and motion.fps == 25 and motion.expression.shape == (50, 100)
    assert motion.meta["visible_share"] == 1 and motion.meta["audio"] == "the video's own"
    assert {"load", "detect", "audio", "features", "sampling", "decode"} <= set(motion.meta["seconds"])
    assert np.array_equal(motion.expression, run(film, model).expression)


@pytest.mark.parametrize("kind", ["mouth", "mask", "folder"])
def test_what_is_hidden_by_name_or_mask_has_no_influence(film, model, tmp_path, kind):
    if kind == "mouth":
        occlusion = "mouth"
    else:
        pixels = np.zeros((96, 128, 3), np.uint8)
        pixels[56:] = 255  # below y = 28 of the 48 rows
        (tmp_path / "masks").mkdir()
        for i in range(60 if kind == "folder" else 1):
            picture(tmp_path / "masks" / f"{i}.png", pixels)
        occlusion = str(tmp_path / "masks" if kind == "folder" else tmp_path / "masks" / "0.png")
    hidden = run(film, model, occlusion=occlusion)
    assert 0.4 < hidden.meta["visible_share"] < 0.95
    assert np.array_equal(hidden.expression, run(film, model, 2.0, occlusion=occlusion).expression)
    assert not np.array_equal(run(film, model).expression, run(film, model, 2.0).expression)


def test_by_sound_alone_nobody_looks_and_without_sound_nobody_listens(film, model, tmp_path):
    def blind(image: np.ndarray) -> list[np.ndarray]:
        raise AssertionError("nobody should look")

    options = TrackOptions("audio_only", steps=4, device="cpu")
    assert track(film, options, model, detector=blind).meta["visible_share"] == 0
    mute = video(tmp_path / "mute.mkv", [i / 25 for i in range(25)])
    assert run(mute, model).meta["audio"] == "none"
    with pytest.raises(InputError, match="has no sound"):
        track(mute, options, model)
    soundfile.write(tmp_path / "other.wav", clicks(1.0, 0.2), 48_000)
    with_sound = run(mute, model, audio=tmp_path / "other.wav")
    assert with_sound.meta["audio"] == "other.wav"
    assert not np.array_equal(with_sound.expression, run(mute, model).expression)


def test_a_face_outside_the_frame_is_hidden_there(film, model):
    half = track(film, TrackOptions(steps=4, device="cpu"), model, detector=lambda image: [face(0, 0.2, 0, 22)])
    assert 0.3 < half.meta["visible_share"] < 0.7


def test_a_single_frame_is_a_motion(model, tmp_path):
    assert run(video(tmp_path / "one.mkv", [0.0]), model).frames == 1


def test_bad_input_is_one_sentence_and_tracking_can_be_stopped(film, model, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text('{"kind": "lgldm"}')
    for call in (
        lambda: run(film, model, occlusion="nose"),
        lambda: run(film, model, steps=0),
        lambda: run(film, tmp_path / "absent"),
        lambda: run(film, tmp_path / "other"),
        lambda: run(tmp_path / "absent.mp4", model),
        lambda: run(film, model, device="toaster"),
        lambda: track(film, TrackOptions(steps=4, device="cpu"), model, detector=lambda image: []),
    ):
        with pytest.raises(InputError, match=r"^[A-Z'].*\.$"):
            call()
    with pytest.raises(Cancelled):
        track(film, TrackOptions(device="cpu"), model, cancelled=lambda: True, detector=actor())


def test_the_command_writes_a_whole_file_or_none(film, model, tmp_path):
    out = tmp_path / "motion.npz"
    arguments = ["track", film, "--model", model, "--steps", 3, "--device", "cpu", "--out", out]
    command = [sys.executable, "-m", "engine", *map(str, arguments)]
    failed = subprocess.run([*command, "--occlusion", "nose"], cwd=ROOT, capture_output=True, text=True)
    assert failed.returncode != 0 and len(failed.stderr.strip().splitlines()) == 1 and not list(tmp_path.iterdir())
    part = ["--occlusion", "audio_only", "--start", "0.5", "--end", "1.3"]
    done = subprocess.run([*command, *part], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert FaceMotion.load(out).frames == 20
    same = track(film, TrackOptions("audio_only", steps=3, device="cpu", start=0.5, end=1.3), model)
    assert np.allclose(FaceMotion.load(out).jaw_pose, same.jaw_pose, atol=1e-5)


def test_the_starter_drives_its_own_head_without_a_model_being_named(film, tmp_path):
    told, looked = [], []
    options = TrackOptions(steps=2, device="cpu", landmarks=True, vertices=True)
    motion = track(film, options, progress=lambda *step: told.append(step[0]), detector=actor(), looked=looked.append)
    assert motion.frames == 50 and motion.weights.shape == (50, 52) and motion.meta["model"] == "tracker"
    assert motion.landmarks68.shape == (50, 68, 3) and motion.vertices.shape[::2] == (50, 3)
    assert 0 <= motion.weights.min() and motion.weights.max() <= 1
    assert {"load", "detect", "features", "sampling", "decode"} <= set(told)
    assert looked[0].points.shape == (60, 478, 2) and motion.meta["faces"] == 1
    for kind in ("mouth", "audio_only"):
        seen, moved = (track(film, TrackOptions(kind, steps=2, device="cpu"), detector=actor(by)) for by in (0.0, 2.0))
        assert np.array_equal(seen.weights, moved.weights) and np.array_equal(seen.rotations, moved.rotations)


def test_two_faces_a_face_that_leaves_and_a_single_frame(film, tmp_path):
    def two(image: np.ndarray) -> list[np.ndarray]:
        return [face(0, 0.1, 12, 22), face(0, 0.2, 32, 22)]

    options = TrackOptions(steps=2, device="cpu")
    assert track(film, options, detector=two).meta["faces"] == 2
    counter = iter(range(10_000))
    leaving = track(film, options, detector=lambda image: [face(0, 0.2, 32 + 2 * next(counter), 22)])
    assert leaving.frames == 50 and leaving.meta["visible_share"] < 0.5
    assert track(video(tmp_path / "one.mkv", [0.0]), options, detector=actor()).frames == 1


def test_a_mask_over_the_mouth_of_any_film_is_a_motion(film, tmp_path):
    """Of another size than the film; of a single frame; of a face that leaves; hidden points have no influence."""
    pixels = np.zeros((24, 32, 3), np.uint8)
    pixels[12:] = 255
    picture(tmp_path / "mask.png", pixels)
    options = TrackOptions(str(tmp_path / "mask.png"), steps=2, device="cpu")
    seen, moved = (track(film, options, detector=actor(by)) for by in (0.0, 2.0))
    assert np.array_equal(seen.weights, moved.weights) and 0.2 < seen.meta["visible_share"] < 0.9
    one = track(video(tmp_path / "one.mkv", [0.0]), options, detector=actor())
    counter = iter(range(10_000))
    leaving = track(film, options, detector=lambda image: [face(0, 0.2, 32, 22)] if next(counter) < 30 else [])
    for motion, frames in ((one, 1), (leaving, 50)):
        assert motion.frames == frames and np.isfinite(motion.weights).all() and np.isfinite(motion.rotations).all()


def test_what_is_in_the_way_is_found_when_asked(film, monkeypatch):
    import contextlib
    from types import SimpleNamespace

    from engine.occlufacediff.starter import automatic

    worker = SimpleNamespace(hands=lambda image: [np.tile([32.0, 30.0], (21, 1)) + np.linspace(0, 12, 21)[:, None]])
    monkeypatch.setattr(automatic, "mediapipe_worker", lambda: contextlib.nullcontext(worker))
    motion = track(film, TrackOptions("auto", steps=2, device="cpu"), detector=actor())
    assert motion.meta["occlusion"] == "auto" and 0.3 < motion.meta["visible_share"] < 1


def test_flame_models_have_no_starter_head(film, model):
    with pytest.raises(InputError, match="landmarks and vertices are the starter head's"):
        run(film, model, landmarks=True)


def test_a_part_of_a_video_is_followed_as_if_it_were_all_of_it(film, model, tmp_path):
    """From 0.5 s to 1.5 s; masks at 10 pictures per second of the video hide everything from 1 s on."""
    (tmp_path / "masks").mkdir()
    for i in range(20):
        picture(tmp_path / "masks" / f"{i}.png", np.full((6, 8, 3), 255 if i >= 10 else 0, np.uint8))
    part = {"start": 0.5, "end": 1.5, "occlusion": str(tmp_path / "masks"), "masks_fps": 10.0}
    motion = run(film, model, **part)
    assert motion.frames == 25 and motion.meta["visible_share"] == pytest.approx(0.5, abs=0.03)
    assert run(film, model, **part, masks_start=0.5).meta["visible_share"] == 1
    sound = tmp_path / "click.wav"
    soundfile.write(sound, clicks(1.0, 0.2), 16_000)
    own, given = (run(film, model, start=0.5, end=1.5, audio=audio).jaw_pose for audio in (None, sound))
    assert np.allclose(own, given, atol=1e-3), "the film's click at 0.7 s is 0.2 s after the start"
    with pytest.raises(InputError, match=r"ends \(0.2 s\) before it begins \(1.0 s\)"):
        run(film, model, start=1.0, end=0.2)
    with pytest.raises(InputError, match=r"is over after 2\.\d+ s, before 2.5 s"):
        run(film, model, start=2.5)
