"""The device list: every device with a reason, the driver's age among them."""

from __future__ import annotations

import pytest
import torch

from engine.devices import list_devices, pick_device
from engine.errors import InputError


def found():
    return {device.id: device for device in list_devices()}


def test_every_device_has_a_reason_and_the_cpu_always_works():
    devices = found()
    assert list(devices) == ["cuda", "xpu", "mps", "cpu"] and devices["cpu"].usable
    assert all(device.reason.endswith(".") for device in devices.values())


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            "The NVIDIA driver on your system is too old (found version 12020).",
            "The graphics driver is too old for PyTorch's CUDA 13.0: update it",
        ),
        (
            "Found no NVIDIA driver on your system.\nPlease check",
            "PyTorch finds no GPU that it can use (Found no NVIDIA driver on your system).",
        ),
    ],
)
def test_why_a_cuda_build_uses_no_gpu(monkeypatch, said, reason):
    def init() -> None:
        raise RuntimeError(said)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "init", init)
    assert found()["cuda"].reason.startswith(reason)
    with pytest.raises(InputError, match="cannot be used"):
        pick_device("cuda")


def test_an_intel_gpu_is_taken(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.xpu, "is_available", lambda: True)
    monkeypatch.setattr(torch.xpu, "get_device_name", lambda index: "Intel Arc B580")
    assert found()["xpu"].label == "Intel Arc B580" and pick_device("auto").type == "xpu"
