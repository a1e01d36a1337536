"""Files from strangers: damaged ones are refused in one sentence, and those made to hurt do not. `scripts/fuzz.py` tries far
more of both, in processes with limits.
"""

from __future__ import annotations

import sys
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from fuzzing import attacks, targets

from engine import array_archive
from engine.errors import InputError
from engine.face.array_pickle import ArrayPickleError, loads_array_pickle
from engine.lgldm.checkpoints import read_checkpoint
from engine.messages import ProtocolError
from engine.motion import FaceMotion, MotionError
from engine.occlufacediff.checkpoints import read_flint

CHEAP = ("messages", "motion", "emotion-curve", "wav", "tensors", "flame-pkl", "flame-npz", "template-npy", "mesh-obj", "arkit-csv")
SENTENCES = ("InputError", "MotionError", "FlameError", "ProtocolError", "LiveLinkError")

seeds_of = cache(targets.seeds_of)


def refusal(name: str, data: bytes, folder: Path) -> str:
    """The sentence with which the parser refuses these bytes; "" when it reads them."""
    target = targets.TARGETS[name]
    (folder / target.file).write_bytes(data)
    try:
        target.parse(folder / target.file)
    except Exception as error:
        assert type(error).__name__ in SENTENCES, error
        assert str(error) and "\n" not in str(error)
        return str(error)
    finally:
        assert [p.name for p in folder.iterdir()] == [target.file]
    return ""


@pytest.mark.parametrize("name", CHEAP)
@settings(max_examples=12, derandomize=True)
@given(number=st.integers(0, 10_000))
def test_damage_is_refused_in_a_sentence(tmp_path_factory, name, number):
    target, seeds = targets.TARGETS[name], seeds_of(name)
    rng = np.random.default_rng([zlib.crc32(name.encode()), number])
    refusal(name, target.damage(seeds[number % len(seeds)], rng, seeds), tmp_path_factory.mktemp("fuzz"))


@pytest.mark.parametrize("name", ["wav", "tensors", "template-npy", "mesh-ply"])
def test_files_that_claim_more_than_there_is_are_refused_at_once(tmp_path, name):
    said = [refusal(name, data, tmp_path) for data in targets.TARGETS[name].attacks(str(tmp_path / "mark"))]
    harmless = {"tensors": 2, "wav": 1}.get(name, 0)  # tensors without numbers, and a WAV rate that exists
    assert said.count("") <= harmless, said
    if name == "wav":
        assert any("claims 999 samples per second" in s for s in said) and any("claims 3200000000 samples" in s for s in said)
        assert "more than 10000 chunks" in said[-1]


def test_archives_that_inflate_or_hold_thousands_of_arrays_are_refused(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "m.npz", fps=25.0, channels=["jawOpen"], weights=np.zeros((300_000, 1)))
    assert FaceMotion.load(tmp_path / "m.npz").frames == 300_000
    monkeypatch.setattr(array_archive, "INFLATED", 1 << 20)
    with pytest.raises(MotionError, match="too large to be honest"):
        FaceMotion.load(tmp_path / "m.npz")
    (tmp_path / "m.npz").unlink()
    many, encrypted = attacks.crowded_archives()
    assert "20000 arrays" in refusal("motion", many, tmp_path)
    assert "RuntimeError" in refusal("motion", encrypted, tmp_path)


def test_pickles_made_to_hurt_are_refused(tmp_path):
    refused = 0
    made = attacks.pickles(str(tmp_path / "mark"))
    for data in made:
        try:
            loads_array_pickle(data)
        except ArrayPickleError:
            refused += 1
        assert not (tmp_path / "mark").exists()
    assert refused >= len(made) - 2  # two ask for a large memo or number and then say something harmless


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("read", [read_checkpoint, read_flint])
def test_a_checkpoint_made_to_hurt_is_refused(tmp_path, read):
    path = tmp_path / "c.pt"
    for data in attacks.checkpoints(str(tmp_path / "mark")):
        path.write_bytes(data)
        try:
            read(path)  # a lone tensor without numbers is no harm; the converter refuses it
        except InputError as error:
            assert "c.pt" in str(error)
        assert not (tmp_path / "mark").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["c.pt"]


@pytest.mark.parametrize("name", ["starter-config", "lgldm-config", "occlu-config"])
def test_a_configuration_of_absurd_sizes_is_refused(tmp_path, name):
    seeds = seeds_of(name)
    cases = [*attacks.configs(""), *(seeds[0].replace(b'layers": 2', b'layers": ' + n) for n in (b"501", b"1e300", b"NaN"))]
    for data in cases:
        if data != seeds[0]:  # the starter's has no such field
            assert refusal(name, data, tmp_path)


def test_a_word_of_a_message_that_is_deep_is_refused():
    from engine.messages import decode_event

    for line in attacks.messages(""):
        with pytest.raises(ProtocolError):
            decode_event(line)
