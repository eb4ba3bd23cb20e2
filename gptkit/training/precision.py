"""The number format for training, chosen by what the hardware is fast at."""

from __future__ import annotations

from typing import Any

import torch


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
