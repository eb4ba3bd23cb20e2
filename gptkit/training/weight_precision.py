"""Weights that a run keeps in another format than float32: `trainer.precision=bf16-true`, `16-true` and `64-true`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import lightning
import torch
from lightning.pytorch.plugins.precision import DoublePrecision, HalfPrecision, Precision
from torch import nn

STORED = {"bf16-true": torch.bfloat16, "16-true": torch.float16, "64-true": torch.float64}
"""The format of weights, gradients and the optimizer's averages by Lightning's name of the precision, where it is not float32."""


def stored_dtype(precision: str) -> torch.dtype:
    """The format in which a run of this precision keeps its weights."""
    return STORED.get(precision, torch.float32)


class Stored(Precision):
    """Computes in the format of the weights, which they have before Lightning sees them.

    Lightning's own plugins make that format torch's default as well, and convert what training reads: counts, labels and scores
    would be rounded to eight bits.
    """

    def __init__(self, precision: str) -> None:
        self.precision = precision  # type: ignore[assignment]


def keep_formats(trainer: lightning.Trainer) -> None:
    """Put `Stored` in the place of the plugins of Lightning that convert everything; those of other strategies stay."""
    if isinstance(trainer.precision_plugin, HalfPrecision | DoublePrecision):
        trainer.strategy.precision_plugin = Stored(str(trainer.precision))


def convert_weights(module: nn.Module, dtype: torch.dtype) -> None:
    """Convert the parameters of a module, and all that its modules hold, in place. Buffers of its own stay: they are no weights."""
    if dtype == torch.float32:
        return
    for child in module.children():
        child.to(dtype)
    for parameter in module.parameters(recurse=False):
        parameter.data = parameter.data.to(dtype)


@contextlib.contextmanager
def made_in(dtype: torch.dtype) -> Iterator[None]:
    """Within, modules are made in this format, so that what is loaded into them is not rounded on the way."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
