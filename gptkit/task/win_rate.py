"""Two models answer the same held-out prompts, and a judge decides who does it better.

A judge that scores single texts is shown each answer once: it knows of no order. One that compares (`ComparingReward`) sees every
pair in both orders, and its preferences are averaged, so that favouring what stands first gains nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gptkit.data.splits import evenly_spaced
from gptkit.errors import ConfigError, DataError
from gptkit.generation.responses import generate_responses, response_limit, response_text
from gptkit.objective.chat_template import prompt_ids
from gptkit.objective.classify.metrics import bootstrap_interval
from gptkit.records import Prompt
from gptkit.reward.base import PairwiseReward, compute_preferences, compute_scores
from gptkit.task.held_out import held_out_prompts

if TYPE_CHECKING:
    from gptkit.data.base import Data
    from gptkit.reward.base import Reward
    from gptkit.task import WinRateConfig
    from gptkit.task.base import Subject

MAX_NEW_TOKENS = 64
"""Where neither the task nor the run says how long an answer may be."""

_log = logging.getLogger("gptkit")


class WinRate:
    """Prompts are read when it is called: by default they are the subject's own."""

    def __init__(self, settings: WinRateConfig, data: Data | None, *, build_data: Callable[[Mapping[str, Any]], Data]) -> None:
        """
        Args:
            settings: of the task.
            data: the source of the prompts; None: the subject's own.
            build_data: opens the subject's own source from its settings.
        """
        self.settings = settings
        self._data, self._build_data = data, build_data

    def __call__(
        self, subject: Subject, *, against: Subject | None = None, judge: Reward | None = None, seed: int
    ) -> dict[str, float]:
        """`win_rate` with its 95% interval by the bootstrap over prompts, the mean scores, the other's standard deviation
        over prompts, and how many prompts there were.

        Raises:
            ConfigError: there is no source of prompts.
            DataError: it has none that are held out, or all are too long.
            GptkitError: the judge gives what is no number.
        """
        assert against is not None
        assert judge is not None
        longest = self._longest(subject, against)
        prompts = self._prompts(subject, against, judge, longest)
        answers, others = (self._answers(each, prompts, longest, seed) for each in (subject, against))
        scores, other_scores = compute_scores(judge, prompts, answers), compute_scores(judge, prompts, others)
        if isinstance(judge, PairwiseReward):
            preferred = (
                compute_preferences(judge, prompts, answers, others) + 1 - compute_preferences(judge, prompts, others, answers)
            ) / 2
        else:
            preferred = wins(scores, other_scores)
        preferred = preferred.double()
        low, high = bootstrap_interval(lambda result, _: result.mean(0), preferred, preferred)
        return {
            "win_rate": float(preferred.mean()),
            "win_rate_low": low,
            "win_rate_high": high,
            "score": float(scores.double().mean()),
            "score_against": float(other_scores.double().mean()),
            "deviation_against": float(other_scores.double().std(correction=0)),
            "prompts": float(len(prompts)),
        }

    def _longest(self, subject: Subject, against: Subject) -> int:
        """Tokens of an answer: as the task says, or as many as the subject had in training."""
        if self.settings.max_new_tokens:
            return self.settings.max_new_tokens
        context = min(each.model.context for each in (subject, against))
        return response_limit(int(_objective(subject).get("max_new_tokens") or MAX_NEW_TOKENS), context)

    def _prompts(self, subject: Subject, against: Subject, judge: Reward, longest: int) -> list[Prompt]:
        """Those to be answered; one that leaves no room for an answer in either context, or for the judge, is left out."""
        own = subject.settings.get("data")
        if self._data is None and not own:
            raise ConfigError(f"{subject.source} comes from no run, so it has no prompts of its own; give some by data=")
        data = self._data or self._build_data(own or {})
        fraction = None if self._data else float(subject.settings.get("val", {}).get("fraction", 0.05))
        result = held_out_prompts(data, fraction=fraction, reader="task=win_rate")
        chosen = [result[index] for index in evenly_spaced(len(result), self.settings.prompts)]
        both = (subject, against)
        kept = [prompt for prompt in chosen if judge.accepts(prompt) and all(_fits(each, prompt, longest) for each in both)]
        if not kept:
            raise DataError(
                f"task=win_rate: none of {len(chosen):,} prompts leaves room for {longest} new tokens in the contexts of "
                "models and judge, or is one that the judge takes; lower task.max_new_tokens, or give other prompts"
            )
        if len(kept) < len(chosen):
            _log.warning(
                "%s of %s prompts leave no room for an answer, or are none that the judge takes, and are left out",
                f"{len(chosen) - len(kept):,}",
                f"{len(chosen):,}",
            )
        return kept

    def _answers(self, subject: Subject, prompts: Sequence[Prompt], longest: int, seed: int) -> list[str]:
        tokenizer, template = subject.tokenizer, _template(subject)
        asked = [prompt_ids(tokenizer, prompt.turns, template) for prompt in prompts]
        drawn = generate_responses(
            subject.model,
            tokenizer,
            asked,
            items=range(len(asked)),
            max_new_tokens=longest,
            temperature=self.settings.temperature,
            seed=seed,
        )
        return [response_text(tokenizer, ids, response) for ids, response in zip(asked, drawn, strict=True)]


def wins(scores: Tensor, others: Tensor) -> Tensor:
    """Two (N,) -> (N,) float64: 1 where the first is higher, 0 where the second is, one half where they are equal."""
    return (torch.sign(scores.double() - others.double()) + 1) / 2


def _objective(subject: Subject) -> dict[str, Any]:
    return dict(subject.settings.get("objective") or {})


def _template(subject: Subject) -> str:
    return str(_objective(subject).get("template", "plain"))


def _fits(subject: Subject, prompt: Prompt, longest: int) -> bool:
    """With end-of-text behind the longest answer, as a reward model reads it."""
    return len(prompt_ids(subject.tokenizer, prompt.turns, _template(subject))) + longest < subject.model.context
