"""The validation loss: the same held-out sequences every time, whatever the number of devices."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from gptkit.training.feed import held_out
from gptkit.training.strategies import summed

if TYPE_CHECKING:
    from gptkit.training.module import TrainModule


@dataclass(frozen=True)
class Evaluation:
    """What a validation found."""

    loss: float
    """Over all held-out tokens, in nats per token for `lm`."""
    metrics: dict[str, float]
    """Means of the objective's metrics over the sequences."""
    sequences: int


@torch.no_grad()
def evaluate(module: TrainModule) -> Evaluation:
    """Run the model over the held-out sequences, without dropout and without touching its weights."""
    dataset, layout = module.datasets["validation"], module.layout
    chosen = held_out(len(dataset), module.settings.val.sequences)
    mine = chosen[layout.replica :: layout.replicas]
    most = -(-len(chosen) // layout.replicas)  # sharded models must run equally often on all devices
    totals, counts, metrics = defaultdict[str, float](float), defaultdict[str, float](float), defaultdict[str, float](float)
    module.eval()
    try:
        for start in range(0, most, module.micro):
            part = mine[start : start + module.micro]
            real = float(len(part) > 0)
            batch = module.transfer_batch_to_device(dataset.batch(part or chosen[:1]), module.device)
            with module.trainer.precision_plugin.val_step_context():
                terms, measured = module.objective.loss(module.model, batch)
            for name, count in module.objective.counts(batch).items():
                weight, total = terms[name]
                totals[name] += real * weight * float(total)
                counts[name] += real * count
            for name, metric in measured.items():
                metrics[name] += real * float(metric)
    finally:
        module.train()
    everything = summed([*totals.values(), *counts.values(), *metrics.values()], module.device, layout)
    losses = zip(everything[: len(totals)], everything[len(totals) : 2 * len(totals)], strict=True)
    means = [total / len(chosen) for total in everything[2 * len(totals) :]]
    return Evaluation(sum(total / max(count, 1.0) for total, count in losses), dict(zip(metrics, means, strict=True)), len(chosen))
