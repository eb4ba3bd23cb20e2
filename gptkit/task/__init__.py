"""Evaluation tasks: the contract, the settings of the built-in parts, and the hook that offers them."""

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
    """An evaluation: examples, how a model answers them, how answers are scored.

    Subclass it, give `name` a default, add fields, and write `build`, which returns a `gptkit.task.base.Task`.
    """

    compares: ClassVar[bool] = False
    """Two models are asked: the evaluated one, and one that it is compared with."""
    judged: ClassVar[bool] = False
    """A reward judges what they write."""

    name: str = ""

    def build(self, *, data: DataConfig | None = None) -> Task:
        """Open the task's examples.

        Args:
            data: a source that takes the place of the task's own.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement build()")


def build_tasks(tasks: Mapping[str, Any], *, path: str) -> dict[str, Task]:
    """The tasks of a mapping of task parts by any name, each one that evaluates a single model; null leaves one out.

    Raises:
        ConfigError: a value is no task, or a task that needs a second model or a judge.
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
    """What GPT-1's zero-shot heuristics share: examples, and what a score is compared with. No part itself.

    Source: "Improving Language Understanding by Generative Pre-Training", section 5, "Zero-shot Behaviors". A text begins behind
    end-of-text; one that is longer than the context loses its beginning. A source that has a validation split is measured on that,
    any other on all that it has.
    """

    data: Annotated[dict[str, Any], "the settings of a source of labelled examples, with its `name`"] = field(default_factory=dict)
    examples: Annotated[int, "at most this many of them, evenly spread, always the same; 0: all", at_least(0)] = 256
    reference: Annotated[
        float | None,
        "a score to normalise by: random guessing becomes 0, this becomes 1; null: do not",
        at_least(-SCORE),
        at_most(SCORE),
    ] = None

    def build_data(self, data: DataConfig | None) -> Data:
        """The source of the examples: `data`, else the task's own.

        Raises:
            ConfigError: neither is given.
        """
        if data is None and "name" not in self.data:
            raise ConfigError(f"task={self.name} needs data, such as data={{name: labelled, path: examples.tsv}}")
        return _build_data(data or self.data)


@dataclass
class NextWordConfig(HeuristicConfig):
    """Which of a few words goes on a text (GPT-1's heuristic for SST-2: "very", then "positive" or "negative").

    Source: section 5 of the GPT-1 paper. The words alone are compared, by the log-probability of all their tokens.
    """

    name: str = "next_word"
    data: Annotated[dict[str, Any], "the settings of a source of labelled texts, with its `name`"] = field(
        default_factory=lambda: {"name": "movie_reviews"}
    )
    suffix: Annotated[str, "what is put behind the text"] = " very"
    words: Annotated[dict[str, str], "for each label what goes on the text; none: the label itself, behind a space"] = field(
        default_factory=dict
    )

    def build(self, *, data: DataConfig | None = None) -> Task:
        from gptkit.task.zero_shot_tasks import NextWord

        return NextWord(self, self.build_data(data))


@dataclass
class LikelyOptionConfig(HeuristicConfig):
    """Which option goes on a text, by the highest mean log-probability of its tokens (GPT-1's heuristic for RACE).

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
    """Is a sentence acceptable? By a threshold on the mean log-probability of its tokens (GPT-1's heuristic for CoLA).

    Source: section 5 of the GPT-1 paper, which does not say how it thresholds. The score is Matthews' correlation; by default the
    threshold is the one with the best score on training examples, or on every second example where there is no validation split.
    """

    name: str = "acceptability"
    acceptable: Annotated[str, "the label of an acceptable sentence"] = "1"
    threshold: Annotated[
        float | None,
        "nats per token from which on a sentence is accepted; null: chosen as said above",
        at_least(-SCORE),
        at_most(SCORE),
    ] = None

    def build(self, *, data: DataConfig | None = None) -> Task:
        from gptkit.task.zero_shot_tasks import Acceptability

        return Acceptability(self, self.build_data(data))


@dataclass
class ReferentConfig(HeuristicConfig):
    """What does a pronoun mean? Each option is put in its place; the likelier rest of the sentence wins (GPT-1's for Winograd).

    Source: section 5 of the GPT-1 paper: the mean log-probability of the tokens behind the substituted words is compared.
    """

    name: str = "referent"
    blank: Annotated[str, "what stands in the text where the options go, once", not_empty] = "_"

    def build(self, *, data: DataConfig | None = None) -> Task:
        from gptkit.task.zero_shot_tasks import Referent

        return Referent(self, self.build_data(data))


@dataclass
class WinRateConfig(TaskConfig):
    """How often a judge finds a model's answers to held-out prompts better than another's; ties count half.

    Source: "Training language models to follow instructions with human feedback", section 4.1 (there people judge). The prompts are
    those of `data=`, else of the run's own data: its validation split, else its test split, else what the run held out. Both models
    answer with the same random numbers, each in its run's `objective.template`.
    """

    compares: ClassVar[bool] = True
    judged: ClassVar[bool] = True

    name: str = "win_rate"
    prompts: Annotated[int, "at most this many of them, evenly spread, always the same; 0: all", at_least(0)] = 256
    max_new_tokens: Annotated[
        int | None, "longest answer; null: as in the run's objective, else 64", at_least(1), at_most(CONTEXT)
    ] = None
    temperature: Annotated[float, "of the answers; 0 is greedy", at_least(0), at_most(SCORE)] = 1.0

    def build(self, *, data: DataConfig | None = None) -> Task:
        from gptkit.task.win_rate import WinRate

        return WinRate(self, None if data is None else data.build(), build_data=_build_data)


@dataclass
class AlignmentTaxConfig(TaskConfig):
    """What alignment cost: the loss on held-out text, and any zero-shot task, compared with those of the model before.

    Source: "Training language models to follow instructions with human feedback", section 4.2 and appendix E. Both read the same
    windows of text, so they must share their tokenizer.
    """

    compares: ClassVar[bool] = True

    name: str = "alignment_tax"
    data: Annotated[dict[str, Any], "the settings of a source of text, with its `name`"] = field(
        default_factory=lambda: {"name": "sotu"}
    )
    fraction: Annotated[
        float, "share of the text that was held out, where the source brings no validation split", above(0), below(1)
    ] = 0.05
    windows: Annotated[
        int, "at most this many windows of the smaller context, evenly spread, always the same; 0: all", at_least(0)
    ] = 256
    tasks: Annotated[dict[str, Any], "tasks by any name, such as {sentiment:{name:next_word}}, each scored for both"] = field(
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
