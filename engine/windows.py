"""Long clips in overlapping windows, joined without seams. For arrays of NumPy and of PyTorch alike.

Every frame of the result is a weighted mean of the windows over it; through an overlap the weights follow a raised cosine,
so that neither the result nor its speed jumps where a window begins or ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Windows:
    """`count` windows of `size` frames over `total` frames; neighbours share at least `overlap` frames.

    All three are multiples of `step`, and so is every window's first frame.
    """

    total: int
    size: int
    overlap: int
    step: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.overlap < self.size or self.total < 1:
            raise ValueError("a window must be longer than its overlap, and a clip have a frame")
        if any(frames % self.step for frames in (self.total, self.size, self.overlap)):
            raise ValueError(f"windows in steps of {self.step} frames need lengths that are multiples of it")

    @property
    def starts(self) -> list[int]:
        """First frames. One window when the clip fits into it; else evenly spread, the last ending with the clip."""
        if self.total <= self.size:
            return [0]
        count = 1 + -(-(self.total - self.size) // (self.size - self.overlap))
        return [self.step * round(i * (self.total - self.size) / (count - 1) / self.step) for i in range(count)]

    @property
    def length(self) -> int:
        """Frames of every window: `size`, or the whole clip where that is shorter."""
        return min(self.size, self.total)

    def __iter__(self) -> Iterator[slice]:
        return (slice(s, s + self.length) for s in self.starts)

    def weights(self) -> np.ndarray:
        """(count, length) float32; at every frame the weights of the windows over it sum to 1."""
        starts = self.starts
        raw = np.ones((len(starts), self.length))
        for i in range(1, len(starts)):
            shared = starts[i - 1] + self.length - starts[i]
            ramp = np.sin(np.pi / 2 * (np.arange(shared) + 1) / (shared + 1)) ** 2
            raw[i, :shared] *= ramp
            raw[i - 1, self.length - shared :] *= ramp[::-1]
        sums = np.zeros(self.total)
        for row, part in zip(raw, self):
            sums[part] += row
        return np.stack([row / sums[part] for row, part in zip(raw, self)]).astype(np.float32)


def join(windows: Windows, window_of: Callable[[int, slice], Any], out: Any) -> Any:
    """Add every window's weighted frames into `out`, zeros (total, ...), and return it.

    window_of(index, frames) gives the window's (length, ...) values; one at a time, so that memory stays bounded.
    """
    weights = windows.weights()
    for i, part in enumerate(windows):
        values = window_of(i, part)
        if len(weights) == 1:
            out[part] = values
            continue
        column = weights[i].reshape(-1, *[1] * (values.ndim - 1))
        out[part] += values * (column if isinstance(values, np.ndarray) else values.new_tensor(column))
    return out
