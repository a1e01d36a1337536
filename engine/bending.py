"""The smoothest curve through given values: how a correction spreads over frames. NumPy only.

Of all curves that take the given values it is the one that bends least, as a thin elastic strip would (a cubic spline),
held back towards zero (or towards a wish) by springs, so that it dies away within `reach` frames of what it has to meet.
"""

from __future__ import annotations

import numpy as np

HOLD = 1e8  # weight of a value that has to be met, against 1 for bending; what is left of the error is set right exactly


def bend(
    values: np.ndarray, held: np.ndarray, reach: np.ndarray | float, wish: np.ndarray | None = None, pull: np.ndarray | None = None
) -> np.ndarray:
    """(N, K) float64: per column the curve r with r = values where `held` that has the least

        sum (r[i-1] - 2 r[i] + r[i+1])^2 + sum 4 / reach^4 r[i]^2 + sum pull[i] (r[i] - wish[i])^2

    values: (N, K), read only where held (N, K) bool. reach: frames, () or (K,). wish, pull: (N, K), pull >= 0; optional.
    A column in which nothing is held and nothing is wished for is zero.
    """
    count, columns = values.shape
    diagonal = np.tile(4.0 / np.broadcast_to(np.asarray(reach, np.float64), columns) ** 4, (count, 1))
    right = np.zeros((count, columns))
    if pull is not None and wish is not None:
        diagonal += pull
        right += pull * wish
    diagonal += HOLD * held
    right += HOLD * np.where(held, values, 0.0)
    first, second = np.zeros(count), np.zeros(count)  # the first and second off-diagonals of the sum of squared bends
    own = np.zeros(count)
    for i in range(count - 2):
        own[i : i + 3] += (1.0, 4.0, 1.0)
        first[i : i + 2] -= 2.0
        second[i] += 1.0
    solved = _solve(diagonal + own[:, None], first, second, right)
    return np.where(held, values, solved)


def _solve(diagonal: np.ndarray, first: np.ndarray, second: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve A x = right for symmetric positive definite A with two off-diagonals, by L D L^T; columns side by side.

    diagonal, right: (N, K); first[i] = A[i, i + 1] and second[i] = A[i, i + 2]: (N,), the same in every column.
    """
    count = len(right)
    d, low, lower, x = diagonal.copy(), np.zeros_like(diagonal), np.zeros_like(diagonal), right.astype(np.float64)
    for i in range(count):
        if i >= 1:
            d[i] -= low[i - 1] ** 2 * d[i - 1]
            x[i] -= low[i - 1] * x[i - 1]
        if i >= 2:
            d[i] -= lower[i - 2] ** 2 * d[i - 2]
            x[i] -= lower[i - 2] * x[i - 2]
        low[i] = first[i] / d[i]
        if i >= 1:
            low[i] -= lower[i - 1] * low[i - 1] * d[i - 1] / d[i]
        lower[i] = second[i] / d[i]
    x /= d
    for i in range(count - 2, -1, -1):
        x[i] -= low[i] * x[i + 1]
        if i + 2 < count:
            x[i] -= lower[i] * x[i + 2]
    return x
