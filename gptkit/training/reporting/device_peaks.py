"""The most operations per second that the run's device could do in the run's precision: what utilisation (MFU) is a fraction of.

Accelerators: the makers' figures for dense products (`gptkit.scaling.devices`, and below for 32-bit). A processor has no useful
figure of that kind, so a matrix product is measured on it.
"""

from __future__ import annotations

import functools
import platform
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from gptkit.scaling.devices import reported_device

MEASURED_SIZE = 1024
MEASURED_SECONDS = 0.15

# TFLOP/s in fp32 without tensor cores, and in tf32 (which `torch.set_float32_matmul_precision("high")` allows); None: has none.
_FP32: dict[str, tuple[float, float | None]] = {
    "v100": (15.7, None),  # NVIDIA V100 datasheet, SXM2
    "t4": (8.1, None),  # NVIDIA T4 datasheet
    "a100-40gb": (19.5, 156),  # NVIDIA A100 datasheet
    "a100": (19.5, 156),  # NVIDIA A100 datasheet
    "h100-pcie": (51, 378),  # NVIDIA H100 datasheet, PCIe; tf32 halved: its figure is with sparsity
    "h100": (67, 494.5),  # NVIDIA H100 datasheet, SXM; tf32 halved
    "h200": (67, 494.5),  # NVIDIA H200 datasheet, SXM; tf32 halved
    "b200": (75, 1100),  # NVIDIA HGX B200 datasheet, an eighth of the board's; tf32 halved
    "a10": (31.2, 62.5),  # NVIDIA A10 datasheet
    "l40s": (91.6, 183),  # NVIDIA L40S datasheet
    "l4": (30.3, 60),  # NVIDIA L4 datasheet, tf32 halved
    "rtx3090": (35.6, 35.6),  # NVIDIA GA102 white paper, appendix A
    "rtx4090": (82.6, 82.6),  # NVIDIA Ada white paper, appendix A
    "rtx5090": (104.8, 104.8),  # NVIDIA RTX Blackwell white paper, appendix A
}


@dataclass(frozen=True)
class Peak:
    """What one device could do at most."""

    flops: float
    """Operations per second; a multiply-add is two."""

    source: str
    """Where the figure comes from, in words."""


def compute_dtype(precision: str) -> torch.dtype:
    """The dtype of matrix products under one of Lightning's precisions, such as "bf16-mixed" or "32-true"."""
    if precision.startswith("bf16"):
        return torch.bfloat16
    if precision.startswith("16"):
        return torch.float16
    return torch.float64 if precision.startswith("64") else torch.float32


def peak(device: torch.device, precision: str) -> Peak | None:
    """The peak of a device; None where neither a table nor a measurement gives one.

    Args:
        device: where the model is.
        precision: Lightning's name of the run's precision.
    """
    dtype = compute_dtype(precision)
    if device.type == "cpu":
        return Peak(measured_flops(dtype), f"{_short(dtype)} matrix product, measured on this processor")
    return listed_peak(device_name(device), dtype, tf32=torch.get_float32_matmul_precision() != "highest")


def listed_peak(reported: str, dtype: torch.dtype, *, tf32: bool) -> Peak | None:
    """The maker's figure for an accelerator.

    Args:
        reported: the name that the driver gives, such as "NVIDIA H100 80GB HBM3".
        dtype: of the matrix products.
        tf32: whether products of float32 matrices may round their inputs to tf32.
    """
    device = reported_device(reported)
    if device is None:
        return None
    if dtype in (torch.bfloat16, torch.float16):
        return Peak(device.peak_flops, f"the maker's figure for dense 16-bit products on {device.name}")
    if dtype is torch.float32 and device.name in _FP32:
        plain, rounded = _FP32[device.name]
        if tf32 and rounded is not None:
            return Peak(rounded * 1e12, f"the maker's figure for dense tf32 products on {device.name}")
        return Peak(plain * 1e12, f"the maker's figure for fp32 on {device.name}")
    return None


@functools.cache
def measured_flops(dtype: torch.dtype) -> float:
    """Operations per second of a square matrix product on this processor: the best of several, a fraction of a second in all."""
    a = torch.ones(MEASURED_SIZE, MEASURED_SIZE, dtype=dtype)
    out = torch.empty_like(a)
    torch.mm(a, a, out=out)  # the first call sets up threads and kernels
    best, end = float("inf"), time.perf_counter() + MEASURED_SECONDS
    while True:
        begin = time.perf_counter()
        torch.mm(a, a, out=out)
        now = time.perf_counter()
        best = min(best, now - begin)
        if now >= end:
            return 2 * MEASURED_SIZE**3 / best


def device_name(device: torch.device) -> str:
    """The device in the words of its driver, or of the operating system for a processor."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type != "cpu":
        return str(device)
    cores = f"{torch.get_num_threads()} threads"
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return f"{platform.processor() or platform.machine()}, {cores}"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {cores}"


def _short(dtype: torch.dtype) -> str:
    return {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}.get(dtype, str(dtype).removeprefix("torch."))
