"""Performs one optimizer step: sets the learning rate, accumulates the gradient over micro-batches, clips it, updates the weights.

One batch is one step. The counts of the batch (tokens, sequences or pairs) are known before any forward pass and summed over the
devices. The loss of a micro-batch is its sums divided by those counts, so neither gradient accumulation nor the number of devices
changes the gradient. Dropout is seeded by (seed, step, replica, minibatch, micro-batch), so a resumed run draws the same numbers as
an uninterrupted one.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gptkit.data.dataset import Batch
from gptkit.objective.base import Terms
from gptkit.objective.rollout_objective import Minibatch, RolloutObjective
from gptkit.optimizer.schedule import multiplier
from gptkit.training.metric_accumulator import MetricAccumulator
from gptkit.training.setup import CONSTANT_LR
from gptkit.training.strategies import no_gradient_sync, sum_over_devices

if TYPE_CHECKING:
    from gptkit.training.module import TrainModule

MASK = (1 << 64) - 1


def optimizer_step(module: TrainModule, batch: Batch) -> None:
    """Train on one batch. An objective whose rollout yields several minibatches updates the weights once for each.

    Args:
        module: the module of the run; its `state` is updated.
        batch: this device's slice of the step's batch.

    Raises:
        GptkitError: the gradient is not finite.
    """
    state = module.state
    tokens, stop_signals = sum_over_devices(
        [module.objective.tokens(batch), module.stop_request.signal], module.device, module.layout
    )
    module.stop_signals = int(stop_signals)
    state.tokens += int(tokens)
    state.lr = set_learning_rate(module, step_tokens=int(tokens))
    seed = mix_seeds(module.settings.seed, state.step)
    accumulator = MetricAccumulator()
    for number, minibatch in enumerate(_minibatches(module, batch, seed)):
        loss = accumulate_gradient(module, minibatch, number, accumulator)
        accumulator.add_loss(loss)
        update_weights(module)
    state.loss = accumulator.loss()
    state.metrics = accumulator.means(module.sum_tensor if module.layout.replicas > 1 else None)
    state.step += 1


def _minibatches(module: TrainModule, batch: Batch, seed: int) -> Iterable[Minibatch]:
    if isinstance(module.objective, RolloutObjective):
        return module.objective.rollout(module.model, batch, seed=seed, total=module.sum_tensor)
    return [{"train": batch}]


def set_learning_rate(module: TrainModule, *, step_tokens: int) -> float:
    """Set the learning rate of every parameter group by the schedule, which counts tokens. Returns the highest scheduled rate."""
    schedule = module.settings.optimizer.schedule
    factor = multiplier(module.state.tokens, schedule=schedule, horizon=module.horizon, step=step_tokens)
    groups = module.trainer.optimizers[0].param_groups
    for group in groups:
        group["lr"] = group["peak_lr"] * (1.0 if group.get(CONSTANT_LR) else factor)
    return float(max(group["lr"] for group in groups if not group.get(CONSTANT_LR)))


def accumulate_gradient(module: TrainModule, minibatch: Minibatch, number: int, accumulator: MetricAccumulator) -> Tensor:
    """Run forward and backward passes over the micro-batches of a minibatch. Returns its loss over all devices.

    Args:
        module: the module of the run.
        minibatch: batches by name, which share one update.
        number: index of the minibatch within the step; part of the dropout seed.
        accumulator: receives the metrics.
    """
    torch.clear_autocast_cache()  # the cache holds casts of the weights before the last update, or casts without gradients
    layout = module.layout
    counts = Counter[str]()
    for batch in minibatch.values():
        counts.update(module.objective.counts(batch))
    if layout.replicas > 1:
        sums = sum_over_devices(list(counts.values()), module.device, layout)
        counts = Counter({name: int(total) for name, total in zip(counts, sums, strict=True)})
    micro_batches = [
        (name, micro_batch)
        for name, batch in minibatch.items()
        for micro_batch in split_into_micro_batches(batch, module.micro_batch_size)
    ]
    is_timed = list(minibatch) != ["train"]
    total_loss: Tensor | None = None
    for index, (name, micro_batch) in enumerate(micro_batches):
        is_last = index == len(micro_batches) - 1
        sync = contextlib.nullcontext() if is_last else no_gradient_sync(module.trainer)
        with sync, accumulator.measure_time(name, is_timed):
            seed_device(module.device, mix_seeds(module.settings.seed, module.state.step, layout.replica, number, index))
            loss = _forward_backward(module, micro_batch, counts, accumulator)
        total_loss = loss if total_loss is None else total_loss + loss
    assert total_loss is not None
    if layout.replicas > 1:
        torch.distributed.all_reduce(total_loss)
        total_loss = total_loss / (layout.replicas * layout.split)  # `_forward_backward` made each loss `replicas` times larger
    return total_loss


def _forward_backward(module: TrainModule, batch: Batch, counts: Mapping[str, int], accumulator: MetricAccumulator) -> Tensor:
    terms, metrics = module.objective.loss(module.model, batch)
    loss = combine_terms(terms, counts)
    if module.layout.replicas > 1:
        loss = loss * module.layout.replicas  # DDP and FSDP average gradients over the replicas; the counts already do
    module.manual_backward(loss)
    accumulator.add(metrics, len(batch["tokens"]))
    return loss.detach()


def update_weights(module: TrainModule) -> None:
    """Clip the gradient, steps the optimizer, updates the moving average of the weights, and resets the gradient."""
    optimizer, scaler, state = module.optimizers(), module.scaler, module.state
    assert not isinstance(optimizer, list)
    if scaler is not None:
        scaler.unscale_(optimizer.optimizer)
    gradients = [
        parameter.grad
        for group in module.trainer.optimizers[0].param_groups
        for parameter in group["params"]
        if parameter.grad is not None
    ]
    state.grad_norm = module.clipper.clip(
        gradients, step=state.step + 1, lr=state.lr, saved_step=module.saved_step, may_overflow=scaler is not None
    )
    if scaler is None:
        optimizer.step()
    else:
        scaler.step(optimizer.optimizer)
        scaler.update()
    optimizer.zero_grad()
    if module.ema is not None:
        module.ema.update()


def split_into_micro_batches(batch: Batch, size: int) -> Iterator[Batch]:
    """Split a batch into micro-batches of at most `size` sequences, in order. The last one may be smaller."""
    sequences = len(batch["tokens"])
    if sequences <= size:
        yield batch
        return
    for start in range(0, sequences, size):
        yield {name: tensor[start : start + size] for name, tensor in batch.items()}


def combine_terms(terms: Terms, counts: Mapping[str, float]) -> Tensor:
    """Return the contribution of these sums to the loss of the step: the sum over terms of weight * sum / count.

    Args:
        terms: weights and sums over some of the step's sequences.
        counts: number of items that each term averages over, in the whole step and on all devices.
    """
    loss: Tensor | None = None
    for name, (weight, total) in terms.items():
        term = total * (weight / max(counts[name], 1))
        loss = term if loss is None else loss + term
    if loss is None:
        raise ValueError("the objective returned no loss term")
    return loss


def mix_seeds(*numbers: int) -> int:
    """Derive one 63-bit seed from several integers, so that streams which differ in any of them are unrelated.

    Chains the finalizer of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014, figure 17).
    """
    state = 0
    for number in numbers:
        state = (state + (number & MASK) + 0x9E3779B97F4A7C15) & MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
        state ^= state >> 31
    return state >> 1


def seed_device(device: torch.device, seed: int) -> None:
    """Seed the generator that dropout on this device uses. Faster than torch.manual_seed, which visits every kind of device."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    elif device.type != "cpu":
        torch.manual_seed(seed)
