"""Plain layers on NumPy float32, named as PyTorch names their tensors. Everything works on (T, channels)."""

from __future__ import annotations

import math

import numpy as np

NORM_EPSILON = 1e-5  # torch.nn.LayerNorm's


class Layers:
    """Weights by name, and the layers that use them."""

    def __init__(self, tensors: dict[str, np.ndarray]) -> None:
        # Convolutions are sums of matrix products, one per tap: (out, in, taps) becomes (taps, in, out).
        self.tensors = {
            name: np.ascontiguousarray(values.transpose(2, 1, 0)) if values.ndim == 3 else values
            for name, values in tensors.items()
        }
        self._used: set[str] = set()

    def unused(self) -> list[str]:
        """Names of the tensors that no layer has asked for yet."""
        return [name for name in self.tensors if name not in self._used]

    def _named(self, name: str) -> np.ndarray:
        self._used.add(name)
        return self.tensors[name]

    def linear(self, x: np.ndarray, name: str) -> np.ndarray:
        """x @ weight.T, plus the bias where there is one."""
        out = x @ self._named(f"{name}.weight").T
        if f"{name}.bias" in self.tensors:
            out += self._named(f"{name}.bias")
        return out

    def column(self, name: str, index: int) -> np.ndarray:
        """What `linear` makes of a one-hot vector: (out,)."""
        return self._named(f"{name}.weight")[:, index] + self._named(f"{name}.bias")

    def inputs(self, name: str) -> int:
        """Input channels of a convolution."""
        return self._named(f"{name}.weight").shape[1]

    def conv(self, x: np.ndarray, name: str, dilation: int = 1, stride: int = 1, edge: bool = False) -> np.ndarray:
        """Convolution over an odd number of frames, padded to keep the length (by zeros, or the edge's frames)."""
        weight = self._named(f"{name}.weight")
        reach = dilation * (len(weight) - 1) // 2
        padded = np.pad(x, ((reach, reach), (0, 0)), mode="edge" if edge else "constant")
        frames = (len(x) - 1) // stride + 1
        out = np.tile(self._named(f"{name}.bias"), (frames, 1))
        for tap, matrix in enumerate(weight):
            first = tap * dilation
            out += padded[first : first + stride * (frames - 1) + 1 : stride] @ matrix
        return out

    def norm(self, x: np.ndarray, name: str) -> np.ndarray:
        """Layer normalisation over the channels."""
        centred = x - x.mean(axis=1, keepdims=True)
        deviation = np.sqrt(np.square(centred).mean(axis=1, keepdims=True) + np.float32(NORM_EPSILON))
        centred /= deviation
        centred *= self._named(f"{name}.weight")
        centred += self._named(f"{name}.bias")
        return centred


def relu(x: np.ndarray) -> np.ndarray:
    """max(x, 0)."""
    return np.maximum(x, 0)


def leaky_relu(x: np.ndarray) -> np.ndarray:
    """x, or 0.2 x below zero."""
    return np.maximum(x, np.float32(0.2) * x)


def mish(x: np.ndarray) -> np.ndarray:
    """x tanh(log(1 + e^x)) (Misra 2019), without overflow: beyond 20 the factor is 1 in float32."""
    grown = np.exp(np.minimum(x, 20))
    ratio = grown * (grown + 2)
    return x * (ratio / (ratio + 2))


def gelu(x: np.ndarray) -> np.ndarray:
    """The tanh approximation of Hendrycks & Gimpel 2016."""
    inner = np.float32(0.044715) * x * x
    inner += 1
    inner *= x
    inner *= np.float32(math.sqrt(2 / math.pi))
    np.tanh(inner, out=inner)
    inner += 1
    inner *= x
    inner *= np.float32(0.5)
    return inner


def softmax(x: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    grown = np.exp(x - x.max(axis=-1, keepdims=True))
    grown /= grown.sum(axis=-1, keepdims=True)
    return grown
