"""Scores by a reward model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gptkit.errors import CheckpointError
from gptkit.objective.preference.reward_model import RewardModel, padded
from gptkit.records import Prompt
from gptkit.reward.base import Reward

if TYPE_CHECKING:
    from gptkit.objective.base import TrainedModel

_log = logging.getLogger("gptkit")

TOKENS_AT_ONCE = 8192
"""Of a pass, padding included."""


class ModelReward(Reward):
    """Reads sequences of similar length together."""

    untaken = ("are too long for the reward model's context", "take one with a longer context, or give shorter prompts")

    def __init__(self, trained: TrainedModel) -> None:
        """Raises: CheckpointError: the run is no reward model."""
        if not isinstance(trained.objective, RewardModel):
            raise CheckpointError(
                f"{trained.source}: was trained with objective={trained.objective.settings.name}, "
                "and reward=model needs a run with objective=reward"
            )
        self.trained: TrainedModel = trained
        self._objective = trained.objective
        self.fingerprint = trained.fingerprint
        self._told = False

    def takes(self, prompt: Prompt) -> bool:
        """Whether the model's context leaves room for a response."""
        return self._objective.room(self._objective.asked(prompt.turns)) > 0

    def to(self, device: torch.device) -> None:
        self.trained.model.to(device)
        self._objective.to(device)

    @torch.no_grad()
    def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
        """A response that is longer than the model's context with its prompt is read as far as there is room.

        Raises:
            DataError: a prompt leaves no room for a response, or does not fit the model's template.
        """
        encode, model = self._objective.encode, self.trained.model
        device = next(model.parameters()).device
        encoded = [encode(prompt.turns, response) for prompt, response in zip(prompts, responses, strict=True)]
        ids = [own for own, _ in encoded]
        self._tell_cut(sum(missing > 0 for _, missing in encoded), len(encoded))
        order = sorted(range(len(ids)), key=lambda place: len(ids[place]), reverse=True)
        scores = torch.empty(len(ids))
        while order:
            count = max(1, TOKENS_AT_ONCE // len(ids[order[0]]))
            places, order = order[:count], order[count:]
            tokens, lengths = padded([ids[place] for place in places])
            scores[places] = self._objective.scores(model, tokens.to(device), lengths.to(device)).float().cpu()
        return scores

    def _tell_cut(self, cut: int, count: int) -> None:
        """Once: a run scores the same few prompts again and again."""
        if cut and not self._told:
            self._told = True
            _log.warning(
                "%s of %s responses are longer than the reward model's context of %s with their prompt, and are scored as far as "
                "there is room; later ones are too, without a word",
                f"{cut:,}",
                f"{count:,}",
                self._objective.context,
            )
