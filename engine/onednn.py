"""Linear maps through oneDNN instead of MKL: on AMD's processors two to three times as fast, nowhere slower; float32 on the CPU.

PyTorch multiplies float32 matrices with MKL. The results differ by rounding alone.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def there_is_onednn() -> bool:
    """Whether this PyTorch was built with it and tells so under the names used here."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def suits(x: Tensor) -> bool:
    """Whether a tensor is one that oneDNN takes here."""
    return x.device.type == "cpu" and x.dtype == torch.float32


def laid_out(weight: Tensor, bias: Tensor | None, rows: int) -> Callable[[Tensor], Tensor]:
    """x (..., inputs) -> (..., outputs), for x of `rows` rows in all again and again: weight is copied into the layout that
    is fastest for that. Later changes of the weight have no effect; no gradients."""
    if not (suits(weight) and there_is_onednn()):
        return lambda x: F.linear(x, weight, bias)
    packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), rows)
    return lambda x: torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")


class OneDnnLinear(nn.Linear):
    """Without gradients through oneDNN, otherwise as its base."""

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled() or not suits(x):
            return F.linear(x, self.weight, self.bias)
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")


def quickened(module: nn.Module) -> nn.Module:
    """The module itself, its `nn.Linear` parts now `OneDnnLinear`; subclasses stay as they are."""
    if there_is_onednn():
        for part in module.modules():
            if type(part) is nn.Linear:
                part.__class__ = OneDnnLinear
    return module
