"""The device of a plan, from the table of devices or of this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass

from gptkit.scaling.devices import Device, listed_peak, local_device_name, local_peak, named_device

ASSUMED_MFU = 0.4
"""Assumed share of an accelerator's peak. "PaLM: Scaling Language Modeling with Pathways", table 3: 0.21 for GPT-3 to 0.46 for
PaLM."""

ASSUMED_MFU_PROCESSOR = 0.7
"""Assumed share of a CPU's peak. It is higher because that peak is measured, not taken from a data sheet."""


@dataclass(frozen=True)
class PlanDevice:
    """One device, with the precision and the utilisation that the plan assumes."""

    name: str
    precision: str
    """Lightning's name of the precision."""

    memory_bytes: float
    peak_flops: float | None
    """Peak operations per second in that precision; None if unknown."""

    peak_source: str
    mfu: float
    on_processor: bool = False


def resolve_device(device: str, precision: str, accelerator: str) -> PlanDevice:
    """Return the device of a plan.

    Args:
        device: a name in `gptkit.scaling.devices`, or auto for the device of this machine.
        precision: Lightning's name of the precision, or auto.
        accelerator: the argument of Lightning's Trainer, which device=auto uses.

    Raises:
        ConfigError: no device has this name; the message suggests the nearest.
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
