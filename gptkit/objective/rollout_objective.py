"""Objectives whose model generates text that they train on or validate with, and the minibatches they make of it."""

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
"""Sums a tensor, element by element, over the devices that share a step. All devices must call it equally often."""


@dataclass(frozen=True)
class ScoredSample:
    """A response of the model to a prompt, and its scores."""

    prompt: str
    text: str
    scores: Mapping[str, float]


class RolloutObjective(Objective):
    """An objective that generates text: in training (`rollout`), in validation (`validate`), or both.

    By default a step is one update on the batch itself, and a validation computes the loss, as for every other objective.
    """

    def use_reward(self, reward: Reward) -> None:
        """Set the reward that `reward=` names. Called before `datasets`.

        Raises:
            ConfigError: the objective uses none.
        """
        raise reward_unused(self.settings.name)

    def learning_rates(self) -> Mapping[str, float]:
        """Constant learning rates for some of the objective's own parameters, by prefix of their names.

        All other parameters follow `optimizer.lr` and its schedule.
        """
        return {}

    def rollout(self, model: Model, batch: Batch, *, seed: int, total: Total) -> Iterable[Minibatch]:
        """Returns the minibatches of this step, one optimizer update each: a pure function of weights, batch and seed.

        Args:
            model: the model in training. Its use here must not affect the training that follows.
            batch: this device's items of the step.
            seed: of the run and the step, the same on all devices.
            total: for averages over all items of a step.
        """
        return [{"train": batch}]

    def largest_minibatch(self, batch: Batch) -> Minibatch:
        """The largest batches that `loss` may get for as many items as in this batch; `batch.micro=auto` tries them."""
        return {"train": batch}

    def validate(self, model: Model, batch: Batch, *, seed: int) -> tuple[Terms, Mapping[str, int], Metrics]:
        """Returns terms of the validation loss, their counts, and metrics, of some held-out items. Runs without gradients.

        Text that is generated here must depend on `seed` or on the items alone. Default: `loss` and `counts`.
        """
        terms, metrics = self.loss(model, batch)
        return terms, self.counts(batch), metrics

    def samples(self, model: Model) -> Sequence[ScoredSample]:
        """Scored responses to held-out prompts, shown as the run's samples. If empty, the model continues `samples.prompts`."""
        return []


def reward_unused(objective: str) -> ConfigError:
    """The error for an objective that is given a reward and uses none."""
    return ConfigError(f"objective={objective} uses no reward; leave reward= out")


def warn_if_responses_are_shortened(max_new_tokens: int, context: int) -> None:
    """Warn that responses have fewer tokens than `objective.max_new_tokens`, because half of the context belongs to the prompt."""
    longest = response_limit(max_new_tokens, context)
    if max_new_tokens > longest:
        _log.warning(
            "objective.max_new_tokens=%s is more than half of model.context=%s: responses have at most %s tokens",
            max_new_tokens,
            context,
            longest,
        )
