"""Figures per kind of occlusion on made-up data: a perfect model errs nothing, masks repeat, the command prints and writes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from engine import cli
from engine.errors import InputError
from engine.motion import FaceMotion
from engine.occlufacediff import evaluate as evaluation
from engine.occlufacediff.data import OccluData
from engine.occlufacediff.geometry import load_face
from engine.occlufacediff.model import load_model, save_model

from .conftest import CONFIG, tensors_of
from .test_data import synthetic


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("evaluation") / "data"
    synthetic.write_dataset("occlufacediff", folder, vertices=12, seconds=2.0, per_subject=1)
    save_model(folder / "model", CONFIG, tensors_of())
    return folder


def measured(data: Path, types: tuple[str, ...], **more) -> dict[str, dict[str, float]]:
    face = load_face(data / "flame.pkl", data / "mediapipe_landmark_embedding.npz")
    regions = evaluation.load_regions(data / "FLAME_masks.pkl", 12)
    model = load_model(data / "model", torch.device("cpu"))
    return evaluation.evaluate(model, OccluData(data, "test"), face, regions, types, lambda *_: None, steps=2, **more)


def test_a_model_that_says_the_truth_errs_nothing(data, monkeypatch):
    truth = {c.name: c for c in (OccluData(data, "test").clip(i) for i in range(2))}

    def perfect(model, heard, seed, progress, steps):
        clip = next(c for c in truth.values() if np.array_equal(c.samples, heard.audio.numpy()))
        return FaceMotion(fps=25, expression=clip.motion[:, :100], jaw_pose=clip.motion[:, 100:])

    monkeypatch.setattr(evaluation, "generate", perfect)
    figures = measured(data, ("non_occ", "mouth", "all"))
    for kind, found in figures.items():
        assert found["clips"] == 2
        errors = [found[n] for n in ("mvpe", "mvpe_face", "lve", "lve_usual", "lmk_3d_mvpe", "mvve", "pose_error", "expre_error")]
        assert errors == pytest.approx([0] * len(errors), abs=1e-6), kind
        # What is left is the detections' own error: of 50 frames three have none and are filled in.
        assert found["lmk2d_reproj_error"] < 0.02 and found["pred_jitter"] == found["gt_jitter"]
    assert "lmk2d_hidden" not in figures["non_occ"] and figures["non_occ"]["visible share"] == 1
    assert "lmk2d_visible" not in figures["all"] and figures["all"]["visible share"] == 0
    assert figures["all"]["lmk2d_hidden"] == pytest.approx(figures["all"]["lmk2d_reproj_error"])
    assert 0 < figures["mouth"]["visible share"] < 1


def test_every_kind_is_measured_and_repeats_with_its_seed(data):
    kinds = ("mouth", "asym", "random")
    first = measured(data, kinds, limit=1)
    assert first == measured(data, kinds[::-1], limit=1)  # whatever else is measured
    other = measured(data, kinds, limit=1, seed=1)
    assert all(first[k]["clips"] == 1 and first[k]["lve"] > 0 and first[k] != other[k] for k in kinds)
    clip = OccluData(data, "test").clip(0)
    for kind in evaluation.TYPES:
        visible = evaluation.visibility(clip, kind, np.random.default_rng(0))
        assert visible.shape == (50, 468) and visible.dtype == bool
        assert visible.all() == (kind == "non_occ")


def test_the_command_prints_a_table_and_writes_the_figures(data, tmp_path, capsys):
    files = ["--flame", str(data / "flame.pkl"), "--embedding", str(data / "mediapipe_landmark_embedding.npz"),
             "--flame-masks", str(data / "FLAME_masks.pkl"), "--model", str(data / "model")]  # fmt: skip
    common = ["evaluate", "--system", "occlufacediff", "--data", str(data), "--device", "cpu", "--steps", "2", "--limit", "1"]
    out = ["--json", str(tmp_path / "figures.json")]
    assert cli.main([*common, *files, "--occlusion", "non_occ", "mouth", *out]) == 0
    table = capsys.readouterr().out
    assert "lve_usual [mm]" in table and "pose_error [deg]" in table and "pred_jitter [m/s^3]" in table
    assert table.splitlines()[0].split() == ["non_occ", "mouth"]
    written = json.loads((tmp_path / "figures.json").read_text())
    assert written["units"]["mvve"] == "mm/s" and set(written["figures"]) == {"non_occ", "mouth"}
    assert written["figures"]["mouth"]["lmk2d_hidden"] > 0
    for wrong, reason in (
        ([*files, "--occlusion", "nose"], "'nose' is none of"),
        (files[:-2], "--model"),
        (files[2:], "flame.is.tue.mpg.de"),
        ([*files, "--split", "val"], "no part val"),
        ([*files, "--steps", "0"], "number of steps"),
    ):
        assert cli.main([*common, *wrong]) == 1
        assert reason in capsys.readouterr().err
    assert cli.main(["evaluate", "--data", str(data)]) == 1 and "--predictions" in capsys.readouterr().err


def test_masks_of_another_mesh_are_refused(data, tmp_path):
    with pytest.raises(InputError, match="does not fit"):
        evaluation.load_regions(data / "FLAME_masks.pkl", 4)
    (tmp_path / "m.pkl").write_bytes(b"no")
    for path in (tmp_path / "m.pkl", tmp_path / "nowhere.pkl"):
        with pytest.raises(InputError):
            evaluation.load_regions(path, 12)
