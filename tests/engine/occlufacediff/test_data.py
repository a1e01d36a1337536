"""MEAD's preparation and loader: what is made, what is kept, what is said; and that every convention agrees."""

from __future__ import annotations

import importlib.util
import pickle
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from engine import cli
from engine.errors import InputError
from engine.face.flame import load_flame
from engine.face.flame_torch import FlameLayer
from engine.occlufacediff.data import OccluData, batches
from engine.occlufacediff.geometry import load_embedding, pose
from engine.occlufacediff.mead import SENTENCES, SUBJECTS, Place, split_of
from engine.occlufacediff.preparation import (
    STEPS,
    convert_video,
    load_index,
    load_sentences,
)
from engine.occlufacediff.regions import EMBEDDING
from engine.video import read_frames

from .test_landmarks import face


def module_from(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{path.stem}_of_occlufacediff", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


synthetic = module_from(Path(__file__).resolve().parents[3] / "scripts" / "make_synthetic_data.py")
video = module_from(Path(__file__).resolve().parents[1] / "test_video.py").video
CPU = torch.device("cpu")


def nobody(*_: object) -> None:
    pass


@pytest.fixture(scope="module")
def mead(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("mead") / "data"
    synthetic.write_dataset("occlufacediff", folder, vertices=12, seconds=2.8, per_subject=1)
    return folder


@pytest.fixture
def own(mead, tmp_path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(mead, tmp_path / "data"))


def tree(folder: Path) -> dict[Path, tuple[int, bytes]]:
    return {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_published_split():
    assert len(SUBJECTS["train"]) == 38 and len(SUBJECTS["test"]) == 5 and not set(SUBJECTS["train"]) & set(SUBJECTS["test"])
    assert split_of("M011/front/sad/level_2/020", 19) == "train" and split_of("W011/front/sad/level_2/003", 2) == "test"
    assert split_of("M011/front/sad/level_2/003", 2) == "" == split_of("W011/front/sad/level_2/020", 19)
    assert SENTENCES["train"][0] == 10 and SENTENCES["train"][-1] == 199


def test_parameters_camera_landmarks_and_sound_agree(mead):
    """FLAME's landmarks through the recorded camera fall on the prepared ones: crop, axes, units and order are one."""
    flame = load_flame(mead / "flame.pkl")
    embedding = load_embedding(mead / "mediapipe_landmark_embedding.npz", flame.faces)
    data = OccluData(mead, "train")
    rng = np.random.default_rng(0)
    batch = next(batches(data, 2, 64, rng, CPU, "visual", 1))
    assert batch.motion.shape == (2, 64, 103) and batch.samples.shape == (2, 64, 640) and batch.visible.shape == (2, 64, 468)
    posed = pose(FlameLayer(flame), embedding, batch.motion, batch.subject)
    error = (posed.landmarks2d - batch.landmarks[:, :, torch.from_numpy(EMBEDDING)]).abs().amax(dim=(2, 3))
    # A nineteenth of the frames had no face and are filled between their neighbours, though the camera moved.
    assert (error < 1e-5).float().mean() > 0.9 and error.max() < 0.6
    clip = data.clip(0)
    loudness = clip.samples.std(axis=1)
    assert np.corrcoef(loudness, clip.motion[:, 100])[0, 1] > 0.8  # the sound swells when the jaw opens
    whole = np.load(Place(mead, clip.name).sound)
    assert whole.mean() == pytest.approx(0, abs=1e-5) and whole.std() == pytest.approx(1, abs=1e-3)


def test_one_mask_hides_landmarks_of_the_whole_batch_and_differs_by_draw(mead):
    data = OccluData(mead, "train")
    masks = [b.visible for b in batches(data, 3, 64, np.random.default_rng(1), CPU, "visual", 8)]
    assert len(masks) == 8
    assert all(torch.equal(m[0], m[1]) and torch.equal(m[0], m[2]) for m in masks)
    assert len({m[0].sum().item() for m in masks}) > 3


def test_processes_share_one_shuffle_and_the_rest_is_dropped(mead):
    data = OccluData(mead, "train")

    def drawn(share: tuple[int, int]) -> list[float]:
        rng = np.random.default_rng(4)
        return [float(m) for b in batches(data, 1, 64, rng, CPU, "visual", 2, share) for m in b.subject.shape[:, 0, 0]]

    assert sorted(drawn((0, 2)) + drawn((1, 2))) == sorted(drawn((0, 1)))
    assert len(list(batches(data, 2, 64, np.random.default_rng(0), CPU, "visual", 1))) == 1
    assert len(list(batches(data, 9, 64, np.random.default_rng(0), CPU, "visual", 1))) == 1  # few, but all there are


def test_a_second_run_makes_nothing_and_touches_nothing(own, capsys):
    before = tree(own)
    assert cli.main(["prepare", "mead", "--data", str(own), "--step", "audio", "--step", "landmarks"]) == 0
    nothing = "0 files made, 5 there already, 0 left out"
    assert capsys.readouterr().out.splitlines() == [f"audio: {nothing}", f"landmarks: {nothing}"]
    assert tree(own) == before


def test_an_interrupted_step_goes_on_and_leaves_the_sources_alone(own):
    sources = {p: v for p, v in tree(own).items() if "original" in str(p) or "reconstructions" in str(p)}
    kept = sorted(own.glob("processed/audio_inputs/**/*.npy"))
    for path in kept[1:]:
        path.unlink()
    stopped = []

    def stop(done: int, total: int, name: str) -> None:
        stopped.append(done)
        if len(stopped) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        STEPS["audio"](own, stop)
    assert len(list(own.glob("processed/audio_inputs/**/*"))) > 3
    outcome = STEPS["audio"](own, nobody)
    assert (outcome.made, outcome.kept) == (2, 3)
    after = tree(own)
    assert all(after[p] == v for p, v in sources.items()) and not list(own.rglob("*.part"))


def test_what_cannot_be_read_is_named_and_left_out(own, capsys):
    sound = next(own.glob("original_data/M011/**/*.wav"))
    sound.write_bytes(b"no sound")
    place = Place(own, "M012/front/neutral/level_1/011")
    place.detections.write_bytes(pickle.dumps([[] for _ in range(70)]))
    for path in (*own.glob("processed/audio_inputs/M011/**/*.npy"), place.landmarks):
        path.unlink()
    assert cli.main(["prepare", "mead", "--data", str(own)]) == 0
    told = capsys.readouterr()
    assert sound.name in told.err and "no frame shows a face" in told.err
    assert "audio: 0 files made, 4 there already, 1 left out" in told.out
    assert "index: 2 files made, 1 there already, 2 left out" in told.out
    assert OccluData(own, "train").clips == ["M013/front/neutral/level_1/011"]


def test_the_index_is_the_published_one_and_given_sentences_are_kept(own):
    assert [c for c, _ in load_index(own / "processed" / "video_list_test.pkl")] == OccluData(own, "test").clips
    assert all(frames == 70 for _, frames in load_index(own / "processed" / "video_list.pkl"))
    numbers = own / "processed" / "video_id_to_sent_id.npy"
    assert load_sentences(numbers) == np.load(numbers, allow_pickle=True).item()
    given = dict.fromkeys(load_sentences(numbers), 150)
    np.save(numbers, np.array(given, dtype=object), allow_pickle=True)
    STEPS["index"](own, nobody)
    assert load_sentences(numbers) == given and len(OccluData(own, "train")) == 3
    with pytest.raises(InputError, match="no clips of the test part"):
        OccluData(own, "test")
    numbers.write_bytes(b"\x93NUMPY")
    with pytest.raises(InputError, match="not a dictionary"):
        OccluData(own, "train")


def test_an_index_that_names_code_is_not_run(own):
    class Evil:
        def __reduce__(self):
            return (print, ("run",))

    np.save(own / "processed" / "video_id_to_sent_id.npy", np.array(Evil(), dtype=object), allow_pickle=True)
    (own / "processed" / "video_list.pkl").write_bytes(pickle.dumps([(Evil(), 3)]))
    for read in (lambda: load_sentences(own / "processed" / "video_id_to_sent_id.npy"), lambda: OccluData(own, "train")):
        with pytest.raises(InputError):
            read()


@pytest.mark.parametrize("step", list(STEPS))
def test_what_is_missing_is_named_with_where_it_comes_from(tmp_path, step):
    with pytest.raises(InputError, match=r"(from .*|run the other steps first)\.$|run the step videos"):
        STEPS[step](tmp_path, nobody)


def test_missing_and_damaged_clips_are_named(own, tmp_path):
    with pytest.raises(InputError, match=r"from wywu\.github\.io"):
        OccluData(tmp_path / "nowhere", "train")
    place = Place(own, "M011/front/neutral/level_1/011")
    np.savez(place.landmarks, lmk_2d=np.zeros((70, 400, 2)))
    with pytest.raises(InputError, match=r"not a prepared clip"):
        OccluData(own, "train").clip(0)
    place.sound.unlink()
    with pytest.raises(InputError, match=r"1 prepared files .*011\.npy"):
        OccluData(own, "train")
    (own / "processed" / "video_list.pkl").unlink()
    with pytest.raises(InputError, match="--step index"):
        OccluData(own, "train")


class FakeH5py:
    """Reads .npz as h5py reads its files."""

    class File:
        def __init__(self, path: Path, mode: str):
            self.arrays = np.load(path)

        def __enter__(self):
            return self.arrays

        def __exit__(self, *_: object):
            return None


def test_reconstructions_come_from_hdf5(own, monkeypatch):
    place = Place(own, "M011/front/neutral/level_1/011").reconstruction
    before = dict(np.load(place))
    with open(place.with_suffix(".hdf5"), "wb") as stream:
        np.savez(stream, **{n: a[None] for n, a in before.items()})
    place.unlink()
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(InputError, match="pip install h5py"):
        STEPS["reconstructions"](own, nobody)
    monkeypatch.setitem(sys.modules, "h5py", SimpleNamespace(File=FakeH5py.File))
    assert STEPS["reconstructions"](own, nobody).made == 1
    after = np.load(place)
    assert all(np.array_equal(after[n], a) for n, a in before.items()) and place.with_suffix(".hdf5").is_file()
    place.unlink()
    with open(place.with_suffix(".hdf5"), "wb") as stream:
        np.savez(stream, **{n: a[None, :, :1] for n, a in before.items()})
    assert "other shapes" in STEPS["reconstructions"](own, nobody).bad[0] and not place.is_file()


@pytest.mark.parametrize("rate", [30, 25, 12.5])
def test_a_video_at_25_frames_per_second_shows_each_frame_at_its_time(tmp_path, rate):
    times = [i / rate for i in range(24)]
    convert_video(video(tmp_path / "v.mkv", times), tmp_path / "out.mp4")
    frames = list(read_frames(tmp_path / "out.mp4"))
    assert [f.time for f in frames] == pytest.approx([i / 25 for i in range(len(frames))], abs=1e-3)
    seconds = 24 / rate
    assert abs(len(frames) - 25 * seconds) <= 1
    shown = np.array([f.image[20:44, 24:60].mean() for f in frames])  # 20 + 5 i in the i-th frame
    expected = np.array([20 + 5 * np.argmin(np.abs(np.array(times) - f.time)) for f in frames])
    assert abs(np.mean(shown - expected)) < 2.5 and np.abs(shown - expected).max() < 9  # a frame later is 5 brighter


def test_clips_without_published_landmarks_are_detected_in_their_25_fps_video(own, monkeypatch):
    path = own / "original_data" / "W021" / "video" / "1" / "front" / "happy" / "level_3" / "002.mkv"
    path.parent.mkdir(parents=True)
    source = video(path, [i / 30 for i in range(30)])
    content = source.read_bytes()
    assert STEPS["videos"](own, nobody).made == 1 and source.read_bytes() == content

    class Worker:
        def __enter__(self):
            return lambda image: [face(0.1, 3, 400)]

        def __exit__(self, *_: object):
            return None

    monkeypatch.setattr("engine.detection.face_mesh", Worker)
    assert STEPS["landmarks"](own, nobody).made == 1
    found = np.load(Place(own, "W021/front/happy/level_3/002").landmarks)
    assert found["lmk_2d"].shape == (25, 478, 2) and len(found["valid_frames_idx"]) == 25


def test_sounds_of_any_format_and_rate(own):
    path = own / "original_data" / "M013" / "audio" / "happy" / "level_1" / "030.flac"
    path.parent.mkdir(parents=True)
    soundfile.write(path, 0.1 * np.sin(np.arange(48_000) / 20), 48_000)
    assert STEPS["audio"](own, nobody).made == 1
    assert np.load(Place(own, "M013/front/happy/level_1/030").sound).shape == (16_000,)
