"""What every training run of ours does alike: epochs, averaged weights, validation, saving, and going on bit for bit.

A run writes into its folder: `model/`, `training.pt` (all that a resumed run needs), `log.jsonl` and TensorBoard events.
Every epoch's randomness comes from the seed and the epoch's number alone, so a run that is resumed continues bit for bit on
the CPU.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import pickle
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from .errors import InputError
from .event_file import EventFile
from .processes import Processes

Progress = Callable[[int, int, dict[str, float]], None]  # epoch, epochs, losses


class Options(Protocol):
    """What a run needs to know of its options. out: its folder; every: epochs between validations and saves; ema: decay of
    the averaged weights that are saved and validated (0: the weights themselves)."""

    @property
    def out(self) -> Path: ...

    @property
    def every(self) -> int: ...

    @property
    def ema(self) -> float: ...

    def fingerprint(self) -> str:
        """What must be the same for a resumed run to continue this one."""


class TrainingRun(ABC):
    """One run: a subclass builds its module in `begin`, and says what an epoch, a validation and a model are."""

    options: Options

    def __init__(self, options: Options, device: torch.device):
        self.processes = Processes(device)
        self.device = self.processes.device
        self.options = options

    def begin(
        self, build: Callable[[], nn.Module], optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer], epochs: int
    ) -> None:
        """Build the module and its optimiser, or go on with those of the folder. Raises InputError when sizes do not fit."""
        try:
            self.module = build().to(self.device)
        except (ValueError, RuntimeError, TypeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"The model's sizes do not fit together: {' '.join(str(error).split())}.") from error
        self.parameters = {n: p for n, p in self.module.named_parameters() if p.requires_grad}
        self.optimizer = optimizer(self.parameters.values())
        self.average = {n: p.detach().clone() for n, p in self.parameters.items()} if self.options.ema else {}
        self.epochs = epochs
        self.done = 0
        self.options.out.mkdir(parents=True, exist_ok=True)
        if (self.options.out / "training.pt").is_file():
            self._resume()
        self.wrapped = self.processes.wrap(self.module)

    def run(self, progress: Progress) -> dict[str, float]:
        """Train to the last epoch; `progress(epoch, epochs, losses)` after each. Returns the last validation's losses."""
        out = self.options.out
        events = EventFile(out / "tensorboard") if self.processes.main else None
        validation: dict[str, float] = {}
        for epoch in range(self.done, self.epochs):
            losses = {f"train/{n}": v for n, v in self.processes.mean(self._epoch(epoch)).items()}
            if not all(map(math.isfinite, losses.values())):
                raise InputError("The training has diverged: a loss is no longer a number; lower the learning rate.")
            self.done = epoch + 1
            if self.done % self.options.every == 0 or self.done == self.epochs:
                validation = self.validate()
                losses |= {f"val/{n}": v for n, v in validation.items()}
                if self.processes.main:
                    self.save()
                self.processes.wait()
            if events is None:
                continue
            with open(out / "log.jsonl", "a", encoding="utf-8") as stream:
                stream.write(json.dumps({"epoch": self.done, **losses}) + "\n")
            events.scalars(self.done, losses)
            progress(self.done, self.epochs, losses)
        return validation or self.validate()

    @abstractmethod
    def validate(self) -> dict[str, float]:
        """Mean losses by name with the weights that would be saved, drawn from the same randomness every time."""

    def save(self) -> None:
        """Write training.pt and model/, each whole or not at all."""
        out = self.options.out
        state = {
            "epoch": self.done,
            "options": self.options.fingerprint(),
            "model": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average,
        }
        handle, partial = tempfile.mkstemp(dir=out, prefix=".training-", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as stream:
                torch.save(state, stream)
            os.replace(partial, out / "training.pt")
        finally:
            Path(partial).unlink(missing_ok=True)
        with self.averaged():
            self._save_model(out / "model", dict(self.module.state_dict()))

    @abstractmethod
    def _save_model(self, folder: Path, tensors: dict[str, Tensor]) -> None:
        """Write the model; tensors: the module's, as they are to be saved."""

    @abstractmethod
    def _epoch(self, epoch: int) -> dict[str, float]:
        """Train for one epoch, the first of them 0; mean losses by name."""

    def follow(self) -> None:
        """Let the averaged weights, where they are kept, follow the trained ones by one step."""
        for name, average in self.average.items():
            average.lerp_(self.parameters[name].detach(), 1 - self.options.ema)

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """The averaged weights in place of the trained ones, where they are kept."""
        kept = {n: self.parameters[n].detach().clone() for n in self.average}
        with torch.no_grad():
            for name, value in self.average.items():
                self.parameters[name].copy_(value)
        try:
            yield
        finally:
            with torch.no_grad():
                for name, value in kept.items():
                    self.parameters[name].copy_(value)

    def _resume(self) -> None:
        path = self.options.out / "training.pt"
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            if state["options"] != self.options.fingerprint():
                raise InputError(f"'{path}' belongs to a run with other settings; use another folder, or the same settings.")
            self.module.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.average = state["average"]
            self.done = state["epoch"]
        except (OSError, RuntimeError, KeyError, TypeError, ValueError, EOFError, pickle.UnpicklingError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"'{path}' is damaged ({type(error).__name__}); remove it to start anew.") from error


def seed_everything(seed: int, epoch: int, rank: int = 0) -> np.random.Generator:
    """Seed PyTorch and NumPy's global generator (SpecAugment draws from it) for one epoch and process.

    Returns a generator for the data, which begins alike in every process.
    """
    first, second = (int(s.generate_state(1)[0]) for s in np.random.SeedSequence([seed, epoch, rank]).spawn(2))
    third = [seed, epoch]
    torch.manual_seed(first)
    np.random.seed(second)
    return np.random.default_rng(third)


def mean_losses(losses: Iterable[Mapping[str, Tensor]]) -> dict[str, float]:
    """The mean of each loss over batches that name the same ones."""
    rows = [{n: float(v) for n, v in row.items()} for row in losses]
    return {n: float(np.mean([row[n] for row in rows])) for n in rows[0]}
