"""Where a pinned file is fetched from: its own address, or the user's package index. No bpy, standard library only."""

from __future__ import annotations

import base64
import os
import ssl
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit, urlunsplit

from .failures import InstallError
from .locks import File

INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
LINK_VARIABLES = ("UV_FIND_LINKS", "PIP_FIND_LINKS")
CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE")
MIRROR_VARIABLE = "UV_PYTHON_INSTALL_MIRROR"
TIMEOUT = 60  # seconds without a byte


@dataclass(frozen=True)
class Sources:
    """Where files come from. folders: looked into first; online: whether the network may be used at all; index: the
    user's package index, "" for the addresses in the lock; mirror: where Python's archives are, "" for uv's own place."""

    folders: tuple[Path, ...] = ()
    online: bool = False
    index: str = ""
    mirror: str = ""


def sources(environ: Mapping[str, str] = os.environ, folder: Path | None = None, online: bool = False) -> Sources:
    """The sources that the user's environment names for pip or uv, and the folder of an offline installation."""
    index = next((environ[name].strip() for name in INDEX_VARIABLES if environ.get(name, "").strip()), "")
    links = [Path(part) for name in LINK_VARIABLES for part in environ.get(name, "").split() if os.path.isdir(part)]
    mirror = environ.get(MIRROR_VARIABLE, "").rstrip("/")
    return Sources((*([folder] if folder else []), *links), online, index.rstrip("/"), mirror)


def address(file: File, sources: Sources) -> tuple[str, str]:
    """The address of a file and its SHA-256. Raises OSError when an index cannot be asked, InstallError when it has
    not got the file or, for a file whose checksum the lock lacks, does not state one."""
    if file.release:
        return (f"{sources.mirror}/{file.release}/{file.url.rpartition('/')[2]}" if sources.mirror else file.url), ""
    if sources.index and not file.index:
        found = look_up(sources.index, file)
        if found:
            return found[0], file.sha256
        if urlsplit(file.url).hostname == "files.pythonhosted.org":
            raise InstallError(
                f"Your package index has no {file.file}: unset {' and '.join(INDEX_VARIABLES[1:])} before starting Blender, "
                "or put the file into a folder and use Install from Folder."
            )
    if not file.index:
        return file.url, file.sha256
    found = look_up(file.index, file)
    if found is None:
        raise InstallError(f"{file.index} has no {file.file}: update the add-on, or use Install from Folder.")
    if not (file.sha256 or found[1]):
        raise InstallError(f"{file.index} states no checksum for {file.file}, so it was not installed.")
    return found[0], file.sha256 or found[1]


def look_up(index: str, file: File) -> tuple[str, str] | None:
    """The address of a file on a package index (PEP 503) and the SHA-256 that the page states; None: not there."""
    page = f"{index.rstrip('/')}/{file.name}/"
    if page.startswith("file:"):
        page += "index.html"
    try:
        with open_url(page) as answer:
            base, text = answer.geturl() or page, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise
    parser = _Links()
    parser.feed(text)
    for link in parser.links:
        target, fragment = urldefrag(urljoin(base, link))
        if unquote(target.rpartition("/")[2]) == file.file:
            name, _, digest = fragment.partition("=")
            return _with_login(target, index), (digest if name == "sha256" else "")
    return None


def open_url(url: str, start: int = 0) -> Any:
    """An open answer to read from, from byte `start` where the server can. Raises OSError (HTTPError is one)."""
    parts = urlsplit(url)
    request = urllib.request.Request(_without_login(url), headers={"User-Agent": "FaceDiff-for-Blender"})
    if parts.username:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        # Not passed on when the server sends us to another one.
        request.add_unredirected_header("Authorization", "Basic " + base64.b64encode(login).decode())
    if start:
        request.add_header("Range", f"bytes={start}-")
    return urllib.request.urlopen(request, timeout=TIMEOUT, context=_certificates())


def without_login(text: str) -> str:
    """An address for the eyes: no name, no password."""
    return _without_login(text)


@cache  # reading some hundred certificates takes longer than fetching a small file
def _certificates() -> ssl.SSLContext:
    context = ssl.create_default_context()
    for path in (os.environ.get(name) for name in CERTIFICATE_VARIABLES):
        if path and os.path.isfile(path):
            context.load_verify_locations(path)
    try:
        import certifi  # Blender's own Python brings it; a Python built on another Linux may find no other certificates
    except ImportError:
        return context
    context.load_verify_locations(certifi.where())
    return context


def _without_login(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _with_login(target: str, index: str) -> str:
    """A link of an index on its own server needs the index's name and password."""
    to, own = urlsplit(target), urlsplit(index)
    if own.username and to.netloc == own.netloc.rpartition("@")[2]:
        return urlunsplit(to._replace(netloc=own.netloc))
    return target


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect the targets of <a href>."""
        self.links += [value for name, value in attrs if tag == "a" and name == "href" and value]
