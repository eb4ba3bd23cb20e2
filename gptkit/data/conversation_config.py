"""Settings of the sources of dialogues, rankings and prompts: the user's own files, and the embedded reviews as such records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from omegaconf import MISSING

from gptkit.constraints import SEQUENCES, at_least, at_most, not_empty, one_of, texts
from gptkit.data.config import DataConfig

if TYPE_CHECKING:
    from gptkit.data.base import Data


@dataclass
class RecordFilesConfig(DataConfig):
    """What the sources of dialogues, rankings and prompts have in common; not itself a source."""

    path: Annotated[Any, "the files to learn from: a file, glob or folder, or a list of them", texts, not_empty] = MISSING
    validation: Annotated[Any, "the files of the validation split; none: val.fraction of the rest", texts, not_empty] = None
    test: Annotated[Any, "the files of the test split, which training never reads", texts, not_empty] = None
    columns: Annotated[dict[str, str], "your names of columns, where they are others: {prompt:question,completion:answer}"] = field(
        default_factory=dict
    )
    empty: Annotated[
        str, "turns of the user or the assistant that say nothing: stop (and name the line) or keep", one_of("stop", "keep")
    ] = "stop"
    errors: Annotated[
        str, "bytes that are not UTF-8: strict (stop and name the line) or replace (with U+FFFD)", one_of("strict", "replace")
    ] = "strict"

    def build(self) -> Data:
        from gptkit.data.sources.conversation_files import RecordFiles

        return RecordFiles(self)


@dataclass
class DialoguesConfig(RecordFilesConfig):
    """Your own dialogues, to learn the assistant's turns from: .jsonl (plain, .gz or .zst) or .parquet files.

    A row is one dialogue, and its columns say how it is written: `messages` (role, content), `conversations` (from, value),
    `prompt` with `completion` or `response`, `instruction` (with `input`) and `output`, or a `transcript` or `text` in the form
    of HH-RLHF.
    """

    name: str = "dialogues"


@dataclass
class RankingsConfig(RecordFilesConfig):
    """Your own rankings of completions, to learn a reward or a preference from: .jsonl (plain, .gz or .zst) or .parquet files.

    A row is one prompt with two or more completions: `chosen` and `rejected` (texts with a `prompt`, lists of messages, or whole
    transcripts of HH-RLHF), `prompt` with `completions` or `responses` and `ranks` or `ranking` (lower is better) or `scores`
    (higher is better), equal ones being ties, or a comparison of summaries (`info`, `summaries`, `choice`), or as in UltraFeedback
    (`instruction`, and `completions` that hold `response` and `overall_score`). A column `labeler` or `worker` says who ranked, and
    `demonstration` holds what a person answered.
    """

    name: str = "rankings"
    held_out_labelers: Annotated[list[str], "labelers whose rankings are for validation, and never learned from"] = field(
        default_factory=list
    )

    def build(self) -> Data:
        from gptkit.data.sources.conversation_files import RecordFiles

        return RecordFiles(self, held_out_labelers=self.held_out_labelers)


@dataclass
class PromptsConfig(RecordFilesConfig):
    """Your own prompts, for a policy to answer: .jsonl (plain, .gz or .zst) or .parquet files.

    A row is one prompt: `prompt`, or a dialogue in any of the shapes of `data=dialogues`, whose last answer is cut off. Texts and
    numbers in further columns become the prompt's facts, for rewards that judge by them.
    """

    name: str = "prompts"


@dataclass
class ReviewDialoguesConfig(DataConfig):
    """Film reviews as dialogues: the user begins one with up to eight of its words, the assistant goes on.

    Made of `movie_reviews`, with its splits. The user's turn is "Review:" and the words; their number depends on the text alone.
    """

    name: str = "review_dialogues"

    def build(self) -> Data:
        from gptkit.data.sources.review_conversations import ReviewDialogues

        return ReviewDialogues()


@dataclass
class ReviewRankingsConfig(DataConfig):
    """Film reviews as rankings: favourable ones before unfavourable ones, as their authors meant them. Ties are many.

    Made of `movie_reviews`, with its splits. The prompt is "Review:" and the completions are reviews, of both labels, each in one
    ranking only; the demonstration is another favourable one. Of a long review `words` takes the end, where it concludes.
    """

    name: str = "review_rankings"
    completions: Annotated[int, "reviews of a ranking", at_least(2), at_most(SEQUENCES)] = 4
    labelled: Annotated[
        str, "the reviews whose labels are learned from: rotten_tomatoes, imdb or all", one_of("rotten_tomatoes", "imdb", "all")
    ] = "rotten_tomatoes"
    words: Annotated[int | None, "words of a review at most, its last; null: all", at_least(1)] = None

    def build(self) -> Data:
        from gptkit.data.sources.review_conversations import ReviewRankings

        return ReviewRankings(self)


@dataclass
class ReviewPromptsConfig(DataConfig):
    """The first words of film reviews as prompts, with the label and the rest of the review as facts.

    Made of `movie_reviews`, with its splits. A prompt is "Review:" and the words; at least one word of a review is left to say.
    """

    name: str = "review_prompts"
    words: Annotated[int, "words of the review that the prompt gives", at_least(0)] = 4

    def build(self) -> Data:
        from gptkit.data.sources.review_conversations import ReviewPrompts

        return ReviewPrompts(self)
