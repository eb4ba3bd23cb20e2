"""Evaluation tasks: the contract, GPT-1's zero-shot heuristics, and the hook that offers them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from gptkit.hookspecs import hookimpl
from gptkit.parts import Part

if TYPE_CHECKING:
    from gptkit.task.built import BuiltTask


@dataclass
class Task(Part):
    """An evaluation: examples, how a model answers them, how answers are scored.

    Subclass it, give `name` a default, add fields, and write `build`, which returns a `gptkit.task.built.BuiltTask`.
    """

    name: str = ""

    def build(self) -> BuiltTask:
        """Open the task's examples."""
        raise NotImplementedError(f"{type(self).__name__} does not implement build()")


@dataclass
class Heuristic(Task):
    """What GPT-1's zero-shot heuristics share: examples, and what a score is compared with. No part itself.

    Source: "Improving Language Understanding by Generative Pre-Training", section 5, "Zero-shot Behaviors". A text begins behind
    end-of-text; one that is longer than the context loses its beginning. A source that has a validation split is measured on that,
    any other on all that it has.
    """

    data: Annotated[dict[str, Any], "the settings of a source of labelled examples, with its `name`"] = field(default_factory=dict)
    examples: Annotated[int, "at most this many of them, evenly spread, always the same; 0: all"] = 256
    reference: Annotated[float | None, "a score to normalise by: random guessing becomes 0, this becomes 1; null: do not"] = None

    def __post_init__(self) -> None:
        if self.examples < 0:
            raise ValueError(f"examples={self.examples} must not be negative")


@dataclass
class NextWord(Heuristic):
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

    def build(self) -> BuiltTask:
        from gptkit.task.zero_shot import BuiltNextWord

        return BuiltNextWord(self)


@dataclass
class LikelyOption(Heuristic):
    """Which option goes on a text, by the highest mean log-probability of its tokens (GPT-1's heuristic for RACE).

    Source: section 5 of the GPT-1 paper.
    """

    name: str = "likely_option"
    data: Annotated[dict[str, Any], "the settings of a source of texts with options, with its `name`"] = field(
        default_factory=lambda: {"name": "story_completion"}
    )

    def build(self) -> BuiltTask:
        from gptkit.task.zero_shot import BuiltLikelyOption

        return BuiltLikelyOption(self)


@dataclass
class Acceptability(Heuristic):
    """Is a sentence acceptable? By a threshold on the mean log-probability of its tokens (GPT-1's heuristic for CoLA).

    Source: section 5 of the GPT-1 paper, which does not say how it thresholds. The score is Matthews' correlation; by default the
    threshold is the one with the best score on training examples, or on every second example where there is no validation split.
    """

    name: str = "acceptability"
    acceptable: Annotated[str, "the label of an acceptable sentence"] = "1"
    threshold: Annotated[float | None, "nats per token from which on a sentence is accepted; null: chosen as said above"] = None

    def build(self) -> BuiltTask:
        from gptkit.task.zero_shot import BuiltAcceptability

        return BuiltAcceptability(self)


@dataclass
class Referent(Heuristic):
    """What does a pronoun mean? Each option is put in its place; the likelier rest of the sentence wins (GPT-1's for Winograd).

    Source: section 5 of the GPT-1 paper: the mean log-probability of the tokens behind the substituted words is compared.
    """

    name: str = "referent"
    blank: Annotated[str, "what stands in the text where the options go, once"] = "_"

    def build(self) -> BuiltTask:
        from gptkit.task.zero_shot import BuiltReferent

        return BuiltReferent(self)


@hookimpl
def gptkit_task() -> list[type[Task]]:
    return [NextWord, LikelyOption, Acceptability, Referent]
