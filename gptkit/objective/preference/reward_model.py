"""A reward model: a scalar on the last token of prompt and completion, trained to rank completions as people did.

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
from gptkit.objective.chat_template import prompt_ids, response_ids
from gptkit.objective.precision import upcast_linear
from gptkit.objective.preference import RewardModelConfig
from gptkit.objective.preference.base import Preference, group_by_length
from gptkit.objective.preference.preference_dataset import TokenizedRanking
from gptkit.records import Turn

if TYPE_CHECKING:
    from gptkit.model.base import Model
    from gptkit.objective.chat_template import Ids
    from gptkit.tokenizer.base import Tokenizer

MAX_DEMONSTRATIONS = 512
"""Demonstrations at most that the bias is fitted to."""

SEQUENCES_AT_ONCE = 16
"""Demonstrations scored together."""


class RewardModel(Preference):
    """Shapes: N sequences, T tokens, D width. Dropout is never on.

    `bias` () is what is subtracted from the head's output, so that demonstrations score 0 on average. The loss compares outputs
    without it: it is fitted anew for every checkpoint, and must not change what is learned.
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
        """The head's own bias cancels out of every difference: it is not trained."""
        self.head.bias.requires_grad_(False)

    # -- scores -------------------------------------------------------------------------------------------------------------------

    def encode(self, prompt: Sequence[Turn], completion: str) -> tuple[list[int], int]:
        """Prompt, completion and end-of-text, as `scores` reads them, and how many tokens of the completion had no room.

        What a policy drew may have more tokens when its text is encoded again: it is cut, so that no response ends a run.

        Raises:
            DataError: the prompt leaves no room for any completion, or does not fit the template; names the prompt.
        """
        before = self.asked(prompt)
        *told, end = response_ids(self.tokenizer, completion, self.settings.template)
        room = self.room(before)
        if room < 1:
            shown = prompt[-1].text if prompt else ""
            raise DataError(
                f"the prompt {shown[:40]!r} has {len(before)} tokens, which leaves no room for a response in the reward model's "
                f"context of {self.context}; shorten it, or leave it out"
            )
        return [*before, *told[:room], end], max(0, len(told) - room)

    def asked(self, prompt: Sequence[Turn]) -> list[int]:
        """Raises: DataError: the prompt does not fit the template."""
        return prompt_ids(self.tokenizer, prompt, self.settings.template)

    def room(self, asked: Sequence[int]) -> int:
        """Tokens that a response to these ids may have, before its end-of-text; less than 1: none can be read."""
        return self.context - len(asked) - 1

    def scores(self, model: Model, tokens: Tensor, lengths: Tensor) -> Tensor:
        """What each sequence is worth: the head's output at its last real token, minus the bias.

        Args:
            model: the reward model's.
            tokens: (N, T) int64; what stands behind a sequence changes nothing.
            lengths: (N,) int64, from 1.

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
        """The head's outputs."""
        tokens, lengths = batch["tokens"].flatten(0, 1), batch["lengths"].flatten()
        groups = group_by_length(model, lengths)
        result = [self._outputs(model, tokens[rows, : int(lengths[rows].max())], lengths[rows]) for rows in groups]
        of_rows = torch.cat(result)
        ratings = of_rows.new_zeros(len(lengths)).index_put((torch.cat(groups),), of_rows)
        return ratings.view(batch["lengths"].shape)

    # -- the bias -----------------------------------------------------------------------------------------------------------------

    def use_training_rankings(self, items: list[TokenizedRanking]) -> None:
        """Keep the demonstrations; where there are none, the completions that are ranked best stand for them."""
        shown = [item.demonstration for item in items if item.demonstration is not None]
        shown = shown or [item.sequences[item.ranks.index(min(item.ranks))] for item in items]
        self._demonstrations = sorted((shown[index] for index in evenly_spaced(len(shown), MAX_DEMONSTRATIONS)), key=len)

    @torch.no_grad()
    def on_save_checkpoint(self, model: Model) -> None:
        """Set the bias so that demonstrations, at most 512 of them, score 0 on average."""
        total = torch.zeros((), dtype=torch.float64)
        for start in range(0, len(self._demonstrations), SEQUENCES_AT_ONCE):
            part = self._demonstrations[start : start + SEQUENCES_AT_ONCE]
            tokens, lengths = pad_sequences(part).to(self.bias.device), sequence_lengths(part).to(self.bias.device)
            total += self._outputs(model, tokens, lengths).double().sum().cpu()
        if self._demonstrations:
            self.bias.fill_(float(total) / len(self._demonstrations))
