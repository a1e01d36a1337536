"""Both stages on made-up data: they learn, resume bit for bit, and what they make beats standing still."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine import cli
from engine.errors import InputError
from engine.event_file import masked_crc
from engine.lgldm.audio_encoders import AudioEncoder
from engine.lgldm.data import MotionData
from engine.lgldm.evaluate import evaluate_split, sample_split
from engine.lgldm.metrics import Clip, region_error
from engine.lgldm.model import load_model
from engine.lgldm.train import Trainer, TrainOptions, load_audio_weights

from .conftest import config_of
from .test_data import synthetic

CPU = torch.device("cpu")
SIZES = {
    "audio": {"hidden": 16, "layers": 1, "heads": 2, "ffn": 24, "conv_channels": [8] * 7, "position_kernel": 16,
              "position_groups": 4},
    "vqvae": {"width": 32, "layers": 1, "heads": 2, "mlp_width": 32, "codes_per_frame": 4, "code_dim": 8,
              "codebook_size": 112},
    "denoiser": {"width": 32, "heads": 2, "layers": 2, "ffn": 48},
}  # fmt: skip


def history(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def train(options: TrainOptions, epochs: int) -> Trainer:
    trainer = Trainer(replace(options, epochs=epochs), CPU)
    trainer.run(lambda *_: None)
    return trainer


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """BIWI's layout, both stages, about a hundred thousand parameters."""
    root = tmp_path_factory.mktemp("smoke")
    synthetic.write_dataset("biwi", root / "data", per_subject=4)
    common = TrainOptions("lgldm-vq", "biwi", root / "data", root / "vq", lr=1e-3, every=15, overrides=SIZES)
    train(common, 30)
    train(replace(common, stage="lgldm-diffusion", out=root / "fdm", vqvae=root / "vq"), 30)
    return root


def test_both_losses_fall_on_held_out_clips(trained):
    for stage, share in (("vq", 0.8), ("fdm", 0.8)):
        values = [row["val/loss"] for row in history(trained / stage) if "val/loss" in row]
        assert values[-1] < share * values[0], stage


def test_samples_beat_the_mean_pose(trained, tmp_path):
    data = MotionData("biwi", trained / "data", "val")
    train_data = MotionData("biwi", trained / "data", "train")
    model = load_model(trained / "fdm" / "model", CPU)
    assert sample_split(model, data, tmp_path, lambda *_: None, steps=10, seeds=(0, 1)) == 24
    region = np.arange(24)
    figures = evaluate_split(data, tmp_path, {"lip": region, "upper": region})["all"]
    mean = np.mean([train_data.clip(i).displacement.mean(axis=0) for i in range(len(train_data))], axis=0)
    still = []
    for i in range(len(data)):
        clip = data.clip(i)
        truth = (clip.displacement + clip.template).reshape(-1, 24, 3)
        pose = (mean + clip.template).reshape(24, 3)
        still.append(Clip(truth, np.broadcast_to(pose, truth.shape), clip.template.reshape(24, 3)))
    assert figures["LVE"] < 0.4 * region_error(still, region)
    assert figures["clips"] == 12 and figures["diversity over seeds"] > 0
    assert abs(figures["FDD"]) <= figures["|FDD|"]


def test_the_commands_sample_and_measure(trained, tmp_path, capsys):
    (tmp_path / "lip.txt").write_text("0, 1, 2")
    data = ["--dataset", "biwi", "--data", str(trained / "data"), "--split", "test"]
    model, out = str(trained / "fdm" / "model"), str(tmp_path / "out")
    assert cli.main(["evaluate", *data, "--predictions", out]) != 0
    assert "python -m engine sample" in capsys.readouterr().err
    assert cli.main(["sample", *data, "--model", model, "--out", out, "--steps", "3", "--all-speakers", "--device", "cpu"]) == 0
    assert len(list((tmp_path / "out").glob("*_condition_*.npy"))) == 6 * len(list((tmp_path / "out").glob("F?_e??.npy")))
    figures = ["--lip", str(tmp_path / "lip.txt"), "--json", str(tmp_path / "figures.json")]
    assert cli.main(["evaluate", *data, "--predictions", out, *figures]) == 0
    told = capsys.readouterr().out
    assert "LVE [units^2]" in told and "FDD (--upper)" in told
    written = json.loads((tmp_path / "figures.json").read_text())
    assert written["figures"]["all"]["diversity over speakers"] > 0 and written["units"]["MVE"] == "units"


@pytest.mark.parametrize("stage", ["lgldm-vq", "lgldm-diffusion"])
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(tmp_path, stage):
    synthetic.write_dataset("mead", tmp_path / "data", vertices=8, seconds=0.6)
    options = TrainOptions(
        "lgldm-vq", "mead", tmp_path / "data", tmp_path / "vq", flame=tmp_path / "data" / "flame.pkl", batch=2, crop=12,
        lr=1e-3, ema=0.9, every=1, overrides=SIZES,
    )  # fmt: skip
    if stage == "lgldm-diffusion":
        train(options, 1)
        options = replace(options, stage=stage, vqvae=tmp_path / "vq")
    train(replace(options, out=tmp_path / "straight"), 3)
    train(replace(options, out=tmp_path / "parts"), 2)
    assert Trainer(replace(options, out=tmp_path / "parts"), CPU).done == 2
    train(replace(options, out=tmp_path / "parts"), 3)
    straight, parts = (torch.load(tmp_path / n / "training.pt", weights_only=True) for n in ("straight", "parts"))
    for key in ("model", "average"):
        assert straight[key].keys() == parts[key].keys()
        assert all(torch.equal(straight[key][n], parts[key][n]) for n in straight[key])
    assert str(straight["optimizer"]) == str(parts["optimizer"])
    assert [r["val/loss"] for r in history(tmp_path / "straight")] == [r["val/loss"] for r in history(tmp_path / "parts")]
    with pytest.raises(InputError, match="other settings"):
        Trainer(replace(options, out=tmp_path / "parts", lr=5e-4), CPU)


def test_two_processes_are_one_with_twice_the_batch(tmp_path):
    """Without dropout, and with clips of one length, averaged gradients are those of the larger batch."""
    synthetic.write_dataset("biwi", tmp_path / "data", vertices=8, seconds=0.6)
    sizes = {**SIZES, "vqvae": {**SIZES["vqvae"], "dropout": 0.0}}
    (tmp_path / "sizes.json").write_text(json.dumps(sizes))
    command = [
        "-m", "engine", "train", "lgldm-vq", "--dataset", "biwi", "--data", tmp_path / "data", "--lr", "1e-3", "--epochs", "2",
        "--every", "1", "--device", "cpu", "--config", tmp_path / "sizes.json",
    ]  # fmt: skip
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]  # accelerate launch, but on the CPU too
    root = Path(__file__).resolve().parents[3]
    for name, arguments in {
        "two": [*launch, "-m", *command[1:], "--batch", "1"],
        "one": [*command, "--batch", "2"],
    }.items():
        done = subprocess.run(
            [sys.executable, *map(str, arguments), "--out", str(tmp_path / name)], cwd=root, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-2000:]
    two, one = history(tmp_path / "two"), history(tmp_path / "one")
    assert len(two) == len(one) == 2
    for a, b in zip(two, one):
        assert a == pytest.approx(b, rel=1e-2)


def test_wrong_stage_one_and_damaged_state_are_named(trained, tmp_path):
    options = TrainOptions("lgldm-diffusion", "biwi", trained / "data", tmp_path / "run", overrides=SIZES)
    with pytest.raises(InputError, match="--vqvae"):
        Trainer(options, CPU)
    with pytest.raises(InputError, match="not the folder of a trained stage 1"):
        Trainer(replace(options, vqvae=tmp_path), CPU)
    (tmp_path / "run").mkdir(exist_ok=True)
    (tmp_path / "run" / "training.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(InputError, match="damaged"):
        Trainer(replace(options, vqvae=trained / "vq"), CPU)
    with pytest.raises(InputError, match="do not fit"):
        Trainer(replace(options, stage="lgldm-vq", out=tmp_path / "other", overrides={"vqvae": {"heads": 7}}), CPU)


def test_only_the_convolutions_of_the_audio_network_stand_still(trained):
    options = TrainOptions("lgldm-diffusion", "biwi", trained / "data", trained / "fdm", lr=1e-3, every=15,
                           vqvae=trained / "vq", overrides=SIZES)  # fmt: skip
    trainer = Trainer(options, CPU)
    frozen = {n for n, p in trainer.module.named_parameters() if not p.requires_grad}
    assert frozen and all(n.startswith("audio.network.feature_extractor.") for n in frozen)
    assert any(n.startswith("audio.network.encoder.layers.0") for n in trainer.parameters)


def test_pretrained_audio_weights_fit_with_old_names_and_a_speech_head(tmp_path):
    encoder, other = (AudioEncoder(config_of("mead").audio) for _ in range(2))
    torch.nn.init.normal_(other.network.encoder.layer_norm.weight)
    state = {f"hubert.{n}": v for n, v in other.network.state_dict().items()}
    for new, old in (("original0", "weight_g"), ("original1", "weight_v")):
        place = f"hubert.encoder.pos_conv_embed.conv.parametrizations.weight.{new}"
        state[place.replace(f"parametrizations.weight.{new}", old)] = state.pop(place)
    torch.save({**state, "lm_head.weight": torch.zeros(32, 16)}, tmp_path / "pytorch_model.bin")
    load_audio_weights(encoder, tmp_path / "pytorch_model.bin")
    assert all(torch.equal(v, other.network.state_dict()[n]) for n, v in encoder.network.state_dict().items())
    torch.save({k: v for k, v in state.items() if "layer_norm" not in k}, tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="does not fit"):
        load_audio_weights(encoder, tmp_path / "pytorch_model.bin")


def test_events_are_records_that_tensorboard_reads(trained):
    """The container format: length and data, each with its checksum; the tags are in the data."""
    assert masked_crc(b"123456789") == ((0xE3069283 >> 15 | 0xE3069283 << 17) + 0xA282EAD8) & 0xFFFFFFFF
    raw = next((trained / "vq" / "tensorboard").iterdir()).read_bytes()
    records = []
    while raw:
        (length,) = struct.unpack("<Q", raw[:8])
        assert struct.unpack("<I", raw[8:12])[0] == masked_crc(raw[:8])
        data = raw[12 : 12 + length]
        assert struct.unpack("<I", raw[12 + length : 16 + length])[0] == masked_crc(data)
        records.append(data)
        raw = raw[16 + length :]
    assert b"brain.Event:2" in records[0] and len(records) == 31
    assert b"train/reconstruction" in records[1] and b"val/loss" in records[15]
