"""Which of the engine's builds this computer can use, and why not the others. Runs nothing but nvidia-smi."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from . import locks
from .running import NO_WINDOW

# CUDA 13.0, which PyTorch 2.13 is built with (NVIDIA, CUDA Toolkit 13.0 release notes): the driver's branch, and the
# oldest GPUs, Turing (GTX 16, RTX 20).
MIN_NVIDIA_DRIVER = 580
MIN_COMPUTE_CAPABILITY = (7, 5)
MIN_MACOS = 14  # of PyTorch 2.13's file for Macs
NO_SYSTEM = "There is no full engine for this computer ({}). The built-in engine works."
INTEL_MAC = (
    "There is no full engine for Intel Macs, nor for the Intel build of Blender on a Mac with Apple silicon: install the "
    "Blender for Apple silicon there. The built-in engine works."
)


@dataclass(frozen=True)
class Facts:
    """What was found out about this computer. nvidia: lines of "name, driver, compute capability"; kfd: "", "denied" or
    "ok"; amd, intel: whether such a GPU is there, None when that cannot be told here."""

    system: str
    nvidia: list[str] = field(default_factory=list)
    amd: bool | None = None
    kfd: str = ""
    intel: bool | None = None
    macos: int = 0


@dataclass(frozen=True)
class Choice:
    """A build that can be installed here: `reason` says why it is (un)usable."""

    accelerator: str
    label: str
    usable: bool
    reason: str


def look() -> Facts:
    """Find out. Takes up to a few seconds, so never in Blender's main thread."""
    system = locks.this_system()
    version = platform.mac_ver()[0] if sys.platform == "darwin" else ""
    linux = sys.platform.startswith("linux")
    vendors = [_read(path) for path in Path("/sys/class/drm").glob("card*/device/vendor")] if linux else []
    kfd = Path("/dev/kfd")
    return Facts(
        system=system,
        nvidia=_nvidia_smi(),
        amd="0x1002" in vendors if linux else None,
        kfd=("ok" if os.access(kfd, os.R_OK | os.W_OK) else "denied") if kfd.exists() else "",
        intel="0x8086" in vendors if linux else None,
        macos=int(version.split(".")[0]) if version else 0,
    )


def choices(facts: Facts) -> list[Choice]:
    """The builds for this system, best first, each with its reason. Empty when there is none; see `why_none`."""
    judges = {"cuda": _cuda, "rocm": _rocm, "xpu": _xpu, "mps": _mps}
    found = []
    for name in locks.available(facts.system):
        usable, reason = judges[name](facts) if name in judges else (True, "Works on every computer.")
        found.append(Choice(name, locks.LABELS[name], usable, reason))
    return found


def why_none(system: str) -> str:
    """The sentence for a system without a build, "" when there are builds."""
    if locks.available(system):
        return ""
    return INTEL_MAC if system == "macos-x86_64" else NO_SYSTEM.format(system)


def recommended(found: list[Choice]) -> str:
    """The build to take when the user has no wish; Intel's is never taken unasked, for old Intel GPUs cannot use it."""
    return next((c.accelerator for c in found if c.usable and c.accelerator != "xpu"), "")


def parse_nvidia(line: str) -> tuple[str, int, tuple[int, int] | None]:
    """Name, driver branch and compute capability (None when an old nvidia-smi does not say) of a line of nvidia-smi.
    Raises ValueError for a line that is none."""
    name, driver, *rest = [part.strip() for part in line.split(",")]
    capability = rest[0].partition(".") if rest and rest[0][:1].isdigit() else None
    return name, int(driver.split(".")[0]), (int(capability[0]), int(capability[2] or 0)) if capability else None


def _cuda(facts: Facts) -> tuple[bool, str]:
    if not facts.nvidia:
        return False, "No NVIDIA GPU with a working driver was found (nvidia-smi names none)."
    reasons = []
    for line in facts.nvidia:
        try:
            name, driver, capability = parse_nvidia(line)
        except ValueError:
            reasons.append(f"nvidia-smi says '{line[:80]}', which names no GPU: install NVIDIA's driver again.")
            continue
        if driver < MIN_NVIDIA_DRIVER:
            reasons.append(
                f"The driver of the {name} is too old ({driver}); PyTorch's CUDA build needs {MIN_NVIDIA_DRIVER} or newer: "
                "update it from nvidia.com."
            )
        elif capability is not None and capability < MIN_COMPUTE_CAPABILITY:
            reasons.append(f"The {name} is too old for PyTorch's CUDA build (compute capability {capability[0]}.{capability[1]}; "
                           f"{MIN_COMPUTE_CAPABILITY[0]}.{MIN_COMPUTE_CAPABILITY[1]} is needed).")  # fmt: skip
        else:
            return True, f"{name}, driver {driver}."
    return False, reasons[0]


def _rocm(facts: Facts) -> tuple[bool, str]:
    if not facts.amd:
        return False, "No AMD GPU was found."
    if not facts.kfd:
        return False, "The AMD GPU's compute driver (amdgpu with /dev/kfd) is not loaded: install AMD's driver."
    if facts.kfd == "denied":
        return False, "You may not use the AMD GPU: add your user to the groups 'render' and 'video', then log in again."
    return True, "An AMD GPU with its compute driver."


def _xpu(facts: Facts) -> tuple[bool, str]:
    if facts.intel is False:
        return False, "No Intel GPU was found."
    return True, "For Intel Arc, or Core Ultra and newer, with Intel's current driver."


def _mps(facts: Facts) -> tuple[bool, str]:
    if facts.macos and facts.macos < MIN_MACOS:
        return False, f"PyTorch needs macOS {MIN_MACOS} or newer; this is macOS {facts.macos}."
    return True, "Apple's GPU."


def _nvidia_smi() -> list[str]:
    for fields in ("name,driver_version,compute_cap", "name,driver_version"):
        command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=20, creationflags=NO_WINDOW)
        except (OSError, subprocess.TimeoutExpired, ValueError):
            return []
        if done.returncode == 0:
            return [line for line in done.stdout.splitlines() if line.strip()]
    return []


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
