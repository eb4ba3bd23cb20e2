"""`model=hf`, `tokenizer=hf` and `data=hf`: models of transformers and data sets of datasets, through the kit's own doors."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from omegaconf import MISSING

from gptkit import hookimpl
from gptkit.attention import AttentionConfig
from gptkit.constraints import at_least, may_be_infinite, not_empty, one_of, texts
from gptkit.data import LABEL_MEANS, DataConfig
from gptkit.errors import ConfigError, did_you_mean
from gptkit.model import ModelConfig
from gptkit.parts import Part
from gptkit.tokenizer import TokenizerConfig

if TYPE_CHECKING:
    from torch import Tensor

    from gptkit.data.base import Data
    from gptkit.data.parsing.examples import ExampleColumns
    from gptkit.model.base import Model
    from gptkit.tokenizer.base import Tokenizer

RECORDS = ("documents", "examples", "dialogues", "rankings", "prompts")
"""What the rows of a data set may be."""
PLACES = ("text", "pair", "options", "label")
"""What columns may hold of labelled examples."""


@dataclass
class HFModelConfig(ModelConfig):
    """Any causal language model of transformers, from a folder or the Hugging Face hub, with the tokenizer that lies beside it.

    Layers, heads, width and attention are the folder's: `model.layers`, `model.heads` and `model.width` are replaced by its values,
    and an attention part cannot be put in. `model.context` is the length of training sequences, at most the model's own limit;
    `model.dropout` replaces every dropout probability of its configuration. Code that comes with a model is never run.
    """

    name: str = "hf"
    path: Annotated[str, "a folder with config.json, or a name of the hub", not_empty] = MISSING
    pretrained: Annotated[bool, "start from the folder's weights; false: from random ones, as its configuration draws them"] = True
    config: Annotated[Any, "filled in from the folder: what checkpoints keep, so that they do not need it", may_be_infinite] = None

    def __post_init__(self) -> None:
        """Heads and width are the folder's, whatever was composed."""

    def companions(self) -> Mapping[str, Part]:
        """The folder's tokenizer where it has one, and these settings with the sizes that its model has.

        Raises:
            ConfigError: there is no such model, or it is none that the kit can train; names `model.path`.
        """
        from gptkit_hf import source

        config = source.read_config(self.path)
        source.check_context(config, self)
        result: dict[str, Any] = {"config": source.as_plain(config), **source.sizes(config)}
        brought: dict[str, Part] = {"model": dataclasses.replace(self, **result)}
        if self.pretrained or source.has_tokenizer(self.path):  # trained weights know their own ids alone
            brought["tokenizer"] = HFTokenizerConfig(path=self.path)
        return brought

    def weights(self) -> dict[str, Tensor] | None:
        if not self.pretrained:
            return None
        from gptkit_hf.model import pretrained_weights

        return pretrained_weights(self)

    def build(self, *, attention: AttentionConfig, vocabulary: int) -> Model:
        """Raises ConfigError: an attention other than dense, or a context beyond the model's limit."""
        if attention.name != "dense":
            raise ConfigError(
                f"model=hf has its own attention, so attention={attention.name} cannot be put in; use attention=dense"
            )
        from gptkit_hf.model import HFModel

        return HFModel(self, vocabulary=vocabulary)


@dataclass
class HFTokenizerConfig(TokenizerConfig):
    """Any tokenizer of transformers that the tokenizers library runs, from a folder or the Hugging Face hub.

    Text is encoded as it stands: no token for its beginning is added, and the spelling of a special token in it is ordinary text.
    """

    name: str = "hf"
    path: Annotated[str, "a folder with tokenizer.json or the files it is made of, or a name of the hub", not_empty] = MISSING
    end_of_text: Annotated[
        str, "spelling of the token that ends a text; auto: what the tokenizer calls its eos token", not_empty
    ] = "auto"

    def build(self, *, texts: Iterable[str]) -> Tokenizer:
        from gptkit_hf.tokenizer import from_transformers

        return from_transformers(self.path, self.end_of_text)

    def load(self, folder: Path) -> Tokenizer:
        from gptkit_hf.tokenizer import HFTokenizer

        return HFTokenizer.load(folder)

    def vocabulary_size(self) -> int:
        return self.build(texts=()).size


@dataclass
class HFDataConfig(DataConfig):
    """Any data set of the datasets library: a folder or files on this machine, or a name of the Hugging Face hub.

    Files may be .parquet, .json, .jsonl, .csv, .txt or .arrow; a folder may also be one that `save_to_disk` wrote. Rows are
    documents; or labelled examples, with their columns named as for data=labelled; or dialogues, rankings or prompts in the shapes
    that the kit's own sources of these names read.
    """

    name: str = "hf"
    path: Annotated[Any, "a folder, a file or glob or a list of them, or a name of the hub", texts, not_empty] = MISSING
    config: Annotated[str | None, "configuration of a data set that has several, such as wikitext-2-raw-v1", not_empty] = None
    revision: Annotated[str | None, "branch, tag or commit of a data set of the hub; its newest where none is given", not_empty] = (
        None
    )
    split: Annotated[dict[str, str], "what the data set calls training, validation and test; an empty one is not used"] = (
        dataclasses.field(default_factory=lambda: {"train": "train", "validation": "validation", "test": "test"})
    )
    records: Annotated[str, "what a row is: one of documents, examples, dialogues, rankings, prompts", one_of(*RECORDS)] = (
        "documents"
    )
    field: Annotated[str, "the column that holds a document's text", not_empty] = "text"
    columns: Annotated[dict[str, Any], "for other records, your names of columns: {text:premise,pair:hypothesis}"] = (
        dataclasses.field(default_factory=dict)
    )
    first_option: Annotated[int, "of examples with options, the number by which labels call the first", at_least(0)] = 0
    label_means: Annotated[
        str, "of examples with options, what a label is: text, column, number or letter; auto: what fits", one_of(*LABEL_MEANS)
    ] = "auto"
    empty: Annotated[str, "answers that say nothing: stop (and name the row) or keep", one_of("stop", "keep")] = "stop"
    streaming: Annotated[bool, "read while training text is made, instead of downloading and converting it first"] = False

    def __post_init__(self) -> None:
        if self.columns and self.records == "documents":
            raise ValueError("data.columns is for other data.records; data.field names the column of a document's text")

    def build(self) -> Data:
        from gptkit_hf.data import HFDocuments, HFExamples, HFRecords

        if self.records == "documents":
            return HFDocuments(self)
        columns = self.example_columns()
        return HFRecords(self) if columns is None else HFExamples(self, columns)

    def example_columns(self) -> ExampleColumns | None:
        """Raises: ConfigError: `data.columns` names something that an example does not have, or no column."""
        from gptkit.data.parsing.examples import ExampleColumns

        if self.records != "examples":
            return None
        for name, column in self.columns.items():
            if name not in PLACES:
                raise ConfigError(f"data.columns has no key {name}; it can be {', '.join(PLACES)}.{did_you_mean(name, PLACES)}")
            several = isinstance(column, list) and name == "options" and len(set(column)) == len(column) >= 2
            if not all(isinstance(each, str) and each for each in (column if several else [column])):
                raise ConfigError(
                    f"data.columns.{name}={column} must be a column"
                    + (" of lists, or a list of two or more columns" if name == "options" else "")
                )
        options = self.columns.get("options", ())
        return ExampleColumns(
            text=self.columns.get("text", "text"),
            label=self.columns.get("label", "label"),
            pair=self.columns.get("pair"),
            options=(options,) if isinstance(options, str) else tuple(options),
            first_option=self.first_option,
            label_means=self.label_means,
            keys="data.columns.",
        )


@hookimpl
def gptkit_model() -> list[type[ModelConfig]]:
    return [HFModelConfig]


@hookimpl
def gptkit_tokenizer() -> list[type[TokenizerConfig]]:
    return [HFTokenizerConfig]


@hookimpl
def gptkit_data() -> list[type[DataConfig]]:
    return [HFDataConfig]
