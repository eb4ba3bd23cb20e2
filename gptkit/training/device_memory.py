"""Check that a run fits into memory before anything is built, and keep freed memory in the process."""

from __future__ import annotations

import ctypes
import os
import platform
from typing import Any

import torch

from gptkit.attention import AttentionConfig
from gptkit.errors import ConfigError
from gptkit.model import ModelConfig
from gptkit.objective import LMConfig
from gptkit.run_config import RunConfig
from gptkit.scaling.minimum_memory import least_parameters, least_vocabulary, refuse_beyond, training_copies
from gptkit.training.precision import choose_precision

SHARDED = ("fsdp2", "tp")
WHOLE = ("auto", "ddp", "ddp_spawn", "ddp_find_unused_parameters_true", "single_device")
"""Strategies under which every device holds the whole model. Others may keep parts of it elsewhere, and are not judged."""


def check_training_fits(settings: RunConfig, arguments: dict[str, Any]) -> None:
    """See that weights, gradients, the optimizer's state and a batch can fit.

    Args:
        settings: of the run.
        arguments: of Lightning's Trainer, checked.

    Raises:
        ConfigError: they cannot; names the keys to lower.
    """
    held = (
        16 * settings.batch.size * settings.model.context / _count_or_default(arguments.get("num_nodes"), 1)
    )  # tokens and targets, int64
    if type(settings.objective) is LMConfig and held > machine_memory():
        raise ConfigError(
            f"batch.size={settings.batch.size}: batches of so many sequences of model.context={settings.model.context} tokens take "
            f"{held / 1e9:,.0f} GB, and this machine has {machine_memory() / 1e9:,.0f} GB; lower batch.size or model.context"
        )
    memory = _device_memory(arguments)
    if memory is None:
        return
    accelerator, precision = str(arguments.get("accelerator", "auto")), str(arguments.get("precision", "auto"))
    precision = choose_precision(accelerator) if precision == "auto" else precision
    stored = 8 if precision.startswith("64") else 4 if precision.startswith("32") or precision.endswith("-mixed") else 2
    copies = training_copies(settings.objective, settings.optimizer, average=bool(settings.ema))
    vocabulary = least_vocabulary(settings.tokenizer)
    refuse_beyond(
        memory[0],
        settings.model,
        least_parameters(settings.model, settings.attention, vocabulary),
        bytes_each=stored * copies,
        contents="weights, gradients and the optimizer's state" if copies > 2 else "weights",
        where=memory[1],
    )


def check_model_fits(model: ModelConfig, attention: AttentionConfig, vocabulary: int) -> None:
    """Checks that a model's weights fit into this machine's memory in float32, as they are loaded.

    Raises:
        ConfigError: they do not.
    """
    parameters = least_parameters(model, attention, vocabulary)
    refuse_beyond(machine_memory(), model, parameters, bytes_each=4, contents="weights", where="this machine")


def machine_memory() -> float:
    """Bytes of memory and swap space."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            sizes = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}
        return float(sizes["MemTotal"] + sizes.get("SwapTotal", 0))
    except (OSError, KeyError, ValueError, IndexError):  # not Linux, which may have any swap space
        return 4.0 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _device_memory(arguments: dict[str, Any]) -> tuple[float, str] | None:
    """Bytes that a run's devices have for one copy of the model, and their name; None where that is not known."""
    accelerator, strategy = arguments.get("accelerator", "auto"), arguments.get("strategy", "auto")
    nodes = _count_or_default(arguments.get("num_nodes"), 1)
    if strategy not in (*SHARDED, *WHOLE):
        return None
    sharded = strategy in SHARDED
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        each = max(torch.cuda.get_device_properties(index).total_memory for index in range(torch.cuda.device_count()))
        devices = _count_or_default(arguments.get("devices"), torch.cuda.device_count()) * nodes if sharded else 1
        return float(each * devices), "the device" if devices == 1 else f"{devices} devices together"
    if accelerator == "cpu" or (accelerator == "auto" and not torch.backends.mps.is_available()):
        return machine_memory() * (nodes if sharded else 1), "this machine" if nodes == 1 or not sharded else f"{nodes} machines"
    return None


def _count_or_default(count: Any, otherwise: int) -> int:
    """A number of devices or machines as Lightning is given it."""
    if isinstance(count, list | tuple):
        return max(1, len(count))
    try:
        parsed = int(count)
    except (TypeError, ValueError):
        return otherwise
    return parsed if parsed > 0 else otherwise


M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # glibc's malloc.h
TOP_PAD = 64 << 20


def keep_freed_memory() -> bool:
    """Set glibc's allocator so; gives whether it was done. Must come before the first large allocation.

    Blocks come from the heap and never from mmap, the heap is never trimmed, and grows by 64 MiB. Does nothing where the C
    library is not glibc (macOS, Windows, musl).
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    settings = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, TOP_PAD))
    return all(libc.mallopt(ctypes.c_int(name), ctypes.c_int(value)) == 1 for name, value in settings)
