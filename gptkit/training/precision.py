"""The precision of a run: the default that suits the hardware, and the dtype in which weights are stored."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import lightning
import torch
from lightning.pytorch.plugins.precision import DoublePrecision, HalfPrecision, Precision
from torch import nn


def choose_precision(accelerator: str) -> str:
    """Lightning's name of the precision that suits this machine.

    bf16-mixed where bfloat16 products are fast (CUDA from Ampere on; processors with AVX512-BF16 or AMX), 16-mixed on older CUDA,
    bf16-true on TPUs, else 32-true.

    Args:
        accelerator: as given to Lightning's Trainer: auto, cpu, gpu, cuda, mps, tpu.
    """
    if accelerator == "tpu":
        return "bf16-true"
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.get_device_capability()[0] >= 8 else "16-mixed"
    if accelerator == "cpu" or (accelerator == "auto" and not torch.backends.mps.is_available()):
        return "bf16-mixed" if processor_has_bfloat16() else "32-true"
    return "32-true"


def processor_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself; without, it is emulated and several times slower than float32."""
    return any(_cpu_says(question) for question in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))


def _cpu_says(question: str) -> bool:
    answer: Any = getattr(torch.cpu, question, None)  # private names of torch, which may move
    return bool(answer()) if callable(answer) else False


STORED_DTYPES = {"bf16-true": torch.bfloat16, "16-true": torch.float16, "64-true": torch.float64}
"""The format of weights, gradients and the optimizer's averages by Lightning's name of the precision, where it is not float32."""


def stored_dtype(precision: str) -> torch.dtype:
    """The format in which a run of this precision keeps its weights."""
    return STORED_DTYPES.get(precision, torch.float32)


class StoredPrecision(Precision):
    """Computes in the format of the weights, which they have before Lightning sees them.

    Lightning's own plugins make that format torch's default as well, and convert what training reads: counts, labels and scores
    would be rounded to eight bits.
    """

    def __init__(self, precision: str) -> None:
        self.precision = precision  # type: ignore[assignment]


def use_stored_precision(trainer: lightning.Trainer) -> None:
    """Put `Stored` in the place of the plugins of Lightning that convert everything; those of other strategies stay."""
    if isinstance(trainer.precision_plugin, HalfPrecision | DoublePrecision):
        trainer.strategy.precision_plugin = StoredPrecision(str(trainer.precision))


def convert_weights(module: nn.Module, dtype: torch.dtype) -> None:
    """Convert the parameters of a module, and all that its modules hold, in place. Buffers of its own stay: they are no weights."""
    if dtype == torch.float32:
        return
    for child in module.children():
        child.to(dtype)
    for parameter in module.parameters(recurse=False):
        parameter.data = parameter.data.to(dtype)


@contextlib.contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Within, modules are made in this format, so that what is loaded into them is not rounded on the way."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
