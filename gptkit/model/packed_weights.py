"""Weights in the layout of oneDNN's kernels, for decoding on a CPU, where reading the weights bounds the speed of a step.

With few rows, oneDNN reads its own layout about twice as fast as the default one. Results differ only by the order of additions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gptkit.model.base import Model
from gptkit.model.gpt import GPT

MIN_ENTRIES = 1 << 18
"""Minimum size of a weight to pack: a call takes about 20 microseconds longer, and small weights stay in the CPU's cache."""

MAX_SUM_LENGTH = 1024
"""Maximum number of terms for which oneDNN sums a single row in the same order as each of several rows."""


class PackedLinear(nn.Module):
    """A linear layer for inference, without gradients: (..., D) -> (..., N)."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), None)
        self.bias = None if bias is None else bias.detach()
        self.needs_two_rows = weight.shape[1] > MAX_SUM_LENGTH

    def forward(self, x: Tensor) -> Tensor:
        if self.needs_two_rows and x.numel() == x.shape[-1]:  # a second row is cheap: reading the weights takes most of the time
            row = x.reshape(1, -1)
            return self._product(torch.cat([row, row]))[0].view(*x.shape[:-1], -1)
        return self._product(x)

    def _product(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")  # type: ignore[no-any-return]


def can_pack(dtype: torch.dtype) -> bool:
    """Return whether this CPU has the kernels for packed weights."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return dtype == torch.float32 or (dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def minimum_rows(model: Model) -> int:
    """Return the number of rows from which the result of a row does not depend on the number of rows, on a CPU.

    It is one if all weights are packed. Otherwise, other kernels multiply a single row, and MKL, which multiplies float32 weights
    that are not packed, has other kernels for up to three rows.
    """
    parameter = next(model.parameters())
    if parameter.device.type != "cpu":
        return 1
    has_unpacked_layers = any(isinstance(module, nn.Linear | nn.RNNBase) for module in model.modules())
    if isinstance(getattr(model, "head", None), PackedLinear) and not has_unpacked_layers:
        return 1
    return 2 if parameter.dtype == torch.bfloat16 else 4


@torch.no_grad()
def pack_weights(model: Model, *, min_entries: int = MIN_ENTRIES) -> None:
    """Replace the linear layers of a model on the CPU in place, including its output matrix. The model can then only decode.

    Has no effect on other devices, or if the CPU lacks the kernels. Does not replace layers in modules of other distributions,
    which may access their weights, and weights of fewer than `min_entries` entries.
    """
    parameter = next(model.parameters())
    if parameter.device.type != "cpu" or not can_pack(parameter.dtype):
        return
    if isinstance(model, GPT) and model.head is None and model.wte.weight.numel() >= min_entries:
        model.head = PackedLinear(model.wte.weight, None)
    for module in [module for module in model.modules() if type(module).__module__.startswith("gptkit.")]:
        for name, child in list(module.named_children()):
            if type(child) is nn.Linear and child.weight.numel() >= min_entries:
                setattr(module, name, PackedLinear(child.weight, child.bias))
