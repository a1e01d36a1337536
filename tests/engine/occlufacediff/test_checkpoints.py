"""The two released files to a model folder: nothing lost, nothing run, everything wrong refused in one sentence."""

from __future__ import annotations

import ast
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from engine.errors import InputError
from engine.lgldm.audio_encoders import AudioEncoder, AudioEncoderConfig
from engine.occlufacediff.checkpoints import AUDIO, Heads, convert, read_flint, take_denoiser, take_flint
from engine.occlufacediff.denoiser import Denoiser, DenoiserConfig
from engine.occlufacediff.flint import Flint, FlintConfig
from engine.occlufacediff.model import load_model, save_model

from .conftest import CONFIG, KEYS, released_files, tensors_of

HEADS = Heads(8, 4, 4)
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def tensors():
    return tensors_of()


@pytest.fixture(scope="module")
def files(tmp_path_factory, tensors):
    return released_files(tmp_path_factory.mktemp("released"), tensors, old_names=True)


def sentence(call) -> str:
    with pytest.raises(InputError) as caught:
        call()
    text = str(caught.value)
    assert text.endswith(".") and "\n" not in text
    return text


def listed(name: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a list of the released model's tensors."""
    path = KEYS / name
    if not path.is_file():
        pytest.skip("no ../shared folder with the reference's numbers")
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return {line[0]: ast.literal_eval(line[1]) for line in lines if line[0]}


def test_all_78_flint_tensors_have_their_place():
    names = listed("occlu_keys_flint.txt")
    assert len(names) == 78
    state = {n: torch.empty(s, dtype=torch.int64 if "batches" in n else torch.float32).zero_() for n, s in names.items()}
    config, taken = take_flint(state, "released")
    assert config == FlintConfig()
    with torch.device("meta"):
        assert taken.keys() == Flint(config).state_dict().keys()


def test_all_430_denoiser_tensors_have_their_place():
    names = listed("occlu_keys_denoiser.txt")
    assert len(names) == 430
    audio = {n.removeprefix(AUDIO): s for n, s in names.items() if n.startswith(AUDIO)}
    base = AudioEncoderConfig(
        family="wav2vec2", hidden=768, layers=12, heads=12, ffn=3072, conv_bias=False, layer_norm=False, paired=False
    )
    with torch.device("meta"):
        assert {n: tuple(v.shape) for n, v in AudioEncoder(base).network.state_dict().items()} == audio
        assert len(Denoiser(DenoiserConfig()).state_dict()) + len(audio) + 4 == 430  # the mask and three tables
    rest = {n: s for n, s in names.items() if not n.startswith(AUDIO)}
    state = {n: torch.zeros(1).expand(s) if s else torch.zeros((), dtype=torch.int64) for n, s in rest.items()}
    for table in [n for n in rest if n == "tgt_mask" or n.endswith(".pe")]:
        del state[table]
    config, _ = take_denoiser(state, "released", tables=False)
    assert config == DenoiserConfig()


def test_conversion_finds_every_size_and_every_weight(files, tensors, tmp_path):
    found, taken = convert(*files, HEADS)
    assert (found.audio, found.flint, found.denoiser) == (CONFIG.audio, CONFIG.flint, CONFIG.denoiser)
    assert taken.keys() == tensors.keys()
    assert all(torch.equal(taken[n], tensors[n]) for n in tensors)
    save_model(tmp_path / "model", found, taken)
    model = load_model(tmp_path / "model", torch.device("cpu"))
    assert model.config == found and not model.denoiser.training
    assert torch.equal(model.flint.decoder.smooth.weight, tensors["flint.decoder.smooth.weight"])
    assert convert(*files, HEADS, causal=True)[0].denoiser.causal


def changed(folder: Path, files: tuple[Path, Path], which: int, change) -> tuple[Path, Path]:
    content = torch.load(files[which], weights_only=True)
    change(content["state_dict"] if which else content)
    path = folder / f"changed{which}.pt"
    torch.save(content, path)
    return (files[0], path) if which else (path, files[1])


def test_files_given_for_each_other_or_of_something_else(files, tmp_path):
    assert "given as the denoiser but holds the FLINT" in sentence(lambda: convert(files[1], files[0]))
    torch.save({"state_dict": {"something.weight": torch.zeros(2)}}, tmp_path / "foreign.pt")
    assert "not a checkpoint of OccluFaceDiff" in sentence(lambda: convert(tmp_path / "foreign.pt", files[1]))
    assert "There is no checkpoint" in sentence(lambda: convert(files[0], tmp_path / "absent.ckpt"))


@pytest.mark.parametrize("which", [0, 1])
def test_missing_extra_and_misshapen_tensors_are_all_named(files, which, tmp_path):
    prefix = "motion_decoder." if which else "transformer_decoder.layers.0."
    lost = f"{prefix}decoder_transformer.layers.0.norm2.bias" if which else f"{prefix}FiLM_linear2.bias"
    bent = f"{prefix}post_transformer_linear.weight" if which else f"{prefix}multihead_attn.in_proj_bias"

    def change(state):
        del state[lost]
        state[f"{prefix}extra"] = torch.zeros(3)
        state[bent] = torch.zeros(5, 2)

    text = sentence(lambda: convert(*changed(tmp_path, files, which, change), HEADS))
    assert f"missing: {lost}" in text and f"unexpected: {prefix}extra" in text and f"{bent} (5, 2) instead of" in text


@pytest.mark.parametrize(
    ("which", "name", "said"),
    [
        (0, "lmk_process.inputEmbedding.0.weight", "lmk_process.inputEmbedding.0.weight' is missing"),
        (0, "tgt_mask", "missing: tgt_mask"),
        (0, "audio_encoder.encoder.layers.1.layer_norm.bias", "audio_encoder.encoder.layers.1.layer_norm.bias"),
        (1, "motion_encoder.squasher.0.0.weight", "motion_encoder.squasher.0.0.weight' is missing"),
        (1, "motion_encoder.mean.bias", "missing: motion_encoder.mean.bias"),
    ],
)
def test_any_missing_tensor_is_named(files, tmp_path, which, name, said):
    assert said in sentence(lambda: convert(*changed(tmp_path, files, which, lambda s: s.pop(name)), HEADS))


def test_other_tables_and_numbers_that_are_none_are_refused(files, tmp_path):
    def shift(state):
        state["sequence_pos_decoder.pe"] = state["sequence_pos_decoder.pe"] + 0.01

    def spoil(state):
        state["motion_encoder.logvar.bias"][2] = torch.nan

    assert "another table 'sequence_pos_decoder.pe'" in sentence(lambda: convert(*changed(tmp_path, files, 0, shift), HEADS))
    assert "not finite" in sentence(lambda: convert(*changed(tmp_path, files, 1, spoil), HEADS))


def test_parts_that_do_not_belong_together(files, tmp_path, tensors):
    from dataclasses import replace

    wide = replace(CONFIG, flint=replace(CONFIG.flint, width=24))
    other = {n: v for n, v in tensors_of(wide).items() if n.startswith("flint.")}
    mixed = {**{n: v for n, v in tensors.items() if not n.startswith("flint.")}, **other}
    paths = released_files(tmp_path, mixed)
    assert "do not belong together" in sentence(lambda: convert(files[0], paths[1], HEADS))
    assert "no multiple of 5" in sentence(lambda: convert(*files, Heads(flint=5)))


def test_cut_off_files(files, tmp_path):
    for which in (0, 1):
        whole = files[which].read_bytes()
        for share in (0.0, 0.5, 0.99):
            (tmp_path / "cut").write_bytes(whole[: int(share * len(whole))])
            given = [tmp_path / "cut" if i == which else p for i, p in enumerate(files)]
            sentence(lambda g=given: convert(*g))


class Bomb:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


class Settings:
    """Stands for the training settings that a Lightning file carries."""

    def __init__(self):
        self.rate, self.inner = 0.1, {"a": [1, 2]}


class Attributes(dict):
    """Lightning keeps settings in a dictionary of its own class."""


def test_code_in_a_file_never_runs(files, tmp_path):
    mark = tmp_path / "ran"
    content = torch.load(files[1], weights_only=True)
    bad = tmp_path / "bad.ckpt"
    torch.save({**content, "hyper_parameters": Bomb(mark)}, bad)
    assert "holds code" in sentence(lambda: convert(files[0], bad))
    (tmp_path / "plain.ckpt").write_bytes(pickle.dumps({"state_dict": {}, "x": Bomb(mark)}, protocol=2))
    sentence(lambda: convert(files[0], tmp_path / "plain.ckpt"))
    torch.save({**torch.load(files[0], weights_only=True), "x": Bomb(mark)}, bad)
    sentence(lambda: convert(bad, files[1]))
    assert not mark.exists()


def test_a_lightning_file_with_settings_beside_its_tensors_is_read(files, tmp_path):
    content = torch.load(files[1], weights_only=True)
    path = tmp_path / "settings.ckpt"
    torch.save({**content, "hyper_parameters": Settings(), "callbacks": {Settings: {"best": Path("a/b")}},
                "loops": Attributes(rate=0.1, path=Attributes(deep=Settings()))}, path)  # fmt: skip
    read = read_flint(path)
    assert read.keys() == content["state_dict"].keys()
    assert torch.equal(read["motion_encoder.mean.weight"], content["state_dict"]["motion_encoder.mean.weight"])


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "engine", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True)


def test_the_command_writes_a_whole_folder_or_none(files, tmp_path):
    out = tmp_path / "model"
    common = ("convert", "occlufacediff", "--denoiser", files[0], "--out", out, "--audio-heads", 4)
    failed = command(*common, "--flint", files[0])
    assert failed.returncode != 0 and len(failed.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())
    done = command(*common, "--flint", files[1])
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in out.iterdir()) == ["config.json", "model.safetensors"]
    assert load_model(out, torch.device("cpu")).config.flint == CONFIG.flint


def test_a_folder_that_is_not_a_model_is_never_replaced(tensors, tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "diary.txt").write_text("dear diary")
    assert "not a model folder" in sentence(lambda: save_model(precious, CONFIG, tensors))
    assert (precious / "diary.txt").read_text() == "dear diary"
    save_model(tmp_path / "model", CONFIG, tensors)
    save_model(tmp_path / "model", CONFIG, tensors)  # a model may be converted anew
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:2000])
    assert "damaged" in sentence(lambda: load_model(tmp_path / "model", torch.device("cpu")))
