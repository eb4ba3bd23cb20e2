"""Evaluation tasks: the built-in configs, and the hook that registers them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from gptkit.constraints import CONTEXT, SCORE, above, at_least, at_most, below, not_empty, one_of
from gptkit.errors import ConfigError
from gptkit.hookspecs import hookimpl
from gptkit.task.config import ExampleTaskConfig, SourceTaskConfig, TaskConfig, build_data, build_tasks, resolve_tasks
from gptkit.task.custom_config import CustomConfig
from gptkit.task.exam_config import LetterChoiceConfig
from gptkit.task.free_form_config import FreeFormConfig
from gptkit.task.generated_config import ArithmeticConfig, NovelWordsConfig, SystemMessageConfig, WordScrambleConfig
from gptkit.task.gpt2_config import CBTConfig, CoQAConfig, LambadaConfig, PerplexityConfig, SummaryConfig

if TYPE_CHECKING:
    from gptkit.data import DataConfig
    from gptkit.task.base import Task
    from gptkit.task.comparison import Comparison

__all__ = [
    "AcceptabilityConfig",
    "AlignmentTaxConfig",
    "ArithmeticConfig",
    "CBTConfig",
    "ChoiceConfig",
    "CoQAConfig",
    "CustomConfig",
    "ExampleTaskConfig",
    "FreeFormConfig",
    "LambadaConfig",
    "LetterChoiceConfig",
    "NextWordConfig",
    "NovelWordsConfig",
    "PerplexityConfig",
    "ReferentConfig",
    "SourceTaskConfig",
    "SummaryConfig",
    "SystemMessageConfig",
    "TaskConfig",
    "WinRateConfig",
    "WordScrambleConfig",
    "build_tasks",
    "resolve_tasks",
]


@dataclass
class ChoiceConfig(ExampleTaskConfig):
    """Choose the option with the highest log-probability as a continuation of the question: PIQA, ARC, OpenBookQA, BoolQ, RACE.

    Source: "Language Models are Few-Shot Learners", section 2.4: the log-probability per token, except for ARC, OpenBookQA and
    RACE, where P(option | question) / P(option | answer context) is compared. GPT-1's heuristic for RACE (section 5 of its paper)
    is the log-probability per token, too. The other normalisers are those of lm-evaluation-harness: `none` is its `acc`,
    `characters` its `acc_norm`.
    """

    source: ClassVar[str] = "choices"

    name: str = "choice"
    data: Annotated[dict[str, Any], "the settings of a source of texts with options, with its `name`; replaced by data="] = field(
        default_factory=lambda: {"name": "story_completion"}
    )
    delimiter: Annotated[str, "the text between the question and an option; a space at its end belongs to the option"] = " "
    normaliser: Annotated[
        str,
        "divide the log-probability of an option by its tokens, characters, bytes, by none, or subtract its log-probability after "
        "answer_context",
        one_of("tokens", "characters", "bytes", "none", "answer_context"),
    ] = "tokens"
    answer_context: Annotated[str, "the context that does not depend on the question, for normaliser=answer_context"] = "Answer:"

    def build(self, *, data: DataConfig | None = None) -> Task:
        from gptkit.task.choice import Choice

        return Choice(self, self.build_data(data))


@dataclass
class NextWordConfig(ExampleTaskConfig):
    """Predict which of a few words continues a text (GPT-1's heuristic for SST-2: "very", then "positive" or "negative").

    Source: section 5 of the GPT-1 paper. Compares only these words, each by the total log-probability of its tokens.
    """

    source: ClassVar[str] = "labelled"

    name: str = "next_word"
    data: Annotated[dict[str, Any], "the settings of a source of labelled texts, with its `name`; replaced by data="] = field(
        default_factory=lambda: {"name": "movie_reviews"}
    )
    suffix: Annotated[str, "text to append before the word"] = " very"
    words: Annotated[dict[str, str], "the continuation for each label; empty: a space and the label"] = field(default_factory=dict)

    def build(self, *, data: DataConfig | None = None) -> Task:
        from gptkit.task.gpt1_heuristics import NextWord

        return NextWord(self, self.build_data(data))


@dataclass
class AcceptabilityConfig(ExampleTaskConfig):
    """Judge whether a sentence is acceptable by a threshold on its mean log-probability (GPT-1's heuristic for CoLA).

    Source: section 5 of the GPT-1 paper, which does not say how the threshold is chosen. The score is Matthews' correlation. By
    default the threshold maximises it on training examples, or on every second example if there is no validation split.
    """

    source: ClassVar[str] = "labelled"

    name: str = "acceptability"
    acceptable: Annotated[str, "the label of an acceptable sentence"] = "1"
    threshold: Annotated[
        float | None,
        "accept sentences of at least this many nats per token; null: chosen as above",
        at_least(-SCORE),
        at_most(SCORE),
    ] = None

    def build(self, *, data: DataConfig | None = None) -> Task:
        from gptkit.task.gpt1_heuristics import Acceptability

        return Acceptability(self, self.build_data(data))


@dataclass
class ReferentConfig(ExampleTaskConfig):
    """Resolve a pronoun: substitute each option and choose by the likelihood of the rest, or of the whole sentence (Winograd).

    Sources: section 5 of the GPT-1 paper: the score is the mean log-probability of the tokens after the substituted words
    (`partial`). "Language Models are Unsupervised Multitask Learners", section 3.4, plots this and the log-probability of all
    tokens (`full`), as Trinh and Le, "A Simple Method for Commonsense Reasoning" (2018).
    """

    source: ClassVar[str] = "choices"

    name: str = "referent"
    blank: Annotated[str, "the placeholder for the options, once in every text", not_empty] = "_"
    scoring: Annotated[
        str,
        "partial (the mean log-probability of the tokens after the option) or full (the log-probability of the whole text)",
        one_of("partial", "full"),
    ] = "partial"

    def build(self, *, data: DataConfig | None = None) -> Task:
        from gptkit.task.gpt1_heuristics import Referent

        return Referent(self, self.build_data(data))


@dataclass
class WinRateConfig(TaskConfig):
    """The fraction of held-out prompts for which a judge prefers a model's answer over another model's; ties count half.

    Source: "Training language models to follow instructions with human feedback", section 4.1 (with human judges). The prompts are
    from `data=`, or else from the validation split of the run's data, its test split, or the records that the run held out. Both
    models sample with the same random numbers, each with the chat template of its run (`chat_template`).
    """

    source: ClassVar[str] = "prompts"
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

    def build(self, *, data: DataConfig | None = None) -> Comparison:
        from gptkit.task.win_rate import WinRate

        return WinRate(self, None if data is None else data.build(), build_data=build_data)


@dataclass
class AlignmentTaxConfig(TaskConfig):
    """The cost of alignment: the change of the loss on held-out text, and of scores of zero-shot tasks.

    Source: "Training language models to follow instructions with human feedback", section 4.2 and appendix E. Compares the
    model with the one before alignment on the same windows of text, so both must have the same tokenizer.
    """

    source: ClassVar[str] = "text"
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

    def build(self, *, data: DataConfig | None = None) -> Comparison:
        from gptkit.task.alignment_tax import AlignmentTax

        if data is None and "name" not in self.data:
            raise ConfigError("task=alignment_tax needs text, such as data=text data.path=held_out.txt")
        return AlignmentTax(self, build_data(data or self.data), build_tasks(self.tasks, path="task.tasks"))


@hookimpl
def gptkit_task() -> list[type[TaskConfig]]:
    return [
        ChoiceConfig,
        LetterChoiceConfig,
        CBTConfig,
        LambadaConfig,
        PerplexityConfig,
        SummaryConfig,
        CoQAConfig,
        NextWordConfig,
        AcceptabilityConfig,
        ReferentConfig,
        FreeFormConfig,
        CustomConfig,
        ArithmeticConfig,
        WordScrambleConfig,
        NovelWordsConfig,
        SystemMessageConfig,
        WinRateConfig,
        AlignmentTaxConfig,
    ]
