"""Configs of the sources of dialogues, rankings and prompts: files of the user, and records built from the embedded reviews."""

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
    """Base of the configs of sources that read dialogues, rankings or prompts from files. Not a part itself."""

    path: Annotated[Any, "the training files: a file, glob or folder, or a list of them", texts, not_empty] = MISSING
    validation: Annotated[
        Any, "the files of the validation split; null: val.fraction of the training files is held out", texts, not_empty
    ] = None
    test: Annotated[Any, "the files of the test split, which training never reads", texts, not_empty] = None
    columns: Annotated[
        dict[str, str], "your column names where they differ from the standard ones: {prompt:question,completion:answer}"
    ] = field(default_factory=dict)
    empty: Annotated[
        str, "for empty turns of the user or the assistant: stop (an error that names the line) or keep", one_of("stop", "keep")
    ] = "stop"
    errors: Annotated[
        str,
        "for bytes that are not UTF-8: strict (an error that names the line) or replace (with U+FFFD)",
        one_of("strict", "replace"),
    ] = "strict"

    def build(self) -> Data:
        from gptkit.data.sources.conversation_files import RecordFiles

        return RecordFiles(self)


@dataclass
class DialoguesConfig(RecordFilesConfig):
    """Your own dialogues, to train on the turns of the assistant: .jsonl (plain, .gz or .zst) or .parquet files.

    Each row is one dialogue. Its columns determine the format: `messages` (role, content), `conversations` (from, value), `prompt`
    with `completion` or `response`, `instruction` (with `input`) and `output`, or a `transcript` or `text` in the format of
    HH-RLHF.
    """

    name: str = "dialogues"


@dataclass
class RankingsConfig(RecordFilesConfig):
    """Your own rankings of completions, to train a reward model or a preference: .jsonl (plain, .gz or .zst) or .parquet files.

    Each row is one prompt with two or more completions, in one of these formats: `chosen` and `rejected` (texts with a `prompt`,
    lists of messages, or whole transcripts of HH-RLHF); `prompt` with `completions` or `responses`, and `ranks` or `ranking`
    (lower is better) or `scores` (higher is better), where equal values are ties; a comparison of summaries (`info`, `summaries`,
    `choice`); or the format of UltraFeedback (`instruction`, and `completions` with `response` and `overall_score`). A column
    `labeler` or `worker` says who ranked, and `demonstration` contains the answer of a person.
    """

    name: str = "rankings"
    held_out_labelers: Annotated[list[str], "labelers whose rankings are used for validation, never for training"] = field(
        default_factory=list
    )

    def build(self) -> Data:
        from gptkit.data.sources.conversation_files import RecordFiles

        return RecordFiles(self, held_out_labelers=self.held_out_labelers)


@dataclass
class PromptsConfig(RecordFilesConfig):
    """Your own prompts, for a policy to answer: .jsonl (plain, .gz or .zst) or .parquet files.

    Each row is one prompt: `prompt`, or a dialogue in any format of `data=dialogues`, whose last answer is removed. Texts and
    numbers in other columns become the prompt's facts, which a reward may use.
    """

    name: str = "prompts"
    turn: Annotated[
        str,
        "the answer of a dialogue that the policy gives instead: last, or random (one of its answers, chosen by its text)",
        one_of("last", "random"),
    ] = "last"

    def build(self) -> Data:
        from gptkit.data.sources.conversation_files import RecordFiles

        return RecordFiles(self, random_turn=self.turn == "random")


@dataclass
class ReviewDialoguesConfig(DataConfig):
    """Film reviews as dialogues: the user gives up to eight words of a review, the assistant continues it.

    Built from `movie_reviews`, with the same splits. The user's turn is "Review:" and the words. Their number depends only on the
    text.
    """

    name: str = "review_dialogues"

    def build(self) -> Data:
        from gptkit.data.sources.review_conversations import ReviewDialogues

        return ReviewDialogues()


@dataclass
class ReviewRankingsConfig(DataConfig):
    """Film reviews as rankings: favourable reviews rank above unfavourable ones, and reviews with the same label tie.

    Built from `movie_reviews`, with the same splits. The prompt is "Review:", and the completions are reviews of both labels. Each
    review is a completion in at most one ranking. The demonstration is another favourable review. `words` keeps only the end of
    long reviews, which usually contains the conclusion.
    """

    name: str = "review_rankings"
    completions: Annotated[int, "reviews per ranking", at_least(2), at_most(SEQUENCES)] = 4
    labelled: Annotated[
        str, "the labelled reviews to train on: rotten_tomatoes, imdb or all", one_of("rotten_tomatoes", "imdb", "all")
    ] = "rotten_tomatoes"
    words: Annotated[int | None, "at most this many words of a review, counted from its end; null: all", at_least(1)] = None

    def build(self) -> Data:
        from gptkit.data.sources.review_conversations import ReviewRankings

        return ReviewRankings(self)


@dataclass
class ReviewPromptsConfig(DataConfig):
    """The first words of film reviews as prompts, with the label and the rest of the review as facts.

    Built from `movie_reviews`, with the same splits. A prompt is "Review:" and the words. At least one word of the review remains.
    """

    name: str = "review_prompts"
    words: Annotated[int, "words of the review in the prompt", at_least(0)] = 4

    def build(self) -> Data:
        from gptkit.data.sources.review_conversations import ReviewPrompts

        return ReviewPrompts(self)
