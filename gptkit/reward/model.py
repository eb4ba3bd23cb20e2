"""Scores by a reward model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gptkit.errors import CheckpointError
from gptkit.objective.reward import BuiltRewardModel, padded
from gptkit.records import Prompt
from gptkit.reward.built import BuiltReward

if TYPE_CHECKING:
    from gptkit.objective.built import Trained

TOKENS_AT_ONCE = 8192
"""Of a pass, padding included."""


class BuiltModelReward(BuiltReward):
    """Reads sequences of similar length together."""

    def __init__(self, trained: Trained) -> None:
        """Raises: CheckpointError: the run is no reward model."""
        if not isinstance(trained.objective, BuiltRewardModel):
            raise CheckpointError(
                f"{trained.source}: was trained with objective={trained.objective.settings.name}, "
                "and reward=model needs a run with objective=reward"
            )
        self.trained: Trained = trained
        self._objective = trained.objective

    def to(self, device: torch.device) -> None:
        self.trained.model.to(device)
        self._objective.to(device)

    @torch.no_grad()
    def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
        """Raises: DataError: a prompt and its response are longer than the model's context, or do not fit its template."""
        encode, model = self._objective.encode, self.trained.model
        device = next(model.parameters()).device
        ids = [encode(prompt.turns, response) for prompt, response in zip(prompts, responses, strict=True)]
        order = sorted(range(len(ids)), key=lambda place: len(ids[place]), reverse=True)
        scores = torch.empty(len(ids))
        while order:
            count = max(1, TOKENS_AT_ONCE // len(ids[order[0]]))
            places, order = order[:count], order[count:]
            tokens, lengths = padded([ids[place] for place in places])
            scores[places] = self._objective.scores(model, tokens.to(device), lengths.to(device)).float().cpu()
        return scores
