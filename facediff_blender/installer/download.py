"""Fetch pinned files: checked, resumed where they stopped, and taken from a folder where one has them."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
import urllib.error
from collections.abc import Callable
from pathlib import Path

from .failures import MISMATCH, InstallError
from .index import Sources, address, open_url
from .locks import File

CHUNK = 1 << 18  # bytes
WAITS = (1, 3, 10)  # seconds before each further try
Tick = Callable[[int], None]  # told the bytes of the file that are there; raises Stopped to end it


def fetch(file: File, into: Path, sources: Sources, tick: Tick, waits: tuple[float, ...] = WAITS) -> Path:
    """The file in the folder `into`, whole and checked. Raises InstallError, OSError or, from `tick`, Stopped; what had
    come by then stays as NAME.part and is gone on with."""
    target = into / file.file
    if target.is_file() and matches(target, file, tick):
        tick(target.stat().st_size)
        return target
    for folder in sources.folders:
        if (folder / file.file).is_file():
            return _take(folder / file.file, target, file, tick)
    if not sources.online:
        raise InstallError(
            f"{file.file} is not in {sources.folders[0]}." if sources.folders else f"{file.file} was not downloaded yet."
        )
    for wait in (*waits, None):
        try:
            url, digest = address(file, sources)
            return _download(url, target, file, digest, tick)
        except (urllib.error.HTTPError, ConnectionError, TimeoutError, urllib.error.URLError) as error:
            if wait is None or not _passing(error):
                raise
            for _ in range(int(wait * 10)):
                tick(_size(_part(target)))
                time.sleep(0.1)
    raise AssertionError("unreachable")


def matches(path: Path, file: File, tick: Tick | None = None, digest: str = "") -> bool:
    """Whether a file is the pinned one; one without a checksum in the lock must only have something in it."""
    wanted = digest or file.sha256
    if not wanted:
        # Python's archive is checked by uv; the others' checksums were checked against the index when they came, and
        # are checked again against the one beside them.
        beside = path.with_name(path.name + ".sha256")
        if file.release or not beside.is_file():
            return bool(file.release) and path.stat().st_size > 0
        wanted = beside.read_text().strip()
    if not file.estimated and path.stat().st_size != file.size:
        return False
    return sha256(path, tick) == wanted


def sha256(path: Path, tick: Tick | None = None) -> str:
    """The SHA-256 of a file as hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
            if tick is not None:
                tick(stream.tell())
    return digest.hexdigest()


def _take(source: Path, target: Path, file: File, tick: Tick) -> Path:
    """The file from a folder: a link where the disk allows it, a copy otherwise."""
    if not matches(source, file, tick):
        raise InstallError(f"{source} is not the file that was tested (its checksum differs); get the folder's files again.")
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another disk, or one that knows no links
        shutil.copyfile(source, _part(target))
        os.replace(_part(target), target)
    beside = source.with_name(source.name + ".sha256")
    if beside.is_file():
        shutil.copyfile(beside, target.with_name(target.name + ".sha256"))
    tick(target.stat().st_size)
    return target


def _download(url: str, target: Path, file: File, digest: str, tick: Tick) -> Path:
    part = _part(target)
    resumed = _size(part)
    if not file.estimated and resumed >= file.size:  # whole or wrong: the checksum says which
        part.unlink()
        resumed = 0
    try:
        answer = open_url(url, resumed)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        part.unlink()  # it is longer than the file
        resumed, answer = 0, open_url(url)
    with answer:
        if resumed and getattr(answer, "status", None) != 206:  # a server or a proxy that starts from the beginning
            resumed = 0
        with open(part, "ab" if resumed else "wb") as stream:
            done = resumed
            while chunk := answer.read(CHUNK):
                stream.write(chunk)
                done += len(chunk)
                tick(done)
        length = answer.headers.get("Content-Length") if answer.headers else None
    if length is not None and done < resumed + int(length):
        raise ConnectionResetError("The connection was reset before the end of the file.")
    if not file.release and (digest != sha256(part, lambda _: tick(done))):
        part.unlink()
        if resumed:  # what was there before was of another file, or was damaged
            return _download(url, target, file, digest, tick)
        raise InstallError(f"{MISMATCH} ({file.file})")
    if not file.sha256 and not file.release:
        target.with_name(target.name + ".sha256").write_text(digest)
    os.replace(part, target)
    return target


def _passing(error: OSError) -> bool:
    """Whether trying again may help."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code >= 500 or error.code in (408, 429)
    if isinstance(error, urllib.error.URLError):
        return isinstance(error.reason, (ConnectionError, TimeoutError))
    return True


def _part(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0

