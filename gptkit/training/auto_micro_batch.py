"""Find the largest micro-batch by trying, on CUDA; weights, gradients and random streams are left as they were."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gptkit.data.dataset import Batch
from gptkit.objective.base import Objective
from gptkit.objective.rollout_objective import Minibatch, RolloutObjective
from gptkit.training.micro_batch import estimate, free_memory, largest_that_fits
from gptkit.training.step import combine
from gptkit.training.strategies import OURS

if TYPE_CHECKING:
    from gptkit.training.module import TrainModule


def largest_micro(module: TrainModule) -> int:
    """Sequences per pass: tried out on CUDA; estimated elsewhere, and where devices must run together. The same on all."""
    share = module.settings.batch.size // module.layout.replicas
    together = isinstance(module.trainer.strategy, tuple(OURS.values()))
    if module.device.type == "cuda" and not together:
        micro = largest_that_fits(share, lambda size: _fits(module, size))
    else:
        free = torch.cuda.mem_get_info(module.device)[0] if module.device.type == "cuda" else free_memory()
        micro = estimate(
            module.settings.model,
            vocabulary=module.tokenizer.size,
            parameters=sum(parameter.numel() for parameter in module.parameters()),
            free=free,
            share=share,
            sequences=_sequences(module),
        )
    if module.trainer.world_size > 1:
        smallest = torch.tensor(micro, device=module.device)
        torch.distributed.all_reduce(smallest, op=torch.distributed.ReduceOp.MIN)
        micro = int(smallest)
    return micro


def _fits(module: TrainModule, size: int) -> bool:
    """Whether a pass over `size` sequences fits beside what the optimizer will hold: two averages of every parameter."""
    batch = module.transfer_batch_to_device(module.datasets["train"].batch([_longest(module)] * size), module.device)
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    averages: list[torch.Tensor] = []
    try:
        averages = [torch.empty_like(parameter) for parameter in trained for _ in range(2)]
        with module.trainer.precision_plugin.train_step_context():
            for piece in _largest_minibatch(module.objective, batch).values():
                terms, _ = module.objective.loss(module.model, piece)
                loss = combine(terms, module.objective.counts(piece))
                gradients = torch.autograd.grad(loss, trained, allow_unused=True)  # reaches no parameter and no other device
                del gradients, loss, terms
    except torch.cuda.OutOfMemoryError:
        return False
    finally:
        averages.clear()
        torch.cuda.empty_cache()
    return True


def _longest(module: TrainModule) -> int:
    """The item that has most to be computed; any, where all are alike."""
    longest = module.datasets["train"].longest()
    return 0 if longest is None else int(longest.argmax())


def _sequences(module: TrainModule) -> int:
    """Full contexts that the longest item amounts to, in all models that are trained: options of a choice are read one by one."""
    tokens = module.datasets["train"].batch([_longest(module)])["tokens"].numel()
    own = max(1, round(tokens / module.settings.model.context))
    return own * (1 + len(module.settings.objective.trained_models))


def _largest_minibatch(objective: Objective, batch: Batch) -> Minibatch:
    return objective.largest_minibatch(batch) if isinstance(objective, RolloutObjective) else {"train": batch}
