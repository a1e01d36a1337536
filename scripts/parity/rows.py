"""What a comparison yields, and arrays that remember whether anyone looked at them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Row:
    """One comparison; tolerance 0 means exactly equal. `note` says what went wrong where it is not a number."""

    case: str
    error: float
    tolerance: float
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether it passed."""
        return not self.note and self.error <= self.tolerance


def not_understood(case: str, why: str) -> Row:
    """A case that nobody compared: it counts as failed."""
    return Row(case, math.nan, 0.0, f"not understood: {why}")


def print_rows(rows: list[Row]) -> None:
    """A table on stdout."""
    width = max(len(r.case) for r in rows)
    print(f"{'case':<{width}}  {'max error':>10}  {'tolerance':>10}  result")
    for row in rows:
        print(f"{row.case:<{width}}  {row.error:>10.3g}  {row.tolerance:>10.3g}  {'ok' if row.ok else 'FAIL'}  {row.note}".rstrip())


class Arrays:
    """The arrays of one .npz. Every array must be used: what is left over was not understood."""

    def __init__(self, path: Path):
        self.name = path.stem
        with np.load(path, allow_pickle=False) as data:
            self._arrays = {n: data[n] for n in data.files}
        self._used: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def __getitem__(self, name: str) -> np.ndarray:
        self._used.add(name)
        return self._arrays[name]

    def tensor(self, name: str) -> Tensor:
        """A torch tensor of the same type."""
        return torch.from_numpy(np.array(self[name]))

    def state(self) -> dict[str, Tensor]:
        """The tensors named `sd:...`, without that prefix."""
        return {n.removeprefix("sd:"): self.tensor(n) for n in self._arrays if n.startswith("sd:")}

    def matching(self, pattern: str) -> list[tuple[str, re.Match[str]]]:
        """Names that the pattern matches entirely, with the match."""
        found = ((n, re.fullmatch(pattern, n)) for n in self._arrays)
        return [(n, m) for n, m in found if m]

    def leftover(self) -> list[Row]:
        """A failed row for each array that nobody used."""
        return [not_understood(f"{self.name}/{n}", "no comparison uses this array") for n in self._arrays.keys() - self._used]


class Comparison:
    """Collects rows for one file."""

    def __init__(self, arrays: Arrays):
        self.arrays = arrays
        self.rows: list[Row] = []

    def close(self, name: str, got: Any, tolerance: float, relative: bool = False, label: str = "") -> None:
        """Compare with the array of that name: largest absolute (or relative) difference."""
        want = np.asarray(self.arrays[name], np.float64)
        self.add(label or name, error_between(got, want, relative), tolerance)

    def exact(self, name: str, got: Any) -> None:
        """Every element equal."""
        want, got = self.arrays[name], np.asarray(got.detach().cpu() if torch.is_tensor(got) else got)
        wrong = int((want != got).sum()) if want.shape == got.shape else math.inf
        self.add(name, float(wrong), 0.0)

    def add(self, label: str, error: float, tolerance: float, note: str = "") -> None:
        """Add a row."""
        self.rows.append(Row(f"{self.arrays.name}/{label}", error, tolerance, note))

    def finish(self) -> list[Row]:
        """All rows, with those of unused arrays."""
        return self.rows + self.arrays.leftover()


def error_between(got: Any, want: np.ndarray, relative: bool = False) -> float:
    """Largest difference; infinite when the shapes differ or a number is not one where the other is."""
    got = np.asarray(got.detach().cpu() if torch.is_tensor(got) else got, np.float64)
    if got.shape != want.shape:
        return math.inf
    same = got == want  # also where both are the same infinity
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0.0, np.abs(got - want))
    if relative:
        difference = difference / np.maximum(np.abs(want), np.finfo(np.float64).tiny)
    return math.inf if not np.isfinite(difference).all() else float(difference.max(initial=0.0))


def best_heads(width: int, score: Callable[[int], float]) -> int:
    """The number of attention heads, which small cases do not state: of those that divide the width, the best fit."""
    candidates = [h for h in range(1, width + 1) if width % h == 0 and (width // h) > 0]
    return min(candidates, key=score)
