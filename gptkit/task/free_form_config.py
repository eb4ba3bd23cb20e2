"""The config of free-form answers."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar

from gptkit.constraints import CONTEXT, SCORE, at_least, at_most, not_empty, one_of
from gptkit.errors import ConfigError
from gptkit.task.config import ExampleTaskConfig, Temperature

if TYPE_CHECKING:
    from gptkit.data import DataConfig
    from gptkit.task.base import Task

Metrics = Annotated[
    list[str],
    "the metrics, the main one first: f1 and exact_match (as in SQuAD), accuracy (equal to the letter), bleu",
    one_of("f1", "exact_match", "accuracy", "bleu"),
    not_empty,
]
Stop = Annotated[list[str], "an answer ends before any of these texts", not_empty]
Extract = Annotated[
    str | None, "a regular expression; its first group, or all of it, in the generated text is the answer; null: the whole text"
]
BleuTokenizer = Annotated[str, "how sacrebleu divides texts into words", one_of("13a", "intl", "char", "none")]
"""The types of keys that several tasks have."""


def check_pattern(pattern: str | None) -> None:
    """Raises: ConfigError: `task.extract` is not a regular expression."""
    if pattern is not None:
        try:
            re.compile(pattern)
        except (re.error, RecursionError, OverflowError) as error:
            raise ConfigError(f"task.extract is not a regular expression: {error}") from None


def check_temperature(temperature: float, beams: int) -> None:
    """Raises: ConfigError: texts would be sampled and searched for at once."""
    if temperature > 0 and beams > 1:
        raise ConfigError(f"task.temperature={temperature:g} samples texts, but beam search does not; set task.beams=1")


@dataclass
class FreeFormConfig(ExampleTaskConfig):
    """Generate an answer, and compare it with the right answers: questions and translation, by exact match, F1 and BLEU.

    Source: "Language Models are Few-Shot Learners", section 2.4: four beams and a length penalty of 0.6. The answer
    ends at a newline. Exact match and F1 are those of SQuAD, BLEU is that of sacrebleu. For translation, GPT-2's paper (section
    3.7) keeps the first sentence of what is generated (`sentences=1`).
    """

    source: ClassVar[str] = "answers"
    generates: ClassVar[bool] = True

    name: str = "free_form"
    prompt: Annotated[str, "the prompt; {query} stands for the query of the example", not_empty] = "Q: {query}\n\nA:"
    metrics: Metrics = field(default_factory=lambda: ["f1", "exact_match"])
    beams: Annotated[int, "number of beams; 1: greedy", at_least(1), at_most(1024)] = 4
    temperature: Temperature = 0.0
    length_penalty: Annotated[float, "exponent of the length penalty of beam search; 0: none", at_least(0), at_most(SCORE)] = 0.6
    max_new_tokens: Annotated[int, "maximum length of an answer in tokens", at_least(1), at_most(CONTEXT)] = 64
    stop: Stop = field(default_factory=lambda: ["\n"])
    extract: Extract = None
    sentences: Annotated[int, "keep so many sentences of the answer; 0: all", at_least(0)] = 0
    bleu_tokenizer: BleuTokenizer = "13a"

    def __post_init__(self) -> None:
        check_pattern(self.extract)
        check_temperature(self.temperature, self.beams)
        if self.prompt.count("{query}") != 1:
            raise ConfigError("task.prompt must contain {query} once, where the query of an example stands")

    def build(self, *, data: DataConfig | None = None) -> Task:
        from gptkit.task.free_form import FreeForm

        return FreeForm(self, self.build_data(data))
