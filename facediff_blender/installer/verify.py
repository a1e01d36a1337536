"""Find the installed packages that are not as they were installed: files missing or changed (RECORD, PEP 376 / 427)."""

from __future__ import annotations

import base64
import csv
import hashlib
import re
from collections.abc import Callable
from pathlib import Path

from .locks import Lock


def packages_folder(environment: Path) -> Path | None:
    """The environment's site-packages; None when it is gone."""
    found = [*environment.glob("lib/python*/site-packages"), *environment.glob("Lib/site-packages")]
    return found[0] if found else None


def damaged(environment: Path, lock: Lock, tick: Callable[[int, int], None]) -> dict[str, str]:
    """The damaged packages by name, with what is wrong with each. tick: told how many packages are done, of how many."""
    folder = packages_folder(environment)
    if folder is None:
        return {package.name: "is missing" for package in lock.packages}
    installed = {_name(path): path for path in folder.glob("*.dist-info")}
    found = {}
    for number, package in enumerate(lock.packages):
        tick(number, len(lock.packages))
        metadata = installed.get(_plain(package.name))
        if metadata is None:
            found[package.name] = "is missing"
        elif problem := _problem(folder, metadata, package.version):
            found[package.name] = problem
    return found


def _problem(folder: Path, metadata: Path, version: str) -> str:
    if metadata.name.removesuffix(".dist-info").rpartition("-")[2] != version:
        return "has another version"
    try:
        with open(metadata / "RECORD", encoding="utf-8", newline="") as stream:
            rows = [row for row in csv.reader(stream) if row]
    except (OSError, csv.Error, UnicodeDecodeError):
        return "has lost its list of files"
    for name, digest, size in (row for row in rows if len(row) == 3 and row[1]):
        path = folder / name
        try:
            if size and path.stat().st_size != int(size):
                return f"has a damaged file, {name}"
            if not digest.startswith("sha256="):
                continue
            if _sha256(path) != digest.removeprefix("sha256="):
                return f"has a damaged file, {name}"
        except OSError:
            return f"has lost {name}"
    return ""


def _sha256(path: Path) -> str:
    with open(path, "rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _name(metadata: Path) -> str:
    return _plain(metadata.name.removesuffix(".dist-info").rpartition("-")[0])


def _plain(name: str) -> str:
    """A package's name as all its spellings have it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
