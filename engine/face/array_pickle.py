"""Reads the arrays in a pickle and can do nothing else: for FLAME's and VOCASET's files, which come as pickles.

A pickle is a program; the standard loader runs whatever it names. Here every name it may use is one of the inert stand-ins
below, which only remember what they were given; arrays are made from them afterwards. Any other name is refused.
NumPy and the standard library only.
"""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np

MAX_BYTES = 4 << 30
MAX_DENSE = 512 << 20  # bytes of a sparse matrix made dense; FLAME's joints of its vertices are 200 kB
MAX_DEPTH = 50
# What a pickle may unfold to, in bytes: it may mention one list many times, each of which mentions another many times.
UNFOLDED, RATIO = 64 << 20, 8
# Letters of dtypes that are plain numbers or text: no objects, no records.
PLAIN_KINDS = frozenset("biufSU?")


class ArrayPickleError(ValueError):
    """The file is no pickle of arrays; the message is one sentence for the user."""


class _Standin:
    """Takes any arguments and any state and does nothing with them until `value` is asked for."""

    args: tuple[Any, ...] = ()  # an object that a pickle makes without arguments never comes to `__init__`
    state: Any = None

    def __init__(self, *args: Any):
        self.args = args

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def value(self, depth: int) -> Any:
        """What it stands for, made of plain values and arrays."""
        raise ArrayPickleError("The pickle names something it does not make.")


class _Type(_Standin):
    """A class named as an argument (numpy.ndarray, object); never made."""


class _DType(_Standin):
    def value(self, depth: int) -> np.dtype:
        code = self.args[0] if self.args else None
        code = code.decode("latin1") if isinstance(code, bytes) else code
        if not isinstance(code, str) or code.lstrip("<>|=")[:1] not in PLAIN_KINDS:
            raise ArrayPickleError("The pickle holds an array of something other than numbers.")
        dtype = np.dtype(code)
        order = self.state[1] if isinstance(self.state, tuple) and len(self.state) > 1 else "="
        order = order.decode("latin1") if isinstance(order, bytes) else order
        return dtype.newbyteorder(order) if order in ("<", ">") else dtype


class _Array(_Standin):
    """numpy's `_reconstruct(type, (0,), "b")`; the state is (version, shape, dtype, fortran, bytes)."""

    def value(self, depth: int) -> np.ndarray:
        if not isinstance(self.state, tuple) or len(self.state) != 5:
            raise ArrayPickleError("The pickle holds a damaged array.")
        _, shape, dtype, fortran, raw = self.state
        return _make_array(raw, dtype, shape, "F" if fortran else "C")


class _FromBuffer(_Standin):
    """numpy's `_frombuffer(buffer, dtype, shape, order)` of protocol 5."""

    def value(self, depth: int) -> np.ndarray:
        if len(self.args) != 4:
            raise ArrayPickleError("The pickle holds a damaged array.")
        return _make_array(*self.args)


class _Scalar(_Standin):
    """numpy's `scalar(dtype, bytes)`."""

    def value(self, depth: int) -> Any:
        if len(self.args) != 2:
            raise ArrayPickleError("The pickle holds a damaged number.")
        return _make_array(self.args[1], self.args[0], (1,), "C")[0].item()


class _Encoded(_Standin):
    """`_codecs.encode(text, "latin1")`: how protocol 2 writes bytes."""

    def value(self, depth: int) -> bytes:
        if not self.args or not isinstance(self.args[0], str):
            raise ArrayPickleError("The pickle holds damaged bytes.")
        return self.args[0].encode("latin1")


class _NoBytes(_Standin):
    """`bytes()`: how protocol 2 writes no bytes at all."""

    def value(self, depth: int) -> bytes:
        if self.args:
            raise ArrayPickleError("The pickle holds damaged bytes.")
        return b""


class _Foreign(_Standin):
    """Anything else of chumpy's or scipy's that an array's state may mention beside its numbers; never made."""


class _Object(_Standin):
    """`copy_reg._reconstructor(type, object, None)`: an object of the first argument's kind."""

    def value(self, depth: int) -> Any:
        kind = self.args[0] if self.args else None
        if not (isinstance(kind, type) and issubclass(kind, (_Sparse, _Chumpy))):
            raise ArrayPickleError("The pickle holds an object that is not an array.")
        made = kind()
        made.state = self.state
        return made.value(depth)


class _Chumpy(_Standin):
    """A chumpy array: the numbers are its `x`."""

    def value(self, depth: int) -> Any:
        if not isinstance(self.state, dict) or "x" not in self.state:
            raise ArrayPickleError("The pickle holds a chumpy expression instead of an array.")
        return _resolve(self.state["x"], depth + 1)


class _Sparse(_Standin):
    """A scipy matrix in compressed columns, made dense."""

    rows = False

    def value(self, depth: int) -> np.ndarray:
        if not isinstance(self.state, dict):
            raise ArrayPickleError("The pickle holds a damaged sparse matrix.")
        parts = {str(k): _resolve(v, depth + 1) for k, v in self.state.items()}
        try:
            shape = tuple(int(n) for n in parts["_shape"])
            data, indices, pointers = (np.asarray(parts[n]) for n in ("data", "indices", "indptr"))
            if len(shape) != 2 or min(shape) < 0 or np.prod(shape, dtype=object) * 8 > MAX_DENSE:
                raise ValueError
            outer = np.repeat(np.arange(len(pointers) - 1), np.diff(pointers))
            dense = np.zeros(shape, data.dtype)
            dense[(outer, indices) if self.rows else (indices, outer)] = data
        except (KeyError, ValueError, TypeError, IndexError, MemoryError) as error:
            raise ArrayPickleError("The pickle holds a damaged sparse matrix.") from error
        return dense


class _SparseRows(_Sparse):
    rows = True


class _Collection(_Standin):
    """`set([...])`, `frozenset([...])`: a list."""

    def value(self, depth: int) -> Any:
        return _resolve(list(self.args[0]) if self.args and isinstance(self.args[0], (list, tuple)) else [], depth + 1)


NAMES: dict[tuple[str, str], type[_Standin]] = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Array for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _Scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _FromBuffer for core in ("core", "_core")},
    ("numpy", "ndarray"): _Type,
    ("numpy", "dtype"): _DType,
    ("_codecs", "encode"): _Encoded,
    ("copy_reg", "_reconstructor"): _Object,
    ("copyreg", "_reconstructor"): _Object,
    **{(module, "bytes"): _NoBytes for module in ("__builtin__", "builtins")},
    **{(module, "object"): _Type for module in ("__builtin__", "builtins")},
    **{(module, name): _Collection for module in ("__builtin__", "builtins") for name in ("set", "frozenset")},
    **{(f"scipy.sparse.{module}", "csc_matrix"): _Sparse for module in ("csc", "_csc")},
    **{(f"scipy.sparse.{module}", "csr_matrix"): _SparseRows for module in ("csr", "_csr")},
    ("chumpy.ch", "Ch"): _Chumpy,
    ("chumpy", "Ch"): _Chumpy,
}


class _Unpickler(pickle._Unpickler):  # type: ignore[name-defined]
    """The Python one: the C one allocates whatever memory index a damaged file asks for."""

    def find_class(self, module: str, name: str) -> type[_Standin]:
        found = NAMES.get((str(module), str(name)))
        if found is None and str(module).startswith(("chumpy.", "scipy.sparse.")):
            return _Foreign
        if found is None:
            raise ArrayPickleError(f"It names '{module}.{name}', which is not an array.")
        return found


def load_array_pickle(path: str | os.PathLike[str]) -> Any:
    """The content of a pickle as dicts, lists, tuples, text, numbers and numpy arrays; sparse matrices become dense.

    Python 2 text is read as latin-1. Nothing named in the file is ever imported or called. Raises ArrayPickleError.
    """
    path = Path(path)
    if path.stat().st_size > MAX_BYTES:
        raise ArrayPickleError(f"'{path.name}' is too large to be read.")
    return loads_array_pickle(path.read_bytes(), path.name)


def loads_array_pickle(data: bytes, name: str = "the pickle") -> Any:
    """As `load_array_pickle`, from bytes."""
    try:
        content = _Unpickler(io.BytesIO(data), encoding="latin1").load()
        if _unfolded(content, {}, 0) > max(UNFOLDED, RATIO * len(data)):
            raise ArrayPickleError("It repeats itself without end.")
        return _resolve(content, 0)
    except ArrayPickleError as error:
        raise ArrayPickleError(f"'{name}' was not read: {str(error)[0].lower() + str(error)[1:]}") from None
    except Exception as error:  # a damaged pickle can raise almost anything while it is interpreted
        raise ArrayPickleError(f"'{name}' is damaged or not a pickle of arrays.") from error


def _make_array(raw: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    raw, dtype = (x.value(0) if isinstance(x, _Standin) else x for x in (raw, dtype))
    raw = raw.encode("latin1") if isinstance(raw, str) else raw
    if not isinstance(raw, (bytes, bytearray)) or not isinstance(dtype, np.dtype) or not isinstance(shape, tuple):
        raise ArrayPickleError("The pickle holds an array of something other than numbers.")
    if order not in ("C", "F"):
        raise ArrayPickleError("The pickle holds a damaged array.")
    shape = tuple(int(n) for n in shape)
    if min(shape, default=0) < 0 or int(np.prod(shape, dtype=object)) * dtype.itemsize != len(raw):
        raise ArrayPickleError("The pickle holds an array that is cut off.")
    return np.frombuffer(raw, dtype).reshape(shape, order=order).copy()


def _unfolded(value: Any, known: dict[int, int], depth: int) -> int:
    """About how many bytes a value takes once everything that it mentions is copied. known: the same by id."""
    if depth > 4 * MAX_DEPTH:  # four levels of stand-ins and their states make one of what they stand for
        raise ArrayPickleError("The pickle is nested too deeply.")
    if id(value) in known:
        return known[id(value)]
    size = 32
    if isinstance(value, (bytes, bytearray, str)):
        size += len(value)
    elif isinstance(value, _Standin):
        size += _unfolded(value.args, known, depth + 1) + _unfolded(value.state, known, depth + 1)
    elif isinstance(value, dict):
        size += sum(_unfolded(k, known, depth + 1) + _unfolded(v, known, depth + 1) for k, v in value.items())
    elif isinstance(value, (list, tuple)):
        size += sum(_unfolded(v, known, depth + 1) for v in value)
    known[id(value)] = size
    return size


def _resolve(value: Any, depth: int) -> Any:
    """Stand-ins to what they stand for, all the way down."""
    if depth > MAX_DEPTH:
        raise ArrayPickleError("The pickle is nested too deeply.")
    if isinstance(value, _Standin):
        return value.value(depth)
    if isinstance(value, type):
        raise ArrayPickleError("The pickle names something it does not make.")
    if isinstance(value, dict):
        return {_resolve(k, depth + 1): _resolve(v, depth + 1) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_resolve(v, depth + 1) for v in value)
    return value
