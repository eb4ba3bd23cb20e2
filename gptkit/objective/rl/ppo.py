"""Proximal policy optimisation of a reward, optionally with the pre-training loss mixed in: PPO and PPO-ptx.

Source: "Training language models to follow instructions with human feedback", equation 2 and appendix C.4; details that it does
not publish follow "Fine-Tuning Language Models from Human Preferences", except for whitening (see `PPOConfig`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gptkit.data.dataset import Batch, Dataset
from gptkit.errors import ConfigError
from gptkit.model.evaluation_mode import evaluation_mode, without_dropout
from gptkit.objective.base import Metrics, Terms
from gptkit.objective.losses import cross_entropy_sum
from gptkit.objective.rl import PPOConfig
from gptkit.objective.rl.advantages import compute_advantages, explained_variance, response_mask, whiten
from gptkit.objective.rl.base import ReinforcementLearning
from gptkit.objective.rl.kl_penalty import adapt_kl_coef, token_rewards
from gptkit.objective.rl.minibatches import minibatch_count, step_item_count
from gptkit.objective.rl.policy_loss import policy_losses, probability_ratios, value_losses
from gptkit.objective.rl.rollout import compute_in_chunks, response_log_probs, select_rows, unpad_responses
from gptkit.objective.rl.step_metrics import as_columns, mean_over_step, policy_metrics, sum_columns
from gptkit.objective.rl.value_network import ValueNetwork, value_network_from_policy, value_network_from_reward
from gptkit.objective.rollout_objective import Minibatch, Total

if TYPE_CHECKING:
    from gptkit.data import DataConfig
    from gptkit.data.base import Data
    from gptkit.model.base import Model
    from gptkit.reward import RewardConfig
    from gptkit.tokenizer.base import Tokenizer

TOKEN_COLUMNS = ("old_log_probs", "values", "returns", "advantages")
"""The columns (B, R) of a minibatch that the loss reads."""

STEP_METRICS = (
    "score",
    "kl",
    "length",
    "missing_end_of_text",
    "explained_variance",
    "kl_coef",
    "seconds_generate",
    "seconds_score",
    "generated_per_second",
)
"""Metrics of a whole step, with equal values in all of its minibatches."""


class PPO(ReinforcementLearning):
    """Shapes: B responses, T tokens of a row, R tokens of the longest response, N tokens of all responses.

    A minibatch has the batch `ppo` of responses and, with `ptx_coef`, the batch `ptx` of windows of pre-training text, whose
    gradients are accumulated in one update. `ptx` comes first, because the last backward pass must reach every trained weight.
    """

    settings: PPOConfig
    value: ValueNetwork
    kl_coef: Tensor

    def __init__(
        self,
        settings: PPOConfig,
        *,
        tokenizer: Tokenizer,
        context: int,
        judge: RewardConfig | None = None,
        pretraining_source: DataConfig | None = None,
    ) -> None:
        super().__init__(settings, tokenizer=tokenizer, context=context, judge=judge)
        self._pretraining_source = pretraining_source
        self.register_buffer("kl_coef", torch.tensor(settings.kl_coef, dtype=torch.float32))
        self._text: dict[str, Dataset] = {}

    # -- set-up -------------------------------------------------------------------------------------------------------------------

    def datasets(self, data: Data, *, validation_fraction: float) -> dict[str, Dataset]:
        datasets = super().datasets(data, validation_fraction=validation_fraction)
        if self._pretraining_source is not None:
            from gptkit.objective.pretraining_mix import text_windows

            self._text, self.sources["objective.ptx_data"] = text_windows(
                self._pretraining_source,
                self.tokenizer,
                self.context,
                key="objective.ptx_data",
                validation_fraction=(validation_fraction or 0.05) if "validation" in datasets else 0.0,
                with_validation="validation" in datasets,
            )
        return datasets

    def _make_copies(self, model: Model) -> None:
        super()._make_copies(model)
        trained = self.reward.trained_model if self.reward is not None else None
        source = self.settings.value_from
        if source == "reward" and trained is None:
            raise ConfigError("objective.value_from=reward needs reward=model; choose objective.value_from=policy")
        if trained is None or source == "policy":
            self.value = value_network_from_policy(model)
        else:
            self.value = value_network_from_reward(trained, self.tokenizer, self.context, adapter=model.adapter)
        self.value.to(next(model.parameters()).dtype)

    def freeze(self, model: Model) -> None:
        self.value.freeze_unused()

    def learning_rates(self) -> Mapping[str, float]:
        return {} if self.settings.value_lr is None else {"value.": self.settings.value_lr}

    # -- one step -----------------------------------------------------------------------------------------------------------------

    def minibatches(self, model: Model, batch: Batch, *, seed: int, total: Total) -> Iterator[Minibatch]:
        """Sample and score a response to every prompt, and yield the rollout in minibatches, `inner_epochs` times."""
        settings, device = self.settings, batch["items"].device
        items: list[int] = batch["items"].tolist()
        step_items = step_item_count(len(items), total, device)
        minibatches = minibatch_count(len(items), step_items, settings.minibatch)
        if settings.kl_target is not None and settings.kl_horizon < step_items:
            raise ConfigError(
                f"objective.kl_horizon={settings.kl_horizon} is less than the episodes of a step, batch.size={step_items}, so "
                "objective.kl_coef could become unstable or negative; set it to at least batch.size, preferably ten times as much"
            )
        rollout, scores, speed = self.collect_rollout(model, items, seed=seed)
        start = time.perf_counter()
        columns, lengths = rollout.batch, rollout.batch["lengths"]
        width = columns["old_log_probs"].shape[1]
        with evaluation_mode(self.value):
            values = compute_in_chunks(columns, self.value, width)
        ratio = columns["old_log_probs"] - columns.pop("reference_log_probs")
        kl_coef = float(self.kl_coef)
        mask = response_mask(lengths, width)
        rewards = token_rewards(scores, ratio, lengths, kl_coef)
        if settings.whiten_rewards:
            rewards = whiten(rewards, mask, total, shift=False)
        advantages = compute_advantages(rewards, values, discount=settings.discount, gae_lambda=settings.gae_lambda)
        returns = advantages + values
        columns |= {"values": values, "returns": returns, "advantages": whiten(advantages, mask, total)}
        step = mean_over_step(
            {
                "score": scores,
                "kl": ratio.sum(dim=1),
                "length": lengths,
                "missing_end_of_text": ~rollout.ended,
            },
            total,
        )
        step["explained_variance"] = float(explained_variance(values, returns, mask, total))
        step["kl_coef"] = kl_coef
        step |= speed
        step["seconds_score"] += time.perf_counter() - start
        columns |= as_columns(step, lengths)
        if settings.kl_target is not None:
            self.kl_coef.fill_(
                adapt_kl_coef(kl_coef, step["kl"], target=settings.kl_target, episodes=step_items, horizon=settings.kl_horizon)
            )
        for _ in range(settings.inner_epochs):
            for number in range(minibatches):
                yield self._minibatch(columns, items, slice(number, None, minibatches))

    def _minibatch(self, columns: Batch, items: list[int], rows: slice) -> Minibatch:
        episodes = {"ppo": select_rows(columns, rows)}
        if not self.settings.ptx_coef:
            return episodes
        text = self._text["train"].batch(self.windows(items[rows]))
        return {"ptx": {name: tensor.to(columns["tokens"].device) for name, tensor in text.items()}} | episodes

    def windows(self, items: list[int]) -> list[int]:
        """Return the indices of the windows of pre-training text for these prompts: `ptx_ratio` each, new ones in every epoch."""
        prompts, ratio = len(self.prompt_datasets["train"]), self.settings.ptx_ratio
        return [(item // prompts * ratio + number) * prompts + item % prompts for item in items for number in range(ratio)]

    def held_out_windows(self, items: list[int]) -> list[int]:
        """Return the index of a window of held-out text for each held-out prompt, at the same relative position."""
        return [item * len(self._text["validation"]) // len(self.prompt_datasets["validation"]) for item in items]

    def counts(self, batch: Batch) -> dict[str, int]:
        """Return the number of tokens of the responses, or of predicted tokens of the pre-training text."""
        if "targets" in batch:
            return {"ptx": batch["targets"].numel()}
        tokens = int(batch["lengths"].sum())
        return {"policy": tokens, "value": tokens}

    def loss(self, model: Model, batch: Batch) -> tuple[Terms, Metrics]:
        """Return sums over tokens of the clipped policy and value losses, or the negative log-likelihood of pre-training text."""
        if "targets" in batch:
            return {"ptx": (self.settings.ptx_coef, _pretraining_loss(model, batch))}, {}
        settings, lengths = self.settings, batch["lengths"]
        with without_dropout(model), without_dropout(self.value):
            values = self.value(batch)
            log_probs, entropy = response_log_probs(model, batch, settings.temperature)
        old, advantage = unpad_responses(batch["old_log_probs"], lengths), unpad_responses(batch["advantages"], lengths)
        losses, clipped = policy_losses(probability_ratios(log_probs, old), advantage, settings.clip)
        value = value_losses(
            values, unpad_responses(batch["values"], lengths), unpad_responses(batch["returns"], lengths), settings.value_clip
        )
        tokens = lengths.sum()
        metrics = policy_metrics(entropy, log_probs, old, clipped, tokens)
        return {"policy": (1.0, losses.sum()), "value": (settings.value_coef, value.sum())}, metrics | sum_columns(
            batch, STEP_METRICS
        )

    def largest_minibatch(self, batch: Batch) -> Minibatch:
        """Return rollouts that fill the context, and with `ptx_coef` the same amount of pre-training text."""
        rollout = self.largest_rollout(batch, token_columns=TOKEN_COLUMNS, row_columns=STEP_METRICS)
        text = {"tokens": rollout["tokens"], "targets": rollout["tokens"]}
        return {"ppo": rollout, "ptx": text} if self.settings.ptx_coef else {"ppo": rollout}

    # -- held-out prompts ---------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def validate(self, model: Model, batch: Batch, *, seed: int) -> tuple[Terms, Mapping[str, int], dict[str, Tensor]]:
        """Add the loss on held-out pre-training text with `ptx_coef`, one window per prompt."""
        terms, counts, metrics = super().validate(model, batch, seed=seed)
        if not self.settings.ptx_coef:
            return terms, counts, metrics
        device, windows = batch["items"].device, self.held_out_windows(batch["items"].tolist())
        text = {name: tensor.to(device) for name, tensor in self._text["validation"].batch(windows).items()}
        loss = _pretraining_loss(model, text)
        metrics["ptx_loss"] = loss / text["targets"].shape[1]
        return {**terms, "ptx": (self.settings.ptx_coef, loss)}, {**counts, "ptx": text["targets"].numel()}, metrics


def _pretraining_loss(model: Model, batch: Batch) -> Tensor:
    with without_dropout(model):
        hidden = model(batch["tokens"], segments=batch.get("segments"))
    return cross_entropy_sum(model.logits(hidden).flatten(0, 1), batch["targets"].flatten())
