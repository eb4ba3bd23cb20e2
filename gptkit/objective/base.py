"""What every objective is once it is built: datasets, counts before the forward pass, the loss as sums, and metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from gptkit.data.dataset import Batch, Dataset

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from gptkit.data.base import Data
    from gptkit.model.base import Model
    from gptkit.tokenizer.base import Tokenizer


Terms = Mapping[str, tuple[float, Tensor]]
"""Each term of a loss: its weight, and its sum, not averaged (a scalar with a gradient)."""


@dataclass(frozen=True)
class Mean:
    """A metric that is not averaged over the batch's items but over tokens, say: a sum and a count. 0 if the count is 0."""

    total: Tensor
    count: Tensor


Metrics = Mapping[str, Tensor | Mean]
"""Metrics by name, detached. A scalar is a sum over the batch's items."""


def mean_over_items(metric: Tensor | Mean, items: int) -> Mean | None:
    """The metric with its count, or None for a tensor that has a row per item."""
    if isinstance(metric, Mean):
        return metric
    return None if metric.dim() else Mean(metric, torch.tensor(float(items)))


@dataclass(frozen=True)
class Monitor:
    """What runs and checkpoints are compared by."""

    metric: str | None
    """The name of a validation metric. None: the validation loss."""

    mode: Literal["min", "max"]
    """Whether a lower or a higher value is better."""

    def rank(self, loss: float, metrics: Mapping[str, float]) -> float:
        """The monitored value of a validation with its sign set so that lower is better."""
        value = loss if self.metric is None else metrics[self.metric]
        return value if self.mode == "min" else -value


LOWEST_LOSS = Monitor(None, "min")


class Objective(nn.Module, ABC):
    """The contract of objectives.

    An objective that has parameters of its own (a head) registers them; they are trained and saved with the model. An objective
    whose model generates text in training or validation is a `gptkit.objective.rollout_objective.RolloutObjective`.
    """

    settings: Any
    """The objective's config."""

    items_name = "sequences"
    """What the items of the training data are called."""

    counts_input_tokens = True
    """Whether `tokens` counts the tokens that the model reads. If not, no speed in tokens per second is reported."""

    best_checkpoint_by_loss = False
    """Whether the best checkpoint of a run is the one with the lowest validation loss, whatever `monitor` names. For a loss that
    can be compared within a run, but not between runs with other settings."""

    sources: dict[str, str]
    """Fingerprints of what the run learns from besides `data`, by config key. `datasets` and `use_reward` add to it."""

    load: Callable[[str], TrainedModel]
    """Reads a trained model with its objective from a run or a checkpoint folder. Set before `datasets` is called."""

    seed: int = 0
    """The run's seed, for random choices of data. Set before `datasets` is called."""

    def __init__(self) -> None:
        super().__init__()
        self.sources = {}

    # -- data and loss ------------------------------------------------------------------------------------------------------------

    @abstractmethod
    def datasets(self, data: Data, *, validation_fraction: float) -> dict[str, Dataset]:
        """Returns the datasets "train" and "validation"; the latter is absent if nothing is held out.

        If the source brings a validation split, that is used; otherwise `validation_fraction` of the source is split off.
        """

    @abstractmethod
    def counts(self, batch: Batch) -> dict[str, int]:
        """For each term of the loss, the number of things (tokens, sequences, pairs) it averages over. No forward pass."""

    @abstractmethod
    def loss(self, model: Model, batch: Batch) -> tuple[Terms, Metrics]:
        """Returns the terms of the loss as sums, and metrics, detached.

        The step's loss is the sum over terms of weight * sum / count, with the counts of all micro-batches and devices.

        A scalar metric is a sum over the batch's items and is logged as the mean over them; a `Mean` has its own count. All devices
        must return the same names. Tensors with a row per item are collected in validation and passed to `compute_metrics`.
        """

    def tokens(self, batch: Batch) -> int:
        """The number of tokens that the batch adds to the run's count, which schedules follow."""
        return batch["tokens"].numel()

    def describe(self, datasets: Mapping[str, Dataset]) -> str:
        """A phrase for the first line of a run: what is learned, and from how much data."""
        return f"{len(datasets['train']):,} {self.items_name} to learn from"

    # -- validation ---------------------------------------------------------------------------------------------------------------

    def compute_metrics(self, outputs: Mapping[str, Tensor]) -> dict[str, float]:
        """Metrics of a whole validation set. They replace scalar metrics of the same name.

        Args:
            outputs: the tensors with a row per item that `loss` returned, concatenated, on the CPU.
        """
        return {}

    def figures(self, outputs: Mapping[str, Tensor]) -> Mapping[str, Figure]:
        """Figures of a whole validation set by title, from the arguments of `compute_metrics`. Called on the first device only.

        They are written to figures/<title>.svg and shown in the report.
        """
        return {}

    def monitor(self, metrics: Mapping[str, float]) -> Monitor:
        """What runs of this objective, and the checkpoints of one run, are compared by. Default: the lowest validation loss.

        Choose a metric if the loss contains something that a sweep may change.

        Args:
            metrics: of the validation; a metric that is not among them cannot be chosen.
        """
        return LOWEST_LOSS

    def checkpoint_rank(self, loss: float, metrics: Mapping[str, float]) -> float:
        """The value by which the checkpoints of a run are sorted: the best has the lowest."""
        monitor = LOWEST_LOSS if self.best_checkpoint_by_loss else self.monitor(metrics)
        return monitor.rank(loss, metrics)

    # -- hooks of a run, in order -------------------------------------------------------------------------------------------------

    def is_transferred(self, model: Model, name: str) -> bool:
        """Whether the model's weight of this name is loaded from `init_from`. If not, it keeps its random initial value."""
        return True

    def start(self, model: Model) -> None:
        """Called once in a run's life, when the model has its initial weights: make copies of the model here."""

    def restore(self, model: Model, state: Mapping[str, Any]) -> None:
        """Load the `state_dict` of a checkpoint. Called instead of `start`; the model already has the checkpoint's weights."""
        self.load_state_dict(state)

    def freeze(self, model: Model) -> None:
        """Called once after `start` or `restore`: turn off gradients of whatever is not trained here."""

    def on_save_checkpoint(self, model: Model) -> None:
        """Called before a checkpoint is written, with the weights it will hold, without gradients: fit what depends on them."""


@dataclass(frozen=True)
class TrainedModel:
    """A model with the objective it was trained for, both in evaluation mode, on the CPU, in fp32."""

    model: Model
    """Its vocabulary includes the objective's own tokens."""
    tokenizer: Tokenizer
    objective: Objective
    data: dict[str, Any]
    """The config of the run's data source, as plain values with `name`."""
    source: str = ""
    """The path it was read from."""
    fingerprint: str = ""
    """SHA-256 of the checkpoint's manifest, which identifies the weights."""
