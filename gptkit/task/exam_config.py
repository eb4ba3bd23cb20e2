"""The config of exams: multiple choice that shows all options and asks for a letter."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from gptkit.constraints import CONTEXT, SCORE, at_least, at_most, not_empty, one_of
from gptkit.errors import ConfigError
from gptkit.task.config import Boundary, ExampleTaskConfig, Prefix
from gptkit.task.free_form_config import Extract, check_pattern

if TYPE_CHECKING:
    from gptkit.data import DataConfig
    from gptkit.task.base import Task


@dataclass
class LetterChoiceConfig(ExampleTaskConfig):
    """Choose the letter of the right option, with all options shown (MMLU and exams).

    Sources: "Measuring Massive Multitask Language Understanding" (2020): the letter with the highest probability after the first
    five questions of the same subject with their answers (`fewshot.k=5 fewshot.sampler=first`). "GPT-4 Technical Report", appendix
    A: an explanation is sampled at temperature 0.3 with at most 512 tokens, then the letter (`scoring=explanation`). Uses the test
    split, else the validation split, else all examples.
    """

    source: ClassVar[str] = "mmlu"

    name: str = "letter_choice"
    data: Annotated[dict[str, Any], "the settings of a source of texts with options, with its `name`; replaced by data="] = field(
        default_factory=dict
    )
    preamble: Annotated[
        str, "the text before the first question; {group} stands for the subject. Without subjects, such a text is left out"
    ] = "The following are multiple choice questions (with answers) about {group}.\n\n"
    option: Annotated[str, "the line of an option", not_empty] = "{letter}. {option}"
    scoring: Annotated[
        str,
        "letter (the one with the highest log-probability), generate (the first letter in a generated text), or explanation (a "
        "text that explains the answer, then the letter)",
        one_of("letter", "generate", "explanation"),
    ] = "letter"
    extract: Extract = None
    temperature: Annotated[
        float | None, "sampling temperature; 0: greedy; null: 0.3 for an explanation, otherwise 0", at_least(0), at_most(SCORE)
    ] = None
    max_new_tokens: Annotated[
        int | None, "maximum length of a generated text; null: 512 for an explanation, otherwise 8", at_least(1), at_most(CONTEXT)
    ] = None
    boundary: Boundary = "joint"
    prefix: Prefix = "empty"

    def __post_init__(self) -> None:
        check_pattern(self.extract)
        if self.option.count("{letter}") != 1 or self.option.count("{option}") != 1:
            raise ConfigError("task.option must contain {letter} and {option} once each")

    def build(self, *, data: DataConfig | None = None) -> Task:
        from gptkit.task.exam import GeneratedLetter, LetterChoice

        return (LetterChoice if self.scoring == "letter" else GeneratedLetter)(self, self.build_data(data))
