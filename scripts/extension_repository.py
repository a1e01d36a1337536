"""Make or renew a self-hosted extension repository: `python extension_repository.py --out DIR [--check]`.

DIR gets the zip of this version beside those of earlier ones, index.json and index.html: upload the folder as it is to any
web server, and Blender's Preferences > Get Extensions > Repositories > Add Remote Repository takes the address of its
index.json. --check serves the folder on this computer and lets a fresh Blender install from it. Runs in the environment
that holds `bpy`.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from build_extension import BuildError, build

INSTALL = """
import os, sys
import bpy
url, name = sys.argv[1:]
bpy.context.preferences.system.use_online_access = True
bpy.ops.preferences.extension_repo_add(type="REMOTE", name="FaceDiff", remote_url=url, use_sync_on_startup=False)
repos = bpy.context.preferences.extensions.repos
index = len(repos) - 1
assert repos[index].remote_url == url, repos[index].remote_url
bpy.ops.extensions.repo_sync(repo_index=index)
bpy.ops.extensions.package_install(repo_index=index, pkg_id=name, enable_on_install=True)
module = f"bl_ext.{repos[index].module}.{name}"
assert module in bpy.context.preferences.addons, "not enabled"
assert bpy.ops.facediff.add_head() == {"FINISHED"}
print("INSTALLED", module, bpy.app.version_string)
sys.stdout.flush()
os._exit(0)
"""


def publish(out: Path) -> dict:
    """Build this version into the repository `out`. Returns the index's entry of it. Raises BuildError."""
    path = build(out, repository=True)
    index = json.loads((out / "index.json").read_text(encoding="utf-8"))
    entry = next((e for e in index["data"] if e["archive_url"].endswith(path.name)), None)
    if entry is None:
        raise BuildError(f"The index does not name {path.name}; remove zips of the same version from {out}.")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if entry["archive_hash"] != f"sha256:{digest}" or entry["archive_size"] != path.stat().st_size:
        raise BuildError(f"The index does not fit {path.name}.")
    return entry


def install_from(url: str, name: str, resources: Path) -> str:
    """Let a fresh Blender (this Python's `bpy`) add the repository at `url` and install from it; what it said.

    resources: an empty folder for that Blender's settings. Raises BuildError when it cannot.
    """
    done = subprocess.run(
        [sys.executable, "-c", INSTALL, url, name],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=resources,
        env={**os.environ, "BLENDER_USER_RESOURCES": str(resources / "user resources ü")},
    )
    if done.returncode != 0 or "INSTALLED" not in done.stdout:
        raise BuildError(f"Blender could not install from the repository: {(done.stdout + done.stderr).strip()[-1500:]}")
    return done.stdout.strip().splitlines()[-1]


def check(out: Path, name: str) -> str:
    """Serve the repository on the loopback and install from it, see `install_from`."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(out)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with tempfile.TemporaryDirectory(prefix="facediff-repository-") as resources:
            return install_from(f"http://127.0.0.1:{server.server_port}/index.json", name, Path(resources))
    finally:
        server.shutdown()
        server.server_close()


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the repository")
    parser.add_argument("--check", action="store_true", help="install from it in a fresh Blender")
    arguments = parser.parse_args()
    try:
        entry = publish(arguments.out)
        print(f"{entry['id']} {entry['version']} in {arguments.out / 'index.json'} ({entry['archive_size'] / 1e6:.1f} MB)")
        if arguments.check:
            print(check(arguments.out, entry["id"]))
    except (BuildError, OSError) as error:
        print(f"extension_repository: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
