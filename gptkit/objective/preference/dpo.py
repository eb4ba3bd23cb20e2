"""Direct preference optimisation.

Source: "Direct Preference Optimization: Your Language Model is Secretly a Reward Model", equation 7.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gptkit.data.dataset import Batch
from gptkit.model.evaluation_mode import without_dropout
from gptkit.objective.base import Terms
from gptkit.objective.log_probs import token_log_probs
from gptkit.objective.preference import DPOConfig
from gptkit.objective.preference.base import Preference, group_by_length

if TYPE_CHECKING:
    from gptkit.model.base import Model
    from gptkit.tokenizer.base import Tokenizer


def implicit_rewards(policy: Tensor, reference: Tensor, beta: float) -> Tensor:
    """beta * (log pi(y | x) - log pi_ref(y | x)) of log-probabilities of any one shape: equation 5, but for what a prompt shares.

    Equation 7 is then the ranking loss of these rewards.
    """
    return beta * (policy - reference)


class DPO(Preference):
    """Shapes: B prompts, C completions, T tokens, D width. Dropout is never on: policy and reference begin equal.

    `reference` is a copy of the model with which training began. It is part of the objective's state: a run continues from its
    folder alone.
    """

    reference: Model

    def __init__(self, settings: DPOConfig, *, tokenizer: Tokenizer, context: int) -> None:
        super().__init__(settings, tokenizer=tokenizer, context=context)

    def start(self, model: Model) -> None:
        self.reference = copy.deepcopy(model).requires_grad_(False)

    def restore(self, model: Model, state: Mapping[str, Any]) -> None:
        self.start(model)
        super().restore(model, state)

    def ratings(self, model: Model, batch: Batch) -> Tensor:
        """Implicit rewards."""
        with torch.no_grad():
            reference = log_probabilities(self.reference, batch)
        return implicit_rewards(log_probabilities(model, batch), reference, self.settings.beta)

    def loss(self, model: Model, batch: Batch) -> tuple[Terms, dict[str, Any]]:
        """Equation 7 over a prompt's pairs; the implicit rewards of completions that are best and worst, by rank, are measured."""
        terms, measured = super().loss(model, batch)
        exists, rewards, ranks = batch["lengths"] > 0, measured["ratings"], batch["ranks"]
        lowest = ranks.masked_fill(~exists, ranks.max() + 1).amin(1, keepdim=True)
        highest = ranks.masked_fill(~exists, ranks.min() - 1).amax(1, keepdim=True)
        means = {
            name: (rewards * chosen).sum(1) / chosen.sum(1)
            for name, chosen in (("reward_best", (ranks == lowest) & exists), ("reward_worst", (ranks == highest) & exists))
        }
        return terms, {**measured, **{name: mean.sum() for name, mean in means.items()}}


def log_probabilities(model: Model, batch: Batch) -> Tensor:
    """(B, C) in at least float32: log pi(completion and end-of-text | prompt) in nats; 0 where there is no completion.

    Args:
        model: a language model.
        batch: of `gptkit.objective.preference.preference_dataset.PreferenceDataset`.
    """
    tokens, lengths = batch["tokens"].flatten(0, 1), batch["lengths"].flatten()
    begins = batch["prompts"].repeat_interleave(batch["tokens"].shape[1])  # (B C,)
    groups = group_by_length(model, lengths)
    result = []
    for rows in groups:
        read = tokens[rows, : int(lengths[rows].max())]  # (N, T)
        with without_dropout(model):
            hidden = model(read[:, :-1])  # (N, T - 1, D)
        indices = torch.arange(1, read.shape[1], device=read.device)
        wanted = (indices >= begins[rows, None]) & (indices < lengths[rows, None])  # (N, T - 1): targets of the completion
        log_probs = token_log_probs(model.logits(hidden[wanted]), read[:, 1:][wanted])
        sums = log_probs.new_zeros(len(rows))
        result.append(sums.index_add(0, wanted.nonzero()[:, 0], log_probs))
    of_rows = torch.cat(result)
    values = of_rows.new_zeros(len(lengths)).index_put((torch.cat(groups),), of_rows)
    return values.view(batch["lengths"].shape)
