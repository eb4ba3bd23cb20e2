"""The base class of objectives whose model generates text for training or validation, and their minibatches."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from gptkit.data.dataset import Batch
from gptkit.errors import ConfigError
from gptkit.generation.responses import response_limit
from gptkit.objective.base import Metrics, Objective, Terms

if TYPE_CHECKING:
    from gptkit.model.base import Model
    from gptkit.reward.base import Reward

_log = logging.getLogger("gptkit")

Minibatch = Mapping[str, Batch]
"""The batches of one optimizer update by name, in the order in which their gradients are accumulated."""

Total = Callable[[Tensor], Tensor]
"""Sums a tensor elementwise over the devices that share a step. All devices must call it the same number of times."""


@dataclass(frozen=True)
class ScoredSample:
    """A response of the model to a prompt, and its scores."""

    prompt: str
    text: str
    scores: Mapping[str, float]


class RolloutObjective(Objective):
    """An objective that generates text: in training (`rollout`), in validation (`validate`), or both.

    By default a step is one update on the batch itself, and a validation computes the loss, as for other objectives.
    """

    def use_reward(self, reward: Reward) -> None:
        """Set the reward that `reward=` names. Called before `datasets`.

        Raises:
            ConfigError: the objective uses no reward.
        """
        raise reward_unused(self.settings.name)

    def learning_rates(self) -> Mapping[str, float]:
        """Return constant learning rates for some of the objective's own parameters, by prefix of their names.

        All other parameters follow `optimizer.lr` and its schedule.
        """
        return {}

    def rollout(self, model: Model, batch: Batch, *, seed: int, total: Total) -> Iterable[Minibatch]:
        """Return the minibatches of this step, one per optimizer update, as a pure function of weights, batch and seed.

        Args:
            model: the model in training. Generating with it must not affect training.
            batch: this device's items of the step.
            seed: the seed of this step of the run, the same on all devices.
            total: sums over devices, for averages over all items of a step.
        """
        return [{"train": batch}]

    def largest_minibatch(self, batch: Batch) -> Minibatch:
        """Return the largest batches that `loss` may receive for as many items as this batch has; `batch.micro=auto` tries them."""
        return {"train": batch}

    def validate(self, model: Model, batch: Batch, *, seed: int) -> tuple[Terms, Mapping[str, int], Metrics]:
        """Return the terms of the validation loss of held-out items, their counts, and metrics. Called without gradients.

        Generated text must depend only on `seed` and the items. Default: `loss` and `counts`.
        """
        terms, metrics = self.loss(model, batch)
        return terms, self.counts(batch), metrics

    def samples(self, model: Model) -> Sequence[ScoredSample]:
        """Return scored responses to held-out prompts, the run's samples. If empty, the model continues `samples.prompts`."""
        return []


def reward_unused(objective: str) -> ConfigError:
    """Return the error for a reward that the objective does not use."""
    return ConfigError(f"objective={objective} uses no reward; leave reward= out")


def warn_if_responses_are_shortened(max_new_tokens: int, context: int) -> None:
    """Warn if responses are shorter than `objective.max_new_tokens`, because half of the context is reserved for the prompt."""
    longest = response_limit(max_new_tokens, context)
    if max_new_tokens > longest:
        _log.warning(
            "objective.max_new_tokens=%s is more than half of model.context=%s: responses have at most %s tokens",
            max_new_tokens,
            context,
            longest,
        )
