"""Archives of arrays: what is in them, and that whatever is wrong with a file is one kind of error."""

import io
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.array_archive import ArchiveError, array_names, read_arrays

ARRAYS = {
    "places": np.arange(600, dtype=np.float32).reshape(-1, 3),
    "names": np.array(["jawOpen", "größe"]),
    "format": np.array("x/1"),
}


def packed(save=np.savez_compressed) -> bytes:
    stream = io.BytesIO()
    save(stream, **ARRAYS)
    return stream.getvalue()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_there_and_back(save, tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(packed(save))
    found = read_arrays(path)
    assert set(found) == array_names(path) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert np.array_equal(found[name], array) and found[name].dtype == array.dtype
    assert set(read_arrays(path, ("names", "absent"))) == {"names"}


@given(st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=8), st.integers(0, 1 << 20))
def test_a_changed_or_shortened_file_is_one_kind_of_error(tmp_path_factory, changes, length):
    data = bytearray(packed())
    for place, value in changes:
        data[place % len(data)] = value
    path = tmp_path_factory.mktemp("a") / "a.npz"
    for content in (bytes(data), bytes(data[: length % len(data)])):
        path.write_bytes(content)
        for read in (read_arrays, array_names):
            try:
                read(path)
            except ArchiveError as error:
                assert str(error).split()[0] in ("is", "claims", "holds")


def test_pickles_and_other_files_are_refused_and_an_absent_one_is_absent(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    np.savez(tmp_path / "object.npz", a=np.array([Trap()], dtype=object))
    np.save(tmp_path / "array.npz.npy", ARRAYS["places"])
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps({"a": 1}))
    for name in ("object.npz", "array.npz.npy", "pickle.npz"):
        with pytest.raises(ArchiveError, match="is damaged or no archive of arrays"):
            read_arrays(tmp_path / name)
    assert not (tmp_path / "sprung").exists()
    with pytest.raises(FileNotFoundError):
        read_arrays(tmp_path / "absent.npz")


def test_more_than_is_there_is_refused_before_it_is_read(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (1 << 40,)})
    with zipfile.ZipFile(tmp_path / "claims.npz", "w") as archive:
        archive.writestr("a.npy", header.getvalue() + bytes(64))
    np.savez_compressed(tmp_path / "inflates.npz", a=np.zeros(300 << 20, np.uint8))
    np.savez(tmp_path / "long.npz", a=np.zeros(101))
    for name, longest in (("claims.npz", 1 << 50), ("inflates.npz", 1 << 50), ("long.npz", 100)):
        with pytest.raises(ArchiveError, match="claims"):
            read_arrays(tmp_path / name, longest=longest)
