"""The table of devices, and the peak rates of matrix products to which plans and reports relate speeds.

The peak of an accelerator is the number in its data sheet for dense products; data sheets often print the double number with
structured sparsity. For CPUs no such number is useful, so a matrix product is timed.

Importing this module does not import torch, which a plan for a device of the table does not need.
"""

from __future__ import annotations

import functools
import platform
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gptkit.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    import torch

BENCHMARK_SIZE = 1024
"""Rows and columns of the matrices that are multiplied to measure a CPU."""

BENCHMARK_SECONDS = 0.15


@dataclass(frozen=True)
class Device:
    """One accelerator. Rates are operations per second of dense matrix products; a multiply-add is two."""

    name: str
    peak_flops: float
    """The rate in bfloat16 with float32 accumulation, or in float16 if the device has no bfloat16 (V100, T4)."""

    fp32_flops: float | None
    """The rate in float32 without tensor cores; None if the data sheet has no number."""

    tf32_flops: float | None
    """The rate in tf32, which `torch.set_float32_matmul_precision("high")` enables; None if the device has no tf32."""

    memory_bytes: float
    memory_bandwidth: float
    """Bytes per second."""

    reported: str
    """Regular expression for the names that drivers report for the device."""


@dataclass(frozen=True)
class Peak:
    """The peak rate of one device."""

    flops: float
    """Operations per second; a multiply-add is two."""

    source: str
    """A description of the source of the number."""


# name, TFLOP/s in 16 bits, fp32 and tf32, GB, GB/s, reported name. The first match wins, so longer names precede shorter ones.
# Sources are data sheets; "halved": the 16-bit and tf32 numbers are printed with sparsity.
_Row = tuple[str, float, float | None, float | None, float, float, str]
_TABLE: tuple[_Row, ...] = (
    ("v100", 125, 15.7, None, 32, 900, r"V100"),  # NVIDIA V100 datasheet, SXM2; float16
    ("t4", 65, 8.1, None, 16, 320, r"\bT4\b"),  # NVIDIA T4 datasheet; float16
    ("a100-40gb", 312, 19.5, 156, 40, 1555, r"A100.*40GB"),  # NVIDIA A100 datasheet
    ("a100", 312, 19.5, 156, 80, 2039, r"A100"),  # NVIDIA A100 datasheet, SXM 80 GB (PCIe: 1935 GB/s)
    ("h100-pcie", 756, 51, 378, 80, 2000, r"H100[ -]PCIe"),  # NVIDIA H100 datasheet, halved
    ("h100", 989, 67, 494.5, 80, 3350, r"H100"),  # NVIDIA H100 datasheet, SXM, halved
    ("h200", 989, 67, 494.5, 141, 4800, r"H200"),  # NVIDIA H200 datasheet, SXM, halved
    ("b200", 2250, 75, 1100, 180, 7700, r"\bB200"),  # NVIDIA HGX B200 datasheet, halved
    ("a10", 125, 31.2, 62.5, 24, 600, r"\bA10\b"),  # NVIDIA A10 datasheet
    ("l40s", 362, 91.6, 183, 48, 864, r"L40S"),  # NVIDIA L40S datasheet
    ("l4", 121, 30.3, 60, 24, 300, r"\bL4\b"),  # NVIDIA L4 datasheet, halved
    ("rtx3090", 71, 35.6, 35.6, 24, 936, r"RTX ?3090(?! Ti)"),  # NVIDIA GA102 white paper, appendix A
    ("rtx4090", 165.2, 82.6, 82.6, 24, 1008, r"RTX ?4090(?! [DL])"),  # NVIDIA Ada white paper, appendix A
    ("rtx5090", 209.5, 104.8, 104.8, 32, 1792, r"RTX ?5090(?! [DL])"),  # NVIDIA RTX Blackwell white paper, appendix A
    ("tpu-v4", 275, None, None, 32, 1200, r"TPU[ -]v4$"),  # Google Cloud TPU documentation, per chip
    ("tpu-v5e", 197, None, None, 16, 819, r"TPU[ -]v5 ?(e|lite)"),  # Google Cloud TPU documentation, per chip
    ("tpu-v5p", 459, None, None, 95, 2765, r"TPU[ -]v5 ?p?$"),  # Google Cloud TPU documentation, per chip
)

DEVICES: dict[str, Device] = {
    name: Device(
        name,
        peak_flops=tflops * 1e12,
        fp32_flops=None if fp32 is None else fp32 * 1e12,
        tf32_flops=None if tf32 is None else tf32 * 1e12,
        memory_bytes=gigabytes * 1e9,
        memory_bandwidth=bandwidth * 1e9,
        reported=reported,
    )
    for name, tflops, fp32, tf32, gigabytes, bandwidth, reported in _TABLE
}
"""Every device by the name that `device=` accepts."""


def named_device(name: str) -> Device:
    """Return the device of this name, in any case, with or without dashes, underscores and spaces.

    Raises:
        ConfigError: no device has this name; the message suggests the nearest.
    """
    by_plain_name = {_plain(known): device for known, device in DEVICES.items()}
    aliases = {"a10080gb": "a100", "h100sxm": "h100", "v10032gb": "v100"}
    plain_name = _plain(name)
    device = by_plain_name.get(aliases.get(plain_name, plain_name))
    if device is None:
        raise ConfigError(f"there is no device={name}.{did_you_mean(name.lower(), DEVICES)} Known: auto, {', '.join(DEVICES)}")
    return device


def reported_device(reported: str) -> Device | None:
    """Return the device for a name that a driver reports, such as "NVIDIA H100 80GB HBM3"; None if the table lacks it."""
    return next((device for device in DEVICES.values() if re.search(device.reported, reported, re.IGNORECASE)), None)


def matmul_dtype(precision: str) -> str:
    """Return the dtype of matrix products ("bf16", "fp16", "fp32", "fp64") under one of Lightning's precisions ("bf16-mixed")."""
    if precision.startswith("bf16"):
        return "bf16"
    if precision.startswith("16"):
        return "fp16"
    return "fp64" if precision.startswith("64") else "fp32"


def listed_peak(device: Device | None, precision: str, *, tf32: bool) -> Peak | None:
    """Return the peak of a device according to the table.

    Args:
        device: the accelerator; None for one that the table lacks.
        precision: Lightning's name of the run's precision.
        tf32: whether products of float32 matrices may round their inputs to tf32.

    Returns:
        The peak; None if the table has no number for this precision.
    """
    if device is None:
        return None
    dtype = matmul_dtype(precision)
    if dtype in ("bf16", "fp16"):
        return Peak(device.peak_flops, "data sheet, dense 16-bit products")
    if dtype == "fp32" and tf32 and device.tf32_flops is not None:
        return Peak(device.tf32_flops, "data sheet, dense tf32 products")
    if dtype == "fp32" and device.fp32_flops is not None:
        return Peak(device.fp32_flops, "data sheet, fp32")
    return None


def local_peak(device: torch.device, precision: str) -> Peak | None:
    """Return the peak of a device of this machine: measured on a CPU, from the table for an accelerator.

    Args:
        device: the device of the model.
        precision: Lightning's name of the run's precision.

    Returns:
        The peak; None for an accelerator without a number in the table.
    """
    if device.type == "cpu":
        dtype = matmul_dtype(precision)
        return Peak(measure_flops(dtype), f"{dtype} matrix product, measured on this processor")
    import torch

    tf32 = torch.get_float32_matmul_precision() != "highest"
    return listed_peak(reported_device(local_device_name(device)), precision, tf32=tf32)


@functools.cache
def measure_flops(dtype: str) -> float:
    """Time a square matrix product on this CPU for a fraction of a second and return its best rate.

    Args:
        dtype: a result of `matmul_dtype`.

    Returns:
        Operations per second.
    """
    import torch

    torch_dtype = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32, "fp64": torch.float64}[dtype]
    matrix = torch.ones(BENCHMARK_SIZE, BENCHMARK_SIZE, dtype=torch_dtype)
    out = torch.empty_like(matrix)
    torch.mm(matrix, matrix, out=out)  # the first call sets up threads and kernels
    best, deadline = float("inf"), time.perf_counter() + BENCHMARK_SECONDS
    while True:
        start = time.perf_counter()
        torch.mm(matrix, matrix, out=out)
        now = time.perf_counter()
        best = min(best, now - start)
        if now >= deadline:
            return 2 * BENCHMARK_SIZE**3 / best


def local_device_name(device: torch.device) -> str:
    """Return the name of a device of this machine as its driver reports it; for a CPU, as the operating system reports it."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type != "cpu":
        return str(device)
    count = torch.get_num_threads()
    threads = f"{count} thread{'s' * (count != 1)}"
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return f"{platform.processor() or platform.machine()}, {threads}"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {threads}"


def _plain(name: str) -> str:
    return re.sub(r"[-_ ]", "", name.lower())
