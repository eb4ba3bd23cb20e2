"""A reward model: a scalar at the last token of prompt and completion, trained to rank completions as people do.

Source: "Training language models to follow instructions with human feedback", section 3.5, equation 1, and appendix C.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from gptkit.data.dataset import Batch
from gptkit.data.padding import pad_sequences, sequence_lengths
from gptkit.data.splits import evenly_spaced
from gptkit.errors import DataError
from gptkit.model.evaluation_mode import without_dropout
from gptkit.objective.precision import upcast_linear
from gptkit.objective.preference import RewardModelConfig
from gptkit.objective.preference.base import Preference, group_by_length
from gptkit.objective.preference.preference_dataset import TokenizedRanking
from gptkit.records import Turn

if TYPE_CHECKING:
    from gptkit.chat_template.base import Ids
    from gptkit.model.base import Model
    from gptkit.tokenizer.base import Tokenizer

MAX_DEMONSTRATIONS = 512
"""Maximum number of demonstrations to which the bias is fitted."""

DEMONSTRATIONS_PER_PASS = 16
"""The number of demonstrations of a forward pass."""


class RewardModel(Preference):
    """Shapes: N sequences, T tokens, D width. Dropout is always off.

    `bias` () is subtracted from the output of the head, so that demonstrations score 0 on average. It is fitted again for every
    checkpoint, and the loss does not use it, so saving does not affect training.
    """

    bias: Tensor

    def __init__(self, settings: RewardModelConfig, *, tokenizer: Tokenizer, context: int, width: int) -> None:
        super().__init__(settings, tokenizer=tokenizer, context=context)
        self.margin = settings.margin
        self.head = nn.Linear(width, 1)
        nn.init.normal_(self.head.weight, std=(width + 1) ** -0.5)  # "Learning to summarize from human feedback", appendix B.1
        nn.init.zeros_(self.head.bias)
        self.register_buffer("bias", torch.zeros(()))
        self._demonstrations: list[Ids] = []

    def freeze(self, model: Model) -> None:
        """Freeze the bias of the head, which cancels out of every difference."""
        self.head.bias.requires_grad_(False)

    # -- scores -------------------------------------------------------------------------------------------------------------------

    def encode(self, prompt: Sequence[Turn], completion: str) -> tuple[list[int], int]:
        """Encode prompt, completion and end-of-text for `scores`, and return the ids and the number of truncated tokens.

        The text of a generated response may have more tokens when it is encoded again, so it is truncated instead of refused.

        Raises:
            DataError: the prompt leaves no room for a completion, or does not fit the template.
        """
        ids = self.prompt_ids(prompt)
        *response, end = self.chat_template.answer_ids(prompt, completion)
        room = self.response_room(ids)
        if room < 1:
            shown = prompt[-1].text if prompt else ""
            raise DataError(
                f"the prompt {shown[:40]!r} has {len(ids)} tokens, which leaves no room for a response in the reward model's "
                f"context of {self.context}; shorten the prompt, or remove it"
            )
        return [*ids, *response[:room], end], max(0, len(response) - room)

    def prompt_ids(self, prompt: Sequence[Turn]) -> list[int]:
        """Return the token ids of a prompt.

        Raises:
            DataError: the prompt does not fit the template.
        """
        return self.chat_template.prompt_ids(prompt)

    def response_room(self, prompt_ids: Sequence[int]) -> int:
        """Return the number of tokens that the context leaves for a response, without its end-of-text; may be negative."""
        return self.context - len(prompt_ids) - 1

    def scores(self, model: Model, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Return the score of each sequence: the output of the head at its last token, minus the bias.

        Args:
            model: the model of the reward model.
            tokens: (N, T) int64, with any padding on the right.
            lengths: (N,) int64, at least 1.

        Returns:
            (N,) in at least float32.
        """
        return self._outputs(model, tokens, lengths) - self.bias

    def _outputs(self, model: Model, tokens: Tensor, lengths: Tensor) -> Tensor:
        with without_dropout(model):
            hidden = model(tokens)  # (N, T, D)
        last = hidden[torch.arange(len(tokens), device=tokens.device), lengths - 1]  # (N, D)
        return upcast_linear(self.head, last).squeeze(1)

    def ratings(self, model: Model, batch: Batch) -> Tensor:
        """Return the outputs of the head."""
        tokens, lengths = batch["tokens"].flatten(0, 1), batch["lengths"].flatten()
        groups = group_by_length(model, lengths)
        result = [self._outputs(model, tokens[rows, : int(lengths[rows].max())], lengths[rows]) for rows in groups]
        row_ratings = torch.cat(result)
        ratings = row_ratings.new_zeros(len(lengths)).index_put((torch.cat(groups),), row_ratings)
        return ratings.view(batch["lengths"].shape)

    # -- the bias -----------------------------------------------------------------------------------------------------------------

    def use_training_rankings(self, items: list[TokenizedRanking]) -> None:
        """Keep the demonstrations, or the best completion of every ranking if there are none."""
        demonstrations = [item.demonstration for item in items if item.demonstration is not None]
        demonstrations = demonstrations or [item.sequences[item.ranks.index(min(item.ranks))] for item in items]
        indices = evenly_spaced(len(demonstrations), MAX_DEMONSTRATIONS)
        self._demonstrations = sorted((demonstrations[index] for index in indices), key=len)

    @torch.no_grad()
    def on_save_checkpoint(self, model: Model) -> None:
        """Set the bias so that the demonstrations score 0 on average."""
        total = torch.zeros((), dtype=torch.float64)
        for start in range(0, len(self._demonstrations), DEMONSTRATIONS_PER_PASS):
            part = self._demonstrations[start : start + DEMONSTRATIONS_PER_PASS]
            tokens, lengths = pad_sequences(part).to(self.bias.device), sequence_lengths(part).to(self.bias.device)
            total += self._outputs(model, tokens, lengths).double().sum().cpu()
        if self._demonstrations:
            self.bias.fill_(float(total) / len(self._demonstrations))
