"""The restricted unpickler: builds arrays, and whatever a pickle names besides, nothing of it ever runs."""

from __future__ import annotations

import io
import os
import pickle
import sys
import types

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.face.array_pickle import ArrayPickleError, load_array_pickle, loads_array_pickle

ARRAYS = {
    "f8": np.linspace(0, 1, 24).reshape(4, 6),
    "f4 fortran": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "big endian": np.arange(5, dtype=">i4"),
    "empty": np.zeros((0, 3)),
    "scalar": np.float64(2.5),
    "bool": np.array([True, False]),
    "u4": np.array([2**32 - 1], np.uint32),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_of_every_kind_and_protocol_come_back(protocol):
    content = {"nested": [ARRAYS, (1, "text", None)], "names": {"a", "b"}}
    got = loads_array_pickle(pickle.dumps(content, protocol=protocol))
    for name, want in ARRAYS.items():
        have = np.asarray(got["nested"][0][name])
        assert np.array_equal(have, want) and have.shape == np.shape(want), name
    assert got["nested"][1] == (1, "text", None)
    assert sorted(got["names"]) == ["a", "b"]


@pytest.mark.parametrize("protocol", [1, 2, 4])
def test_sparse_and_chumpy_become_plain_arrays(protocol, monkeypatch):
    chumpy = types.ModuleType("chumpy.ch")

    class Ch:
        def __init__(self, x: np.ndarray):
            self.x, self._dirty_vars = x, set()

    Ch.__module__, Ch.__qualname__ = "chumpy.ch", "Ch"
    chumpy.Ch = Ch
    monkeypatch.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))
    monkeypatch.setitem(sys.modules, "chumpy.ch", chumpy)
    dense = np.array([[0, 1.5, 0], [2, 0, 0]])
    content = {"v": Ch(np.eye(3)), "csc": scipy.sparse.csc_matrix(dense), "csr": scipy.sparse.csr_matrix(dense)}
    got = loads_array_pickle(pickle.dumps(content, protocol=protocol))
    assert np.array_equal(got["v"], np.eye(3))
    assert np.array_equal(got["csc"], dense) and np.array_equal(got["csr"], dense)


def test_what_chumpy_mentions_beside_its_numbers_does_not_matter_but_is_never_an_array():
    one = pickle.dumps(np.eye(2), protocol=2)[2:-1]
    state = b"}(Vx\n" + one + b"V_cache\ncchumpy.reordering\nSelect\n)Ru"
    made = b"\x80\x02ccopy_reg\n_reconstructor\n(cchumpy.ch\nCh\nc__builtin__\nobject\nNtR" + state + b"b."
    assert np.array_equal(loads_array_pickle(made), np.eye(2))
    with pytest.raises(ArrayPickleError):
        loads_array_pickle(b"cchumpy.reordering\nSelect\n)R.")


def programs(mark: str) -> dict[str, bytes]:
    """Pickles that would make the folder `mark`, by every opcode that calls or builds something."""
    text = f"V{mark}\n".encode()
    return {
        "reduce": b"cos\nmkdir\n(" + text + b"tR.",
        "posix": b"cposix\nmkdir\n(" + text + b"tR.",
        "inst": b"(" + text + b"ios\nmkdir\n.",
        "obj": b"(cos\nmkdir\n" + text + b"o.",
        "newobj": b"\x80\x02cos\nmkdir\n" + text + b"\x85\x81.",
        "newobj_ex": b"\x80\x04\x8c\x02os\x8c\x05mkdir\x93" + text + b"\x85}\x92.",
        "stack global": b"\x80\x04\x8c\x02os\x8c\x05mkdir\x93" + text + b"\x85R.",
        "eval": b"c__builtin__\neval\n(V__import__('os').mkdir('" + mark.encode() + b"')\ntR.",
        "getattr": b"c__builtin__\ngetattr\n(cos\nVmkdir\ntR(" + text + b"tR.",
        "through numpy": b"cnumpy.core.multiarray\n_reconstruct.__globals__\n.",
        "numpy load": b"cnumpy\nload\n(" + text + b"tR.",
        "dtype with object": b"cnumpy\ndtype\n(VO\nI0\nI1\ntR.",
        "code in the state": b"cnumpy.core.multiarray\n_reconstruct\n(tR(cos\nmkdir\n" + text + b"db.",
        "build on a class": b"cnumpy\ndtype\n(N}V__setstate__\nN" + b"stb.",
        "extension": b"\x80\x02\x82\x01.",
        "persistent": b"Pthing\n.",
    }


@pytest.mark.parametrize("name", sorted(programs("x")))
def test_a_program_never_runs_and_the_reader_stays_sound(name, tmp_path):
    mark = tmp_path / "ran"
    with pytest.raises(ArrayPickleError) as caught:
        loads_array_pickle(programs(str(mark))[name], "bad.pkl")
    assert not mark.exists()
    assert str(caught.value).startswith("'bad.pkl'") and "\n" not in str(caught.value)
    assert np.array_equal(loads_array_pickle(pickle.dumps(np.arange(3), protocol=2)), np.arange(3))


def test_arrays_that_claim_more_than_they_hold_are_refused(tmp_path):
    small = pickle.dumps(np.arange(4, dtype=np.float64), protocol=2)
    assert isinstance(loads_array_pickle(small), np.ndarray)
    with pytest.raises(ArrayPickleError):
        loads_array_pickle(small.replace(b"K\x04\x85", b"J\xff\xff\xff\x7f\x85"))
    (tmp_path / "cut.pkl").write_bytes(small[:-10])
    with pytest.raises(ArrayPickleError):
        load_array_pickle(tmp_path / "cut.pkl")


def test_object_arrays_are_refused():
    with pytest.raises(ArrayPickleError):
        loads_array_pickle(pickle.dumps(np.array([{}, []], dtype=object)))


VALID = pickle.dumps({"a": np.arange(6.0).reshape(2, 3), "s": scipy.sparse.csc_matrix(np.eye(3))}, protocol=2)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_are_refused_or_plain(data):
    refused_or_plain(data)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(VALID) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_damaged_pickles_are_refused_or_plain(changes):
    data = bytearray(VALID)
    for place, value in changes:
        data[place] = value
    refused_or_plain(bytes(data))


OPCODES = st.sampled_from([
    b"cnumpy.core.multiarray\n_reconstruct\n", b"cnumpy\nndarray\n", b"cnumpy\ndtype\n", b"ccopy_reg\n_reconstructor\n",
    b"cscipy.sparse.csc\ncsc_matrix\n", b"cchumpy.ch\nCh\n", b"cos\nsystem\n", b"c__builtin__\nset\n", b"c_codecs\nencode\n",
    b"(", b"t", b"R", b"b", b"o", b"\x81", b"}", b"]", b"N", b"I1\n", b"Vf8\n", b"Vecho\n", b"s", b"a", b"d", b"l", b"0", b"2",
    b"\x85", b"\x86", b"q\x00", b"h\x00", b")", b"e", b"u",
])  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(st.lists(OPCODES, max_size=25))
def test_random_programs_are_refused_or_plain(opcodes):
    refused_or_plain(b"".join(opcodes) + b".")


def refused_or_plain(data: bytes) -> None:
    try:
        value = loads_array_pickle(data)
    except ArrayPickleError:
        return
    pickle.dump(value, io.BytesIO())  # nothing of ours is in it
    assert plain(value)


def plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(plain(k) and plain(v) for k, v in value.items())
    if isinstance(value, (list, tuple, set, frozenset)):
        return all(map(plain, value))
    return value is None or isinstance(value, (bool, int, float, complex, str, bytes, bytearray, np.ndarray, np.dtype))


def test_no_module_is_imported_for_a_pickle(tmp_path):
    name = "never_imported_by_a_pickle"
    (tmp_path / f"{name}.py").write_text(f"import os; os.mkdir({str(tmp_path / 'ran')!r})")
    sys.path.insert(0, str(tmp_path))
    try:
        with pytest.raises(ArrayPickleError):
            loads_array_pickle(f"c{name}\nthing\n.".encode())
    finally:
        sys.path.remove(str(tmp_path))
    assert name not in sys.modules and not os.path.exists(tmp_path / "ran")
