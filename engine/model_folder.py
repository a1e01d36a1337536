"""The folder that a model lives in: `config.json`, which names its kind, and `model.safetensors`."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = "model.safetensors"
CONFIG = "config.json"


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


def _may_be_replaced(folder: Path, kind: str) -> bool:
    try:
        return json.loads((folder / CONFIG).read_text(encoding="utf-8"))["kind"] == kind
    except (OSError, ValueError, KeyError, TypeError):
        return folder.is_dir() and not any(folder.iterdir())
