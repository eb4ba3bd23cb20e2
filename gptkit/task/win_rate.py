"""The win rate: two models answer the same held-out prompts, and a judge compares the answers.

A judge that scores single texts scores each answer once. A `PairwiseReward` compares every pair in both orders, and its preferences
are averaged, so that favouring the first answer has no effect.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gptkit.chat_template.choice import chat_template_of
from gptkit.chat_template.plain import PlainTemplate
from gptkit.data.splits import evenly_spaced
from gptkit.errors import ConfigError, DataError
from gptkit.generation.responses import generate_responses, response_limit, response_text
from gptkit.objective.classify.metrics import bootstrap_interval
from gptkit.records import Prompt
from gptkit.reward.base import PairwiseReward, compute_preferences, compute_scores
from gptkit.task.held_out import held_out_prompts

if TYPE_CHECKING:
    from gptkit.chat_template.base import ChatTemplate
    from gptkit.data.base import Data
    from gptkit.reward.base import Reward
    from gptkit.task import WinRateConfig
    from gptkit.task.comparison import Evaluate, Subject

MAX_NEW_TOKENS = 64
"""The maximum length of an answer if neither the task nor the run sets one."""

_log = logging.getLogger("gptkit")


class WinRate:
    """Reads prompts when it is called, since they are by default from the subject's run."""

    def __init__(self, settings: WinRateConfig, data: Data | None, *, build_data: Callable[[Mapping[str, Any]], Data]) -> None:
        """
        Args:
            settings: the config of the task.
            data: the source of the prompts; None: the source of the subject's run.
            build_data: builds that source from its settings.
        """
        self.settings = settings
        self._data, self._build_data = data, build_data

    def __call__(
        self, subject: Subject, *, against: Subject, judge: Reward | None = None, evaluate: Evaluate, seed: int
    ) -> dict[str, float]:
        """Return `win_rate` with its 95% bootstrap interval over prompts, mean scores, and the number of prompts.

        `deviation_against` is the standard deviation over prompts of the scores of the second model.

        Raises:
            ConfigError: there is no source of prompts.
            DataError: the source has no held-out prompts, or all of them are too long.
            GptkitError: a score is not finite.
        """
        assert judge is not None
        max_new_tokens = self._max_new_tokens(subject, against)
        prompts = self._prompts(subject, against, judge, max_new_tokens)
        answers, others = (self._answers(each, prompts, max_new_tokens, seed) for each in (subject, against))
        scores, other_scores = compute_scores(judge, prompts, answers), compute_scores(judge, prompts, others)
        if isinstance(judge, PairwiseReward):
            preferences = (
                compute_preferences(judge, prompts, answers, others) + 1 - compute_preferences(judge, prompts, others, answers)
            ) / 2
        else:
            preferences = wins(scores, other_scores)
        preferences = preferences.double()
        low, high = bootstrap_interval(lambda resamples, _: resamples.mean(0), preferences, preferences)
        return {
            "win_rate": float(preferences.mean()),
            "win_rate_low": low,
            "win_rate_high": high,
            "score": float(scores.double().mean()),
            "score_against": float(other_scores.double().mean()),
            "deviation_against": float(other_scores.double().std(correction=0)),
            "prompts": float(len(prompts)),
        }

    def _max_new_tokens(self, subject: Subject, against: Subject) -> int:
        """Return the maximum length of an answer: the task's setting, or the one with which the subject was trained."""
        if self.settings.max_new_tokens:
            return self.settings.max_new_tokens
        context = min(each.model.context for each in (subject, against))
        return response_limit(int(_objective(subject).get("max_new_tokens") or MAX_NEW_TOKENS), context)

    def _prompts(self, subject: Subject, against: Subject, judge: Reward, max_new_tokens: int) -> list[Prompt]:
        """Return the prompts that leave room for an answer in both contexts and that the judge accepts."""
        run_data = subject.settings.get("data")
        if self._data is None and not run_data:
            raise ConfigError(f"{subject.source} is not from a run, so there is no default source of prompts; set data=")
        data = self._data or self._build_data(run_data or {})
        fraction = None if self._data else float(subject.settings.get("val", {}).get("fraction", 0.05))
        held_out = held_out_prompts(data, fraction=fraction, reader="task=win_rate")
        chosen = [held_out[index] for index in evenly_spaced(len(held_out), self.settings.prompts)]
        both = (subject, against)
        kept = [prompt for prompt in chosen if judge.accepts(prompt) and all(_fits(each, prompt, max_new_tokens) for each in both)]
        if not kept:
            raise DataError(
                f"task=win_rate: none of {len(chosen):,} prompts leaves room for {max_new_tokens} new tokens in the contexts "
                "of the models and the judge, or is accepted by the judge; lower task.max_new_tokens, or use other prompts"
            )
        if len(kept) < len(chosen):
            _log.warning(
                "%s of %s prompts leave no room for an answer or are not accepted by the judge, and are left out",
                f"{len(chosen) - len(kept):,}",
                f"{len(chosen):,}",
            )
        return kept

    def _answers(self, subject: Subject, prompts: Sequence[Prompt], max_new_tokens: int, seed: int) -> list[str]:
        tokenizer, template = subject.tokenizer, _template(subject)
        encoded = [template.prompt_ids(prompt.turns) for prompt in prompts]
        responses = generate_responses(
            subject.model,
            tokenizer,
            encoded,
            items=range(len(encoded)),
            max_new_tokens=max_new_tokens,
            temperature=self.settings.temperature,
            seed=seed,
            end=template.end,
        )
        return [response_text(tokenizer, ids, response, end=template.end) for ids, response in zip(encoded, responses, strict=True)]


def wins(scores: Tensor, others: Tensor) -> Tensor:
    """Compare scores: 1 if the first is higher, 0 if the second is, 0.5 if they are equal; (N,), (N,) -> (N,) float64."""
    return (torch.sign(scores.double() - others.double()) + 1) / 2


def _objective(subject: Subject) -> dict[str, Any]:
    return dict(subject.settings.get("objective") or {})


def _template(subject: Subject) -> ChatTemplate:
    return chat_template_of(subject.settings, subject.tokenizer) or PlainTemplate(subject.tokenizer)


def _fits(subject: Subject, prompt: Prompt, max_new_tokens: int) -> bool:
    """Return whether prompt, answer and end-of-text fit into the context of the subject."""
    return len(_template(subject).prompt_ids(prompt.turns)) + max_new_tokens < subject.model.context
