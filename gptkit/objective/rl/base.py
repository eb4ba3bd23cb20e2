"""The base class of PPO and GRPO: prompts, sampled responses, their scores, the reference model, and validation.

Source: "Training language models to follow instructions with human feedback", section 3.5 and appendix C.4. Dropout is always
off, and one temperature divides all logits, so that sampling and training use the same distribution.
"""

from __future__ import annotations

import functools
import logging
import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gptkit.chat_template.plain import PlainTemplate
from gptkit.data.dataset import Batch, Dataset
from gptkit.data.splits import evenly_spaced
from gptkit.errors import ConfigError
from gptkit.generation.responses import generate_responses, response_limit
from gptkit.model.adapted import copy_reference, reference_model
from gptkit.model.evaluation_mode import evaluation_mode, without_dropout
from gptkit.objective.base import Terms
from gptkit.objective.monitor import Monitor
from gptkit.objective.rl import ReinforcementLearningConfig
from gptkit.objective.rl.prompt_dataset import PromptDataset, load_prompts
from gptkit.objective.rl.rollout import Rollout, compute_in_chunks, make_rollout, make_zero_batch, response_log_probs
from gptkit.objective.rl.sanity_checks import check_loss, check_rollout
from gptkit.objective.rollout_objective import Minibatch, RolloutObjective, ScoredSample, Total, warn_if_responses_are_shortened
from gptkit.optimizer.groups import is_distributed
from gptkit.records import Prompt
from gptkit.reward.base import compute_scores, score_finished_responses

if TYPE_CHECKING:
    from gptkit.data.base import Data
    from gptkit.model.base import Model
    from gptkit.reward import RewardConfig
    from gptkit.reward.base import Reward
    from gptkit.tokenizer.base import Tokenizer

_log = logging.getLogger("gptkit")

SAMPLE_COUNT = 4
"""The number of held-out prompts whose responses are shown as samples."""


class ReinforcementLearning(RolloutObjective):
    """Base class of PPO and GRPO.

    `reference` is a copy of the initial model. Checkpoints contain it, so that a run resumes from its folder alone. A model with an
    adapter is its own reference, with the adapter turned off, and `reference` is None.
    """

    items_name = "prompts"
    counts_input_tokens = False
    best_checkpoint_by_loss = True  # the reward would select the checkpoint that exploits it most

    settings: ReinforcementLearningConfig
    reference: Model | None
    on_device: Tensor

    def __init__(
        self, settings: ReinforcementLearningConfig, *, tokenizer: Tokenizer, context: int, judge: RewardConfig | None = None
    ) -> None:
        super().__init__()
        self.settings = settings
        self.tokenizer = tokenizer
        self.context = context
        self.new_tokens = response_limit(settings.max_new_tokens, context)
        self.chat_template = PlainTemplate(tokenizer)
        self.reward: Reward | None = None
        self.register_buffer("on_device", torch.empty(0), persistent=False)  # moves to the device of the model
        self._judge_config = judge
        self.judge: Reward | None = None
        self.prompt_datasets: dict[str, PromptDataset] = {}
        self.checks_pending = True
        """Whether the sanity checks have not run yet."""
        self.policy_is_reference = False
        """Whether policy and reference are equal, because the run has made no update yet."""

    @property
    def end(self) -> int:
        """The token that ends a response."""
        return self.chat_template.end

    # -- set-up -------------------------------------------------------------------------------------------------------------------

    def use_reward(self, reward: Reward) -> None:
        self.reward = reward
        self.sources["reward"] = reward.fingerprint

    def datasets(self, data: Data, *, validation_fraction: float) -> dict[str, Dataset]:
        """Return the prompts of the source that leave room for `max_new_tokens` and end-of-text, and that the rewards accept.

        Raises:
            ConfigError: no reward is set.
            DataError: the source has no prompts, or no prompt is left.
        """
        settings = self.settings
        if self.reward is None:
            raise ConfigError(
                f"objective={settings.name} needs a reward: set reward=, for example "
                "reward=model reward.checkpoint=<run of objective=reward>, or reward=lexicon"
            )
        if self._judge_config is not None:
            self.judge = self._judge_config.build(load=self.load)
            self.sources["objective.judge"] = self.judge.fingerprint
        warn_if_responses_are_shortened(settings.max_new_tokens, self.context)
        self.prompt_datasets = load_prompts(
            data,
            template=self.chat_template,
            max_tokens=self.context - self.new_tokens - 1,
            rewards=[reward for reward in (self.reward, self.judge) if reward is not None],
            validation_fraction=validation_fraction,
            reader=f"objective={settings.name}",
        )
        return dict(self.prompt_datasets)

    def start(self, model: Model) -> None:
        self._make_copies(model)
        self.policy_is_reference = True

    def restore(self, model: Model, state: Mapping[str, Any]) -> None:
        self._make_copies(model)
        super().restore(model, state)

    def _make_copies(self, model: Model) -> None:
        self.reference = copy_reference(model)

    def tokens(self, batch: Batch) -> int:
        """Return the number of tokens, where every prompt counts as a full context."""
        return len(batch["tokens"]) * self.context

    # -- rollouts -----------------------------------------------------------------------------------------------------------------

    def generate_responses(self, model: Model, split: str, items: Sequence[int], *, seed: int, samples: int = 1) -> Rollout:
        """Sample `samples` responses to each prompt. Responses to the same prompt are adjacent rows."""
        dataset = self.prompt_datasets[split]
        indices = [item % len(dataset) for item in items]
        responses = generate_responses(
            model,
            self.tokenizer,
            [dataset.ids[index] for index in indices],
            items=items,
            max_new_tokens=self.new_tokens,
            temperature=self.settings.temperature,
            samples=samples,
            seed=seed,
            end=self.end,
        )
        rows = [index for index in indices for _ in range(samples)]
        return make_rollout(self.tokenizer, dataset, rows, responses, self.end, next(model.parameters()).device)

    def score_rollout(self, rollout: Rollout) -> Tensor:
        """Return the scores of the reward, (B,) float32 on the rollout's device, or `missing_end_of_text` for unfinished ones.

        Raises:
            GptkitError: a score is not finite.
        """
        assert self.reward is not None
        score = functools.partial(self.score, self.reward)
        missing = self.settings.missing_end_of_text
        scores = score_finished_responses(score, rollout.prompts, rollout.texts, ended=rollout.ended.tolist(), missing=missing)
        return scores.to(rollout.ended.device)

    def score(self, reward: Reward, prompts: Sequence[Prompt], texts: Sequence[str]) -> Tensor:
        """Return the scores of a reward, (B,) float32 on the CPU, computed without autocast.

        Raises:
            GptkitError: a score is not finite.
        """
        device = self.on_device.device
        reward.to(device)
        with torch.autocast(device.type, enabled=False), torch.autocast("cpu", enabled=False):
            return compute_scores(reward, prompts, texts)

    def compute_log_probs(self, model: Model, batch: Batch) -> Tensor:
        """Return the log-probabilities (B, R) of the responses' tokens, 0 in the padding, without gradients."""
        temperature = self.settings.temperature
        with without_dropout(model):
            return compute_in_chunks(
                batch, lambda chunk: response_log_probs(model, chunk, temperature)[0], int(batch["lengths"].max())
            )

    def compute_reference_log_probs(self, model: Model, batch: Batch) -> Tensor:
        """Return the log-probabilities of the initial model, as `compute_log_probs`."""
        with reference_model(model, self.reference) as initial:
            return self.compute_log_probs(initial, batch)

    # -- one step -----------------------------------------------------------------------------------------------------------------

    def rollout(self, model: Model, batch: Batch, *, seed: int, total: Total) -> Iterator[Minibatch]:
        """Yield the minibatches of a step. The loss of the first one in a process goes through the sanity checks."""
        check_first = self.checks_pending and self.settings.sanity_checks
        for minibatch in self.minibatches(model, batch, seed=seed, total=total):
            if check_first:
                check_loss(self, model, minibatch)
            check_first = False
            yield minibatch

    @abstractmethod
    def minibatches(self, model: Model, batch: Batch, *, seed: int, total: Total) -> Iterator[Minibatch]:
        """Yield the minibatches of a step.

        Minibatches with responses have `old_log_probs`, and `loss` returns the metrics `approximate_kl` and `clip_fraction`.
        """

    def largest_rollout(self, batch: Batch, *, token_columns: Sequence[str], row_columns: Sequence[str]) -> Batch:
        """Return a batch of rollouts that fill the context, one per item of the batch, with these columns; all zeros."""
        return make_zero_batch(
            len(batch["tokens"]),
            prompt_length=self.context - self.new_tokens,
            response_length=self.new_tokens,
            token_columns=token_columns,
            row_columns=row_columns,
            device=batch["tokens"].device,
        )

    def collect_rollout(
        self, model: Model, items: Sequence[int], *, seed: int, samples: int = 1
    ) -> tuple[Rollout, Tensor, dict[str, float]]:
        """Sample and score responses, and add `old_log_probs` and `reference_log_probs` (B, R) to their batch.

        Returns:
            The rollout, its scores (B,), and speed metrics: seconds of generation and of scoring, and generated tokens per second.

        Raises:
            ConfigError: the model is sharded.
            GptkitError: a sanity check fails, or a score is not finite.
        """
        if any(is_distributed(parameter) for parameter in model.parameters()):
            raise ConfigError(f"objective={self.settings.name} needs unsharded models; use trainer.strategy=ddp, not fsdp2 or tp")
        start = time.perf_counter()
        with evaluation_mode(model):
            rollout = self.generate_responses(model, "train", items, seed=seed, samples=samples)
            generated = time.perf_counter()
            scores = self.score_rollout(rollout)
            rollout.batch["old_log_probs"] = self.compute_log_probs(model, rollout.batch)
            rollout.batch["reference_log_probs"] = self.compute_reference_log_probs(model, rollout.batch)
            self._run_sanity_checks(model, rollout, scores, items, seed, samples)
        self.policy_is_reference = False
        speed = {
            "seconds_generate": generated - start,
            "seconds_score": time.perf_counter() - generated,
            "generated_per_second": int(rollout.batch["lengths"].sum()) / (generated - start),
        }
        return rollout, scores, speed

    def _run_sanity_checks(
        self, model: Model, rollout: Rollout, scores: Tensor, items: Sequence[int], seed: int, samples: int
    ) -> None:
        if not self.checks_pending:
            return
        self.checks_pending = False
        if not self.settings.sanity_checks:
            _log.warning("objective.sanity_checks=false: sampling, scoring and training are not checked for consistency")
            return
        check_rollout(
            self, model, rollout, scores, seed=seed, samples=[(item, sample) for item in items for sample in range(samples)]
        )

    # -- held-out prompts ---------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def validate(self, model: Model, batch: Batch, *, seed: int) -> tuple[Terms, Mapping[str, int], dict[str, Tensor]]:
        """Return the negative of equation 2 on held-out prompts: the scores of responses minus their KL penalty.

        The penalty uses the initial `kl_coef`, so that losses are comparable within a run that adapts it. Random numbers depend
        only on the index of the prompt, so that all checkpoints of a run use the same ones. Metrics are `score`, `kl` (nats per
        response), `length` (tokens), `missing_end_of_text` and, with a judge, `judge`.
        """
        with evaluation_mode(model):
            rollout = self.generate_responses(model, "validation", batch["items"].tolist(), seed=0)
            scores = self.score_rollout(rollout)
            kl = (self.compute_log_probs(model, rollout.batch) - self.compute_reference_log_probs(model, rollout.batch)).sum(dim=1)
        metrics = {
            "score": scores.sum(),
            "kl": kl.sum(),
            "length": rollout.batch["lengths"].float().sum(),
            "missing_end_of_text": (~rollout.ended).float().sum(),
        }
        if self.judge is not None:
            metrics["judge"] = self.score(self.judge, rollout.prompts, rollout.texts).sum()
        objective = -(scores - self.settings.kl_coef * kl).sum()
        return {"objective": (1.0, objective)}, {"objective": len(scores)}, metrics

    def monitor(self, metrics: Mapping[str, float]) -> Monitor:
        """Return the score of the judge, or else of the reward, since the loss depends on `kl_coef` and `ptx_coef`."""
        return Monitor("judge" if "judge" in metrics else "score", "max")

    def samples(self, model: Model) -> list[ScoredSample]:
        """Return responses to a few held-out prompts with their scores, sampled as in a validation."""
        split = "validation" if "validation" in self.prompt_datasets else "train"
        with torch.no_grad(), evaluation_mode(model):
            items = evenly_spaced(len(self.prompt_datasets[split]), SAMPLE_COUNT)
            rollout = self.generate_responses(model, split, items, seed=0)
            scores = {"score": self.score_rollout(rollout).tolist()}
        if self.judge is not None:
            scores["judge"] = self.score(self.judge, rollout.prompts, rollout.texts).tolist()
        return [
            ScoredSample(self.chat_template.prompt_text(prompt.turns), text, {name: values[row] for name, values in scores.items()})
            for row, (prompt, text) in enumerate(zip(rollout.prompts, rollout.texts, strict=True))
        ]
