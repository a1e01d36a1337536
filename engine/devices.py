"""Which processors the models can run on, and why not. With PyTorch that is the full engine; without it, the built-in
one: the starter model on NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from .errors import InputError

if TYPE_CHECKING:
    import torch

NUMPY = "numpy"  # the device of the built-in engine, on which no torch is imported
# The end of a sentence that says what the built-in engine cannot do.
FULL_ENGINE = "needs the full engine: install it in Edit > Preferences > Add-ons > FaceDiff"


@dataclass(frozen=True)
class Device:
    """One choice of the device menu. `reason` says in a sentence why it is (un)usable or picked."""

    id: str
    label: str
    usable: bool
    reason: str


def has_torch() -> bool:
    """Whether this Python holds PyTorch; it is not imported."""
    return find_spec("torch") is not None


def built_in_devices() -> list[Device]:
    """The devices as the built-in engine sees them."""
    reason = f"Everything but the starter model on the CPU {FULL_ENGINE}."
    return [
        Device("cuda", "CUDA GPU", False, reason),
        Device("xpu", "Intel GPU", False, reason),
        Device("mps", "Apple GPU", False, reason),
        Device("cpu", "CPU (built in)", True, "The starter model on NumPy."),
    ]


def list_devices() -> list[Device]:
    """Every device kind the engine knows, best first; the CPU is always there and always usable."""
    if not has_torch():
        return built_in_devices()
    import torch

    devices = []
    if torch.cuda.is_available():
        devices.append(Device("cuda", torch.cuda.get_device_name(0), True, "An NVIDIA or AMD GPU that PyTorch can use."))
    else:
        devices.append(Device("cuda", "CUDA GPU", False, _why_no_cuda()))
    if torch.xpu.is_available():
        devices.append(Device("xpu", torch.xpu.get_device_name(0), True, "An Intel GPU that PyTorch can use."))
    else:
        reason = "PyTorch finds no Intel GPU, or its driver is too old."
        devices.append(Device("xpu", "Intel GPU", False, reason if torch.version.xpu else "PyTorch is not built for Intel GPUs."))
    mps = torch.backends.mps.is_available()
    reason = "Apple's GPU." if mps else "This is not a Mac with an Apple GPU."
    devices.append(Device("mps", "Apple GPU", mps, reason))
    threads = torch.get_num_threads()
    devices.append(Device("cpu", f"CPU ({threads} threads)", True, "Always works."))
    return devices


def _why_no_cuda() -> str:
    """Why PyTorch has no CUDA or ROCm device: its own words, where it has any, as one sentence."""
    import torch

    if not (torch.version.cuda or torch.version.hip):
        return "The installed PyTorch is a CPU build."
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        said = str(error)
        if "too old" in said or "insufficient" in said:
            return f"The graphics driver is too old for PyTorch's CUDA {torch.version.cuda}: update it from nvidia.com."
        return f"PyTorch finds no GPU that it can use ({said.splitlines()[0].rstrip('.')})."
    return "PyTorch finds no GPU that it can use."


def pick_device(name: str = "auto") -> torch.device:
    """The torch device for "auto", "cuda", "xpu", "mps" or "cpu"; auto takes the first usable of `list_devices`.

    Raises InputError when the named device is unknown or cannot be used here, or there is no torch.
    """
    if not has_torch():
        raise InputError(f"This Python has no PyTorch, and what you ask for {FULL_ENGINE}.")
    import torch

    devices = {d.id: d for d in list_devices()}
    if name == "auto":
        name = next(d.id for d in devices.values() if d.usable)
    if name not in devices:
        raise InputError(f"There is no device '{name}'; choose auto, {', '.join(devices)}.")
    if not devices[name].usable:
        raise InputError(f"The device '{name}' cannot be used: {devices[name].reason}")
    return torch.device(name)


def starter_device(name: str = "auto", built_in: bool = False) -> str:
    """What the starter model runs on: "numpy" where that is asked for, else as `pick_device`.

    built_in: whether this is the built-in engine, as it always is without torch: "auto" and "cpu" are NumPy there.
    Raises InputError when the named device cannot be used here.
    """
    if built_in or not has_torch():
        if name not in ("auto", "cpu", NUMPY):
            raise InputError(f"The device '{name}' {FULL_ENGINE}.")
        return NUMPY
    return NUMPY if name == NUMPY else str(pick_device(name))
