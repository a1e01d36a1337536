"""Released files to model folders: nothing lost, nothing run, everything wrong refused in one sentence."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from engine import cli
from engine.errors import InputError
from engine.lgldm.checkpoints import Heads, convert, read_checkpoint
from engine.lgldm.model import load_model, save_model

from .conftest import config_of, released_files, tensors_of

HEADS = Heads(4, 4, 4)
DATASETS = ("mead", "vocaset", "biwi")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("released")
    made = {}
    for dataset in DATASETS:
        config = config_of(dataset)
        tensors = tensors_of(config)
        made[dataset] = (config, tensors, *released_files(folder, config, tensors, old_names=dataset == "mead"))
    return made


@pytest.mark.parametrize("dataset", DATASETS)
def test_conversion_finds_every_size_and_every_weight(files, dataset, tmp_path):
    config, tensors, first, second = files[dataset]
    found, taken = convert(dataset, first, second, HEADS)
    assert (found.audio, found.vqvae, found.denoiser) == (config.audio, config.vqvae, config.denoiser)
    assert taken.keys() == tensors.keys()
    assert all(torch.equal(taken[n], tensors[n]) for n in tensors)
    save_model(tmp_path / "model", found, taken)
    model = load_model(tmp_path / "model", torch.device("cpu"))
    assert model.config == found
    assert torch.equal(model.vqvae.quantiser.codebook.weight, tensors["vqvae.quantiser.codebook.weight"])
    assert not model.denoiser.training


@pytest.mark.parametrize("dataset", DATASETS)
def test_released_vocaset_and_biwi_stand_on_a_neutral_face_of_half_precision(files, dataset, tmp_path):
    """The reference's loaders of these two round it; a model that we train keeps every digit."""
    found, taken = convert(dataset, *files[dataset][2:], HEADS)
    exact = torch.linspace(0.01, 0.12, 36)
    save_model(tmp_path / "released", found, {**taken, "template": exact})
    save_model(tmp_path / "ours", config_of(dataset), {**taken, "template": exact})
    released, ours = (load_model(tmp_path / n, torch.device("cpu")).template for n in ("released", "ours"))
    assert torch.equal(ours, exact)
    assert torch.equal(released, exact if dataset == "mead" else exact.half().float())
    assert dataset == "mead" or not torch.equal(released, exact)


def sentence(call) -> str:
    with pytest.raises(InputError) as caught:
        call()
    text = str(caught.value)
    assert text.endswith(".") and "\n" not in text
    return text


def test_stages_and_datasets_given_for_each_other(files):
    _, _, first, second = files["mead"]
    assert "given as stage 1 but is a stage-2" in sentence(lambda: convert("mead", second, second))
    assert "given as stage 2 but is a stage-1" in sentence(lambda: convert("mead", first, first))
    for wanted in DATASETS:
        for given in DATASETS:
            if wanted != given:
                assert "is a checkpoint of" in sentence(lambda w=wanted, g=given: convert(w, files[g][2], files[w][3]))
                assert "is a checkpoint of" in sentence(lambda w=wanted, g=given: convert(w, files[w][2], files[g][3]))


@pytest.mark.parametrize("stage", [0, 1])
def test_missing_extra_and_misshapen_tensors_are_all_named(files, stage, tmp_path):
    paths = list(files["biwi"][2:])
    content = torch.load(paths[stage], weights_only=True)
    state = content["model"]
    names = sorted(n for n in state if "norm" in n and n.endswith("bias"))[:2]
    for name in names:
        del state[name]
    state["denoise_fn.extra" if stage else "encoder.extra"] = torch.zeros(3)
    state["denoise_fn.latent_decoder.bias" if stage else "decoder.vertice_map_reverse.weight"] = torch.zeros(5, 2)
    paths[stage] = tmp_path / "changed.mpt"
    torch.save(content, paths[stage])
    text = sentence(lambda: convert("biwi", *paths, HEADS))
    if stage == 0 or "missing" in text:
        assert all(n in text for n in names)
        assert "unexpected" in text and "extra" in text and "(5, 2) instead of" in text


def test_a_missing_tensor_that_sizes_come_from_is_named(files, tmp_path):
    content = torch.load(files["mead"][2], weights_only=True)
    del content["model"]["quantize.embedding.weight"]
    torch.save(content, tmp_path / "changed.mpt")
    assert "quantize.embedding.weight" in sentence(lambda: convert("mead", tmp_path / "changed.mpt", files["mead"][3], HEADS))


def test_truncated_foreign_and_absent_files(files, tmp_path):
    whole = files["mead"][2].read_bytes()
    for share in (0.1, 0.5, 0.99):
        (tmp_path / "cut.mpt").write_bytes(whole[: int(share * len(whole))])
        assert "cut off" in sentence(lambda: read_checkpoint(tmp_path / "cut.mpt"))
    for content in (b"", b"hello", os.urandom(3000)):
        (tmp_path / "other.mpt").write_bytes(content)
        sentence(lambda: read_checkpoint(tmp_path / "other.mpt"))
    torch.save({"model": {"something.weight": torch.zeros(2)}}, tmp_path / "foreign.mpt")
    assert "not an LG-LDM" in sentence(lambda: convert("mead", tmp_path / "foreign.mpt", files["mead"][3]))
    assert "There is no checkpoint" in sentence(lambda: read_checkpoint(tmp_path / "absent.mpt"))


class Bomb:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("writer", ["zip", "plain"])
def test_a_pickle_with_code_is_refused_and_never_runs(tmp_path, writer):
    mark = tmp_path / "ran"
    content = {"epoch": 1, "model": {"a": torch.zeros(1)}, "opt": Bomb(mark)}
    path = tmp_path / "bad.mpt"
    if writer == "zip":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content, protocol=2))
    text = sentence(lambda: read_checkpoint(path))
    assert not mark.exists()
    assert writer == "plain" or "holds code" in text


def test_another_schedule_and_numbers_that_are_none_are_refused(files, tmp_path):
    for name, change, said in (("betas", lambda v: v * 2, "schedule"),
                               ("denoise_fn.latent_decoder.bias", lambda v: v / 0, "not finite")):  # fmt: skip
        content = torch.load(files["vocaset"][3], weights_only=True)
        content["model"][name] = change(content["model"][name] + 1e-3)
        torch.save(content, tmp_path / "changed.mpt")
        assert said in sentence(lambda: convert("vocaset", files["vocaset"][2], tmp_path / "changed.mpt", HEADS))


def test_the_encoder_variant_of_biwi_is_named(files, tmp_path):
    content = torch.load(files["biwi"][3], weights_only=True)
    content["model"] = {n.replace("transformer_decoder", "transformer_encoder"): v for n, v in content["model"].items()}
    torch.save(content, tmp_path / "enc.mpt")
    assert "encoder variant" in sentence(lambda: convert("biwi", files["biwi"][2], tmp_path / "enc.mpt", HEADS))


def test_the_command_writes_a_whole_folder_or_none(files, tmp_path, capsys):
    _, _, first, second = files["mead"]
    template = tmp_path / "neutral.npy"
    np.save(template, np.arange(36, dtype=np.float32).reshape(12, 3))
    out = tmp_path / "model"
    common = ["convert", "lgldm", "--dataset", "mead", "--stage1", first, "--out", out, "--template", template]
    assert cli.main([*map(str, common), "--stage2", str(first)]) != 0
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not out.exists() and [p.name for p in tmp_path.iterdir()] == ["neutral.npy"]
    assert cli.main([*map(str, common), "--stage2", str(second)]) == 0
    assert sorted(p.name for p in out.iterdir()) == ["config.json", "model.safetensors"]
    assert torch.equal(load_model(out, torch.device("cpu")).template, torch.arange(36.0))


def test_a_folder_that_is_not_a_model_is_never_replaced(files, tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "diary.txt").write_text("dear diary")
    config, tensors, *_ = files["biwi"]
    assert "not a model folder" in sentence(lambda: save_model(precious, config, tensors))
    assert (precious / "diary.txt").read_text() == "dear diary"
    save_model(tmp_path / "model", config, tensors)
    save_model(tmp_path / "model", config, tensors)  # a model may be converted anew


def test_a_damaged_model_folder_is_refused(files, tmp_path):
    config, tensors, *_ = files["biwi"]
    save_model(tmp_path / "model", config, tensors)
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:2000])
    assert "damaged" in sentence(lambda: load_model(tmp_path / "model", torch.device("cpu")))
