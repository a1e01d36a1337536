"""Overlapping windows: they cover the clip, and joining them leaves no seam."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.windows import Windows, join


@given(total=st.integers(1, 3000), size=st.integers(2, 400), share=st.floats(0, 0.9))
def test_windows_cover_every_frame_with_weights_that_sum_to_one(total, size, share):
    windows = Windows(total, size, int(share * size))
    parts = list(windows)
    assert parts[0].start == 0 and parts[-1].stop == total
    assert all(p.stop - p.start == min(size, total) for p in parts)
    assert all(a.stop - b.start >= windows.overlap for a, b in zip(parts, parts[1:]))
    sums = np.zeros(total)
    for weights, part in zip(windows.weights(), parts):
        assert (weights > 0).all()
        sums[part] += weights
    assert np.allclose(sums, 1, atol=1e-5)


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_joining_pieces_of_a_curve_gives_the_curve(library):
    curve = np.sin(np.arange(1000, dtype=np.float32) / 7)[:, None]
    source = torch.from_numpy(curve) if library == "torch" else curve
    out = source * 0
    joined = join(Windows(1000, 128, 32), lambda _, part: source[part], out)
    assert np.abs(np.asarray(joined) - curve).max() < 1e-6


def test_windows_that_disagree_are_faded_into_each_other():
    windows = Windows(300, 100, 40)
    values = join(windows, lambda i, part: np.full((100, 1), float(i), np.float32), np.zeros((300, 1), np.float32))
    assert np.abs(np.diff(values[:, 0])).max() < 0.04
    assert values[0, 0] == 0 and values[-1, 0] == len(windows.starts) - 1


def test_impossible_windows_are_refused():
    with pytest.raises(ValueError):
        Windows(10, 4, 4)
