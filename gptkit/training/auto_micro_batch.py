"""`batch.micro=auto`: the largest micro-batch, found by trial on CUDA and estimated elsewhere."""

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
    """Sequences per pass: tried out on CUDA; estimated elsewhere, and where devices must run together. The same on all."""
    share = module.settings.batch.size // module.layout.replicas
    together = isinstance(module.trainer.strategy, tuple(STRATEGIES.values()))
    if module.device.type == "cuda" and not together:
        micro = largest_that_fits(share, lambda size: _fits(module, size))
    else:
        free = torch.cuda.mem_get_info(module.device)[0] if module.device.type == "cuda" else available_memory()
        micro = estimate_micro_batch_size(
            module.settings.model,
            vocabulary=module.tokenizer.size,
            parameters=sum(parameter.numel() for parameter in module.parameters()),
            free=free,
            share=share,
            sequences=_sequences_per_item(module),
        )
    if module.trainer.world_size > 1:
        smallest = torch.tensor(micro, device=module.device)
        torch.distributed.all_reduce(smallest, op=torch.distributed.ReduceOp.MIN)
        micro = int(smallest)
    return micro


def _fits(module: TrainModule, size: int) -> bool:
    """Whether a pass over `size` sequences fits beside what the optimizer will hold: two averages of every parameter."""
    batch = module.transfer_batch_to_device(module.datasets["train"].batch([_longest_item(module)] * size), module.device)
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    averages: list[torch.Tensor] = []
    try:
        averages = [torch.empty_like(parameter) for parameter in trained for _ in range(2)]
        with module.trainer.precision_plugin.train_step_context():
            for piece in _largest_minibatch(module.objective, batch).values():
                terms, _ = module.objective.loss(module.model, piece)
                loss = combine_terms(terms, module.objective.counts(piece))
                gradients = torch.autograd.grad(loss, trained, allow_unused=True)  # reaches no parameter and no other device
                del gradients, loss, terms
    except torch.cuda.OutOfMemoryError:
        return False
    finally:
        averages.clear()
        torch.cuda.empty_cache()
    return True


def _longest_item(module: TrainModule) -> int:
    """The item that has most to be computed; any, where all are alike."""
    longest = module.datasets["train"].longest()
    return 0 if longest is None else int(longest.argmax())


def _sequences_per_item(module: TrainModule) -> int:
    """Full contexts that the longest item amounts to, in all models that are trained: options of a choice are read one by one."""
    tokens = module.datasets["train"].batch([_longest_item(module)])["tokens"].numel()
    own = max(1, round(tokens / module.settings.model.context))
    return own * (1 + len(module.settings.objective.trained_models))


def _largest_minibatch(objective: Objective, batch: Batch) -> Minibatch:
    return objective.largest_minibatch(batch) if isinstance(objective, RolloutObjective) else {"train": batch}


TOKENS_PER_PASS = 16_384
"""On a processor more tokens in one pass are no faster: its caches are long full and its products long at full speed."""


SHARE_OF_MEMORY = 0.5
"""Of the memory that is free on a processor: others use it too."""


def estimate_micro_batch_size(
    model: ModelConfig, *, vocabulary: int, parameters: int, free: int, share: int, sequences: int = 1
) -> int:
    """Sequences per pass on a device whose memory cannot be tried out.

    Args:
        model: settings that every model has.
        vocabulary: token ids.
        parameters: of the model; gradients and two averages of the optimizer come in the first step, when this is already decided.
        free: bytes that are available.
        share: sequences of a step that fall to the device.
        sequences: of the context's length that one item has at most, times the models of that size whose gradient a pass takes.
    """
    room = SHARE_OF_MEMORY * free - 12 * parameters
    fits = int(room / (sequences * activation_bytes_upper_bound(model, vocabulary=vocabulary)))
    return max(1, min(share, fits, max(1, TOKENS_PER_PASS // (model.context * sequences))))


def largest_that_fits(share: int, fits: Callable[[int], bool]) -> int:
    """The largest of share, share / 2, share / 4, ... 1 with which a trial pass succeeds; 1 is not tried."""
    micro = share
    while micro > 1 and not fits(micro):
        micro = -(-micro // 2)
    return micro


def available_memory() -> int:
    """Bytes that this machine can still give to processes."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass  # not Linux
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
