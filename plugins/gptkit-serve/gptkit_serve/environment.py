"""The environment of a model: what determines how its numbers are rounded."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from pathlib import Path

import numpy as np
import torch

from gptkit.mkl_mode import current_mode
from gptkit.model.base import Model
from gptkit.model.packed_weights import PackedLinear
from gptkit_serve.receipts import Environment

CPU_INFO = Path("/proc/cpuinfo")

KERNEL_FLAGS = re.compile(r"avx\w*|fma\w*|f16c|sse4_\d|amx_\w+|sve\w*|bf16|i8mm|asimd\w*")
"""Instruction sets for which torch, MKL and oneDNN have kernels of their own."""

VARIABLES = ("ATEN_CPU_CAPABILITY", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA", "ONEDNN_DEFAULT_FPMATH_MODE")


def current_environment(model: Model) -> Environment:
    """Return the environment of a model that is ready to decode."""
    parameter = next(model.parameters())
    processor, flags = _processor()
    device = parameter.device
    return Environment(
        device="cpu" if device.type == "cpu" else torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        dtype=str(parameter.dtype).removeprefix("torch."),
        packed_weights=any(isinstance(module, PackedLinear) for module in model.modules()),
        threads=torch.get_num_threads(),
        mkl_mode=current_mode(),
        processor=processor,
        flags=flags,
        variables={name: os.environ[name] for name in VARIABLES if name in os.environ},
        torch=torch.__version__,
        numpy=np.__version__,
        gptkit=importlib.metadata.version("gptkit"),
    )


def _processor() -> tuple[str, tuple[str, ...]]:
    """Return the name of the processor and its flags; on systems without /proc/cpuinfo, what Python knows."""
    try:
        fields = dict(re.findall(r"^(model name|flags|Features)\s*: (.*)$", CPU_INFO.read_text(), re.MULTILINE))
    except OSError:
        fields = {}
    flags = (fields.get("flags") or fields.get("Features") or "").split()
    return fields.get("model name") or platform.processor() or platform.machine(), tuple(
        sorted(flag for flag in flags if KERNEL_FLAGS.fullmatch(flag))
    )


DESCRIPTIONS = {
    "device": "device",
    "processor": "processor",
    "flags": "instruction sets of the processor",
    "variables": "environment variables of the kernels",
    "threads": "threads",
    "dtype": "dtype",
    "packed_weights": "packed weights",
    "mkl_mode": "MKL_CBWR",
    "torch": "torch",
    "numpy": "numpy",
    "gptkit": "gptkit",
}


def differences(before: Environment, now: Environment) -> list[str]:
    """Return what differs between two environments, one sentence each."""
    sentences = []
    for name, description in DESCRIPTIONS.items():
        old, new = getattr(before, name), getattr(now, name)
        if old == new:
            continue
        if name == "flags":
            lost, added = sorted(set(old) - set(new)), sorted(set(new) - set(old))
            parts = [f"{word} {' '.join(flags)}" for word, flags in (("without", lost), ("with", added)) if flags]
            sentences.append(f"{description}: now {' and '.join(parts)}")
        else:
            sentences.append(f"{description}: {_shown(old)} then, {_shown(new)} now")
    return sentences


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}={text}" for name, text in sorted(value.items())) or "none"
    return str(value) or "unset"
