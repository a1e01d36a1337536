"""The pinned files of the full engine, one lock per system and accelerator. scripts/lock_engine.py makes them."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

FOLDER = Path(__file__).resolve().parent / "locks"
LABELS = {
    "cuda": "NVIDIA GPU (CUDA)",
    "rocm": "AMD GPU (ROCm)",
    "xpu": "Intel GPU",
    "mps": "Mac with Apple silicon",
    "cpu": "CPU only",
}


@dataclass(frozen=True)
class File:
    """One file to fetch. sha256: "" when the index states it (`index`), or for Python, whose checksum uv knows;
    size, unpacked: bytes, estimates when `estimated`; release: Python's, as the address names it."""

    name: str
    version: str
    file: str
    url: str
    sha256: str
    size: int
    unpacked: int
    licence: str = ""
    index: str = ""
    release: str = ""
    estimated: bool = False


@dataclass(frozen=True)
class Lock:
    """Everything that one installation fetches."""

    system: str
    accelerator: str
    uv: File
    python: File
    packages: tuple[File, ...]
    digest: str

    @property
    def files(self) -> tuple[File, ...]:
        """All of them, in the order in which they are needed."""
        return (self.uv, self.python, *self.packages)

    @property
    def torch(self) -> str:
        """The version of PyTorch."""
        return next((p.version for p in self.packages if p.name == "torch"), "")

    @property
    def download_bytes(self) -> int:
        """What is fetched."""
        return sum(file.size for file in self.files)

    @property
    def installed_bytes(self) -> int:
        """What lies on the disk in the end."""
        return sum(file.unpacked for file in self.files)

    @property
    def estimated(self) -> bool:
        """Whether a large file's size is a guess (Python's alone does not count: it is 30 MB)."""
        return any(file.estimated for file in self.packages)

    @property
    def hosts(self) -> list[str]:
        """The servers that are asked, when no other package index is set."""
        names = {urlsplit(address).hostname for file in self.files for address in (file.url, file.index) if address}
        return sorted(name for name in names if name)


def this_system(name: str = sys.platform, machine: str = "") -> str:
    """This computer as the locks call it, such as "linux-x86_64"; whether a lock exists for it is another matter."""
    system = {"win32": "windows", "darwin": "macos"}.get(name, name.rstrip("0123456789"))
    machine = (machine or platform.machine()).lower()
    return f"{system}-{ {'amd64': 'x86_64', 'aarch64': 'arm64'}.get(machine, machine) }"


def available(system: str, folder: Path = FOLDER) -> list[str]:
    """The accelerators that there are locks for on this system, best first."""
    return [name for name in LABELS if (folder / f"{system}-{name}.json").is_file()]


@cache
def read(system: str, accelerator: str, folder: Path = FOLDER) -> Lock:
    """The lock. Raises FileNotFoundError when there is none, ValueError when it is damaged."""
    text = (folder / f"{system}-{accelerator}.json").read_bytes()
    try:
        data = json.loads(text)
        files = [File(**entry) for entry in (data["uv"], data["python"], *data["packages"])]
    except (KeyError, TypeError) as error:
        raise ValueError(f"The list of files for {system}-{accelerator} is damaged; install the add-on again.") from error
    digest = hashlib.sha256(text).hexdigest()
    return Lock(data["system"], data["accelerator"], files[0], files[1], tuple(files[2:]), digest)


def requirements(lock: Lock, checksums: dict[str, str]) -> str:
    """The packages as a requirements file with checksums. checksums: by file name, for those the lock has none of."""
    lines = [f"{p.name}=={p.version} --hash=sha256:{p.sha256 or checksums[p.file]}" for p in lock.packages]
    return "\n".join(lines) + "\n"
