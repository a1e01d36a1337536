"""The full-size architectures against the lists of names and shapes in the released files; no weight is ever made."""

from __future__ import annotations

import ast

import pytest
import torch

from engine.lgldm.audio_encoders import AudioEncoder
from engine.lgldm.checkpoints import (
    AUDIO_PREFIX,
    DENOISER_PREFIX,
    Heads,
    dataset_of,
    infer_stage1,
    infer_stage2,
    shapes,
    stage_of,
)
from engine.lgldm.datasets import DATASETS
from engine.lgldm.model import released_config
from engine.lgldm.reference_names import schedule_layout, stage1_layout, stage2_layout

LISTS = {"mead": "mead_stage2", "vocaset": "vocaset_stage2", "biwi": "biwi_stage2_structDec"}


@pytest.fixture(scope="module")
def listed(parity):
    def read(name: str) -> dict[str, tuple[int, ...]]:
        text = (parity.parent / "specs" / "keys" / f"lgldm_keys_{name}.txt").read_text()
        rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
        return {row[0]: ast.literal_eval(row[1]) for row in rows}

    return read


@pytest.mark.parametrize("dataset", LISTS)
def test_stage_one(listed, dataset):
    found = listed(f"{dataset}_stage1")
    config = released_config(dataset, 3 * DATASETS[dataset].vertices).vqvae
    assert {n: e.shape for n, e in stage1_layout(config).items()} == found
    assert infer_stage1(DATASETS[dataset], found, None, "released") == config
    assert (stage_of(found), dataset_of(found)) == (1, dataset)


@pytest.mark.parametrize("dataset", LISTS)
def test_stage_two(listed, dataset):
    found = listed(LISTS[dataset])
    config = released_config(dataset, 3 * DATASETS[dataset].vertices)
    assert (stage_of(found), dataset_of(found)) == (2, dataset)
    inner = {n.removeprefix(DENOISER_PREFIX): s for n, s in found.items() if n.startswith(DENOISER_PREFIX)}
    audio = {n.removeprefix(AUDIO_PREFIX): s for n, s in inner.items() if n.startswith(AUDIO_PREFIX)}
    denoiser = {n: s for n, s in inner.items() if not n.startswith(AUDIO_PREFIX)}
    assert {n: e.shape for n, e in stage2_layout(config.denoiser, denoiser["PE.pe"]).items()} == denoiser
    assert {n: e.shape for n, e in schedule_layout(1000).items()} == {n: s for n, s in found.items() if "." not in n}
    with torch.device("meta"):
        assert shapes(AudioEncoder(config.audio).network.state_dict()) == audio
    assert infer_stage2(DATASETS[dataset], denoiser, audio, Heads(), "released") == (config.denoiser, config.audio)
