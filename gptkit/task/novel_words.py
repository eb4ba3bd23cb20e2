"""GPT-3's novel words: a word that does not exist is defined, and the model uses it in a sentence.

Source: "Language Models are Few-Shot Learners", section 3.9.5, which shows samples and reports no number. Here, the score of a
sentence is whether it contains the word.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from gptkit.task.base import Item, Task
from gptkit.task.requests import Answer, Generation, GenerationAnswer

ONSETS = ("b", "bl", "d", "dr", "f", "fl", "g", "gl", "k", "l", "m", "n", "p", "pr", "s", "sk", "t", "tr", "v", "w", "y", "z")
VOWELS = ("a", "e", "i", "o", "u", "ee", "oo")
CODAS = ("b", "d", "g", "k", "l", "m", "n", "nk", "p", "rt", "sp", "t", "x", "zz")

NOUNS = (
    ("a small wooden boat with two sails", "We crossed the lake in a {} before the storm came."),
    ("a round cake with nuts and honey", "My grandmother baked a {} for the whole village."),
    ("a tool for cutting thick rope", "He took a {} from the box and cut the rope."),
    ("a blue bird that sings at night", "A {} sat on the roof and sang until the morning."),
    ("a warm coat made of wool", "She wore a {} because it was snowing."),
    ("a musical instrument with three strings", "They danced while an old man played the {}."),
    ("a narrow street between two high walls", "The cat ran into a {} and disappeared."),
    ("a person who repairs clocks", "The {} said that the clock would never work again."),
    ("a game that is played with five stones", "The children played a {} on the steps of the school."),
    ("a plant with red leaves that grows on rocks", "I found a {} near the top of the mountain."),
)
"""Definitions of nouns, each with a sentence that uses the word."""


class NovelWords(Task):
    """Definitions of words that do not exist. The metric is the fraction of the generated sentences that contain the word."""

    boundary, prefix = "separate", "always"
    right_or_wrong = "uses_word"

    def __init__(self, count: int, *, seed: int, max_new_tokens: int, temperature: float = 0.0) -> None:
        """
        Args:
            count: number of words.
            seed: seed of the words and their definitions.
            max_new_tokens: maximum length of a sentence.
            temperature: temperature of sampling; 0: greedy.
        """
        numbers = random.Random(f"{seed} novel words")
        self._sentences: dict[str, str] = {}
        self._items: list[Item] = []
        while len(self._items) < count:
            word = _syllable(numbers) + _syllable(numbers)
            definition, sentence = NOUNS[int(numbers.random() * len(NOUNS))]
            if word in self._sentences:
                continue
            self._sentences[word] = sentence.format(word)
            prompt = f'A "{word}" is {definition}. An example of a sentence that uses the word {word} is:\n'
            request = Generation(prompt, max_new_tokens, stop=("\n",), temperature=temperature)
            self._items.append(Item((request,), word, f"word {len(self._items) + 1}"))

    def items(self) -> Sequence[Item]:
        return self._items

    def solution(self, item: Item) -> str | None:
        (request,) = item.requests
        assert isinstance(request, Generation)
        return request.prompt + self._sentences[item.target]

    def score(self, item: Item, answers: Sequence[Answer]) -> dict[str, float]:
        (answer,) = answers
        assert isinstance(answer, GenerationAnswer)
        return {"uses_word": float(uses_word(answer.text, item.target))}

    def chance(self) -> dict[str, float]:
        return {"uses_word": 0.0}


def uses_word(sentence: str, word: str) -> bool:
    """Return whether a sentence of at least three words contains the word or its plural."""
    words = re.findall(r"[a-z]+", sentence.lower())
    return len(words) >= 3 and any(each in (word, f"{word}s", f"{word}es") for each in words)


def _syllable(numbers: random.Random) -> str:
    return "".join(part[int(numbers.random() * len(part))] for part in (ONSETS, VOWELS, CODAS))
