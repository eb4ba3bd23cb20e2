"""Evaluation tasks: the base class of their configs, the built-in configs, and the hook that registers them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from gptkit.constraints import CONTEXT, SCORE, above, at_least, at_most, below, not_empty
from gptkit.errors import ConfigError
from gptkit.hookspecs import hookimpl
from gptkit.parts import Part
from gptkit.plugins import registry

if TYPE_CHECKING:
    from gptkit.data import DataConfig
    from gptkit.data.base import Data
    from gptkit.task.base import Task


@dataclass
class TaskConfig(Part):
    """An evaluation: its examples, how a model answers them, and how the answers are scored.

    Subclasses set `name` to a default, add fields and implement `build`, which returns a `gptkit.task.base.Task`.
    """

    compares: ClassVar[bool] = False
    """Whether the task compares the model with a second one (`against=`)."""
    judged: ClassVar[bool] = False
    """Whether the task needs a reward as a judge (`reward=`)."""

    name: str = ""

    def build(self, *, data: DataConfig | None = None) -> Task:
        """Build the task and read its examples.

        Args:
            data: a source that replaces the task's own.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement build()")


def build_tasks(tasks: Mapping[str, Any], *, path: str) -> dict[str, Task]:
    """Build a mapping of tasks that evaluate a single model. Null entries are skipped.

    Raises:
        ConfigError: a value is not a task, or a task needs a second model or a judge.
        DataError: the examples of a task cannot be read.
    """
    built: dict[str, Task] = {}
    for name, content in tasks.items():
        if content is None:
            continue
        task = registry().resolve("task", content, path=f"{path}.{name}", example="{name: next_word}")
        if task.compares or task.judged:
            raise ConfigError(
                f"{path}.{name}: task={task.name} compares two models or needs a judge; run it alone: gptkit eval task={task.name}"
            )
        built[name] = task.build()
    return built


@dataclass
class HeuristicConfig(TaskConfig):
    """Base class of the configs of GPT-1's zero-shot heuristics. Not a part itself.

    Source: "Improving Language Understanding by Generative Pre-Training", section 5, "Zero-shot Behaviors". Texts follow an
    end-of-text token. A text that is longer than the context is truncated on the left. Uses the validation split, or all examples
    if the source has none.
    """

    data: Annotated[dict[str, Any], "the settings of a source of labelled examples, with its `name`"] = field(default_factory=dict)
    examples: Annotated[int, "maximum number of examples, evenly spaced; 0: all", at_least(0)] = 256
    reference: Annotated[
        float | None,
        "normalise scores so that random guessing is 0 and this score is 1; null: do not",
        at_least(-SCORE),
        at_most(SCORE),
    ] = None

    def build_data(self, data: DataConfig | None) -> Data:
        """Build the source of the examples: `data`, else the task's own.

        Raises:
            ConfigError: there is no source.
        """
        if data is None and "name" not in self.data:
            raise ConfigError(f"task={self.name} needs data, such as data={{name: labelled, path: examples.tsv}}")
        return _build_data(data or self.data)


@dataclass
class NextWordConfig(HeuristicConfig):
    """Predict which of a few words continues a text (GPT-1's heuristic for SST-2: "very", then "positive" or "negative").

    Source: section 5 of the GPT-1 paper. Compares only these words, each by the total log-probability of its tokens.
    """

    name: str = "next_word"
    data: Annotated[dict[str, Any], "the settings of a source of labelled texts, with its `name`"] = field(
        default_factory=lambda: {"name": "movie_reviews"}
    )
    suffix: Annotated[str, "text to append before the word"] = " very"
    words: Annotated[dict[str, str], "the continuation for each label; empty: a space and the label"] = field(default_factory=dict)

    def build(self, *, data: DataConfig | None = None) -> Task:
        from gptkit.task.zero_shot_tasks import NextWord

        return NextWord(self, self.build_data(data))


@dataclass
class LikelyOptionConfig(HeuristicConfig):
    """Choose the option with the highest mean log-probability per token as a continuation (GPT-1's heuristic for RACE).

    Source: section 5 of the GPT-1 paper.
    """

    name: str = "likely_option"
    data: Annotated[dict[str, Any], "the settings of a source of texts with options, with its `name`"] = field(
        default_factory=lambda: {"name": "story_completion"}
    )

    def build(self, *, data: DataConfig | None = None) -> Task:
        from gptkit.task.zero_shot_tasks import LikelyOption

        return LikelyOption(self, self.build_data(data))


@dataclass
class AcceptabilityConfig(HeuristicConfig):
    """Judge whether a sentence is acceptable by a threshold on its mean log-probability (GPT-1's heuristic for CoLA).

    Source: section 5 of the GPT-1 paper, which does not say how the threshold is chosen. The score is Matthews' correlation. By
    default the threshold maximises it on training examples, or on every second example if there is no validation split.
    """

    name: str = "acceptability"
    acceptable: Annotated[str, "the label of an acceptable sentence"] = "1"
    threshold: Annotated[
        float | None,
        "accept sentences of at least this many nats per token; null: chosen as above",
        at_least(-SCORE),
        at_most(SCORE),
    ] = None

    def build(self, *, data: DataConfig | None = None) -> Task:
        from gptkit.task.zero_shot_tasks import Acceptability

        return Acceptability(self, self.build_data(data))


@dataclass
class ReferentConfig(HeuristicConfig):
    """Resolve a pronoun: substitute each option and choose by the likelihood of the rest (GPT-1's heuristic for Winograd).

    Source: section 5 of the GPT-1 paper: the score is the mean log-probability of the tokens after the substituted words.
    """

    name: str = "referent"
    blank: Annotated[str, "the placeholder for the options, once in every text", not_empty] = "_"

    def build(self, *, data: DataConfig | None = None) -> Task:
        from gptkit.task.zero_shot_tasks import Referent

        return Referent(self, self.build_data(data))


@dataclass
class WinRateConfig(TaskConfig):
    """The fraction of held-out prompts for which a judge prefers a model's answer over another model's; ties count half.

    Source: "Training language models to follow instructions with human feedback", section 4.1 (with human judges). The prompts are
    from `data=`, or else from the validation split of the run's data, its test split, or the records that the run held out. Both
    models sample with the same random numbers, each with the chat template of its run (`objective.template`).
    """

    compares: ClassVar[bool] = True
    judged: ClassVar[bool] = True

    name: str = "win_rate"
    prompts: Annotated[int, "maximum number of prompts, evenly spaced; 0: all", at_least(0)] = 256
    max_new_tokens: Annotated[
        int | None,
        "maximum length of an answer in tokens; null: as in the run's objective, or else 64",
        at_least(1),
        at_most(CONTEXT),
    ] = None
    temperature: Annotated[float, "sampling temperature of the answers; 0: greedy", at_least(0), at_most(SCORE)] = 1.0

    def build(self, *, data: DataConfig | None = None) -> Task:
        from gptkit.task.win_rate import WinRate

        return WinRate(self, None if data is None else data.build(), build_data=_build_data)


@dataclass
class AlignmentTaxConfig(TaskConfig):
    """The cost of alignment: the change of the loss on held-out text, and of scores of zero-shot tasks.

    Source: "Training language models to follow instructions with human feedback", section 4.2 and appendix E. Compares the
    model with the one before alignment on the same windows of text, so both must have the same tokenizer.
    """

    compares: ClassVar[bool] = True

    name: str = "alignment_tax"
    data: Annotated[dict[str, Any], "the settings of a source of text, with its `name`"] = field(
        default_factory=lambda: {"name": "sotu"}
    )
    fraction: Annotated[
        float, "fraction of the text that was held out, if the source has no validation split", above(0), below(1)
    ] = 0.05
    windows: Annotated[int, "maximum number of windows of the smaller context, evenly spaced; 0: all", at_least(0)] = 256
    tasks: Annotated[dict[str, Any], "tasks by any name, such as {sentiment:{name:next_word}}, to score for both models"] = field(
        default_factory=dict
    )

    def build(self, *, data: DataConfig | None = None) -> Task:
        from gptkit.task.alignment_tax import AlignmentTax

        if data is None and "name" not in self.data:
            raise ConfigError("task=alignment_tax needs text, such as data=text data.path=held_out.txt")
        return AlignmentTax(self, _build_data(data or self.data), build_tasks(self.tasks, path="task.tasks"))


def _build_data(settings: DataConfig | Mapping[str, Any]) -> Data:
    data: Data = registry().resolve("data", settings).build()
    return data


@hookimpl
def gptkit_task() -> list[type[TaskConfig]]:
    return [NextWordConfig, LikelyOptionConfig, AcceptabilityConfig, ReferentConfig, WinRateConfig, AlignmentTaxConfig]
