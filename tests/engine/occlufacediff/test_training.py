"""FLINT and the denoiser on made-up data: they learn, resume bit for bit, follow the schedule, and `track` takes what comes out."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine import cli
from engine.errors import InputError
from engine.lgldm.audio_encoders import AudioEncoder
from engine.occlufacediff.flint import Flint
from engine.occlufacediff.model import load_model
from engine.occlufacediff.pipeline import generate, make_clip
from engine.occlufacediff.stages import WAV2VEC2, load_prior
from engine.occlufacediff.train import SETTINGS, OccluTrainer, OccluTrainOptions

from .conftest import CONFIG, released_files, tensors_of
from .test_data import synthetic

CPU = torch.device("cpu")
ROOT = Path(__file__).resolve().parents[3]
SIZES = {
    "audio": {"hidden": 16, "layers": 1, "heads": 2, "ffn": 24, "conv_channels": [8] * 7, "position_kernel": 16,
              "position_groups": 4},
    "flint": {"width": 32, "heads": 4, "ff": 48},
    "denoiser": {"landmark_width": 32, "audio_width": 16, "encoder_layers": 1, "encoder_ff": 48, "width": 32,
                 "decoder_layers": 2, "decoder_ff": 48, "heads": 2},
}  # fmt: skip


def history(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def train(options: OccluTrainOptions, epochs: int) -> OccluTrainer:
    trainer = OccluTrainer(replace(options, epochs=epochs), CPU)
    trainer.run(lambda *_: None)
    return trainer


def files(data: Path) -> list[str | Path]:
    return ["--data", data, "--flame", data / "flame.pkl", "--embedding", data / "mediapipe_landmark_embedding.npz"]


def options_for(data: Path, out: Path, stage: str = "flint", **more) -> OccluTrainOptions:
    common = {"batch": 2, "crop": 16, "repeats": 1, "lr": 2e-3, "overrides": SIZES}
    files = {"flame": data / "flame.pkl", "embedding": data / "mediapipe_landmark_embedding.npz"}
    return OccluTrainOptions(stage, data, out, **files, **{**common, **more})


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("training") / "data"
    synthetic.write_dataset("occlufacediff", folder, vertices=12, seconds=1.6, per_subject=2)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """Both stages, some fifty thousand parameters, on fifteen clips."""
    root = tmp_path_factory.mktemp("runs")
    synthetic.write_dataset("occlufacediff", root / "data", vertices=12, seconds=1.6, per_subject=5)
    train(options_for(root / "data", root / "flint", every=10, repeats=2, batch=3, lr=5e-3), 10)
    denoiser = options_for(root / "data", root / "occlu", "occlufacediff", prior=root / "flint", lr=5e-3)
    train(replace(denoiser, every=12, batch=3, accumulate=1, repeats=6), 12)
    return root


def test_both_stages_learn_what_holds_for_people_they_never_saw(trained):
    for name, term, share in (("flint", "vertices", 0.5), ("occlu", "vertices", 0.9), ("occlu", "landmarks2d", 0.9)):
        rows = history(trained / name)
        assert rows[-1][f"val/{term}"] < share * rows[0][f"train/{term}"], (name, term)
        assert all(np.isfinite(v) for r in rows for v in r.values())
    assert {"val/latent", "val/landmarks3d", "val/mouth"} <= history(trained / "occlu")[-1].keys()


def test_what_was_trained_is_a_model_that_track_takes(trained, tmp_path):
    from engine.track import load_tracker

    model = load_tracker(trained / "occlu" / "model", "cpu")
    rng = np.random.default_rng(0)
    clip = make_clip(rng.normal(0, 0.3, (40, 468, 2)), np.ones((40, 468), bool), rng.normal(0, 0.1, 25_600), CPU)
    assert generate(model, clip, 0, lambda *_: None, steps=4).expression.shape == (40, 100)
    prior = load_prior(trained / "flint")
    assert all(torch.equal(v, model.flint.state_dict()[n]) for n, v in prior.state_dict().items())  # frozen, to the last bit


@pytest.mark.parametrize("stage", ["flint", "occlufacediff"])
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(data, trained, tmp_path, stage):
    """Over the change of phase in the denoiser's fourth epoch, where the audio network begins to train."""
    options = options_for(data, tmp_path / "x", stage, prior=trained / "flint", ema=0.9, accumulate=2)
    epochs, stop = (3, 2) if stage == "flint" else (5, 3)
    train(replace(options, out=tmp_path / "straight"), epochs)
    train(replace(options, out=tmp_path / "parts"), stop)
    assert OccluTrainer(replace(options, out=tmp_path / "parts"), CPU).done == stop
    train(replace(options, out=tmp_path / "parts"), epochs)
    straight, parts = (torch.load(tmp_path / n / "training.pt", weights_only=True) for n in ("straight", "parts"))
    for key in ("model", "average"):
        assert straight[key].keys() == parts[key].keys()
        assert all(torch.equal(straight[key][n], parts[key][n]) for n in straight[key])
    assert str(straight["optimizer"]) == str(parts["optimizer"])
    assert history(tmp_path / "straight") == history(tmp_path / "parts")
    assert not list(tmp_path.rglob("*.part")) and not list(tmp_path.rglob(".model-*"))
    with pytest.raises(InputError, match="other settings"):
        OccluTrainer(replace(options, out=tmp_path / "parts", lr=5e-4), CPU)


def test_the_audio_network_trains_in_audio_phases_alone_and_its_convolutions_never(data, trained, tmp_path):
    options = options_for(data, tmp_path / "run", "occlufacediff", prior=trained / "flint")
    trainer = OccluTrainer(replace(options, epochs=4), CPU)

    def audio() -> dict[str, torch.Tensor]:
        return {n: v.clone() for n, v in trainer.module.state_dict().items() if n.startswith("audio.")}

    def moved(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
        return {n for n in before if not torch.equal(before[n], after[n])}

    start = audio()
    for epoch in range(3):
        trainer._epoch(epoch)
    still = audio()
    trainer._epoch(3)
    assert not moved(start, still)
    changed = moved(still, audio())
    assert any("encoder.layers.0" in n for n in changed) and not any("feature_extractor" in n for n in changed)


def test_the_published_settings_are_the_defaults(data, trained, tmp_path):
    occlu = SETTINGS["occlufacediff"]
    assert (occlu.epochs, occlu.batch, occlu.accumulate, occlu.frames, occlu.repeats) == (50, 16, 4, 64, 5)
    options = OccluTrainOptions("occlufacediff", data, tmp_path)
    assert (options.lr, options.seed, options.precision, options.ema) == (1e-4, 10, "fp32", 0.0)
    with torch.device("meta"):
        assert sum(p.numel() for p in AudioEncoder(WAV2VEC2).parameters()) == 94_371_712
    trainer = OccluTrainer(options_for(data, tmp_path / "run", "occlufacediff", prior=trained / "flint"), CPU)
    group = trainer.optimizer.param_groups[0]
    assert type(trainer.optimizer).__name__ == "AdamW" and (group["weight_decay"], group["betas"]) == (1e-3, (0.9, 0.999))


def test_half_precision_learns_too(data, trained, tmp_path):
    options = options_for(data, tmp_path / "run", "occlufacediff", prior=trained / "flint", precision="bf16")
    trainer = train(options, 1)
    assert all(np.isfinite(v) for v in history(tmp_path / "run")[0].values())
    assert all(p.dtype == torch.float32 for p in trainer.parameters.values())


def test_the_commands_train_both_stages_and_continue(data, tmp_path, capsys):
    (tmp_path / "sizes.json").write_text(json.dumps(SIZES))
    common = [*files(data), "--batch", "4", "--crop", "32", "--epochs", "1", "--device", "cpu", "--config", tmp_path / "sizes.json"]
    common = [str(c) for c in common]
    assert cli.main(["train", "flint", *common, "--out", str(tmp_path / "flint")]) == 0
    arguments = ["train", "occlufacediff", *common, "--out", str(tmp_path / "occlu")]
    assert cli.main(arguments) == 1 and "--flint" in capsys.readouterr().err
    assert cli.main([*arguments, "--flint", str(tmp_path / "flint")]) == 0
    told = capsys.readouterr()
    assert "audio-weights" in told.err and "landmarks2d" in told.out
    assert cli.main([*arguments, "--flint", str(tmp_path / "flint"), "--epochs", "2"]) == 0
    assert "Continuing after epoch 1" in capsys.readouterr().err
    assert load_model(tmp_path / "occlu" / "model", CPU).config.flint.width == 32
    for wrong, reason in ((["--crop", "30"], "multiple of 8"), (["--vqvae", "x"], "--vqvae"), (["--crop", "64"], "64 frames")):
        assert cli.main([*arguments, "--flint", str(tmp_path / "flint"), *wrong]) == 1
        assert reason in capsys.readouterr().err
    assert cli.main(["train", "lgldm-vq", "--data", str(data), "--out", str(tmp_path / "l")]) == 1
    assert "--dataset" in capsys.readouterr().err


def test_two_processes_share_the_work(data, tmp_path):
    """As `accelerate launch` starts them, on the CPU."""
    (tmp_path / "sizes.json").write_text(json.dumps(SIZES))
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "engine", "train", "flint",
        *files(data), "--out", tmp_path / "run", "--batch", "2", "--epochs", "2", "--device", "cpu", "--config",
        tmp_path / "sizes.json",
    ]  # fmt: skip
    done = subprocess.run([str(c) for c in command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(history(tmp_path / "run")) == 2 and (tmp_path / "run" / "model" / "config.json").is_file()


def test_a_prior_comes_from_a_run_a_model_or_the_published_file(trained, tmp_path):
    runs = (trained / "flint", trained / "flint" / "model", trained / "occlu" / "model")
    states = [load_prior(path).state_dict() for path in runs]
    assert all(torch.equal(v, other[n]) for other in states for n, v in states[0].items())
    _, published = released_files(tmp_path, tensors_of())
    assert load_prior(published).config == CONFIG.flint and isinstance(load_prior(published), Flint)
    (tmp_path / "config.json").write_text('{"kind": "lgldm"}')
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(InputError, match=r"FLINT prior"):
            load_prior(path)


def test_missing_files_and_damaged_states_are_named(data, trained, tmp_path):
    options = options_for(data, tmp_path / "run", "occlufacediff", prior=trained / "flint")
    for change, reason in (
        ({"prior": None}, "--flint"),
        ({"flame": None}, "flame.is.tue.mpg.de"),
        ({"flame": tmp_path / "no.pkl"}, "no FLAME file"),
        ({"overrides": {**SIZES, "denoiser": {"heads": 7}}}, "do not fit"),
        ({"overrides": {**SIZES, "denoiser": {"wings": 7}}}, "do not fit"),
        ({"audio_weights": tmp_path / "no.safetensors"}, "missing or damaged"),
        ({"crop": 64}, "at least 64 frames"),
    ):
        with pytest.raises(InputError, match=reason):
            OccluTrainer(replace(options, **change), CPU)
    (tmp_path / "run").mkdir(exist_ok=True)
    (tmp_path / "run" / "training.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(InputError, match="damaged"):
        OccluTrainer(options, CPU)
