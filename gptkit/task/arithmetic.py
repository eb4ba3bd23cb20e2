"""GPT-3's arithmetic problems, generated from a seed.

Source: "Language Models are Few-Shot Learners", section 3.9.1: the operands are uniform, each kind has 2,000 problems.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from gptkit.task.exact_answer import Problem

Generate = Callable[[random.Random], tuple[str, int]]
"""Returns the text of a random problem, and its result."""


def arithmetic_problems(kinds: Sequence[str], count: int, *, seed: int, parentheses: str = "last") -> list[Problem]:
    """Return `count` problems of every kind. Those of one kind do not depend on the other kinds.

    Args:
        kinds: names in `KINDS`.
        count: number of problems of each kind. More are continuations of fewer.
        seed: seed of the operands.
        parentheses: of three digits, the parentheses enclose the "first" or the "last" two.
    """
    problems = []
    for kind in kinds:
        numbers = random.Random(f"{seed} {kind}")
        generate = _composite(parentheses) if kind == "1DC" else KINDS[kind]
        for _ in range(count):
            text, result = generate(numbers)
            problems.append(Problem(f"Q: What is {text}?\n\nA:", str(result), kind))
    return problems


def _number(numbers: random.Random, limit: int) -> int:
    """Return a number below the limit. `random.random` gives the same numbers in all versions of Python."""
    return int(numbers.random() * limit)


def _binary(digits: int, word: str, calculate: Callable[[int, int], int]) -> Generate:
    def generate(numbers: random.Random) -> tuple[str, int]:
        one, other = _number(numbers, 10**digits), _number(numbers, 10**digits)
        return f"{one} {word} {other}", calculate(one, other)

    return generate


OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "+": lambda one, other: one + other,
    "-": lambda one, other: one - other,
    "*": lambda one, other: one * other,
}


def _composite(parentheses: str) -> Generate:
    def generate(numbers: random.Random) -> tuple[str, int]:
        one, two, three = (_number(numbers, 10) for _ in range(3))
        first, second = (list(OPERATIONS)[_number(numbers, 3)] for _ in range(2))
        if parentheses == "first":
            return f"({one}{first}{two}){second}{three}", OPERATIONS[second](OPERATIONS[first](one, two), three)
        return f"{one}{first}({two}{second}{three})", OPERATIONS[first](one, OPERATIONS[second](two, three))

    return generate


KINDS: dict[str, Generate] = {
    **{f"{digits}D+": _binary(digits, "plus", OPERATIONS["+"]) for digits in (2, 3, 4, 5)},
    **{f"{digits}D-": _binary(digits, "minus", OPERATIONS["-"]) for digits in (2, 3, 4, 5)},
    "2Dx": _binary(2, "times", OPERATIONS["*"]),
    "1DC": _composite("last"),
}
"""For each kind, the generator of its problems: digits, then +, -, x; or a composite of one-digit numbers."""
