"""What a plan's time and memory are reckoned with: a device of the table, or the one of this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass

from gptkit.scaling.devices import Device, listed_peak, local_device_name, local_peak, named_device

ASSUMED_MFU = 0.4
"""Of an accelerator's peak. "PaLM: Scaling Language Modeling with Pathways", table 3: 0.21 for GPT-3 itself to 0.46 for PaLM."""

ASSUMED_MFU_PROCESSOR = 0.7
"""Of the matrix product measured on a processor, whose peak is not a data sheet's but already reached."""


@dataclass(frozen=True)
class PlanDevice:
    """One device, and how training would use it."""

    name: str
    precision: str
    """Lightning's name."""

    memory_bytes: float
    peak_flops: float | None
    """Operations per second in that precision; None where neither a table nor a measurement gives it."""

    peak_source: str
    mfu: float
    on_processor: bool = False


def resolve_device(device: str, precision: str, accelerator: str) -> PlanDevice:
    """Where the run would take place.

    Args:
        device: a name of `gptkit.scaling.devices`, or auto: this machine's.
        precision: Lightning's name, or auto.
        accelerator: as given to Lightning's Trainer; for device=auto.

    Raises:
        ConfigError: no device has this name; names the nearest.
    """
    return _local_device(precision, accelerator) if device == "auto" else _device_from_table(named_device(device), precision)


def _device_from_table(device: Device, precision: str) -> PlanDevice:
    if precision == "auto":
        precision = "16-mixed" if device.name in ("v100", "t4") else "bf16-true" if device.name.startswith("tpu") else "bf16-mixed"
    peak = listed_peak(device, precision, tf32=False)
    return PlanDevice(
        name=device.name,
        precision=precision,
        memory_bytes=device.memory_bytes,
        peak_flops=peak.flops if peak else None,
        peak_source=peak.source if peak else "unknown in this precision",
        mfu=ASSUMED_MFU,
    )


def _local_device(precision: str, accelerator: str) -> PlanDevice:
    import torch

    from gptkit.training.precision import choose_precision

    if precision == "auto":
        precision = choose_precision(accelerator)
    on_gpu = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    device = torch.device("cuda" if on_gpu else "cpu")
    peak = local_peak(device, precision)
    return PlanDevice(
        name=local_device_name(device),
        precision=precision,
        memory_bytes=float(torch.cuda.get_device_properties(device).total_memory if on_gpu else _total_memory()),
        peak_flops=peak.flops if peak else None,
        peak_source=peak.source if peak else "unknown: not in the table of devices",
        mfu=ASSUMED_MFU if on_gpu else ASSUMED_MFU_PROCESSOR,
        on_processor=not on_gpu,
    )


def _total_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
