"""Pin every file of the full engine, per system and accelerator: `python scripts/lock_engine.py [--uv PATH]`.

Writes facediff_blender/installer/locks/SYSTEM-ACCELERATOR.json from the group "engine" of pyproject.toml: the exact
wheels with their public addresses, SHA-256, sizes (packed and unpacked) and licences, the wheel of uv, and the archive
of Python. It asks the package index (whatever index uv is set to) and reads a few kilobytes of each wheel.

PyTorch's own builds (CPU on Linux, CUDA on Windows, ROCm, Intel) lie on download.pytorch.org, not on the package index.
`TORCH` below names them: with the checksum where it is published, else with the index that states it, which the
installer then reads. Their sizes are estimates where the file was not at hand.
"""

from __future__ import annotations

import argparse
import email
import io
import json
import os
import subprocess
import sys
import tempfile
import tomllib
import urllib.request
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "facediff_blender" / "installer" / "locks"
PYTHON = "3.11"  # the newest Python that NumPy 1.26 and mediapipe 0.10.21 both have files for is 3.12; tested is 3.11
UV = "uv==0.13.9"
TORCH_INDEX = "https://download.pytorch.org/whl"
TRITON = ("triton",)  # only torch.compile wants it, which the engine does not use: 200 MB less
CUDA_LIBRARIES = (*TRITON, "nvidia-", "cuda-")
# What PyTorch's build for Intel GPUs loads, from the metadata of torch 2.13.0+xpu.
INTEL = [
    "intel-pti==0.17.0", "intel-cmplr-lib-rt==2026.0.0", "intel-cmplr-lib-ur==2026.0.0", "intel-sycl-rt==2026.0.0",
    "onemkl-sycl-blas==2026.0.0", "onemkl-sycl-dft==2026.0.0", "onemkl-sycl-lapack==2026.0.0", "umf==1.1.0",
    "onemkl-sycl-rng==2026.0.0", "onemkl-sycl-sparse==2026.0.0", "mkl==2026.0.0", "tbb==2023.0.0", "tcmlib==1.5.0",
    "intel-openmp==2026.0.0",
]  # fmt: skip
INTEL_LINUX = ["oneccl==2022.0.0", "impi-rt==2021.18.0"]


@dataclass(frozen=True)
class Torch:
    """A build of PyTorch that is not on the package index. sha256: "" where none is published in a file we know."""

    build: str
    tag: str
    size: int
    unpacked: int
    sha256: str = ""
    estimated: bool = True


@dataclass(frozen=True)
class Variant:
    """A system, an accelerator, and how the resolved packages differ from the plain ones."""

    system: str
    accelerator: str
    target: str  # uv's name of the platform
    extra: tuple[str, ...] = ()
    without: tuple[str, ...] = TRITON  # beginnings of package names
    torch: Torch | None = None


LINUX_TAG, WINDOWS_TAG = "cp311-cp311-manylinux_2_28_x86_64", "cp311-cp311-win_amd64"
VARIANTS = (
    Variant("linux-x86_64", "cuda", "linux"),
    Variant(
        "linux-x86_64", "cpu", "linux", without=CUDA_LIBRARIES,
        torch=Torch("cpu", LINUX_TAG, 191_794_682, 755_000_000,
                    "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b", estimated=False),
    ),
    Variant(
        "linux-x86_64", "rocm", "linux", without=CUDA_LIBRARIES,
        torch=Torch("rocm7.2", LINUX_TAG, 4_500_000_000, 16_000_000_000),
    ),
    Variant(
        "linux-x86_64", "xpu", "linux", extra=(*INTEL, *INTEL_LINUX), without=CUDA_LIBRARIES,
        torch=Torch("xpu", LINUX_TAG, 1_100_000_000, 4_000_000_000,
                    "4a1955ea8196ea5aac1bd009aec34c7f1cc9d1558bf71e1dc5a6f2db626a03dd"),
    ),
    Variant("windows-x86_64", "cuda", "windows", torch=Torch("cu130", WINDOWS_TAG, 1_900_000_000, 4_000_000_000)),
    Variant("windows-x86_64", "cpu", "windows"),
    Variant(
        "windows-x86_64", "xpu", "windows", extra=tuple(INTEL),
        torch=Torch("xpu", WINDOWS_TAG, 1_100_000_000, 4_000_000_000),
    ),
    Variant("macos-arm64", "mps", "aarch64-apple-darwin"),
)  # fmt: skip


def resolve(uv: str, requirements: list[str], target: str) -> list[dict]:
    """The packages that uv picks for the platform, each with exactly one wheel, the smallest that is made for it."""
    with tempfile.TemporaryDirectory() as folder:
        wanted, out = Path(folder) / "requirements.in", Path(folder) / "pylock.toml"
        wanted.write_text("\n".join(requirements))
        command = [uv, "pip", "compile", str(wanted), "--python-version", PYTHON, "--python-platform", target]
        command += ["--only-binary", ":all:", "--format", "pylock.toml", "-o", str(out), "--quiet", "--no-config"]
        # The oldest macOS that PyTorch's file for Macs takes.
        subprocess.run(command, check=True, env={**os.environ, "MACOSX_DEPLOYMENT_TARGET": "14.0"})
        packages = tomllib.loads(out.read_text())["packages"]
    for package in packages:
        made_for_it = [wheel for wheel in package["wheels"] if not wheel["url"].endswith("-none-any.whl")]
        package["wheel"] = min(made_for_it or package["wheels"], key=lambda wheel: wheel["size"])
    return packages


def file_of(package: dict) -> dict:
    """A package of `resolve` as an entry of the lock."""
    wheel = package["wheel"]
    if not wheel["url"].startswith("https://files.pythonhosted.org/"):
        raise SystemExit(f"{wheel['url']} is not a public address; run this with the public package index.")
    unpacked, licence = inside(wheel["url"])
    return {
        "name": package["name"],
        "version": package["version"],
        "file": wheel["url"].rpartition("/")[2],
        "url": wheel["url"],
        "sha256": wheel["hashes"]["sha256"],
        "size": wheel["size"],
        "unpacked": unpacked,
        "licence": licence,
    }


def torch_file(torch: Torch, version: str) -> dict:
    """PyTorch's own build as an entry of the lock."""
    name = f"torch-{version}+{torch.build}-{torch.tag}.whl"
    entry = {
        "name": "torch",
        "version": f"{version}+{torch.build}",
        "file": name,
        "url": f"{TORCH_INDEX}/{torch.build}/{name.replace('+', '%2B')}",
        "sha256": torch.sha256,
        "size": torch.size,
        "unpacked": torch.unpacked,
        "licence": "BSD-3-Clause",
    }
    if not torch.sha256:
        entry["index"] = f"{TORCH_INDEX}/{torch.build}"
    return {**entry, "estimated": True} if torch.estimated else entry


class Remote(io.RawIOBase):
    """A file on a server, read by ranges: enough of one for zipfile to list it."""

    def __init__(self, url: str, size: int) -> None:
        self.url, self.size, self.at = url, size, 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = offset + (0, self.at, self.size)[whence]
        return self.at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        last = min(self.at + len(buffer), self.size) - 1
        if last < self.at:
            return 0
        request = urllib.request.Request(self.url, headers={"Range": f"bytes={self.at}-{last}"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            data = answer.read()
        buffer[: len(data)] = data
        self.at += len(data)
        return len(data)


@cache
def inside(url: str) -> tuple[int, str]:
    """The unpacked size in bytes of a wheel, and the licence that its metadata names."""
    with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=60) as answer:
        size = int(answer.headers["Content-Length"])
    with zipfile.ZipFile(io.BufferedReader(Remote(url, size), 1 << 16)) as wheel:
        total = sum(info.file_size for info in wheel.infolist())
        name = next(n for n in wheel.namelist() if n.count("/") == 1 and n.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(wheel.read(name))
    classified = [c.rpartition(" :: ")[2] for c in metadata.get_all("Classifier", []) if c.startswith("License ::")]
    written = str(metadata.get("License") or "").strip().splitlines()
    return total, str(metadata.get("License-Expression") or "") or ", ".join(classified) or (written[0][:80] if written else "")


def python_archive(uv: str, system: str) -> dict:
    """Where uv gets Python from for this system. uv knows its SHA-256 and checks it."""
    key = {"linux-x86_64": "linux-x86_64-gnu", "windows-x86_64": "windows-x86_64-none", "macos-arm64": "macos-aarch64-none"}
    command = [uv, "python", "list", PYTHON, "--only-downloads", "--all-platforms", "--all-arches"]
    listed = json.loads(subprocess.run([*command, "--output-format", "json"], check=True, capture_output=True).stdout)
    found = next(p for p in listed if p["key"].startswith("cpython-") and p["key"].endswith(key[system]))
    release, name = found["url"].rsplit("/", 2)[1:]
    entry = {"name": "python", "version": found["version"], "file": name.replace("%2B", "+"), "release": release}
    return {**entry, "url": found["url"], "sha256": "", "size": 30_000_000, "unpacked": 95_000_000, "estimated": True}


def lock(uv: str, variant: Variant) -> dict:
    """The content of one lock."""
    pins = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]["engine"]
    packages = resolve(uv, [*pins, *variant.extra], variant.target)
    kept = [p for p in packages if not p["name"].startswith(variant.without)]
    if variant.torch is not None:
        plain = next(p for p in kept if p["name"] == "torch")
        kept.remove(plain)
    with ThreadPoolExecutor(8) as pool:
        files = list(pool.map(file_of, kept))
    if variant.torch is not None:
        files.append(torch_file(variant.torch, plain["version"]))
    return {
        "system": variant.system,
        "accelerator": variant.accelerator,
        "uv": file_of(resolve(uv, [UV], variant.target)[0]),
        "python": python_archive(uv, variant.system),
        "packages": sorted(files, key=lambda entry: entry["name"]),
    }


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--uv", default=str(Path(sys.executable).parent / "uv"), help="default: the one of this Python")
    uv = parser.parse_args().uv
    LOCKS.mkdir(parents=True, exist_ok=True)
    for variant in VARIANTS:
        content = lock(uv, variant)
        path = LOCKS / f"{variant.system}-{variant.accelerator}.json"
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        files = [content["uv"], content["python"], *content["packages"]]
        sizes = [sum(entry[key] for entry in files) / 1e6 for key in ("size", "unpacked")]
        print(f"{path.name}: {len(files)} files, {sizes[0]:.0f} MB packed, {sizes[1]:.0f} MB unpacked")
    return 0


if __name__ == "__main__":
    sys.exit(main())
