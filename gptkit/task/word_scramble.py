"""GPT-3's word scrambling and manipulation, generated from a seed and a list of words.

Source: "Language Models are Few-Shot Learners", section 3.9.2: the words are the most frequent ones with more than 4 and fewer than
15 letters.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from gptkit.task.exact_answer import Problem

INSERTED = " .,!?;:-/"
"""The characters that random insertion puts between letters."""

WORD = re.compile(r"[a-z]+")
ATTEMPTS = 100


def frequent_words(texts: Iterable[str], count: int, *, shortest: int = 5, longest: int = 14) -> list[str]:
    """Return the most frequent words of these lengths in lower case, most frequent first, equally frequent ones by the alphabet."""
    frequencies = Counter(word for text in texts for word in WORD.findall(text.lower()) if shortest <= len(word) <= longest)
    return [word for word, _ in sorted(frequencies.items(), key=lambda pair: (-pair[1], pair[0]))[:count]]


def scrambled_words(words: Sequence[str], kinds: Sequence[str], *, seed: int) -> list[Problem]:
    """Return one problem for every kind and word. Words that a kind cannot change, such as palindromes, are left out.

    A problem depends on the seed, the kind and the word alone.
    """
    problems = []
    for kind in kinds:
        for word in words:
            scrambled = KINDS[kind](word, random.Random(f"{seed} {kind} {word}"))
            if scrambled != word:
                problems.append(Problem(f"{scrambled} =", word, kind))
    return problems


def cycle_letters(word: str, numbers: random.Random) -> str:
    """Move the first letters to the end: inevitably becomes lyinevitab."""
    cut = 1 + int(numbers.random() * (len(word) - 1))
    return word[cut:] + word[:cut]


def anagram(kept: int) -> Callable[[str, random.Random], str]:
    """Shuffle all letters except the first and last `kept` ones: 1: criroptuon for corruption; 2: opoepnnt for opponent."""

    def shuffle(word: str, numbers: random.Random) -> str:
        inner = list(word[kept : len(word) - kept])
        if len(set(inner)) < 2:
            return word
        shuffled = inner
        for _ in range(ATTEMPTS):
            shuffled = sorted(inner, key=lambda _: numbers.random())
            if shuffled != inner:
                break
        return word[:kept] + "".join(shuffled) + word[len(word) - kept :]

    return shuffle


def random_insertion(word: str, numbers: random.Random) -> str:
    """Insert a punctuation mark or a space between all letters: succession becomes s.u!c/c!e.s s i/o/n."""
    marks = [INSERTED[int(numbers.random() * len(INSERTED))] for _ in word[1:]]
    return word[0] + "".join(mark + letter for mark, letter in zip(marks, word[1:], strict=True))


def reversed_word(word: str, numbers: random.Random) -> str:
    """Reverse the word: objects becomes stcejbo."""
    return word[::-1]


KINDS: dict[str, Callable[[str, random.Random], str]] = {
    "CL": cycle_letters,
    "A1": anagram(1),
    "A2": anagram(2),
    "RI": random_insertion,
    "RW": reversed_word,
}
"""For each kind, the function that scrambles a word."""
