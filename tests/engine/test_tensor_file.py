"""safetensors files: read as the library reads them, and refused in one sentence when they are not whole."""

import json
import struct

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from engine import tensor_file
from engine.animate import ASSETS
from engine.errors import InputError
from engine.tensor_file import read_tensors


def test_the_shipped_weights_are_read_as_the_library_reads_them():
    path = ASSETS / "starter" / "starter.safetensors"
    found, expected = read_tensors(path), load_file(path)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name].dtype == np.float32 and found[name].flags.writeable
        np.testing.assert_array_equal(found[name], values.float().numpy())


@pytest.mark.parametrize("kind", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_every_floating_point_type(tmp_path, kind):
    tensors = {"a": torch.randn(3, 4, 2).to(kind), "empty": torch.zeros(0, 5, dtype=kind), "one": torch.tensor(2.5, dtype=kind)}
    save_file(tensors, tmp_path / "t.safetensors", metadata={"made": "by a test"})
    found = read_tensors(tmp_path / "t.safetensors")
    for name, values in tensors.items():
        assert found[name].shape == tuple(values.shape)
        np.testing.assert_array_equal(found[name], values.float().numpy())


def file_of(header, data=b"\0" * 8, length=None):
    """A file with this header (an object or text) and these bytes."""
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(shape=(2,), offsets=(0, 8), kind="F32"):
    return {"dtype": kind, "shape": list(shape), "data_offsets": list(offsets)}


DAMAGED = {
    "empty": b"",
    "short": b"\1\0",
    "header longer than the file": file_of({"a": entry()}, length=10_000),
    "header of exabytes": file_of({"a": entry()}, length=(1 << 63) + 5),
    "no JSON": file_of("{{{{"),
    "no UTF-8": struct.pack("<Q", 4) + b"\xff\xfe\xfd\xfc",
    "a list": file_of("[1, 2]"),
    "nested": file_of("[" * 100_000),
    "cut off": file_of({"a": entry()}, b"\0" * 7),
    "too long": file_of({"a": entry()}, b"\0" * 9),
    "a shape that claims memory": file_of({"a": entry((1 << 40, 1 << 20))}),
    "a shape that multiplies to what is there": file_of({"a": entry((-1, -2))}),
    "fractions": file_of({"a": entry((2.0,))}),
    "offsets beyond the file": file_of({"a": entry((2,), (8, 16))}),
    "offsets backwards": file_of({"a": entry((0,), (8, 0))}),
    "overlap": file_of({"a": entry(), "b": entry()}),
    "a hole": file_of({"a": entry((1,), (4, 8))}),
    "a name twice": file_of('{"a": %s, "a": %s}' % ((json.dumps(entry()),) * 2)),
    "another type": file_of({"a": entry((1,), kind="I64")}),
    "a type that is none": file_of({"a": entry(kind=["F32"])}),
    "not finite": file_of({"a": entry()}, struct.pack("<2f", 1.0, float("nan"))),
    "no offsets": file_of({"a": {"dtype": "F32", "shape": [2]}}),
    "a number": file_of({"a": 3}),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files_end_in_one_sentence(tmp_path, name):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(DAMAGED[name])
    with pytest.raises(InputError) as caught:
        read_tensors(path)
    assert "weights.safetensors" in str(caught.value) and str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_a_missing_or_huge_file_ends_in_one_sentence(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="cannot be read"):
        read_tensors(tmp_path / "none.safetensors")
    with pytest.raises(InputError, match="cannot be read"):
        read_tensors(tmp_path)
    monkeypatch.setattr(tensor_file, "MAX_FILE", 1 << 30)
    path = tmp_path / "huge.safetensors"
    with open(path, "wb") as stream:
        stream.truncate((1 << 30) + 1)  # of holes: takes no room on the disk
    with pytest.raises(InputError, match="larger than 1 GiB"):
        read_tensors(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("changed")


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=6), st.integers(0, 400))
def test_a_file_with_any_bytes_changed_is_read_or_refused(folder, changes, cut):
    whole = bytearray(file_of({"a": entry(), "b": entry((2, 1), (8, 16))}, struct.pack("<4f", 1, 2, 3, 4)))
    for at, value in changes:
        whole[at % len(whole)] = value
    path = folder / "t.safetensors"
    path.write_bytes(whole[: max(0, len(whole) - cut)] if cut < 50 else whole)
    try:
        tensors = read_tensors(path)
    except InputError as error:
        assert str(error).count("\n") == 0
    else:
        assert sum(t.size for t in tensors.values()) <= 8
