"""Group-relative policy optimisation: the advantage of a response is relative to other responses to the same prompt.

Source: "DeepSeekMath: Pushing the Limits of Mathematical Reasoning in Open Language Models", section 4.1, equations 3 and 4.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gptkit.data.dataset import Batch
from gptkit.model.evaluation_mode import without_dropout
from gptkit.objective.base import Metrics, Terms
from gptkit.objective.rl import GRPOConfig
from gptkit.objective.rl.base import ReinforcementLearning
from gptkit.objective.rl.minibatches import minibatch_count, step_item_count
from gptkit.objective.rl.policy_loss import policy_losses, probability_ratios
from gptkit.objective.rl.rollout import response_log_probs, select_rows, unpad_responses
from gptkit.objective.rl.step_metrics import as_columns, mean_over_step, policy_metrics, sum_columns
from gptkit.objective.rollout_objective import Minibatch, Total

if TYPE_CHECKING:
    from gptkit.model.base import Model

TOKEN_COLUMNS = ("old_log_probs", "reference_log_probs")
"""The columns (B, R) of a minibatch that the loss reads."""

STEP_METRICS = ("score", "kl", "length", "missing_end_of_text", "seconds_generate", "seconds_score", "generated_per_second")
EPSILON = 1e-4
"""Added to the standard deviation of a group: if all scores are equal, the advantages are 0."""


def group_advantages(scores: Tensor) -> Tensor:
    """Standardise scores (P, G) of G responses to each prompt: subtract the mean of the group, divide by its standard deviation.

    Uses the population standard deviation, with denominator G instead of G - 1, which the paper does not specify.
    """
    centred = scores - scores.mean(dim=1, keepdim=True)
    return centred / (scores.std(dim=1, correction=0, keepdim=True) + EPSILON)


def kl_estimates(log_probs: Tensor, reference: Tensor) -> Tensor:
    """Return equation 4, (N,): an unbiased estimate of the KL divergence from the reference that is never negative."""
    log_ratios = reference - log_probs
    return log_ratios.exp() - log_ratios - 1


class GRPO(ReinforcementLearning):
    """Shapes: B responses, `group` for each prompt, R tokens of the longest response, N tokens of all responses.

    Every response has the same weight in the loss, divided equally among its tokens, as in equation 3.
    """

    settings: GRPOConfig

    def minibatches(self, model: Model, batch: Batch, *, seed: int, total: Total) -> Iterator[Minibatch]:
        """Sample and score a group of responses to every prompt, and yield the groups in minibatches, `inner_epochs` times."""
        settings, device, group = self.settings, batch["items"].device, self.settings.group
        items: list[int] = batch["items"].tolist()
        minibatches = minibatch_count(len(items), step_item_count(len(items), total, device), settings.minibatch)
        rollout, scores, speed = self.collect_rollout(model, items, seed=seed, samples=group)
        columns, lengths = rollout.batch, rollout.batch["lengths"]
        columns["group_advantages"] = group_advantages(scores.view(-1, group)).flatten()
        kl = (columns["old_log_probs"] - columns["reference_log_probs"]).sum(dim=1)
        means = {"score": scores, "kl": kl, "length": lengths, "missing_end_of_text": ~rollout.ended}
        step = mean_over_step(means, total)
        columns |= as_columns({**step, **speed}, lengths)
        prompts = torch.arange(len(lengths), device=device) // group
        for _ in range(settings.inner_epochs):
            for number in range(minibatches):
                yield {"grpo": select_rows(columns, prompts % minibatches == number)}

    def counts(self, batch: Batch) -> dict[str, int]:
        """Return the number of responses, for both terms."""
        return {"policy": len(batch["lengths"]), "divergence": len(batch["lengths"])}

    def loss(self, model: Model, batch: Batch) -> tuple[Terms, Metrics]:
        """Return sums over responses of means over tokens, of the clipped policy loss and of the KL divergence."""
        settings, lengths = self.settings, batch["lengths"]
        with without_dropout(model):
            log_probs, entropy = response_log_probs(model, batch, settings.temperature)
        old, reference = unpad_responses(batch["old_log_probs"], lengths), unpad_responses(batch["reference_log_probs"], lengths)
        share = (1.0 / lengths).repeat_interleave(lengths)  # (N,)
        losses, clipped = policy_losses(
            probability_ratios(log_probs, old), batch["group_advantages"].repeat_interleave(lengths), settings.clip
        )
        tokens = lengths.sum()
        metrics = policy_metrics(entropy, log_probs, old, clipped, tokens)
        terms = {
            "policy": (1.0, (losses * share).sum()),
            "divergence": (settings.kl_coef, (kl_estimates(log_probs, reference) * share).sum()),
        }
        return terms, metrics | sum_columns(batch, STEP_METRICS)

    def largest_minibatch(self, batch: Batch) -> Minibatch:
        """Return rollouts that fill the context."""
        row_columns = ("group_advantages", *STEP_METRICS)
        return {"grpo": self.largest_rollout(batch, token_columns=TOKEN_COLUMNS, row_columns=row_columns)}
