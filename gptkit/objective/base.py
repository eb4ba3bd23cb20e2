"""What every objective is once built: datasets, counts before the forward pass, and the loss as sums."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gptkit.data.dataset import Batch, Dataset
from gptkit.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from gptkit.data.base import Data
    from gptkit.model.base import Model
    from gptkit.reward.base import Reward
    from gptkit.tokenizer.base import Tokenizer


Terms = Mapping[str, tuple[float, Tensor]]
"""Each term of a loss: its weight, and its unaveraged sum (a scalar with a gradient)."""


@dataclass(frozen=True)
class Share:
    """A metric that is no mean over items: a sum, and how much it is averaged over, such as tokens. Over 0 it is 0."""

    total: Tensor
    count: Tensor


Measured = Mapping[str, Tensor | Share]
"""Metrics by name, detached: a scalar is a sum over the items that it was measured of."""


def of_items(metric: Tensor | Share, items: int) -> Share | None:
    """A metric with what it is averaged over; None: it has a row for each item, so is no metric yet."""
    if isinstance(metric, Share):
        return metric
    return None if metric.dim() else Share(metric, torch.tensor(float(items)))


Minibatch = Mapping[str, Batch]
"""The batches of one optimizer update by name, in the order in which their gradients are accumulated."""

Total = Callable[[Tensor], Tensor]
"""Adds a tensor, element by element, over the devices that share a step. All must call it equally often."""


@dataclass(frozen=True)
class ScoredSample:
    """What a model answered, and how it was scored."""

    prompt: str
    text: str
    scores: Mapping[str, float]


class Objective(nn.Module, ABC):
    """An objective that has parameters of its own (a head) registers them; they are trained and saved with the model.

    `settings` is its part.
    """

    settings: Any

    items_are = "sequences"
    """What the training data is counted in."""

    reads_what_it_counts = True
    """Whether `tokens` is what is read: otherwise no speed in tokens per second is told."""

    sources: dict[str, str]
    """Fingerprints of what is learned from besides `data`, by the key that names it: `datasets` and `rewarded` add to it."""

    load: Callable[[str], TrainedModel]
    """Reads a trained model with its objective from a run or a checkpoint folder; set before `datasets` is called."""

    seed: int = 0
    """Of the run, for what is drawn of the data; set before `datasets` is called."""

    def __init__(self) -> None:
        super().__init__()
        self.sources = {}

    @abstractmethod
    def datasets(self, data: Data, *, validation_fraction: float) -> dict[str, Dataset]:
        """The datasets "train" and "validation" (the latter absent when nothing is held out).

        A source that brings a validation split keeps it; otherwise `validation_fraction` of the source is cut off.
        """

    def learns(self, datasets: Mapping[str, Dataset]) -> str:
        """What is learned, and from how much: a phrase of the line with which a run begins."""
        return f"{len(datasets['train']):,} {self.items_are} to learn from"

    @abstractmethod
    def counts(self, batch: Batch) -> dict[str, int]:
        """For each term of the loss, how many things (tokens, sequences, pairs) it averages over. No forward pass."""

    @abstractmethod
    def loss(self, model: Model, batch: Batch) -> tuple[Terms, Measured]:
        """The terms of the loss as sums, and what is measured besides, detached.

        Of what is measured, scalars are sums over the batch's items, logged as means over them; a `Share` is a mean over its own
        count. Both are of the same names on all devices. Tensors with a row for each item are kept while validating, and given to
        `judge`.

        The step's loss is the sum over terms of weight * sum / count, the counts taken over all micro-batches and devices.
        """

    def judge(self, kept: Mapping[str, Tensor]) -> dict[str, float]:
        """Metrics of a whole validation set, from what `loss` measured of items, on the CPU; they replace scalars so called."""
        return {}

    def samples(self, model: Model) -> Sequence[ScoredSample]:
        """Scored answers of the model to held-out prompts, shown as the run's samples. None: `samples.prompts` are continued."""
        return []

    def trial(self, batch: Batch) -> Minibatch:
        """As large batches as `loss` may be given for as many items as this one of the data set has, to find out how many fit."""
        return {"train": batch}

    def draw(self, kept: Mapping[str, Tensor]) -> Mapping[str, Figure]:
        """Drawings of a whole validation set by title, from what `judge` is given: kept as figures/<title>.svg, and in the report.

        Called on the first device alone.
        """
        return {}

    def compared_by(self, metrics: Mapping[str, float]) -> str | None:
        """The metric of a validation by which runs of this objective are compared, more of it being better.

        None: the validation loss, less of it being better. Something else where the loss contains what a sweep may move.
        """
        return None

    def merit(self, loss: float, metrics: Mapping[str, float]) -> float:
        """What a run's best checkpoint has least of, given the loss and the metrics of a validation: the loss."""
        return loss

    def rewarded(self, reward: Reward) -> None:
        """Take the judge that `reward=` names; called before `datasets`.

        Raises:
            ConfigError: the objective has no use for one.
        """
        raise ConfigError(f"objective={self.settings.name} uses no reward; leave reward= out")

    def begin(self, model: Model) -> None:
        """Called once in a run's life, when the model has the weights with which training begins: copies of it are made here."""

    def restore(self, model: Model, state: Mapping[str, Any]) -> None:
        """Take over the `state_dict` of a checkpoint, in place of `begin`; the model has that checkpoint's weights."""
        self.load_state_dict(state)

    def prepare(self, model: Model) -> None:
        """Called once, when model and objective have their weights: what is not to be trained stops requiring gradients here."""

    def settle(self, model: Model) -> None:
        """Called before a checkpoint is written, with the weights that it will hold, without gradients: what is fitted to them."""

    def transfers(self, model: Model, name: str) -> bool:
        """Whether the model's weight of this name is taken from `init_from`; otherwise it stays as it was drawn."""
        return True

    def tokens(self, batch: Batch) -> int:
        """How many tokens the batch adds to the run's count, which schedules follow."""
        return batch["tokens"].numel()

    def learning_rates(self) -> Mapping[str, float]:
        """Peak learning rates of parameters of the objective's own, by how their names begin; no schedule moves these.

        All others follow `optimizer.lr` and its schedule.
        """
        return {}

    def rollout(self, model: Model, batch: Batch, *, seed: int, total: Total) -> Iterable[Minibatch]:
        """The minibatches of this step, one optimizer update each: a pure function of weights, batch and seed.

        An objective without one learns from the batch itself.

        Args:
            model: being trained; nothing that training does afterwards may depend on how it was used here.
            batch: this device's items of the step.
            seed: of the run and the step, the same on all devices.
            total: for what is averaged over all items of a step.
        """
        return [{"train": batch}]

    def validate(self, model: Model, batch: Batch, *, seed: int) -> tuple[Terms, Mapping[str, int], Measured]:
        """Terms of the validation loss, their counts, and what is measured, of some held-out items; no gradients.

        By default those of `loss`. An objective that learns from what its model writes draws it here, from `seed`.
        """
        terms, measured = self.loss(model, batch)
        return terms, self.counts(batch), measured


@dataclass(frozen=True)
class TrainedModel:
    """A model with the objective that it was trained for, both in evaluation mode, on the CPU, in fp32."""

    model: Model
    """Its vocabulary has the objective's own tokens."""
    tokenizer: Tokenizer
    objective: Objective
    data: dict[str, Any]
    """The settings of the run's source, as plain values with `name`."""
    source: str = ""
    """Where it was read."""
    fingerprint: str = ""
    """SHA-256 of the checkpoint's manifest: other weights have another."""
