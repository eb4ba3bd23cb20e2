"""The validation loss: the same held-out sequences every time, whatever the number of devices."""

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
"""Sets the random stream of validation apart from those of steps."""


@dataclass(frozen=True)
class ValidationResult:
    """What a validation found."""

    loss: float
    """Over all held-out tokens, in nats per token for `lm`."""
    metrics: dict[str, float]
    """Means of the objective's metrics over the items, and what it judges of them all."""
    items: int


@torch.no_grad()
def validate(module: TrainModule) -> ValidationResult:
    """Run the model over the held-out sequences, without dropout and without touching its weights."""
    dataset, layout, objective = module.datasets["validation"], module.layout, module.objective
    items = validation_items(dataset, module.settings.val.sequences)
    local_items = items[layout.replica :: layout.replicas]
    largest_share = -(-len(items) // layout.replicas)  # sharded models must run equally often on all devices
    item_metrics = defaultdict[str, list[Tensor]](list)
    totals, counts = defaultdict[str, float](float), defaultdict[str, float](float)
    metrics, metric_counts = defaultdict[str, float](float), defaultdict[str, float](float)
    with without_dropout(module):
        for start in range(0, largest_share, module.micro):
            part = local_items[start : start + module.micro]
            real = float(len(part) > 0)
            batch = module.transfer_batch_to_device(dataset.batch(part or items[:1]), module.device)
            with module.trainer.precision_plugin.val_step_context():
                seed = mix_seeds(module.settings.seed, VALIDATION, start, layout.replica)
                if isinstance(objective, RolloutObjective):
                    terms, term_counts, step_metrics = objective.validate(module.model, batch, seed=seed)
                else:
                    terms, step_metrics = objective.loss(module.model, batch)
                    term_counts = objective.counts(batch)
            for name, count in term_counts.items():
                weight, total = terms[name]
                totals[name] += real * weight * float(total)
                counts[name] += real * count
            for name, metric in step_metrics.items():
                if isinstance(metric, Tensor) and metric.dim():
                    item_metrics[name] += [metric.cpu()] if part else []
                elif (share := mean_over_items(metric, len(batch["tokens"]))) is not None:
                    metrics[name] += real * float(share.total)
                    metric_counts[name] += real * float(share.count)
    everything = sum_over_devices(
        [*totals.values(), *counts.values(), *metrics.values(), *metric_counts.values()], module.device, layout
    )
    losses = zip(everything[: len(totals)], everything[len(totals) : 2 * len(totals)], strict=True)
    sums = everything[2 * len(totals) :]
    means = [total / max(count, 1.0) for total, count in zip(sums[: len(metrics)], sums[len(metrics) :], strict=True)]
    gathered = gather_items(item_metrics, layout)
    dataset_metrics = objective.compute_metrics(gathered)
    if module.trainer.is_global_zero:
        with best_effort("figures"):
            write_figures(module.folder, objective.figures(gathered))
    loss = sum(total / max(count, 1.0) for total, count in losses)
    return ValidationResult(loss, dict(zip(metrics, means, strict=True)) | dataset_metrics, len(items))


def gather_items(item_metrics: dict[str, list[Tensor]], layout: BatchLayout) -> dict[str, Tensor]:
    """What was kept of every item, in one tensor each: the items of all devices, in no order that means anything."""
    if layout.replicas == 1:
        return {name: torch.cat(chunks) for name, chunks in item_metrics.items()}
    gathered: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(gathered, {name: torch.cat(chunks) for name, chunks in item_metrics.items()})
    gathered = gathered[:: layout.split]  # devices that share a slice have the same
    return {name: torch.cat([there[name] for there in gathered if name in there]) for name in gathered[0]}
