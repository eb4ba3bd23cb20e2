"""The number format and the device of decoding."""

from __future__ import annotations

import torch

from gptkit.model.freed_memory import keep_freed_memory


def native_dtype(device: torch.device) -> torch.dtype:
    """Return bfloat16 if the hardware multiplies it natively, else float32. Depends on the hardware only, for reproducibility."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    if device.type == "cpu":
        native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        return torch.bfloat16 if native else torch.float32
    return torch.float32


def decoding_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the dtype of `precision` (auto, fp32 or bf16) on this device."""
    return {"auto": native_dtype(device), "fp32": torch.float32, "bf16": torch.bfloat16}[precision]


def prepare_device() -> torch.device:
    """Return the accelerator of this machine, or else the CPU, for which the process then keeps freed memory.

    Commands call it before they load a model.
    """
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if accelerator is None:
        keep_freed_memory()
        return torch.device("cpu")
    return accelerator
