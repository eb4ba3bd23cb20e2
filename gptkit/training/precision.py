"""The precision of a run: the default for the hardware, and the dtype in which weights are stored."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn


def choose_precision(accelerator: str) -> str:
    """Return Lightning's name of the default precision on this machine.

    It is bf16-mixed where bfloat16 products are fast (CUDA since Ampere; CPUs with AVX512-BF16 or AMX), 16-mixed on older CUDA
    devices, bf16-true on TPUs, and 32-true otherwise.

    Args:
        accelerator: the argument of Lightning's Trainer: auto, cpu, gpu, cuda, mps or tpu.
    """
    if accelerator == "tpu":
        return "bf16-true"
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.get_device_capability()[0] >= 8 else "16-mixed"
    if accelerator == "cpu" or (accelerator == "auto" and not torch.backends.mps.is_available()):
        return "bf16-mixed" if cpu_supports_bfloat16() else "32-true"
    return "32-true"


def cpu_supports_bfloat16() -> bool:
    """Return whether the CPU has bfloat16 products. Without them, bfloat16 is emulated and several times slower than float32."""
    return any(_cpu_supports(feature) for feature in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))


def _cpu_supports(feature: str) -> bool:
    function: Any = getattr(torch.cpu, feature, None)  # private functions of torch, which another version may not have
    return bool(function()) if callable(function) else False


STORED_DTYPES = {"bf16-true": torch.bfloat16, "16-true": torch.float16, "64-true": torch.float64}
"""The dtype of weights, gradients and optimizer moments by Lightning's name of the precision, where it is not float32."""


def stored_dtype(precision: str) -> torch.dtype:
    """Return the dtype in which a run of this precision stores its weights."""
    return STORED_DTYPES.get(precision, torch.float32)


def convert_weights(module: nn.Module, dtype: torch.dtype) -> None:
    """Convert a module's parameters, and the parameters and buffers of its children, in place.

    Buffers of the module itself keep their dtype, because they are not weights.
    """
    if dtype == torch.float32:
        return
    for child in module.children():
        child.to(dtype)
    for parameter in module.parameters(recurse=False):
        parameter.data = parameter.data.to(dtype)


@contextlib.contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Context in which modules are created with this dtype, so that weights loaded into them are not rounded."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
