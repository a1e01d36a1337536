"""The three layouts: what is read, what is kept apart, what is said when something is missing."""

from __future__ import annotations

import importlib.util
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from engine.errors import InputError
from engine.lgldm.batches import batches, make_batch
from engine.lgldm.data import MotionData, prepare_vocaset
from engine.lgldm.datasets import SPLITS

spec = importlib.util.spec_from_file_location("synthetic", Path(__file__).parents[3] / "scripts" / "make_synthetic_data.py")
synthetic = importlib.util.module_from_spec(spec)
spec.loader.exec_module(synthetic)


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    made = {}
    for dataset in ("mead", "vocaset", "biwi"):
        made[dataset] = tmp_path_factory.mktemp("data") / dataset
        synthetic.write_dataset(dataset, made[dataset], vertices=10, seconds=0.8)
    return made


def data_of(folders: dict[str, Path], dataset: str, split: str = "train") -> MotionData:
    return MotionData(dataset, folders[dataset], split, folders["mead"] / "flame.pkl")


@pytest.mark.parametrize("dataset", ["mead", "vocaset", "biwi"])
def test_splits_share_no_clip_and_keep_to_their_speakers(folders, dataset):
    names = {}
    for split, members in SPLITS[dataset].items():
        data = data_of(folders, dataset, split)
        names[split] = {i.name for i in data.items}
        assert {i.subject for i in data.items} <= set(members.subjects)
        assert all((i.identity is None) == (i.subject not in data.facts.identities) for i in data.items)
    assert not names["train"] & names["val"] and not names["train"] & names["test"] and not names["val"] & names["test"]


def test_published_splits():
    assert len(SPLITS["mead"]["train"].subjects) == 21 and SPLITS["mead"]["test"].subjects == ("M037", "M040")
    assert len(SPLITS["vocaset"]["train"].subjects) == 8 and SPLITS["biwi"]["val"].sentences == (37, 38, 39, 40)


@pytest.mark.parametrize(("dataset", "frames"), [("mead", 20), ("vocaset", 24), ("biwi", 20)])
def test_a_clip_is_displacement_from_the_neutral_face_at_the_models_rate(folders, dataset, frames):
    data = data_of(folders, dataset)
    clip = data.clip(0)
    assert clip.displacement.shape == (frames, 30) and clip.template.shape == (30,)
    assert clip.displacement.dtype == clip.samples.dtype == np.float32
    assert len(clip.samples) == 12800
    if dataset != "mead":
        stored = np.load(clip.item.motion)[:: 2 if dataset == "vocaset" else 1]
        assert np.allclose(clip.displacement + clip.template, stored, atol=1e-6)
    else:
        assert clip.emotion.sum() == 1
        whole = clip.displacement + clip.template
        assert np.allclose(whole, np.round(whole, 4), atol=1e-6)


def test_vocaset_from_its_four_files(tmp_path, folders):
    rng = np.random.default_rng(0)
    frames = rng.normal(size=(7, 4, 3)).astype(np.float32)
    np.save(tmp_path / "data_verts.npy", frames)
    subject = "FaceTalk_170725_00137_TA"
    sound = {"audio": (rng.normal(size=2205) * 3000).astype(np.int16), "sample_rate": 22050}
    files = {
        "subj_seq_to_idx.pkl": {subject: {"sentence01": {2: 6, 0: 3, 1: 4}, "sentence02": {0: 0, 1: 1}}},
        "raw_audio_fixed.pkl": {subject: {"sentence01": sound}},
        "templates.pkl": {subject: rng.normal(size=(4, 3))},
    }
    with pytest.raises(InputError, match=r"subj_seq_to_idx.pkl, raw_audio_fixed.pkl, templates.pkl"):
        prepare_vocaset(tmp_path)
    for name, content in files.items():
        (tmp_path / name).write_bytes(pickle.dumps(content, protocol=2))
    assert prepare_vocaset(tmp_path) == 1
    stored = np.load(tmp_path / "vertices_npy" / f"{subject}_sentence01.npy")
    assert np.array_equal(stored, frames[[3, 4, 6]].reshape(3, 12))
    assert soundfile.info(tmp_path / "wav" / f"{subject}_sentence01.wav").samplerate == 22050
    data = MotionData("vocaset", tmp_path, "train")
    assert np.allclose(data.clip(0).displacement + data.clip(0).template, stored[::2], atol=1e-6)


def test_the_made_up_vocaset_is_what_preparing_its_four_files_gives(tmp_path):
    synthetic.write_dataset("vocaset", tmp_path, vertices=4, seconds=0.3, per_subject=1)
    made = {p.name: np.load(p) for p in (tmp_path / "vertices_npy").iterdir()}
    shutil.rmtree(tmp_path / "vertices_npy")
    shutil.rmtree(tmp_path / "wav")
    assert prepare_vocaset(tmp_path) == len(made)
    for name, vertices in made.items():
        assert np.array_equal(np.load(tmp_path / "vertices_npy" / name), vertices)


@pytest.mark.parametrize("dataset", ["mead", "vocaset", "biwi"])
def test_what_is_missing_is_named(folders, dataset, tmp_path):
    copy = tmp_path / dataset
    shutil.copytree(folders[dataset], copy)
    sound = next(copy.rglob("*.wav"))
    index = {"mead": "mead_v2.csv", "vocaset": "templates.pkl", "biwi": "templates.pkl"}[dataset]
    for missing in (sound, copy / index):
        missing.unlink()
        with pytest.raises(InputError, match=missing.name) as caught:
            for split in ("train", "val", "test"):
                MotionData(dataset, copy, split, folders["mead"] / "flame.pkl")
        assert " from " in str(caught.value)
    with pytest.raises(InputError, match="There is no folder"):
        MotionData(dataset, tmp_path / "nowhere", "train", folders["mead"] / "flame.pkl")
    if dataset == "mead":
        with pytest.raises(InputError, match="FLAME file"):
            MotionData("mead", folders["mead"], "train")


def test_batches_cut_sound_and_motion_at_the_same_place(folders):
    data = data_of(folders, "biwi")
    device = torch.device("cpu")
    whole = next(batches(data, 1, None, None, device, 6))
    assert whole.displacement.shape[1] == 20 and whole.samples.shape[1] == 12800
    rng = np.random.default_rng(3)
    clips = [data.clip(0), data.clip(1)]
    cut = make_batch(clips, 8, rng, device, 25, 6)
    assert cut.displacement.shape == (2, 8, 30) and cut.samples.shape == (2, round((8 / 25 + 0.1) * 16000))
    first = np.flatnonzero([np.allclose(clips[0].displacement[i : i + 8], cut.displacement[0]) for i in range(13)])[0]
    single = make_batch(clips[:1], None, None, device, 25, 6).samples[0]
    begin = first * 640
    length = min(cut.samples.shape[1], 12800 - begin)
    assert torch.equal(cut.samples[0, :length], single[begin : begin + length])
    assert cut.identity.argmax(1).tolist() == [c.item.identity for c in clips]
