"""Whether a reply follows the system message: instructions about its form that a program can check, generated from a seed."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gptkit.task.base import Columns, Item, Task
from gptkit.task.requests import Answer, ChatGeneration, GenerationAnswer

QUESTIONS = (
    "What is the capital of {}?",
    "Tell me something about {}.",
    "Which language do people speak in {}?",
    "What do people in {} like to eat?",
    "Is {} a large country?",
)
COUNTRIES = ("France", "Italy", "Spain", "Peru", "Kenya", "Japan", "Cuba", "Egypt", "India", "Norway", "Chile", "Greece")
WORDS = ("certainly", "indeed", "perhaps", "friend", "today", "hello", "thanks", "well")


@dataclass(frozen=True)
class Instruction:
    """An instruction of a system message, and the check of a reply."""

    text: str
    is_followed: Callable[[str], bool]


def instruction(kind: str, word: str, number: int) -> Instruction:
    """Return the instruction of a kind, with a word and a number to ask for. White space around a reply does not matter."""
    instructions = {
        "capitals": Instruction("Answer in capital letters only.", lambda text: text.upper() == text and text.lower() != text),
        "lower_case": Instruction("Answer in lower-case letters only.", lambda text: text.lower() == text and text.upper() != text),
        "begin": Instruction(
            f'Begin every answer with the word "{word}".', lambda text: text.lower().lstrip("\"'*").startswith(word)
        ),
        "end": Instruction(f'End every answer with the word "{word}".', lambda text: text.lower().rstrip("\"'*.!?").endswith(word)),
        "words": Instruction(f"Answer with exactly {number} words.", lambda text: len(text.split()) == number),
        "lines": Instruction(
            f"Answer with exactly {number} lines.", lambda text: sum(bool(line.strip()) for line in text.splitlines()) == number
        ),
        "json": Instruction("Answer with a JSON object and nothing else.", _is_json_object),
        "without": Instruction("Never use the letter e.", lambda text: "e" not in text.lower() and any(map(str.isalpha, text))),
    }
    return instructions[kind]


class SystemMessage(Task):
    """Asks every question twice: after the system message, and without one, which shows how often a reply meets it by chance."""

    def __init__(self, kinds: Sequence[str], count: int, *, seed: int, max_new_tokens: int, temperature: float) -> None:
        """
        Args:
            kinds: the kinds of instructions.
            count: number of items of each kind. More are continuations of fewer.
            seed: seed of the items.
            max_new_tokens: maximum length of a reply.
            temperature: temperature of sampling; 0: greedy.
        """
        self.kinds = list(kinds)
        self._items = []
        for kind in self.kinds:
            draw = random.Random(f"{seed} {kind}")
            for number in range(count):
                question, country, word = (_choose(draw, options) for options in (QUESTIONS, COUNTRIES, WORDS))
                number_asked = 2 + int(draw.random() * 4)
                system = instruction(kind, word, number_asked).text
                message = question.format(country)
                requests = [ChatGeneration(message, max_new_tokens, temperature=temperature, system=text) for text in (system, "")]
                self._items.append(
                    Item(tuple(requests), {"kind": kind, "word": word, "number": number_asked}, f"{kind} {number + 1}", kind)
                )

    def items(self) -> Sequence[Item]:
        return self._items

    def score(self, item: Item, answers: Sequence[Answer]) -> dict[str, float]:
        followed = []
        for answer in answers:
            assert isinstance(answer, GenerationAnswer)
            followed.append(float(instruction(**item.target).is_followed(answer.text.strip())))
        return {"followed": followed[0], "followed_unasked": followed[1], "kind": float(self.kinds.index(item.group))}

    def aggregate(self, scores: Columns) -> dict[str, float]:
        """Return how often replies follow the system message, how often they do without it, and the former by kind."""
        kinds = {}
        for number, kind in enumerate(self.kinds):
            values = scores["followed"][scores["kind"] == number]
            kinds[kind] = float(values.mean()) if len(values) else math.nan  # a resample may lack a kind
        return {
            "followed": float(np.mean(scores["followed"])),
            "followed_unasked": float(np.mean(scores["followed_unasked"])),
            **(kinds if len(kinds) > 1 else {}),
        }


def _choose(draw: random.Random, options: Sequence[str]) -> str:
    return options[int(draw.random() * len(options))]  # `random.random` gives the same numbers in all versions of Python


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
