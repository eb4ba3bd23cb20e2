"""The config of tasks that are described by templates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from gptkit.constraints import CONTEXT, SCORE, at_least, at_most, not_empty, one_of
from gptkit.errors import ConfigError
from gptkit.task.config import Boundary, ExampleTaskConfig, Prefix, Temperature
from gptkit.task.free_form_config import BleuTokenizer, Extract, Metrics, Stop, check_pattern, check_temperature

if TYPE_CHECKING:
    from gptkit.data import DataConfig
    from gptkit.task.base import Task


@dataclass
class CustomConfig(ExampleTaskConfig):
    """A task of your own, described by templates over the columns of any file: multiple choice, a continuation, or generation.

    Templates and expressions have the language of Jinja2, in a sandbox: they compute texts and values, and cannot run code. Every
    column is a variable. `type` decides what is scored: `choice` compares the options as task=choice does, `loglikelihood` scores
    the answer as a continuation, and `generate` compares a generated text with the answer as task=free_form does.
    """

    source: ClassVar[str] = "rows"

    name: str = "custom"
    data: Annotated[dict[str, Any], "the settings of a source, with its `name`; replaced by data="] = field(default_factory=dict)
    type: Annotated[
        str, "choice (of options), loglikelihood (of the answer) or generate", one_of("choice", "loglikelihood", "generate")
    ] = "choice"
    prompt: Annotated[str, "a template of what precedes the answer, such as '{{ question }}'", not_empty] = "{{ text }}"
    options: Annotated[
        str | None, "type=choice: an expression of the list of options, such as choices or [right, wrong]", not_empty
    ] = None
    answer: Annotated[
        str,
        "an expression of the answer, such as label: the number of the right option, from 0, or its text; of the other types, a "
        "text, and of type=generate also a list of texts that are right",
        not_empty,
    ] = "answer"
    group: Annotated[
        str | None,
        "an expression of the group of a row, such as subject; groups get scores of their own; null: no groups",
        not_empty,
    ] = None
    delimiter: Annotated[str, "the text between the prompt and the answer; a space at its end belongs to the answer"] = " "
    separator: Annotated[str, "the text between two examples in context"] = "\n\n"
    normaliser: Annotated[
        str,
        "type=choice: divide the log-probability of an option by its tokens, characters, bytes or by none",
        one_of("tokens", "characters", "bytes", "none"),
    ] = "tokens"
    metrics: Metrics = field(default_factory=lambda: ["accuracy"])
    max_new_tokens: Annotated[int, "type=generate: maximum length of the text in tokens", at_least(1), at_most(CONTEXT)] = 64
    beams: Annotated[int, "type=generate: number of beams; 1: greedy", at_least(1), at_most(1024)] = 1
    temperature: Temperature = 0.0
    length_penalty: Annotated[float, "exponent of the length penalty of beam search; 0: none", at_least(0), at_most(SCORE)] = 0.6
    stop: Stop = field(default_factory=lambda: ["\n"])
    extract: Extract = None
    bleu_tokenizer: BleuTokenizer = "13a"
    boundary: Boundary = "joint"
    prefix: Prefix = "empty"

    def __post_init__(self) -> None:
        check_pattern(self.extract)
        check_temperature(self.temperature, self.beams)
        if self.type == "choice" and self.options is None:
            raise ConfigError("task.options must be an expression of the list of options, such as choices; or set task.type")
        if self.type != "choice" and self.options is not None:
            raise ConfigError(f"task.type={self.type} has no options; remove task.options, or set task.type=choice")

    def build(self, *, data: DataConfig | None = None) -> Task:
        from gptkit.task.custom import build_custom

        return build_custom(self, self.build_data(data))
