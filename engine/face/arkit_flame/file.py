"""Tables of ARKit's shapes on a FLAME head, as files. NumPy only."""

from __future__ import annotations

import io
import os
import secrets
import zipfile
from pathlib import Path

import numpy as np

from ...array_archive import ArchiveError, read_arrays
from ...errors import InputError
from ..arkit import ARKIT_52
from .fit import Table

FORMAT = "facediff-arkit-flame/1"
ARRAYS = ("format", "channels", "parameters", "metric", "residual_mm", "sizes", "vertices", "source")
LONGEST = 1000  # an axis of any array of a table
SUFFIX = ".arkit.npz"  # of a table beside its FLAME file


def save_table(table: Table, path: str | os.PathLike[str]) -> None:
    """Write the table; the file appears complete or not at all. Raises OSError."""
    path = Path(path)
    data = io.BytesIO()
    arrays = {name: np.asarray(getattr(table, name)) for name in ARRAYS if name != "format"}
    np.savez_compressed(data, format=np.array(FORMAT), **arrays)
    partial = path.parent / f".table-{secrets.token_hex(8)}.part"
    try:
        partial.write_bytes(data.getvalue())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def load_table(path: str | os.PathLike[str]) -> Table:
    """Read a table. Never unpickles. Raises InputError with one sentence."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no file '{path}'.")
    if not zipfile.is_zipfile(path):
        raise InputError(f"'{path.name}' is not a table of ARKit's shapes on a FLAME head.")
    try:
        arrays = read_arrays(path, ARRAYS, LONGEST)
    except ArchiveError as error:
        raise InputError(f"'{path.name}' {error}.") from error
    if str(arrays.get("format", "")) != FORMAT:
        raise InputError(f"'{path.name}' is not a table of ARKit's shapes on a FLAME head.")
    try:
        parameters, metric = (arrays[n].astype(np.float64) for n in ("parameters", "metric"))
        channels, size = tuple(arrays["channels"].tolist()), parameters.shape[1]
        residual = arrays["residual_mm"].astype(np.float64)
        good = parameters.shape == (len(ARKIT_52), size) and size > 3 and metric.shape == (size, size)
        sizes = arrays["sizes"].astype(np.float64)
        good = good and channels == ARKIT_52 and residual.shape == (len(channels),) and sizes.shape == (size - 3,)
        if not good or not all(np.isfinite(a).all() for a in (parameters, metric, residual, sizes)):
            raise ValueError
        return Table(channels, parameters, metric, residual, sizes, int(arrays["vertices"]), str(arrays["source"]))
    except (KeyError, ValueError, TypeError, IndexError):
        raise InputError(f"'{path.name}' is incomplete or damaged.") from None
