"""Checks that a run fits into memory before it is built."""

from __future__ import annotations

import os
from typing import Any

import torch

from gptkit.attention import AttentionConfig
from gptkit.errors import ConfigError
from gptkit.model import ModelConfig
from gptkit.objective import LMConfig
from gptkit.run_config import RunConfig
from gptkit.scaling.minimum_memory import check_memory, least_parameters, least_vocabulary, training_copies
from gptkit.training.precision import choose_precision

SHARDED_STRATEGIES = ("fsdp2", "tp")
REPLICATED_STRATEGIES = ("auto", "ddp", "ddp_spawn", "ddp_find_unused_parameters_true", "single_device")
"""Strategies that keep the whole model on every device. Strategies in neither tuple may offload weights and are not checked."""


def check_training_fits(settings: RunConfig, arguments: dict[str, Any]) -> None:
    """Check that weights, gradients, the optimizer's state and a batch can fit into memory.

    Args:
        settings: the settings of the run.
        arguments: the checked arguments of Lightning's Trainer.

    Raises:
        ConfigError: they do not fit; the message names the keys to lower.
    """
    machines = _count_or_default(arguments.get("num_nodes"), 1)
    batch_bytes = 16 * settings.batch.size * settings.model.context / machines  # tokens and targets, int64
    if type(settings.objective) is LMConfig and batch_bytes > machine_memory():
        raise ConfigError(
            f"batch.size={settings.batch.size}: batches of that many sequences of model.context={settings.model.context} tokens "
            f"take {batch_bytes / 1e9:,.0f} GB, and this machine has {machine_memory() / 1e9:,.0f} GB; "
            "lower batch.size or model.context"
        )
    memory = _device_memory(arguments)
    if memory is None:
        return
    accelerator, precision = str(arguments.get("accelerator", "auto")), str(arguments.get("precision", "auto"))
    precision = choose_precision(accelerator) if precision == "auto" else precision
    bytes_per_number = 8 if precision.startswith("64") else 4 if precision.startswith("32") or precision.endswith("-mixed") else 2
    copies = training_copies(
        settings.objective, settings.optimizer, average=bool(settings.ema), has_adapter=settings.adapter is not None
    )
    vocabulary = least_vocabulary(settings.tokenizer)
    check_memory(
        memory[0],
        settings.model,
        least_parameters(settings.model, settings.attention, vocabulary),
        bytes_each=bytes_per_number * copies,
        contents="weights, gradients and the optimizer's state" if copies > 2 else "weights",
        where=memory[1],
    )


def check_model_fits(model: ModelConfig, attention: AttentionConfig, vocabulary: int) -> None:
    """Check that a model's weights fit into this machine's memory in float32, as they are loaded.

    Raises:
        ConfigError: they do not.
    """
    parameters = least_parameters(model, attention, vocabulary)
    check_memory(machine_memory(), model, parameters, bytes_each=4, contents="weights", where="this machine")


def machine_memory() -> float:
    """Return the bytes of memory and swap space of this machine."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            sizes = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}
        return float(sizes["MemTotal"] + sizes.get("SwapTotal", 0))
    except (OSError, KeyError, ValueError, IndexError):  # not Linux; the size of the swap space is unknown
        return 4.0 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _device_memory(arguments: dict[str, Any]) -> tuple[float, str] | None:
    """Return the bytes that a run's devices have for one copy of the model, and their description; None if unknown."""
    accelerator, strategy = arguments.get("accelerator", "auto"), arguments.get("strategy", "auto")
    nodes = _count_or_default(arguments.get("num_nodes"), 1)
    if strategy not in (*SHARDED_STRATEGIES, *REPLICATED_STRATEGIES):
        return None
    is_sharded = strategy in SHARDED_STRATEGIES
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        device_bytes = max(torch.cuda.get_device_properties(index).total_memory for index in range(torch.cuda.device_count()))
        devices = _count_or_default(arguments.get("devices"), torch.cuda.device_count()) * nodes if is_sharded else 1
        return float(device_bytes * devices), "the device" if devices == 1 else f"{devices} devices together"
    if accelerator == "cpu" or (accelerator == "auto" and not torch.backends.mps.is_available()):
        machines = nodes if is_sharded else 1
        return machine_memory() * machines, "this machine" if machines == 1 else f"{machines} machines"
    return None


def _count_or_default(count: Any, default: int) -> int:
    """Return the number of devices or machines in an argument of Lightning's Trainer; `default` if it is not a number."""
    if isinstance(count, list | tuple):
        return max(1, len(count))
    try:
        parsed = int(count)
    except (TypeError, ValueError):
        return default
    return parsed if parsed > 0 else default
