"""Arithmetic, scrambled words and novel words: the problems that are generated, their prompts, and answerers of known score."""

from __future__ import annotations

import ast
import collections
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gptkit.data import TextConfig
from gptkit.errors import ConfigError, DataError
from gptkit.evaluation.few_shot.task import FewShotTask
from gptkit.task import ArithmeticConfig, NovelWordsConfig, WordScrambleConfig
from gptkit.task.base import Item, Task
from gptkit.task.generated_config import ARITHMETIC, SCRAMBLES
from gptkit.task.novel_words import uses_word
from gptkit.task.requests import Generation, GenerationAnswer
from gptkit.task.word_scramble import KINDS, frequent_words

WORDS = ["corruption", "opponent", "succession", "objects", "inevitably", "level", "banana"]


def prompt_of(item: Item) -> str:
    (request,) = item.requests
    assert isinstance(request, Generation)
    return request.prompt


def metrics_of_texts(task: Task, answer: Callable[[Item], str]) -> dict[str, float]:
    """The metrics if the model generates the text `answer(item)`."""
    rows = [task.score(item, [GenerationAnswer(answer(item))]) for item in task.items()]
    return task.aggregate({name: np.array([row[name] for row in rows]) for name in rows[0]})


@pytest.fixture
def scramble(tmp_path: Path) -> Callable[..., Task]:
    """`scramble(key=value)`: the task on `WORDS`."""
    path = tmp_path / "words.txt"
    path.write_text(" ".join(WORDS))
    return lambda **settings: WordScrambleConfig(data={"name": "text", "path": str(path)}, **settings).build()


def test_arithmetic_has_2000_problems_of_ten_kinds_in_the_format_of_the_paper() -> None:
    items = ArithmeticConfig().build().items()
    assert collections.Counter(item.group for item in items) == dict.fromkeys(ARITHMETIC, 2000)
    assert prompt_of(items[0]) == "Q: What is 22 plus 55?\n\nA:"
    assert items[0].target == "77"
    (request,) = items[0].requests
    assert isinstance(request, Generation)
    assert (request.stop, request.temperature) == (("\n",), 0.0)


@pytest.mark.parametrize("parentheses", ["first", "last"])
def test_every_result_is_right_and_every_operand_has_at_most_its_digits(parentheses: str) -> None:
    for item in ArithmeticConfig(examples=200, parentheses=parentheses).build().items():
        question = prompt_of(item).removeprefix("Q: What is ").removesuffix("?\n\nA:")
        expression = question.replace("plus", "+").replace("minus", "-").replace("times", "*")
        assert str(calculate(ast.parse(expression, mode="eval").body)) == item.target
        digits = (
            max(len(word) for word in expression.replace("(", " ").replace(")", " ").split() if word.isdigit())
            if " " in question
            else 1
        )
        assert digits <= int(item.group[0])
        if item.group == "1DC":
            assert question.startswith("(") == (parentheses == "first")


def calculate(node: ast.expr) -> int:
    if isinstance(node, ast.Constant):
        assert isinstance(node.value, int)
        return node.value
    assert isinstance(node, ast.BinOp)
    one, other = calculate(node.left), calculate(node.right)
    return {ast.Add: one + other, ast.Sub: one - other, ast.Mult: one * other}[type(node.op)]


def test_operands_cover_their_range_uniformly() -> None:
    operands = [int(prompt_of(item).split()[3]) for item in ArithmeticConfig(kinds=["3D+"], examples=4000).build().items()]
    assert min(operands) < 10 and max(operands) > 989
    assert np.mean(operands) == pytest.approx(499.5, abs=4 * 288.7 / 4000**0.5)


def test_problems_of_a_kind_depend_on_the_seed_alone() -> None:
    def prompts(**settings: Any) -> list[str]:
        return [prompt_of(item) for item in ArithmeticConfig(**settings).build().items()]

    assert prompts(kinds=["2D-"], examples=5) == prompts(kinds=["3D+", "2D-"], examples=7)[7:12]
    assert prompts(kinds=["2D-"], examples=5) != prompts(kinds=["2D-"], examples=5, seed=1)


def test_answers_are_exact_and_kinds_are_averaged() -> None:
    task = ArithmeticConfig(kinds=["2D+", "2Dx"], examples=10).build()
    assert metrics_of_texts(task, lambda item: f" {item.target}") == {"accuracy": 1.0, "2D+": 1.0, "2Dx": 1.0}
    right = metrics_of_texts(task, lambda item: item.target if item.group == "2D+" else f"{item.target}0")
    assert right == {"accuracy": 0.5, "2D+": 1.0, "2Dx": 0.0}
    assert metrics_of_texts(ArithmeticConfig(kinds=["2D+"], examples=3).build(), lambda item: "no") == {"accuracy": 0.0}


def test_examples_in_context_are_of_the_same_kind() -> None:
    task = ArithmeticConfig(kinds=["2D+", "2D-"], examples=30).build()
    for item in FewShotTask(task, task.pool(), k=3).items():
        *examples, question, answer = prompt_of(item).split("\n\n")
        word = "plus" if item.group == "2D+" else "minus"
        assert prompt_of(item).count(word) == prompt_of(item).count("Q:") == 4
        assert answer == "A:" and question not in examples
        assert all(example.startswith("A: ") for example in examples[1::2])


def test_words_are_scrambled_as_in_the_paper(scramble: Callable[..., Task]) -> None:
    for item in scramble().items():
        word = item.target
        scrambled = prompt_of(item).splitlines()[1].removesuffix(" =")
        assert scrambled != word
        if item.group == "RI":
            assert scrambled[::2] == word and not any(mark.isalnum() for mark in scrambled[1::2])
            continue
        assert sorted(scrambled) == sorted(word)
        kept = {"A1": 1, "A2": 2}.get(item.group, 0)
        assert scrambled[:kept] == word[:kept] and scrambled[len(word) - kept :] == word[len(word) - kept :]
        if item.group == "RW":
            assert scrambled == word[::-1]
        if item.group == "CL":
            assert scrambled in word + word


def test_words_that_a_kind_cannot_change_are_left_out(scramble: Callable[..., Task]) -> None:
    reversed_words = {item.target for item in scramble(kinds=["RW"]).items()}
    assert reversed_words == set(WORDS) - {"level"}
    assert "level" not in {item.target for item in scramble(kinds=["A2"]).items()}  # one letter in the middle


def test_scrambling_gives_every_anagram() -> None:
    assert {KINDS["A1"]("abcde", random.Random(seed)) for seed in range(200)} == {
        f"a{inner}e" for inner in ("bdc", "cbd", "cdb", "dbc", "dcb")
    }
    assert {KINDS["CL"]("abcde", random.Random(seed)) for seed in range(200)} == {"bcdea", "cdeab", "deabc", "eabcd"}


def test_frequent_words_have_5_to_14_letters_and_a_fixed_order() -> None:
    texts = ["Horse horse cart zebra apple apple apple", "abcdefghijklmno abcdefghijklmn"]
    assert frequent_words(texts, 10) == ["apple", "horse", "abcdefghijklmn", "zebra"]
    assert frequent_words(texts, 2) == ["apple", "horse"]


def test_instruction_stands_once_before_the_examples(scramble: Callable[..., Task]) -> None:
    task = scramble(kinds=["RW"])
    item = FewShotTask(task, task.pool(), k=2).items()[0]
    instruction, one, other, question = prompt_of(item).split("\n")
    assert instruction == "Please unscramble the letters into a word, and write that word:"
    for line in (one, other):
        scrambled, word = line.split(" = ")
        assert scrambled == word[::-1]
    assert question == f"{item.target[::-1]} ="


def test_scrambled_words_are_scored_by_kind(scramble: Callable[..., Task]) -> None:
    task = scramble()
    assert metrics_of_texts(task, lambda item: item.target) == {"accuracy": 1.0} | dict.fromkeys(SCRAMBLES, 1.0)
    assert metrics_of_texts(task, lambda item: "banana")["RW"] == pytest.approx(1 / 6)


def test_text_without_words_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one two six ten")
    with pytest.raises(DataError, match="no words of 5 to 14 letters"):
        WordScrambleConfig(data={"name": "text", "path": str(tmp_path / "a.txt")}).build()


@pytest.mark.parametrize("config", [ArithmeticConfig(), NovelWordsConfig()])
def test_generated_tasks_read_no_data(config: Any) -> None:
    with pytest.raises(ConfigError, match="generates its problems and reads no data; remove data"):
        config.build(data=TextConfig(path=["a.txt"]))


def test_novel_words_are_distinct_and_defined() -> None:
    task = NovelWordsConfig(examples=100).build()
    items = task.items()
    assert len({item.target for item in items}) == 100
    for item in items:
        assert prompt_of(item).startswith(f'A "{item.target}" is a ')
        assert prompt_of(item).endswith(f"An example of a sentence that uses the word {item.target} is:\n")
        solution = task.solution(item)
        assert solution is not None
        assert uses_word(solution.splitlines()[1], item.target)
    assert metrics_of_texts(task, lambda item: f"I saw two {item.target}s.") == {"uses_word": 1.0}
    assert metrics_of_texts(task, lambda item: f"{item.target} {item.target[:-1]}") == {"uses_word": 0.0}
