"""Tasks that are described by templates: every row becomes an example of one of the other tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gptkit.data.base import Data, LabelledData
from gptkit.errors import DataError
from gptkit.records import Example, Row
from gptkit.task import ChoiceConfig
from gptkit.task.base import Columns, Item, Task
from gptkit.task.choice import Choice
from gptkit.task.example_task import ExampleTask, log_likelihoods
from gptkit.task.free_form import QUERY, FreeForm
from gptkit.task.free_form_config import FreeFormConfig
from gptkit.task.lambada import exponential
from gptkit.task.requests import Answer, LogLikelihood
from gptkit.task.templates import RowExpression, RowTemplate

if TYPE_CHECKING:
    from gptkit.task.custom_config import CustomConfig


def build_custom(settings: CustomConfig, data: Data) -> Task:
    """Return the task of the type of the settings.

    Raises:
        ConfigError: a template or an expression is not valid.
        DataError: the rows cannot be read, or a template fails for a row.
    """
    examples = TemplateExamples(settings, data)
    shared: dict[str, Any] = {
        name: getattr(settings, name) for name in ("name", "examples", "boundary", "prefix", "reference", "delimiter")
    }
    task: Task
    if settings.type == "choice":
        task = Choice(ChoiceConfig(**shared, normaliser=settings.normaliser), examples)
    elif settings.type == "loglikelihood":
        task = Continuation(settings, examples)
    else:
        del shared["delimiter"]
        keys = ("metrics", "beams", "temperature", "length_penalty", "max_new_tokens", "stop", "extract", "bleu_tokenizer")
        task = FreeForm(FreeFormConfig(**shared, prompt=QUERY, **{key: getattr(settings, key) for key in keys}), examples)
        task.delimiter = settings.delimiter
    task.separator = settings.separator
    return task


class TemplateExamples(LabelledData):
    """The rows of a source as examples, by templates."""

    def __init__(self, settings: CustomConfig, data: Data) -> None:
        """Raises: ConfigError: a template or an expression is not valid."""
        self._data, self._type = data, settings.type
        self.splits, self.fingerprint = data.splits, data.fingerprint
        self._prompt = RowTemplate(settings.prompt, key="task.prompt")
        self._answer = RowExpression(settings.answer, key="task.answer")
        self._options = None if settings.options is None else RowExpression(settings.options, key="task.options")
        self._group = None if settings.group is None else RowExpression(settings.group, key="task.group")

    def records(self, split: str) -> Iterator[Example]:
        """Yield the examples of a split.

        Raises:
            DataError: a row cannot be read, or a template fails. The message names the file, the line and the key of the template.
        """
        for number, record in enumerate(self._data.records(split), 1):
            where = getattr(record, "where", "") or f"row {number} of the {split} split"
            yield self._example(_fields(record), where)

    def _example(self, row: Mapping[str, Any], where: str) -> Example:
        text = self._prompt.render(row, where=where)
        answer = self._answer.value(row, where=where)
        group = "" if self._group is None else str(self._group.value(row, where=where))
        if self._options is not None:
            options = _texts(self._options.value(row, where=where))
            if options is None or len(options) < 2:
                raise DataError(f"{where}: task.options must be a list of at least two texts, none of them empty")
            return Example(text, _option_number(answer, options, where), options=options, where=where, group=group)
        answers = _texts(answer if isinstance(answer, list | tuple) else [answer])
        if answers is None or (self._type == "loglikelihood" and len(answers) > 1):
            a_text = (
                "a text that is not empty" if self._type == "loglikelihood" else "a text or a list of texts, none of them empty"
            )
            raise DataError(f"{where}: task.answer must be {a_text}")
        return Example(text, answers[0], options=answers, where=where, group=group)


class Continuation(ExampleTask):
    """The answer as a continuation of the prompt. `log_prob` is its log-probability in nats."""

    def __init__(self, settings: CustomConfig, data: Data) -> None:
        self._delimiter = settings.delimiter
        super().__init__(settings, data)

    def item(self, example: Example) -> Item:
        before = self._delimiter.rstrip(" ")
        request = LogLikelihood(example.text + before, self._delimiter[len(before) :] + str(example.label))
        return Item((request,), example.label, example.where, example.group)

    def solution(self, item: Item) -> str | None:
        (request,) = item.requests
        return request.context + request.continuation if isinstance(request, LogLikelihood) else None

    def score(self, item: Item, answers: Sequence[Answer]) -> dict[str, float]:
        (answer,) = log_likelihoods(answers)
        return {"accuracy": float(answer.is_greedy), "log_prob": answer.total}

    def metrics(self, scores: Columns) -> dict[str, float]:
        return {"accuracy": float(scores["accuracy"].mean()), "perplexity": exponential(-float(scores["log_prob"].mean()))}

    def chance(self) -> dict[str, float]:
        return {"accuracy": 0.0}  # any text may follow


def _fields(record: Any) -> Mapping[str, Any]:
    """Return the variables of a template: the columns of a row, or the fields of an example or document of another source."""
    if isinstance(record, Row):
        return record.fields
    names = (name for name in type(record).__slots__ if name != "where")
    return {name: list(value) if isinstance(value := getattr(record, name), tuple) else value for name in names}


def _texts(values: Any) -> tuple[str, ...] | None:
    """Return the texts and numbers of a list as texts; None if it is not a list of those, or one of them is empty."""
    if not isinstance(values, list | tuple) or not all(isinstance(each, str | int | float) for each in values):
        return None
    texts = tuple(str(each) for each in values)
    return texts if texts and all(each.strip() for each in texts) else None


def _option_number(answer: Any, options: tuple[str, ...], where: str) -> int:
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(options):
        return answer
    if isinstance(answer, str) and options.count(answer) == 1:
        return options.index(answer)
    hint = "; convert a text to a number with the filter int" if isinstance(answer, str) and answer.isdigit() else ""
    raise DataError(
        f"{where}: task.answer is {str(answer)[:40]!r}; it must be the number of the right option, 0 to {len(options) - 1}, or its "
        f"text{hint}"
    )
