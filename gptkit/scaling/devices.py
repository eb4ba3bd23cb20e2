"""What devices can do: the one table of peaks that plans and reports divide by.

Peaks are dense (no structured sparsity) matrix products in bfloat16 with float32 sums, in operations per second; where a
device has no bfloat16 (V100, T4), float16. Figures are the makers' own; marketing tables often print twice as much, with sparsity.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gptkit.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class Device:
    """One accelerator."""

    name: str
    peak_flops: float
    """Dense bfloat16 (or float16) operations per second."""

    memory_bytes: float
    memory_bandwidth: float
    """Bytes per second."""

    reported: str
    """Regular expression for the names that drivers report for it."""


# name, TFLOP/s, GB, GB/s, reported name. The first match wins, so the longer names stand before the shorter.
_TABLE: tuple[tuple[str, float, float, float, str], ...] = (
    ("v100", 125, 32, 900, r"V100"),  # NVIDIA V100 datasheet, SXM2; float16
    ("t4", 65, 16, 320, r"\bT4\b"),  # NVIDIA T4 datasheet; float16
    ("a100-40gb", 312, 40, 1555, r"A100.*40GB"),  # NVIDIA A100 datasheet
    ("a100", 312, 80, 2039, r"A100"),  # NVIDIA A100 datasheet, SXM 80 GB (PCIe: 1935 GB/s)
    ("h100-pcie", 756, 80, 2000, r"H100[ -]PCIe"),  # NVIDIA H100 datasheet, halved: its figures are with sparsity
    ("h100", 989, 80, 3350, r"H100"),  # NVIDIA H100 datasheet, SXM, halved
    ("h200", 989, 141, 4800, r"H200"),  # NVIDIA H200 datasheet, SXM, halved
    ("b200", 2250, 180, 7700, r"\bB200"),  # NVIDIA HGX B200 datasheet, halved
    ("a10", 125, 24, 600, r"\bA10\b"),  # NVIDIA A10 datasheet
    ("l40s", 362, 48, 864, r"L40S"),  # NVIDIA L40S datasheet
    ("l4", 121, 24, 300, r"\bL4\b"),  # NVIDIA L4 datasheet, halved
    ("rtx3090", 71, 24, 936, r"RTX ?3090(?! Ti)"),  # NVIDIA GA102 white paper, appendix A
    ("rtx4090", 165.2, 24, 1008, r"RTX ?4090(?! [DL])"),  # NVIDIA Ada white paper, appendix A
    ("rtx5090", 209.5, 32, 1792, r"RTX ?5090(?! [DL])"),  # NVIDIA RTX Blackwell white paper, appendix A
    ("tpu-v4", 275, 32, 1200, r"TPU[ -]v4$"),  # Google Cloud TPU documentation, per chip
    ("tpu-v5e", 197, 16, 819, r"TPU[ -]v5 ?(e|lite)"),  # Google Cloud TPU documentation, per chip
    ("tpu-v5p", 459, 95, 2765, r"TPU[ -]v5 ?p?$"),  # Google Cloud TPU documentation, per chip
)

DEVICES: dict[str, Device] = {
    name: Device(name, tflops * 1e12, gigabytes * 1e9, bandwidth * 1e9, reported)
    for name, tflops, gigabytes, bandwidth, reported in _TABLE
}
"""Every device by the name that `device=` accepts."""


def named_device(name: str) -> Device:
    """The device of this name, in any case, with or without dashes, underscores and spaces.

    Raises:
        ConfigError: none is called so; names the nearest.
    """
    plain = {_plain(known): device for known, device in DEVICES.items()}
    aliases = {"a10080gb": "a100", "h100sxm": "h100", "v10032gb": "v100"}
    word = _plain(name)
    found = plain.get(aliases.get(word, word))
    if found is None:
        raise ConfigError(f"there is no device={name}.{did_you_mean(name.lower(), DEVICES)} Known: auto, {', '.join(DEVICES)}")
    return found


def reported_device(reported: str) -> Device | None:
    """The device that a driver reports as, for example, "NVIDIA H100 80GB HBM3"; None where the table does not know it."""
    return next((device for device in DEVICES.values() if re.search(device.reported, reported, re.IGNORECASE)), None)


def _plain(name: str) -> str:
    return re.sub(r"[-_ ]", "", name.lower())
