"""Proximal policy optimisation against a reward, with the gradient of pre-training mixed in where it is asked for: PPO and PPO-ptx.

Source: "Training language models to follow instructions with human feedback", equation 2 and appendix C.4; the mechanics that it
does not publish are those of "Fine-Tuning Language Models from Human Preferences", but for whitening (see PPO's settings).
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
from gptkit.objective.base import Mean, Metrics, Terms
from gptkit.objective.losses import cross_entropy_sum
from gptkit.objective.rl import PPOConfig
from gptkit.objective.rl.advantages import (
    adapted,
    advantages,
    explained_variance,
    response_mask,
    rewards,
    whitened,
)
from gptkit.objective.rl.base import Reinforcement
from gptkit.objective.rl.policy_loss import approximate_kl, policy_losses, ratios, value_losses
from gptkit.objective.rl.rollout import gathered, log_probabilities, measured, rows_of
from gptkit.objective.rl.step_metrics import everywhere, logged, means
from gptkit.objective.rl.value_network import ValueNetwork, from_policy, from_reward
from gptkit.objective.rollout_objective import Minibatch, Total

if TYPE_CHECKING:
    from gptkit.data import DataConfig
    from gptkit.data.base import Data
    from gptkit.model.base import Model
    from gptkit.reward import RewardConfig
    from gptkit.tokenizer.base import Tokenizer

OF_STEP = (
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
"""What is measured of a whole step, the same for all its minibatches."""


class PPO(Reinforcement):
    """Shapes: B episodes, T tokens of a row, R of the longest response, N of all responses together.

    A minibatch is `ppo`, some episodes, and with `ptx_coef` before it `ptx`, windows of pre-training text, whose gradient is
    accumulated into the same update. It comes first so that the last backward pass is one that reaches every trained weight.
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
        found = super().datasets(data, validation_fraction=validation_fraction)
        if self._pretraining_source is not None:
            from gptkit.objective.pretraining_mix import text_windows

            self._text, self.sources["objective.ptx_data"] = text_windows(
                self._pretraining_source,
                self.tokenizer,
                self.context,
                key="objective.ptx_data",
                validation_fraction=(validation_fraction or 0.05) if "validation" in found else 0.0,
                measured="validation" in found,
            )
        return found

    def _copy(self, model: Model) -> None:
        super()._copy(model)
        trained = self.reward.trained_model if self.reward is not None else None
        wanted = self.settings.value_from
        if wanted == "reward" and trained is None:
            raise ConfigError("objective.value_from=reward needs reward=model; choose objective.value_from=policy")
        if trained is None or wanted == "policy":
            self.value = from_policy(model)
        else:
            self.value = from_reward(trained, self.tokenizer, self.context)
        self.value.to(next(model.parameters()).dtype)

    def freeze(self, model: Model) -> None:
        self.value.freeze_unused()

    def learning_rates(self) -> Mapping[str, float]:
        return {} if self.settings.value_lr is None else {"value.": self.settings.value_lr}

    # -- one step -----------------------------------------------------------------------------------------------------------------

    def minibatches(self, model: Model, batch: Batch, *, seed: int, total: Total) -> Iterator[Minibatch]:
        """Draw a response to every prompt, score it, and go through the episodes in minibatches, `inner_epochs` times."""
        settings, device = self.settings, batch["items"].device
        items: list[int] = batch["items"].tolist()
        updates = self.updates(len(items), total, device)
        count = int(total(torch.tensor(float(len(items)), device=device)))
        if settings.kl_target is not None and settings.kl_horizon < count:
            raise ConfigError(
                f"objective.kl_horizon={settings.kl_horizon} is less than the episodes of a step, batch.size={count}, with which "
                "objective.kl_coef would leap, or turn negative; set it to at least that, better ten times as many"
            )
        written, scores, seconds = self.roll(model, items, seed=seed)
        begin = time.perf_counter()
        made, lengths = written.batch, written.batch["lengths"]
        width = made["old_log_probs"].shape[1]
        with evaluation_mode(self.value):
            values = measured(made, self.value, width)
        ratio = made["old_log_probs"] - made.pop("reference_log_probs")
        kl_coef = float(self.kl_coef)
        mask = response_mask(lengths, width)
        given = rewards(scores, ratio, lengths, kl_coef)
        if settings.whiten_rewards:
            given = whitened(given, mask, total, shift=False)
        found = advantages(given, values, discount=settings.discount, gae_lambda=settings.gae_lambda)
        returns = found + values
        made |= {"values": values, "returns": returns, "advantages": whitened(found, mask, total)}
        step = means(
            {
                "score": scores,
                "kl": ratio.sum(dim=1),
                "length": lengths,
                "missing_end_of_text": ~written.ended,
            },
            total,
        )
        step["explained_variance"] = float(explained_variance(values, returns, mask, total))
        step["kl_coef"] = kl_coef
        step |= seconds
        step["seconds_score"] += time.perf_counter() - begin
        made |= everywhere(step, lengths)
        if settings.kl_target is not None:
            self.kl_coef.fill_(adapted(kl_coef, step["kl"], target=settings.kl_target, episodes=count, horizon=settings.kl_horizon))
        for _ in range(settings.inner_epochs):
            for number in range(updates):
                yield self._minibatch(made, items, slice(number, None, updates))

    def _minibatch(self, made: Batch, items: list[int], rows: slice) -> Minibatch:
        own = {"ppo": rows_of(made, rows)}
        if not self.settings.ptx_coef:
            return own
        text = self._text["train"].batch(self.windows(items[rows]))
        return {"ptx": {name: tensor.to(made["tokens"].device) for name, tensor in text.items()}} | own

    def windows(self, items: list[int]) -> list[int]:
        """The windows of pre-training text that go with these prompts: `ptx_ratio` each, all in turn over the epochs."""
        prompts, ratio = len(self.asked["train"]), self.settings.ptx_ratio
        return [(item // prompts * ratio + number) * prompts + item % prompts for item in items for number in range(ratio)]

    def held_out_windows(self, items: list[int]) -> list[int]:
        """The windows of held-out text that go with these held-out prompts: as far on in the text as these in theirs."""
        return [item * len(self._text["validation"]) // len(self.asked["validation"]) for item in items]

    def counts(self, batch: Batch) -> dict[str, int]:
        """Tokens of the responses; of pre-training text, the tokens that are predicted."""
        if "targets" in batch:
            return {"ptx": batch["targets"].numel()}
        tokens = int(batch["lengths"].sum())
        return {"policy": tokens, "value": tokens}

    def loss(self, model: Model, batch: Batch) -> tuple[Terms, Metrics]:
        """Sums over tokens: the policy's and the value's clipped losses, or the negative log-likelihood of pre-training text."""
        if "targets" in batch:
            return {"ptx": (self.settings.ptx_coef, _text_loss(model, batch))}, {}
        settings, lengths = self.settings, batch["lengths"]
        with without_dropout(model), without_dropout(self.value):
            values = self.value(batch)
            now, entropy = log_probabilities(model, batch, settings.temperature)
        old, advantage = gathered(batch["old_log_probs"], lengths), gathered(batch["advantages"], lengths)
        losses, clipped = policy_losses(ratios(now, old), advantage, settings.clip)
        value = value_losses(values, gathered(batch["values"], lengths), gathered(batch["returns"], lengths), settings.value_clip)
        tokens = lengths.sum()
        found = {
            "entropy": Mean(entropy.detach().sum(), tokens),
            "approximate_kl": Mean(approximate_kl(now.detach(), old).sum(), tokens),
            "clip_fraction": Mean(clipped.sum(), tokens),
        }
        return {"policy": (1.0, losses.sum()), "value": (settings.value_coef, value.sum())}, found | logged(batch, OF_STEP)

    def largest_minibatch(self, batch: Batch) -> Minibatch:
        """Episodes that fill the context, which policy and value network read at once, and pre-training text where there is any."""
        rows = batch["tokens"].new_zeros(len(batch["tokens"]), self.context)
        lengths = torch.full_like(rows[:, 0], self.new_tokens)
        nothing = torch.zeros(len(rows), self.new_tokens, device=rows.device)
        columns = dict.fromkeys(("old_log_probs", "values", "returns", "advantages"), nothing)
        measures = everywhere(dict.fromkeys(OF_STEP, 0.0), lengths)
        episodes = {"tokens": rows, "prompt_lengths": self.context - lengths, "lengths": lengths, **columns, **measures}
        return {"ppo": episodes, "ptx": {"tokens": rows, "targets": rows}} if self.settings.ptx_coef else {"ppo": episodes}

    # -- held-out prompts ---------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def validate(self, model: Model, batch: Batch, *, seed: int) -> tuple[Terms, Mapping[str, int], dict[str, Tensor]]:
        """As in every reinforcement; with `ptx_coef` also the loss on held-out pre-training text, one window for each prompt."""
        terms, counts, found = super().validate(model, batch, seed=seed)
        if not self.settings.ptx_coef:
            return terms, counts, found
        device, places = batch["items"].device, self.held_out_windows(batch["items"].tolist())
        text = {name: tensor.to(device) for name, tensor in self._text["validation"].batch(places).items()}
        loss = _text_loss(model, text)
        found["ptx_loss"] = loss / text["targets"].shape[1]
        return {**terms, "ptx": (self.settings.ptx_coef, loss)}, {**counts, "ptx": text["targets"].numel()}, found


def _text_loss(model: Model, batch: Batch) -> Tensor:
    with without_dropout(model):
        hidden = model(batch["tokens"], segments=batch.get("segments"))
    return cross_entropy_sum(model.logits(hidden).flatten(0, 1), batch["targets"].flatten())
