"""Where the full engine lies on this computer, and what is written down about it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

ENVIRONMENT_VARIABLE = "FACEDIFF_ENGINE_FOLDER"
MARK_TEXT = "FaceDiff for Blender made this folder; its preferences remove it again (Uninstall).\n"


def default_folder(environ: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """The folder of this user, which all Blender versions share; the environment variable overrides it."""
    if chosen := environ.get(ENVIRONMENT_VARIABLE):
        return Path(chosen)
    home = Path.home()
    if platform == "win32":  # local: gigabytes do not belong in a profile that roams
        base = Path(environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif platform == "darwin":
        base = home / "Library" / "Application Support"
    else:
        named = environ.get("XDG_DATA_HOME", "")
        base = Path(named) if os.path.isabs(named) else home / ".local" / "share"  # the standard ignores relative ones
    return base / "FaceDiff" / "engine"


def interpreter(environment: Path) -> Path:
    """The Python of a virtual environment."""
    return environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


@dataclass(frozen=True)
class Layout:
    """The files and folders inside the engine's folder; nothing outside of it is ever written."""

    root: Path

    @property
    def mark(self) -> Path:
        """Says that the folder is ours; without it nothing is removed."""
        return self.root / "made-by-facediff.txt"

    @property
    def record(self) -> Path:
        """What is installed, written last: without it nothing is."""
        return self.root / "engine.json"

    @property
    def busy(self) -> Path:
        """Locked by the one process that works here."""
        return self.root / "busy.lock"

    @property
    def log(self) -> Path:
        """What the last installation said."""
        return self.root / "install.log"

    @property
    def requirements(self) -> Path:
        """The exact packages and their checksums, as uv and pip read them."""
        return self.root / "requirements.txt"

    @property
    def uv(self) -> Path:
        """The tool that makes environments."""
        return self.root / "uv" / ("uv.exe" if sys.platform == "win32" else "uv")

    @property
    def pythons(self) -> Path:
        """Python itself, as uv unpacks it."""
        return self.root / "python"

    @property
    def environment(self) -> Path:
        """The environment in use."""
        return self.root / "environment"

    @property
    def building(self) -> Path:
        """The environment being made; it becomes `environment` when it has passed its test."""
        return self.root / "environment.new"

    @property
    def old(self) -> Path:
        """The environment that was in use, on its way out."""
        return self.root / "environment.old"

    @property
    def downloads(self) -> Path:
        """Files as they were fetched; kept until an installation is complete, so that a cancelled one goes on."""
        return self.root / "downloads"

    @property
    def cache(self) -> Path:
        """uv's unpacked packages, hard-linked into the environment; removed with the downloads."""
        return self.root / "cache"

    @property
    def scratch(self) -> Path:
        """Files of the self-test."""
        return self.root / "test"

    @property
    def python(self) -> Path:
        """The interpreter of the environment in use."""
        return interpreter(self.environment)

    def everything(self) -> list[Path]:
        """All that an installation can leave here, the mark last."""
        folders = [self.environment, self.building, self.old, self.downloads, self.cache, self.scratch, self.pythons]
        return [*folders, self.uv.parent, self.record, self.requirements, self.log, self.busy, self.mark]


@dataclass(frozen=True)
class Record:
    """What is installed. lock: digest of the lock it was made from; devices: what the self-test found."""

    accelerator: str
    lock: str
    python: str
    torch: str
    managed_python: bool
    size: int
    devices: list[dict]


def read_record(layout: Layout) -> Record | None:
    """What is installed, None when nothing (whole) is."""
    try:
        data = json.loads(layout.record.read_text(encoding="utf-8"))
        return Record(**{name: data[name] for name in Record.__dataclass_fields__})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_record(layout: Layout, record: Record) -> None:
    """Write down what is installed, whole or not at all."""
    draft = layout.record.with_suffix(".tmp")
    draft.write_text(json.dumps(asdict(record), indent=1), encoding="utf-8")
    os.replace(draft, layout.record)
