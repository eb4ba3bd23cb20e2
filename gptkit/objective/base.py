"""The base class of objectives: datasets, counts before the forward pass, the loss as sums, and metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gptkit.data.dataset import Batch, Dataset
from gptkit.model.adapted import with_base
from gptkit.objective.monitor import LOWEST_LOSS, Monitor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from gptkit.chat_template.base import ChatTemplate
    from gptkit.data.base import Data
    from gptkit.model.base import Model
    from gptkit.tokenizer.base import Tokenizer


Terms = Mapping[str, tuple[float, Tensor]]
"""The terms of a loss by name: the weight of each, and its sum before averaging (a scalar with a gradient)."""


@dataclass(frozen=True)
class Mean:
    """A metric with its own count, for averages over something other than items, such as tokens. 0 if the count is 0."""

    total: Tensor
    count: Tensor


Metrics = Mapping[str, Tensor | Mean]
"""Detached metrics by name. A scalar tensor is a sum over the batch's items."""


def mean_over_items(metric: Tensor | Mean, items: int) -> Mean | None:
    """Return the metric with its count, or None for a tensor that has a row per item."""
    if isinstance(metric, Mean):
        return metric
    return None if metric.dim() else Mean(metric, torch.tensor(float(items)))


class Objective(nn.Module, ABC):
    """The base class of objectives.

    Parameters that an objective registers, such as a head, are trained and saved with the model. An objective whose model generates
    text in training or validation derives from `gptkit.objective.rollout_objective.RolloutObjective`.
    """

    settings: Any
    """The objective's config."""

    items_name = "sequences"
    """The plural noun for the items of the training data, for messages."""

    counts_input_tokens = True
    """Whether `tokens` returns the number of tokens that the model reads. If not, no speed in tokens per second is reported."""

    best_checkpoint_by_loss = False
    """Whether the best checkpoint of a run is always the one with the lowest validation loss, and `monitor` only compares runs. For
    losses that are comparable within a run, but not between runs with different settings."""

    sources: dict[str, str]
    """Fingerprints of the training inputs other than `data`, by config key. `datasets` and `use_reward` add entries."""

    load: Callable[[str], TrainedModel]
    """Loads a trained model with its objective from a run or a checkpoint folder. Set before `datasets` is called."""

    chat_template: ChatTemplate
    """The run's chat template. Set before `datasets` is called if the config has `uses_chat_template`."""

    seed: int = 0
    """The run's seed, for random choices of data. Set before `datasets` is called."""

    def __init__(self) -> None:
        super().__init__()
        self.sources = {}

    # -- data and loss ------------------------------------------------------------------------------------------------------------

    @abstractmethod
    def datasets(self, data: Data, *, validation_fraction: float) -> dict[str, Dataset]:
        """Return the datasets "train" and "validation"; the latter is absent if nothing is held out.

        Uses the validation split of the source if it has one, and otherwise holds out `validation_fraction` of its records.
        """

    @abstractmethod
    def counts(self, batch: Batch) -> dict[str, int]:
        """Return, for each term of the loss, the number of tokens, sequences or pairs to average over, without a forward pass."""

    @abstractmethod
    def loss(self, model: Model, batch: Batch) -> tuple[Terms, Metrics]:
        """Return the terms of the loss as sums, and detached metrics.

        The loss of a step is the sum over terms of weight * sum / count, with counts summed over all micro-batches and devices.

        A scalar metric is a sum over the batch's items and is logged as the mean over them; a `Mean` has its own count. All devices
        must return the same names. Tensors with a row per item are collected in validation and passed to `compute_metrics`.
        """

    def tokens(self, batch: Batch) -> int:
        """Return the number of tokens that the batch adds to the run's count, which drives the schedules."""
        return batch["tokens"].numel()

    def describe(self, datasets: Mapping[str, Dataset]) -> str:
        """Return the phrase for the first line of a run that describes the task and the amount of data."""
        return f"{len(datasets['train']):,} {self.items_name} to learn from"

    # -- validation ---------------------------------------------------------------------------------------------------------------

    def compute_metrics(self, outputs: Mapping[str, Tensor]) -> dict[str, float]:
        """Return metrics of a whole validation set. They replace scalar metrics of the same name.

        Args:
            outputs: the concatenated tensors with a row per item that `loss` returned, on the CPU.
        """
        return {}

    def figures(self, outputs: Mapping[str, Tensor]) -> Mapping[str, Figure]:
        """Return figures of a whole validation set by title. Called on the first device only. Argument as in `compute_metrics`.

        They are written to figures/<title>.svg and shown in the report.
        """
        return {}

    def monitor(self, metrics: Mapping[str, float]) -> Monitor:
        """Return the value that ranks runs of this objective, and checkpoints of one run. Default: the lowest validation loss.

        Choose a metric if the loss depends on settings that a sweep may change.

        Args:
            metrics: the metrics of the validation; only these can be chosen.
        """
        return LOWEST_LOSS

    def checkpoint_value(self, loss: float, metrics: Mapping[str, float]) -> float:
        """Return the value by which the checkpoints of a run are sorted. The best checkpoint has the lowest."""
        monitor = LOWEST_LOSS if self.best_checkpoint_by_loss else self.monitor(metrics)
        return monitor.value_to_minimize(loss, metrics)

    # -- hooks of a run, in order -------------------------------------------------------------------------------------------------

    def is_transferred(self, model: Model, name: str) -> bool:
        """Return whether the model's weight of this name is loaded from `init_from`. If not, it keeps its random initial value."""
        return True

    def start(self, model: Model) -> None:
        """Copy the model, if the objective needs copies. Called once per run, when the model has its initial weights."""

    def restore(self, model: Model, state: Mapping[str, Any]) -> None:
        """Load the `state_dict` of a checkpoint. Called instead of `start`, after the model has loaded the checkpoint's weights."""
        self.load_state_dict(with_base(self, state))

    def freeze(self, model: Model) -> None:
        """Turn off the gradients of parameters that are not trained. Called once, after `start` or `restore`."""

    def on_save_checkpoint(self, model: Model) -> None:
        """Fit values that depend on the weights. Called without gradients before a checkpoint of the weights is written."""


@dataclass(frozen=True)
class TrainedModel:
    """A trained model with its objective, both in evaluation mode, on the CPU, in float32."""

    model: Model
    """The model. Its vocabulary includes the tokens that the objective adds."""
    tokenizer: Tokenizer
    objective: Objective
    data: dict[str, Any]
    """The config of the run's data source, as plain values with `name`."""
    source: str = ""
    """The path from which the model was loaded."""
    fingerprint: str = ""
    """SHA-256 of the checkpoint's manifest, which identifies the weights."""
