"""A package index for the installer's tests: tiny wheels, the real uv behind a wheel, and a server that obeys and disobeys."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import threading
import time
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

SYSTEM, ACCELERATOR = "linux-x86_64", "cpu"
PACKAGES = {
    "torch": ("1.0+tiny", {"torch/__init__.py": "__version__ = '1.0+tiny'\n", "torch/weights.bin": "x" * 900_000}),
    "numpy": (
        "1.0",
        {
            "numpy/__init__.py": "import contextlib\n\n\n@contextlib.contextmanager\n"
            "def load(path, allow_pickle):\n    yield {'weights': [0] * 25}\n"
        },
    ),
    "soundfile": ("1.0", {"soundfile.py": "VERSION = 1\n", "soundfile_data/a.txt": "a\n", "soundfile_data/b.txt": "b\n"}),
}
ENGINE = {
    "engine/__init__.py": "",
    "engine/devices.py": "from collections import namedtuple\nDevice = namedtuple('Device', 'id label usable reason')\n\n\n"
    "def list_devices():\n    import soundfile\n    return [Device('cpu', 'CPU', True, 'Always works.')]\n",
    "engine/__main__.py": "import sys\nopen(sys.argv[sys.argv.index('--out') + 1], 'wb').close()\n",
}


def write_wheel(folder: Path, name: str, version: str, files: dict[str, str | bytes]) -> Path:
    """A wheel (PEP 427) with a correct RECORD."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    content = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = []
    with zipfile.ZipFile(path, "w") as wheel:
        for member, text in content.items():
            data = text.encode() if isinstance(text, str) else text
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            rows.append(f"{member},sha256={digest},{len(data)}")
            wheel.writestr(member, data)
        wheel.writestr(f"{info}/RECORD", "\n".join([*rows, f"{info}/RECORD,,"]) + "\n")
    return path


def write_uv(folder: Path, uv: Path = Path(sys.executable).parent / "uv") -> Path:
    """A uv packed as its publishers pack it, but small: it hands over to the uv of an environment, this one's."""
    path = folder / "uv-0.13.9-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("uv-0.13.9.data/scripts/uv", f'#!/bin/sh\nexec "{uv}" "$@"\n')
    return path


@dataclass
class Server:
    """The folder `files` on the loopback, under /simple/NAME/FILE, with an index page per package. `slow` seconds pass
    between pieces of 64 kB; `status` is answered instead of the files named in it."""

    files: Path
    slow: float = 0.0
    status: dict[str, int] = field(default_factory=dict)
    ranges: bool = True
    requests: list[tuple[str, str]] = field(default_factory=list)  # file, Range header

    def __enter__(self) -> Server:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/simple"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        name = unquote(handler.path.rstrip("/").rpartition("/")[2])
        path = self.files / name
        if path.is_file():
            self.send_file(handler, path)
            return
        links = [f for f in sorted(self.files.iterdir()) if f.name.startswith(f"{name}-")]
        page = "".join(f'<a href="{f.name.replace("+", "%2B")}#sha256={sha256(f)}">{f.name}</a>\n' for f in links)
        handler.send_response(200 if links else 404)
        handler.end_headers()
        handler.wfile.write(page.encode())

    def send_file(self, handler: BaseHTTPRequestHandler, path: Path) -> None:
        wanted = handler.headers.get("Range", "")
        self.requests.append((path.name, wanted))
        if status := self.status.get(path.name):
            handler.send_error(status)
            return
        data = path.read_bytes()
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(data) - start))
        handler.end_headers()
        try:
            for at in range(start, len(data), 1 << 16):
                handler.wfile.write(data[at : at + (1 << 16)])
                time.sleep(self.slow)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the installer was cancelled


def sha256(path: Path) -> str:
    """Hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def entry(path: Path, name: str, version: str, url: str) -> dict:
    """A file as a lock names it."""
    size = path.stat().st_size
    address = f"{url}/{name}/{path.name.replace('+', '%2B')}"
    return {"name": name, "version": version, "file": path.name, "url": address, "sha256": sha256(path),
            "size": size, "unpacked": size}  # fmt: skip


def write_lock(folder: Path, files: Path, url: str) -> Path:
    """A lock for the tiny files. Python's archive is on no server: the system's Python takes its place."""
    archive = {"name": "python", "version": "3.11.99", "file": "cpython.tar.gz", "url": f"{url}/1/cpython.tar.gz",
               "sha256": "", "size": 100, "unpacked": 100, "release": "1", "estimated": True}  # fmt: skip
    uv = files / "uv-0.13.9-py3-none-any.whl"
    packages = [
        entry(files / f"{name}-{version}-py3-none-any.whl", name, version, url) for name, (version, _) in PACKAGES.items()
    ]
    lock = {"system": SYSTEM, "accelerator": ACCELERATOR, "uv": entry(uv, "uv", "0.13.9", url), "python": archive,
            "packages": packages}  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{SYSTEM}-{ACCELERATOR}.json").write_text(json.dumps(lock))
    return folder
