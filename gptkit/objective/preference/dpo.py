"""Direct preference optimisation.

Source: "Direct Preference Optimization: Your Language Model is Secretly a Reward Model", equation 7.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gptkit.data.dataset import Batch
from gptkit.model.adapted import copy_reference, reference_model
from gptkit.model.evaluation_mode import without_dropout
from gptkit.objective.base import Terms
from gptkit.objective.log_probs import token_log_probs
from gptkit.objective.preference import DPOConfig
from gptkit.objective.preference.base import Preference, group_by_length

if TYPE_CHECKING:
    from gptkit.model.base import Model
    from gptkit.tokenizer.base import Tokenizer


def implicit_rewards(policy: Tensor, reference: Tensor, beta: float) -> Tensor:
    """Return beta * (log pi(y | x) - log pi_ref(y | x)): equation 5 without the term that depends only on the prompt.

    Both log-probabilities have the same shape. Equation 7 is the ranking loss of these rewards.
    """
    return beta * (policy - reference)


class DPO(Preference):
    """Shapes: B prompts, C completions, T tokens, D width. Dropout is always off, so that policy and reference are equal at first.

    `reference` is a copy of the initial model. It is part of the objective's state, so that a run resumes from its folder alone. A
    model with an adapter is its own reference, with the adapter turned off, and `reference` is None.
    """

    reference: Model | None

    def __init__(self, settings: DPOConfig, *, tokenizer: Tokenizer, context: int) -> None:
        super().__init__(settings, tokenizer=tokenizer, context=context)

    def start(self, model: Model) -> None:
        self.reference = copy_reference(model)

    def restore(self, model: Model, state: Mapping[str, Any]) -> None:
        self.start(model)
        super().restore(model, state)

    def ratings(self, model: Model, batch: Batch) -> Tensor:
        """Return the implicit rewards."""
        with torch.no_grad(), reference_model(model, self.reference) as initial:
            reference = log_probabilities(initial, batch)
        return implicit_rewards(log_probabilities(model, batch), reference, self.settings.beta)

    def loss(self, model: Model, batch: Batch) -> tuple[Terms, dict[str, Any]]:
        """Return the loss of equation 7, and as metrics the implicit rewards of the best and the worst completions by rank."""
        terms, metrics = super().loss(model, batch)
        exists, rewards, ranks = batch["lengths"] > 0, metrics["ratings"], batch["ranks"]
        lowest = ranks.masked_fill(~exists, ranks.max() + 1).amin(1, keepdim=True)
        highest = ranks.masked_fill(~exists, ranks.min() - 1).amax(1, keepdim=True)
        means = {
            name: (rewards * chosen).sum(1) / chosen.sum(1)
            for name, chosen in (("reward_best", (ranks == lowest) & exists), ("reward_worst", (ranks == highest) & exists))
        }
        return terms, {**metrics, **{name: mean.sum() for name, mean in means.items()}}


def log_probabilities(model: Model, batch: Batch) -> Tensor:
    """Return log pi(completion and end-of-text | prompt) in nats, (B, C) in at least float32; 0 where there is no completion.

    Args:
        model: a language model.
        batch: a batch of `gptkit.objective.preference.preference_dataset.PreferenceDataset`.
    """
    tokens, lengths = batch["tokens"].flatten(0, 1), batch["lengths"].flatten()
    prompt_lengths = batch["prompts"].repeat_interleave(batch["tokens"].shape[1])  # (B C,)
    groups = group_by_length(model, lengths)
    result = []
    for rows in groups:
        row_tokens = tokens[rows, : int(lengths[rows].max())]  # (N, T)
        with without_dropout(model):
            hidden = model(row_tokens[:, :-1])  # (N, T - 1, D)
        indices = torch.arange(1, row_tokens.shape[1], device=row_tokens.device)
        is_target = (indices >= prompt_lengths[rows, None]) & (indices < lengths[rows, None])  # (N, T - 1)
        log_probs = token_log_probs(model.logits(hidden[is_target]), row_tokens[:, 1:][is_target])
        sums = log_probs.new_zeros(len(rows))
        result.append(sums.index_add(0, is_target.nonzero()[:, 0], log_probs))
    row_values = torch.cat(result)
    values = row_values.new_zeros(len(lengths)).index_put((torch.cat(groups),), row_values)
    return values.view(batch["lengths"].shape)
