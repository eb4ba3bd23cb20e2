"""The reward `rules`: a weighted sum of simple rules, each a pure function of a response."""

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
    """Sums the weighted rules for each response."""

    def __init__(self, settings: RulesRewardConfig) -> None:
        """Raises: ConfigError: no rule has a weight."""
        weights = ("length", "ended", "wanted", "forbidden", "repetition", "answer")
        if not any(getattr(settings, key) for key in weights):
            raise ConfigError(f"reward=rules has no rule; set one of the weights {', '.join(f'reward.{key}' for key in weights)}")
        self.settings = settings
        self.rejection_message = (
            f"have no text in their fact {settings.fact!r}, which reward.answer reads",
            "choose another fact with reward.fact",
        )
        self._wanted = [split_words(text) for text in settings.wanted_words]
        self._forbidden = [split_words(text) for text in settings.forbidden_words]
        for key, phrases, words in (
            ("wanted_words", settings.wanted_words, self._wanted),
            ("forbidden_words", settings.forbidden_words, self._forbidden),
        ):
            if not all(words):
                raise ConfigError(f"reward.{key} contains {phrases[words.index([])]!r}, which has no words; remove it")

    def accepts(self, prompt: Prompt) -> bool:
        """Return whether the prompt has the fact that `answer` reads."""
        return not self.settings.answer or bool(self._fact(prompt))

    def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
        """Raises: DataError: a prompt lacks the fact that `answer` reads."""
        scores = [self._score(prompt, response) for prompt, response in zip(prompts, responses, strict=True)]
        return torch.tensor(scores, dtype=torch.float32)

    def _score(self, prompt: Prompt, response: str) -> float:
        rules, words, score = self.settings, split_words(response), 0.0
        if rules.length:
            score += rules.length * length_score(len(words), rules.words)
        if rules.ended:
            score += rules.ended * response.rstrip().endswith(tuple(rules.endings))
        if rules.wanted:
            score += rules.wanted * sum(count_occurrences(words, each) > 0 for each in self._wanted) / len(self._wanted)
        if rules.forbidden:
            score -= rules.forbidden * sum(count_occurrences(words, each) for each in self._forbidden)
        if rules.repetition:
            score -= rules.repetition * repetition_rate(words, rules.run)
        if rules.answer:
            score += rules.answer * (count_occurrences(words, self._answer(prompt)) > 0)
        return score

    def _answer(self, prompt: Prompt) -> list[str]:
        if words := self._fact(prompt):
            return words
        facts = f"its facts are {', '.join(prompt.facts)}" if prompt.facts else "it has no facts"
        shown = prompt.turns[-1].text if prompt.turns else ""
        raise DataError(f"reward.fact={self.settings.fact}: the prompt {shown[:40]!r} does not have this fact; {facts}")

    def _fact(self, prompt: Prompt) -> list[str]:
        return split_words(prompt.facts.get(self.settings.fact, ""))


def split_words(text: str) -> list[str]:
    """Split text into lower-case words: runs of letters and digits, with apostrophes inside."""
    return [word.lower().replace("\u2019", "'") for word in _WORD.findall(text)]


def length_score(count: int, target: int) -> float:
    """Return 1 at the target, falling linearly to 0 at zero words and at twice the target."""
    return max(0.0, 1 - abs(count - target) / target)


def count_occurrences(words: Sequence[str], phrase: Sequence[str]) -> int:
    """Count the occurrences of a phrase of at least one word; overlapping occurrences all count."""
    return sum(list(words[start : start + len(phrase)]) == list(phrase) for start in range(len(words) - len(phrase) + 1))


def repetition_rate(words: Sequence[str], size: int) -> float:
    """Return the share of the `size`-word phrases that occurred before; 0 if there are none."""
    phrases = [tuple(words[start : start + size]) for start in range(len(words) - size + 1)]
    return 1 - len(set(phrases)) / len(phrases) if phrases else 0.0
