"""Group-relative policy optimisation: the responses to one prompt are judged against one another.

Source: "DeepSeekMath: Pushing the Limits of Mathematical Reasoning in Open Language Models", section 4.1, equations 3 and 4.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gptkit.data.dataset import Batch
from gptkit.model.evaluation_mode import without_dropout
from gptkit.objective.base import Mean, Metrics, Terms
from gptkit.objective.rl import GRPOConfig
from gptkit.objective.rl.base import Reinforcement
from gptkit.objective.rl.policy_loss import approximate_kl, policy_losses, ratios
from gptkit.objective.rl.rollout import gathered, log_probabilities, rows_of
from gptkit.objective.rl.step_metrics import everywhere, logged, means
from gptkit.objective.rollout_objective import Minibatch, Total

if TYPE_CHECKING:
    from gptkit.model.base import Model

OF_STEP = ("score", "kl", "length", "missing_end_of_text", "seconds_generate", "seconds_score", "generated_per_second")
TINY = 1e-4
"""Added to a group's deviation: where all scores are equal nothing is learned."""


def group_advantages(scores: Tensor) -> Tensor:
    """(P, G) scores of the G responses to each prompt -> (P, G): how many deviations of its group each is above the mean.

    The deviation is the population's: the mean square's root over G, not G - 1. The paper does not say which.
    """
    centred = scores - scores.mean(dim=1, keepdim=True)
    return centred / (scores.std(dim=1, correction=0, keepdim=True) + TINY)


def divergence(log_probs: Tensor, reference: Tensor) -> Tensor:
    """(N,) equation 4: an estimate of the divergence from the reference that has no bias and is never negative."""
    ahead = reference - log_probs
    return ahead.exp() - ahead - 1


class GRPO(Reinforcement):
    """Shapes: B episodes, `group` for each prompt, R tokens of the longest response, N of all together.

    Every response counts alike, and its tokens share its weight, as in equation 3.
    """

    settings: GRPOConfig

    def minibatches(self, model: Model, batch: Batch, *, seed: int, total: Total) -> Iterator[Minibatch]:
        """Draw a group of responses to every prompt, score them, and go through the groups in minibatches, `inner_epochs` times."""
        settings, device, group = self.settings, batch["items"].device, self.settings.group
        items: list[int] = batch["items"].tolist()
        updates = self.updates(len(items), total, device)
        written, scores, seconds = self.roll(model, items, seed=seed, samples=group)
        made, lengths = written.batch, written.batch["lengths"]
        made["group_advantages"] = group_advantages(scores.view(-1, group)).flatten()
        kl = (made["old_log_probs"] - made["reference_log_probs"]).sum(dim=1)
        columns = {"score": scores, "kl": kl, "length": lengths, "missing_end_of_text": ~written.ended}
        step = means(columns, total)
        made |= everywhere({**step, **seconds}, lengths)
        prompts = torch.arange(len(lengths), device=device) // group
        for _ in range(settings.inner_epochs):
            for number in range(updates):
                yield {"grpo": rows_of(made, prompts % updates == number)}

    def counts(self, batch: Batch) -> dict[str, int]:
        """Responses."""
        return {"policy": len(batch["lengths"]), "divergence": len(batch["lengths"])}

    def loss(self, model: Model, batch: Batch) -> tuple[Terms, Metrics]:
        """Sums over responses of the means over their tokens: the clipped loss, and the divergence."""
        settings, lengths = self.settings, batch["lengths"]
        with without_dropout(model):
            now, entropy = log_probabilities(model, batch, settings.temperature)
        old, reference = gathered(batch["old_log_probs"], lengths), gathered(batch["reference_log_probs"], lengths)
        share = (1.0 / lengths).repeat_interleave(lengths)  # (N,)
        losses, clipped = policy_losses(ratios(now, old), batch["group_advantages"].repeat_interleave(lengths), settings.clip)
        tokens = lengths.sum()
        found = {
            "entropy": Mean(entropy.detach().sum(), tokens),
            "approximate_kl": Mean(approximate_kl(now.detach(), old).sum(), tokens),
            "clip_fraction": Mean(clipped.sum(), tokens),
        }
        terms = {
            "policy": (1.0, (losses * share).sum()),
            "divergence": (settings.kl_coef, (divergence(now, reference) * share).sum()),
        }
        return terms, found | logged(batch, OF_STEP)

    def largest_minibatch(self, batch: Batch) -> Minibatch:
        """Episodes that fill the context."""
        rows = batch["tokens"].new_zeros(len(batch["tokens"]), self.context)
        lengths = torch.full_like(rows[:, 0], self.new_tokens)
        nothing = torch.zeros(len(rows), self.new_tokens, device=rows.device)
        columns = {"old_log_probs": nothing, "reference_log_probs": nothing, "group_advantages": nothing[:, 0]}
        measures = everywhere(dict.fromkeys(OF_STEP, 0.0), lengths)
        episodes = {"tokens": rows, "prompt_lengths": self.context - lengths, "lengths": lengths, **columns, **measures}
        return {"train": episodes}
