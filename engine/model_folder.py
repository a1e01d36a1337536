"""The folder that a model lives in: `config.json`, which names its kind, and `model.safetensors`."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InputError
from .failures import out_of_memory

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
MAX_CONFIG = 1 << 20  # bytes; an honest one has a few thousand
# The largest number in a configuration, and in those of its fields that say how many layers there are: a network is built
# from them before its weights are found to be others.
MOST, MOST_LAYERS = 1_000_000, 500


def read_config(folder: Path) -> dict[str, Any]:
    """The object in config.json. Raises OSError, and ValueError when it is damaged or names absurd sizes."""
    path = folder / CONFIG
    if path.stat().st_size > MAX_CONFIG:
        raise ValueError("config.json is too large")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("config.json is nested too deeply") from None
    if not isinstance(config, dict):
        raise ValueError("config.json holds no object")
    _refuse_absurd(config, MOST)
    return config


@contextmanager
def whole_model(folder: Path) -> Iterator[None]:
    """Around the reading of a model: whatever is wrong with its files becomes an InputError; too little memory stays that."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # networks built from damaged sizes raise almost anything
        if out_of_memory(error):
            raise
        raise InputError(f"The model in '{folder}' is incomplete or damaged ({type(error).__name__}).") from error


def check_folder(folder: Path, kind: str) -> None:
    """Raise InputError when a model of that kind cannot be written there: no parent, or something else is in its place."""
    if folder.exists() and not _may_be_replaced(folder, kind):
        raise InputError(f"'{folder}' exists and is not a model folder of this kind; choose a new name.")
    if not folder.absolute().parent.is_dir():
        raise InputError(f"There is no folder '{folder.parent}' to write '{folder.name}' into.")


def write_folder(folder: Path, config: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Write a model folder, whole or not at all; config holds "kind". Raises InputError as `check_folder`, and OSError."""
    from safetensors.torch import save_file

    check_folder(folder, config["kind"])
    partial = Path(tempfile.mkdtemp(dir=folder.absolute().parent, prefix=f".{folder.name}-"))
    try:
        partial.chmod(0o755)
        save_file({k: v.detach().contiguous().cpu() for k, v in tensors.items()}, partial / WEIGHTS)
        (partial / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _refuse_absurd(value: Any, most: int) -> None:
    if isinstance(value, dict):
        for name, item in value.items():
            _refuse_absurd(item, MOST_LAYERS if name.endswith("layers") else MOST)
    elif isinstance(value, list):
        for item in value:
            _refuse_absurd(item, most)
    elif isinstance(value, (int, float)) and not abs(value) <= most:
        raise ValueError(f"config.json names the size {value}")


def _may_be_replaced(folder: Path, kind: str) -> bool:
    try:
        return json.loads((folder / CONFIG).read_text(encoding="utf-8"))["kind"] == kind
    except (OSError, ValueError, KeyError, TypeError):
        return folder.is_dir() and not any(folder.iterdir())
