"""The reward `model`: scores of a trained reward model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gptkit.data.padding import pad_sequences, sequence_lengths
from gptkit.errors import CheckpointError
from gptkit.objective.preference.reward_model import RewardModel
from gptkit.records import Prompt
from gptkit.reward.base import Reward

if TYPE_CHECKING:
    from gptkit.objective.base import TrainedModel

_log = logging.getLogger("gptkit")

TOKENS_PER_FORWARD_PASS = 8192
"""Maximum number of tokens of a forward pass, including padding."""


class ModelReward(Reward):
    """Scores responses in batches of sequences with similar lengths."""

    rejection_message = (
        "are too long for the reward model's context",
        "choose a model with a longer context, or use shorter prompts",
    )

    def __init__(self, trained: TrainedModel) -> None:
        """Raises: CheckpointError: the run is not a reward model."""
        if not isinstance(trained.objective, RewardModel):
            raise CheckpointError(
                f"{trained.source} was trained with objective={trained.objective.settings.name}, "
                "but reward=model needs a run with objective=reward"
            )
        self.trained_model: TrainedModel = trained
        self._objective = trained.objective
        self.fingerprint = trained.fingerprint
        self._has_warned = False

    def accepts(self, prompt: Prompt) -> bool:
        """Return whether the model's context leaves room for a response."""
        return self._objective.response_room(self._objective.prompt_ids(prompt.turns)) > 0

    def to(self, device: torch.device) -> None:
        self.trained_model.model.to(device)
        self._objective.to(device)

    @torch.no_grad()
    def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
        """Score responses; a response that does not fit into the context after its prompt is truncated.

        Raises:
            DataError: a prompt leaves no room for a response, or does not fit the model's template.
        """
        encode, model = self._objective.encode, self.trained_model.model
        device = next(model.parameters()).device
        encoded = [encode(prompt.turns, response) for prompt, response in zip(prompts, responses, strict=True)]
        ids = [sequence for sequence, _ in encoded]
        self._warn_of_truncation(sum(missing > 0 for _, missing in encoded), len(encoded))
        order = sorted(range(len(ids)), key=lambda row: len(ids[row]), reverse=True)
        scores = torch.empty(len(ids))
        while order:
            count = max(1, TOKENS_PER_FORWARD_PASS // len(ids[order[0]]))
            rows, order = order[:count], order[count:]
            sequences = [ids[row] for row in rows]
            tokens, lengths = pad_sequences(sequences).to(device), sequence_lengths(sequences).to(device)
            scores[rows] = self._objective.scores(model, tokens, lengths).float().cpu()
        return scores

    def _warn_of_truncation(self, truncated: int, count: int) -> None:
        """Warn once per run, since a run scores the same prompts repeatedly."""
        if truncated and not self._has_warned:
            self._has_warned = True
            _log.warning(
                "%s of %s responses do not fit into the reward model's context of %s tokens after their prompt and are truncated; "
                "later responses are truncated without a warning",
                f"{truncated:,}",
                f"{count:,}",
                self._objective.context,
            )
