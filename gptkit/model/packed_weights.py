"""Weights packed in the layout of the processor's kernels, for decoding: reading the weights bounds a one-token step.

oneDNN's own layout reads weights about twice as fast as the usual one where few rows share a read. The sums are the same up to the
order of additions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gptkit.model.base import Model
from gptkit.model.gpt import GPT

SMALLEST = 1 << 18
"""Entries of a weight that is worth it: a call costs some 20 microseconds more, and small weights stay in the processor's cache."""


LONGEST_SUM = 1024
"""Terms of a sum up to which oneDNN adds up a single row as it adds up each of several; longer ones it splits in another way."""


class PackedLinear(nn.Module):
    """An inference-only `nn.Linear`: (..., D) -> (..., N), without gradients."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), None)
        self.bias = None if bias is None else bias.detach()
        self.splits = weight.shape[1] > LONGEST_SUM

    def forward(self, x: Tensor) -> Tensor:
        if self.splits and x.numel() == x.shape[-1]:  # a second row costs next to nothing: reading the weights is what takes time
            row = x.reshape(1, -1)
            return self._product(torch.cat([row, row]))[0].view(*x.shape[:-1], -1)
        return self._product(x)

    def _product(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")  # type: ignore[no-any-return]


def can_pack(dtype: torch.dtype) -> bool:
    """Whether this processor has the kernels for packed weights."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return dtype == torch.float32 or (dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def minimum_rows(model: Model) -> int:
    """Rows from which on a row's result does not depend on how many others share a matrix product, on a processor.

    Where all weights are packed that is one. A single row is multiplied by other kernels otherwise, and MKL, which multiplies what
    is float32 and not packed, has such kernels for up to three.
    """
    parameter = next(model.parameters())
    if parameter.device.type != "cpu":
        return 1
    others = any(isinstance(module, nn.Linear | nn.RNNBase) for module in model.modules())
    if isinstance(getattr(model, "head", None), PackedLinear) and not others:
        return 1
    return 2 if parameter.dtype == torch.bfloat16 else 4


@torch.no_grad()
def pack_weights(model: Model, *, smallest: int = SMALLEST) -> None:
    """Replace the linear layers of a model on the CPU, its output matrix included, in place. It can then decode, and nothing else.

    Does nothing on other devices, and where the processor lacks the kernels. Layers inside modules of other distributions stay as
    they are (such a module may read its weights itself), and so do weights of fewer than `smallest` entries.
    """
    parameter = next(model.parameters())
    if parameter.device.type != "cpu" or not can_pack(parameter.dtype):
        return
    if isinstance(model, GPT) and model.head is None and model.wte.weight.numel() >= smallest:
        model.head = PackedLinear(model.wte.weight, None)
    for module in [module for module in model.modules() if type(module).__module__.startswith("gptkit.")]:
        for name, child in list(module.named_children()):
            if type(child) is nn.Linear and child.weight.numel() >= smallest:
                setattr(module, name, PackedLinear(child.weight, child.bias))
