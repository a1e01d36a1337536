"""The self-hosted extension repository, as "Install from remote repository" sees it."""

from __future__ import annotations

import json
import zipfile

from addon_from_tree import ROOT
from extension_repository import check, publish


def test_blender_installs_from_the_repository(tmp_path):
    out = tmp_path / "repository"
    entry = publish(out)
    index = json.loads((out / "index.json").read_text())
    assert [e["id"] for e in index["data"]] == ["facediff_blender"] and index["version"] == "v1"
    assert set(entry["permissions"]) == {"files", "network"} and entry["license"] == ["SPDX:GPL-3.0-or-later"]
    assert (out / "index.html").is_file() and not entry["archive_url"].startswith("file:")
    assert check(out, "facediff_blender").startswith("INSTALLED bl_ext.")
    names = zipfile.ZipFile(out / entry["archive_url"].removeprefix("./")).namelist()
    assert "LICENSES.md" in names and "facediff_blender/installer/locks/linux-x86_64-cpu.json" in names


def test_the_licences_of_everything_shipped_or_downloaded_are_listed():
    text = (ROOT / "LICENSES.md").read_text(encoding="utf-8")
    for path in (ROOT / "facediff_blender/installer/locks").glob("*.json"):
        lock = json.loads(path.read_text())
        for file in (lock["uv"], lock["python"], *lock["packages"]):
            assert f"`{file['name']}`" in text, file["name"]
    for folder in (ROOT / "engine/assets").iterdir():
        assert f"engine/assets/{folder.name}" in text, folder.name
