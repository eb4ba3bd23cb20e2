"""Computes the validation loss, always on the same held-out sequences, independent of the number of devices."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gptkit.model.evaluation_mode import without_dropout
from gptkit.objective.base import mean_over_items
from gptkit.objective.rollout_objective import RolloutObjective
from gptkit.training.dataloader import validation_items
from gptkit.training.reporting.fault_tolerance import best_effort
from gptkit.training.reporting.figures import write_figures
from gptkit.training.step import mix_seeds
from gptkit.training.strategies import BatchLayout, sum_over_devices

if TYPE_CHECKING:
    from gptkit.training.module import TrainModule


VALIDATION = 0x56414C
"""Mixed into the seed, so that the random stream of validation differs from those of training steps."""


@dataclass(frozen=True)
class ValidationResult:
    """The loss and metrics of one validation."""

    loss: float
    """The loss over all held-out tokens; for `lm`, in nats per token."""
    metrics: dict[str, float]
    """The objective's metrics: means over the items, and the results of `compute_metrics` on all items."""
    items: int
    """The number of held-out sequences."""


@torch.no_grad()
def validate(module: TrainModule) -> ValidationResult:
    """Run the model over the held-out sequences, without dropout. Its weights do not change."""
    dataset, layout, objective = module.datasets["validation"], module.layout, module.objective
    items = validation_items(dataset, module.settings.val.sequences)
    local_items = items[layout.replica :: layout.replicas]
    items_per_replica = -(-len(items) // layout.replicas)  # sharded models must run equally often on all devices
    item_metrics = defaultdict[str, list[Tensor]](list)
    totals, counts = defaultdict[str, float](float), defaultdict[str, float](float)
    metrics, metric_counts = defaultdict[str, float](float), defaultdict[str, float](float)
    with without_dropout(module):
        for start in range(0, items_per_replica, module.micro_batch_size):
            chunk = local_items[start : start + module.micro_batch_size]
            is_real = float(len(chunk) > 0)  # 0 for a batch that only keeps the devices in step
            batch = module.transfer_batch_to_device(dataset.batch(chunk or items[:1]), module.device)
            with module.trainer.precision_plugin.val_step_context():
                seed = mix_seeds(module.settings.seed, VALIDATION, start, layout.replica)
                if isinstance(objective, RolloutObjective):
                    terms, term_counts, step_metrics = objective.validate(module.model, batch, seed=seed)
                else:
                    terms, step_metrics = objective.loss(module.model, batch)
                    term_counts = objective.counts(batch)
            for name, count in term_counts.items():
                weight, total = terms[name]
                totals[name] += is_real * weight * float(total)
                counts[name] += is_real * count
            for name, metric in step_metrics.items():
                if isinstance(metric, Tensor) and metric.dim():
                    item_metrics[name] += [metric.cpu()] if chunk else []
                elif (mean := mean_over_items(metric, len(batch["tokens"]))) is not None:
                    metrics[name] += is_real * float(mean.total)
                    metric_counts[name] += is_real * float(mean.count)
    sums = sum_over_devices([*totals.values(), *counts.values(), *metrics.values(), *metric_counts.values()], module.device, layout)
    losses = zip(sums[: len(totals)], sums[len(totals) : 2 * len(totals)], strict=True)
    metric_sums = sums[2 * len(totals) :]
    means = [total / max(count, 1.0) for total, count in zip(metric_sums[: len(metrics)], metric_sums[len(metrics) :], strict=True)]
    gathered = gather_items(item_metrics, layout)
    dataset_metrics = objective.compute_metrics(gathered)
    if module.trainer.is_global_zero:
        with best_effort("figures"):
            write_figures(module.folder, objective.figures(gathered))
    loss = sum(total / max(count, 1.0) for total, count in losses)
    return ValidationResult(loss, dict(zip(metrics, means, strict=True)) | dataset_metrics, len(items))


def gather_items(item_metrics: dict[str, list[Tensor]], layout: BatchLayout) -> dict[str, Tensor]:
    """Return the metrics of every item of all devices, one tensor per metric. The order of the items has no meaning."""
    if layout.replicas == 1:
        return {name: torch.cat(chunks) for name, chunks in item_metrics.items()}
    gathered: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(gathered, {name: torch.cat(chunks) for name, chunks in item_metrics.items()})
    gathered = gathered[:: layout.split]  # devices that share a slice have the same items
    return {name: torch.cat([metrics[name] for metrics in gathered if name in metrics]) for name in gathered[0]}
