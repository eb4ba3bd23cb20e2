"""What PPO and GRPO share: prompts, responses that the policy draws, their scores, the reference, and held-out prompts.

Source: "Training language models to follow instructions with human feedback", section 3.5 and appendix C.4. Dropout is never on,
and one temperature divides all logits: those that are sampled from and those that are learned from are of the same distribution.
"""

from __future__ import annotations

import copy
import functools
import logging
import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gptkit.data.dataset import Batch, Dataset
from gptkit.errors import ConfigError
from gptkit.generation.responses import longest_response, respond, text_of, warn_of_length
from gptkit.model.evaluation_mode import evaluation_mode, without_dropout
from gptkit.objective.base import Monitor, Terms
from gptkit.objective.chat_template import prompt_text
from gptkit.objective.rl import ReinforcementConfig
from gptkit.objective.rl.prompt_dataset import PromptDataset, asked
from gptkit.objective.rl.rollout import episodes, log_probabilities, measured
from gptkit.objective.rl.sanity_checks import examine, examine_loss
from gptkit.objective.rollout_objective import Minibatch, RolloutObjective, ScoredSample, Total
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

SHOWN = 4
"""Held-out prompts whose responses are shown as samples."""


@dataclass
class Rollout:
    """Responses of the policy to some prompts, on the model's device where they are tensors."""

    prompts: list[Prompt]
    """One for each of B episodes."""
    texts: list[str]
    batch: Batch
    """The episodes as `gptkit.objective.rl.rollout.episodes` has them."""
    ended: Tensor
    """(B,) bool: the response ends with end-of-text."""


class Reinforcement(RolloutObjective):
    """`reference` is a copy of the model with which training began; it and everything else that a run needs to go on is saved."""

    items_are = "prompts"
    reads_what_it_counts = False
    best_checkpoint_by_loss = True  # the reward alone would choose the checkpoint that exploits it most

    settings: ReinforcementConfig
    reference: Model

    def __init__(
        self, settings: ReinforcementConfig, *, tokenizer: Tokenizer, context: int, judge: RewardConfig | None = None
    ) -> None:
        super().__init__()
        self.settings = settings
        self.tokenizer = tokenizer
        self.context = context
        self.new_tokens = longest_response(settings.max_new_tokens, context)
        self.end_of_text = tokenizer.special["end_of_text"]
        self.reward: Reward | None = None
        self._judge_config = judge
        self.judging: Reward | None = None
        self.asked: dict[str, PromptDataset] = {}
        self.unexamined = True
        """The doctor has not looked yet."""
        self.fresh = False
        """No update was made since training began: policy and reference are one."""

    # -- set-up -------------------------------------------------------------------------------------------------------------------

    def use_reward(self, reward: Reward) -> None:
        self.reward = reward
        self.sources["reward"] = reward.fingerprint

    def datasets(self, data: Data, *, validation_fraction: float) -> dict[str, Dataset]:
        """The prompts of the source, those left out that leave no room for `max_new_tokens` and end-of-text, or for a judge.

        Raises:
            ConfigError: no reward was given, or settings do not fit each other.
            DataError: the source has no prompts, or all are too long.
        """
        settings = self.settings
        if self.reward is None:
            raise ConfigError(
                f"objective={settings.name} needs a judge of its responses: give reward=, for example "
                "reward=model reward.checkpoint=<run of objective=reward>, or reward=lexicon"
            )
        if self._judge_config is not None:
            self.judging = self._judge_config.build(load=self.load)
            self.sources["objective.judge"] = self.judging.fingerprint
        warn_of_length(settings.max_new_tokens, self.context)
        self.asked = asked(
            data,
            self.tokenizer,
            template=settings.template,
            longest=self.context - self.new_tokens - 1,
            judges=[judge for judge in (self.reward, self.judging) if judge is not None],
            validation_fraction=validation_fraction,
            reader=f"objective={settings.name}",
        )
        return dict(self.asked)

    def start(self, model: Model) -> None:
        self._copy(model)
        self.fresh = True

    def restore(self, model: Model, state: Mapping[str, Any]) -> None:
        self._copy(model)
        super().restore(model, state)

    def _copy(self, model: Model) -> None:
        self.reference = copy.deepcopy(model).requires_grad_(False)

    def tokens(self, batch: Batch) -> int:
        """Every prompt counts as a full context."""
        return len(batch["tokens"]) * self.context

    # -- episodes -----------------------------------------------------------------------------------------------------------------

    def write(self, model: Model, split: str, items: Sequence[int], *, seed: int, samples: int = 1) -> Rollout:
        """Draw `samples` responses to each of these prompts; those of one prompt follow one another."""
        source = self.asked[split]
        places = [item % len(source) for item in items]
        drawn = respond(
            model,
            self.tokenizer,
            [source.ids[place] for place in places],
            items=items,
            max_new_tokens=self.new_tokens,
            temperature=self.settings.temperature,
            samples=samples,
            seed=seed,
        )
        rows = [place for place in places for _ in range(samples)]
        device = next(model.parameters()).device
        return Rollout(
            prompts=[source.prompts[place] for place in rows],
            texts=[text_of(self.tokenizer, source.ids[place], ids) for place, ids in zip(rows, drawn, strict=True)],
            batch=episodes([source.ids[place] for place in rows], drawn, device),
            ended=torch.tensor([ids[-1] == self.end_of_text for ids in drawn], device=device),
        )

    def score(self, written: Rollout) -> Tensor:
        """(B,) float32, on the episodes' device: the reward's, or what a response is given that did not end.

        Raises:
            GptkitError: the reward gives a number that is not finite.
        """
        assert self.reward is not None
        judge = functools.partial(self.opinion, self.reward)
        missing = self.settings.missing_end_of_text
        scores = score_finished_responses(judge, written.prompts, written.texts, ended=written.ended.tolist(), missing=missing)
        return scores.to(written.ended.device)

    def opinion(self, judge: Reward, prompts: Sequence[Prompt], texts: Sequence[str]) -> Tensor:
        """(B,) float32 scores, on the CPU, in full precision whatever training computes in.

        Raises:
            GptkitError: one is not finite.
        """
        device = self.reference_device()
        judge.to(device)
        with torch.autocast(device.type, enabled=False), torch.autocast("cpu", enabled=False):
            return compute_scores(judge, prompts, texts)

    def reference_device(self) -> torch.device:
        """Where the objective's models are."""
        return next(self.reference.parameters()).device

    def log_probs(self, model: Model, batch: Batch) -> Tensor:
        """(B, R) log-probabilities of the responses' tokens, 0 behind them; no gradients."""
        temperature = self.settings.temperature
        with without_dropout(model):
            return measured(batch, lambda piece: log_probabilities(model, piece, temperature)[0], int(batch["lengths"].max()))

    # -- one step -----------------------------------------------------------------------------------------------------------------

    def rollout(self, model: Model, batch: Batch, *, seed: int, total: Total) -> Iterator[Minibatch]:
        """The minibatches of `minibatches`, of which the doctor looks at a run's first."""
        unexamined = self.unexamined and self.settings.doctor
        for minibatch in self.minibatches(model, batch, seed=seed, total=total):
            if unexamined:
                examine_loss(self, model, minibatch)
            unexamined = False
            yield minibatch

    @abstractmethod
    def minibatches(self, model: Model, batch: Batch, *, seed: int, total: Total) -> Iterator[Minibatch]:
        """What `rollout` gives: episodes have `old_log_probs`, and `loss` measures `approximate_kl` and `clip_fraction` of them."""

    def updates(self, items: int, total: Total, device: torch.device) -> int:
        """How many minibatches this device's items are divided into: item i goes into minibatch i modulo that number.

        Raises:
            ConfigError: they cannot be of equal size on all devices.
        """
        everywhere = int(total(torch.tensor(float(items), device=device)))
        wanted = min(self.settings.minibatch or everywhere, everywhere)
        if everywhere % wanted or items % (everywhere // wanted):
            raise ConfigError(
                f"objective.minibatch={wanted} does not divide batch.size={everywhere} into minibatches that the devices can share "
                "equally; choose a divisor that is a multiple of the number of devices"
            )
        return everywhere // wanted

    def roll(self, model: Model, items: Sequence[int], *, seed: int, samples: int = 1) -> tuple[Rollout, Tensor, dict[str, float]]:
        """Draw and score episodes; adds `old_log_probs` and `reference_log_probs` (B, R) to their batch.

        Returns:
            The episodes, their scores (B,), the seconds that drawing and scoring took, and the tokens drawn in a second.

        Raises:
            ConfigError: the model's weights are spread over devices.
            GptkitError: the doctor or the reward found something wrong.
        """
        if any(is_distributed(parameter) for parameter in model.parameters()):
            raise ConfigError(f"objective={self.settings.name} keeps whole models; use trainer.strategy=ddp, not fsdp2 or tp")
        begin = time.perf_counter()
        with evaluation_mode(model):
            written = self.write(model, "train", items, seed=seed, samples=samples)
            middle = time.perf_counter()
            scores = self.score(written)
            written.batch["old_log_probs"] = self.log_probs(model, written.batch)
            written.batch["reference_log_probs"] = self.log_probs(self.reference, written.batch)
            self._examine(model, written, scores, items, seed, samples)
        self.fresh = False
        spent = {"seconds_generate": middle - begin, "seconds_score": time.perf_counter() - middle}
        return written, scores, spent | {"generated_per_second": int(written.batch["lengths"].sum()) / (middle - begin)}

    def _examine(self, model: Model, written: Rollout, scores: Tensor, items: Sequence[int], seed: int, samples: int) -> None:
        if not self.unexamined:
            return
        self.unexamined = False
        if not self.settings.doctor:
            _log.warning("objective.doctor=false: nobody checks that sampling, scoring and training agree")
            return
        examine(self, model, written, scores, seed=seed, places=[(item, sample) for item in items for sample in range(samples)])

    # -- held-out prompts ---------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def validate(self, model: Model, batch: Batch, *, seed: int) -> tuple[Terms, Mapping[str, int], dict[str, Tensor]]:
        """Minus equation 2: what the responses to held-out prompts score, less what their divergence costs, at the weight with
        which the run begins: losses are compared along a run whose weight adapts.

        What is drawn depends on the prompt's place alone: all checkpoints of a run draw with the same random numbers. Measured are
        `score`, `kl` (nats per response), `length` (tokens), `missing_end_of_text` and, with `judge`, its score.
        """
        with evaluation_mode(model):
            written = self.write(model, "validation", batch["items"].tolist(), seed=0)
            scores = self.score(written)
            kl = (self.log_probs(model, written.batch) - self.log_probs(self.reference, written.batch)).sum(dim=1)
        found = {
            "score": scores.sum(),
            "kl": kl.sum(),
            "length": written.batch["lengths"].float().sum(),
            "missing_end_of_text": (~written.ended).float().sum(),
        }
        if self.judging is not None:
            found["judge"] = self.opinion(self.judging, written.prompts, written.texts).sum()
        objective = -(scores - self.settings.kl_coef * kl).sum()
        return {"objective": (1.0, objective)}, {"objective": len(scores)}, found

    def monitor(self, metrics: Mapping[str, float]) -> Monitor:
        """The independent judge's score, else the reward's: the loss depends on the weights of divergence and pre-training text."""
        return Monitor("judge" if "judge" in metrics else "score", "max")

    def samples(self, model: Model) -> list[ScoredSample]:
        """Responses to a few held-out prompts with their scores, drawn as in a validation."""
        split = "validation" if "validation" in self.asked else "train"
        with torch.no_grad(), evaluation_mode(model):
            count = min(SHOWN, len(self.asked[split]))
            written = self.write(model, split, [number * len(self.asked[split]) // count for number in range(count)], seed=0)
            scores = {"score": self.score(written).tolist()}
        if self.judging is not None:
            scores["judge"] = self.opinion(self.judging, written.prompts, written.texts).tolist()
        return [
            ScoredSample(
                prompt_text(prompt.turns, self.settings.template), text, {name: found[row] for name, found in scores.items()}
            )
            for row, (prompt, text) in enumerate(zip(written.prompts, written.texts, strict=True))
        ]
