"""One process, or several on GPUs and machines, started by `accelerate launch` or torchrun: one training loop for both."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


class Processes:
    """Which of how many this process is, and the three things that differ when it is not alone."""

    def __init__(self, device: torch.device):
        self.device, self.rank, self.count = device, 0, 1
        self._accelerator: Any = None
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            from accelerate import Accelerator, DistributedDataParallelKwargs

            # Layers that are dropped at random, and SpecAugment's vector, get no gradient in some steps.
            unused = DistributedDataParallelKwargs(find_unused_parameters=True)
            self._accelerator = Accelerator(cpu=device.type == "cpu", kwargs_handlers=[unused])
            self.device = self._accelerator.device
            self.rank, self.count = self._accelerator.process_index, self._accelerator.num_processes

    @property
    def main(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module whose gradients are averaged over all processes."""
        return module if self._accelerator is None else self._accelerator.prepare_model(module)

    def backward(self, loss: Tensor) -> None:
        """Gradients of the loss."""
        if self._accelerator is None:
            loss.backward()
        else:
            self._accelerator.backward(loss)

    def wait(self) -> None:
        """Until every process has come here."""
        if self._accelerator is not None:
            self._accelerator.wait_for_everyone()

    def mean(self, values: Mapping[str, float]) -> dict[str, float]:
        """The mean over all processes, by name."""
        if self._accelerator is None:
            return dict(values)
        stacked = torch.tensor(list(values.values()), device=self.device)
        return dict(zip(values, self._accelerator.reduce(stacked, "mean").tolist(), strict=True))
