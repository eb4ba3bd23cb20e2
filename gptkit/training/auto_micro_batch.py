"""Implements `batch.micro=auto`: determines the largest micro-batch by trial on CUDA, and estimates it on other devices."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from gptkit.data.dataset import Batch
from gptkit.model import ModelConfig
from gptkit.objective.base import Objective
from gptkit.objective.rollout_objective import Minibatch, RolloutObjective
from gptkit.scaling.memory_estimate import activation_bytes_upper_bound
from gptkit.training.step import combine_terms
from gptkit.training.strategies import STRATEGIES

if TYPE_CHECKING:
    from gptkit.training.module import TrainModule


def find_micro_batch_size(module: TrainModule) -> int:
    """Return the number of sequences per forward pass, which is the same on all devices.

    It is determined by trial on CUDA. It is estimated on other devices and for sharded models, whose devices must run each pass
    together.
    """
    device_batch_size = module.settings.batch.size // module.layout.replicas
    is_sharded = isinstance(module.trainer.strategy, tuple(STRATEGIES.values()))
    if module.device.type == "cuda" and not is_sharded:
        size = largest_that_fits(device_batch_size, lambda size: _fits(module, size))
    else:
        free = torch.cuda.mem_get_info(module.device)[0] if module.device.type == "cuda" else available_memory()
        size = estimate_micro_batch_size(
            module.settings.model,
            vocabulary=module.tokenizer.size,
            parameters=sum(parameter.numel() for parameter in module.parameters()),
            free_bytes=free,
            device_batch_size=device_batch_size,
            sequences_per_item=_sequences_per_item(module),
        )
    if module.trainer.world_size > 1:
        smallest = torch.tensor(size, device=module.device)
        torch.distributed.all_reduce(smallest, op=torch.distributed.ReduceOp.MIN)
        size = int(smallest)
    return size


def _fits(module: TrainModule, size: int) -> bool:
    """Return whether a pass over `size` sequences fits into memory together with two optimizer moments per parameter."""
    batch = module.transfer_batch_to_device(module.datasets["train"].batch([_longest_item(module)] * size), module.device)
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    moments: list[torch.Tensor] = []
    try:
        moments = [torch.empty_like(parameter) for parameter in trained for _ in range(2)]
        with module.trainer.precision_plugin.train_step_context():
            for named_batch in _largest_minibatch(module.objective, batch).values():
                terms, _ = module.objective.loss(module.model, named_batch)
                loss = combine_terms(terms, module.objective.counts(named_batch))
                gradients = torch.autograd.grad(loss, trained, allow_unused=True)  # changes no parameter, involves no other device
                del gradients, loss, terms
    except torch.cuda.OutOfMemoryError:
        return False
    finally:
        moments.clear()
        torch.cuda.empty_cache()
    return True


def _longest_item(module: TrainModule) -> int:
    """Return the index of the longest training item; 0 if all items have the same length."""
    longest = module.datasets["train"].longest()
    return 0 if longest is None else int(longest.argmax())


def _sequences_per_item(module: TrainModule) -> int:
    """Return the length of the longest item in full contexts, times the number of trained models.

    An item can exceed one context: the options of a multiple choice are separate sequences.
    """
    tokens = module.datasets["train"].batch([_longest_item(module)])["tokens"].numel()
    contexts = max(1, round(tokens / module.settings.model.context))
    return contexts * (1 + len(module.settings.objective.trained_models))


def _largest_minibatch(objective: Objective, batch: Batch) -> Minibatch:
    return objective.largest_minibatch(batch) if isinstance(objective, RolloutObjective) else {"train": batch}


TOKENS_PER_PASS = 16_384
"""Upper limit of tokens per pass on a CPU. Larger passes are not faster: matrix products already run at full speed."""


SHARE_OF_MEMORY = 0.5
"""Share of the free memory that a run on a CPU may use, because other processes need memory too."""


def estimate_micro_batch_size(
    model: ModelConfig, *, vocabulary: int, parameters: int, free_bytes: int, device_batch_size: int, sequences_per_item: int = 1
) -> int:
    """Estimate the number of sequences per forward pass from the free memory.

    Args:
        model: the model's settings.
        vocabulary: number of token ids.
        parameters: number of parameters; the first step allocates their gradients and two optimizer moments of each.
        free_bytes: bytes of free memory.
        device_batch_size: sequences per step and device.
        sequences_per_item: sequences of full length in the longest item, times the number of trained models.
    """
    activation_bytes = SHARE_OF_MEMORY * free_bytes - 12 * parameters
    fits = int(activation_bytes / (sequences_per_item * activation_bytes_upper_bound(model, vocabulary=vocabulary)))
    return max(1, min(device_batch_size, fits, max(1, TOKENS_PER_PASS // (model.context * sequences_per_item))))


def largest_that_fits(device_batch_size: int, fits: Callable[[int], bool]) -> int:
    """Halve the batch size of a device until a trial pass succeeds, and return it. 1 is not tried."""
    size = device_batch_size
    while size > 1 and not fits(size):
        size = -(-size // 2)
    return size


def available_memory() -> int:
    """Return the bytes of memory that are available to new processes."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass  # not Linux
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
