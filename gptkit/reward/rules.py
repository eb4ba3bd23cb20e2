"""Scores by simple rules: pure functions of a response, and the sum of those that have a weight."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from gptkit.errors import ConfigError, DataError
from gptkit.records import Prompt
from gptkit.reward import RulesRewardConfig
from gptkit.reward.base import Reward

_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")


class RulesReward(Reward):
    """One response at a time."""

    def __init__(self, settings: RulesRewardConfig) -> None:
        """Raises: ConfigError: no rule has a weight."""
        weights = ("length", "ended", "wanted", "forbidden", "repetition", "answer")
        if not any(getattr(settings, key) for key in weights):
            raise ConfigError(f"reward=rules has no rule; give one of {', '.join(f'reward.{key}' for key in weights)} a weight")
        self.settings = settings
        self.untaken = (f"have no text in their fact {settings.fact!r}, which reward.answer reads", "name another by reward.fact")
        self._wanted = [words_of(text) for text in settings.wanted_words]
        self._forbidden = [words_of(text) for text in settings.forbidden_words]
        for key, given, read in (
            ("wanted_words", settings.wanted_words, self._wanted),
            ("forbidden_words", settings.forbidden_words, self._forbidden),
        ):
            if not all(read):
                raise ConfigError(f"reward.{key} has {given[read.index([])]!r}, in which there is no word")

    def takes(self, prompt: Prompt) -> bool:
        """Whether it has the fact that `answer` reads."""
        return not self.settings.answer or bool(self._fact(prompt))

    def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
        """Raises: DataError: a prompt has not the fact that `answer` reads."""
        found = [self._score(prompt, response) for prompt, response in zip(prompts, responses, strict=True)]
        return torch.tensor(found, dtype=torch.float32)

    def _score(self, prompt: Prompt, response: str) -> float:
        rules, words, score = self.settings, words_of(response), 0.0
        if rules.length:
            score += rules.length * nearness(len(words), rules.words)
        if rules.ended:
            score += rules.ended * response.rstrip().endswith(tuple(rules.endings))
        if rules.wanted:
            score += rules.wanted * sum(occurrences(words, each) > 0 for each in self._wanted) / len(self._wanted)
        if rules.forbidden:
            score -= rules.forbidden * sum(occurrences(words, each) for each in self._forbidden)
        if rules.repetition:
            score -= rules.repetition * repeated(words, rules.run)
        if rules.answer:
            score += rules.answer * (occurrences(words, self._answer(prompt)) > 0)
        return score

    def _answer(self, prompt: Prompt) -> list[str]:
        if words := self._fact(prompt):
            return words
        known = f"its facts are {', '.join(prompt.facts)}" if prompt.facts else "it has no facts"
        shown = prompt.turns[-1].text if prompt.turns else ""
        raise DataError(f"reward.fact={self.settings.fact}: the prompt {shown[:40]!r} has no such text; {known}")

    def _fact(self, prompt: Prompt) -> list[str]:
        return words_of(prompt.facts.get(self.settings.fact, ""))


def words_of(text: str) -> list[str]:
    """Runs of letters and digits, apostrophes inside them included, in lower case."""
    return [word.lower().replace("\u2019", "'") for word in _WORD.findall(text)]


def nearness(count: int, target: int) -> float:
    """1 for the target, falling evenly to 0 at none and at twice the target."""
    return max(0.0, 1 - abs(count - target) / target)


def occurrences(words: Sequence[str], run: Sequence[str]) -> int:
    """How often a run of words, one at least, stands in a text; overlapping ones each count."""
    return sum(list(words[place : place + len(run)]) == list(run) for place in range(len(words) - len(run) + 1))


def repeated(words: Sequence[str], size: int) -> float:
    """The share of the runs of `size` words that occurred before; 0 where there is none."""
    runs = [tuple(words[place : place + size]) for place in range(len(words) - size + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0
