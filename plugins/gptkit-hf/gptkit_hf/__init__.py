"""`model=hf`, `tokenizer=hf` and `data=hf`: models and tokenizers of transformers, and datasets of the datasets library."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from omegaconf import MISSING

from gptkit import hookimpl
from gptkit.attention import AttentionConfig, DenseAttentionConfig
from gptkit.chat_template import OwnTemplateConfig
from gptkit.constraints import at_least, may_be_infinite, not_empty, one_of, texts
from gptkit.data import LABEL_MEANS, DataConfig
from gptkit.errors import CheckpointError, ConfigError, did_you_mean
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
"""The types of records that rows can be read as."""
EXAMPLE_FIELDS = ("text", "pair", "options", "label")
"""The fields of labelled examples, which `data.columns` maps to columns."""


@dataclass
class HFModelConfig(ModelConfig):
    """Any causal language model of transformers, from a folder or the Hugging Face Hub, with its own tokenizer.

    The folder determines layers, heads, width and attention: its values replace `model.layers`, `model.heads` and `model.width`,
    and other attention parts are not supported. `model.context` is the length of training sequences, at most the model's own limit.
    `model.dropout` replaces every dropout probability of the configuration. Custom code of a model is never executed.
    """

    name: str = "hf"
    path: Annotated[str, "a folder with config.json, or a model name on the Hub", not_empty] = MISSING
    pretrained: Annotated[bool, "start from the pretrained weights; false: random weights with the same configuration"] = True
    config: Annotated[Any, "the configuration of the model, read from the folder; stored in checkpoints", may_be_infinite] = None

    adjustable = ("dropout", "context")

    def __post_init__(self) -> None:
        """Skip the checks of the base class, because heads and width are those of the folder."""

    @classmethod
    def from_pretrained(cls, source: str) -> HFModelConfig:
        from gptkit_hf import source as model_source

        try:
            config = model_source.read_config(source)
        except ConfigError as error:
            raise CheckpointError(str(error).replace(f"model.path={source}", f"hf:{source}", 1)) from None
        default = cls(path=source).context
        return cls(path=source, context=min(default, model_source.limit(config) or default))

    def companions(self) -> Mapping[str, Part]:
        """Return these settings with the sizes of the model, dense attention, and the folder's tokenizer and chat template.

        Raises:
            ConfigError: the model does not exist, or is not supported. The message names `model.path`.
        """
        from gptkit_hf import source

        config = source.read_config(self.path)
        source.check_context(config, self)
        sizes: dict[str, Any] = {"config": source.as_plain(config), **source.sizes(config)}
        companions: dict[str, Part] = {"model": dataclasses.replace(self, **sizes), "attention": DenseAttentionConfig()}
        if self.pretrained or source.has_tokenizer(self.path):  # pretrained weights require their own tokenizer
            companions["tokenizer"] = HFTokenizerConfig(path=self.path)
            if source.has_chat_template(self.path):
                companions["chat_template"] = OwnTemplateConfig()
        return companions

    def weights(self) -> dict[str, Tensor] | None:
        if not self.pretrained:
            return None
        from gptkit_hf.model import pretrained_weights

        return pretrained_weights(self)

    def build(self, *, attention: AttentionConfig, vocabulary: int) -> Model:
        """Raise ConfigError if the attention is not dense, or the context exceeds the model's limit."""
        if attention.name != "dense":
            raise ConfigError(
                f"model=hf has its own attention, so attention={attention.name} is not supported; use attention=dense"
            )
        from gptkit_hf.model import HFModel

        return HFModel(self, vocabulary=vocabulary)


@dataclass
class HFTokenizerConfig(TokenizerConfig):
    """Any fast tokenizer of transformers, from a folder or the Hugging Face Hub.

    Text is encoded as is: no BOS token is added, and the spelling of a special token in a text is ordinary text.
    """

    name: str = "hf"
    path: Annotated[str, "a folder with tokenizer.json or the files to create it from, or a name on the Hub", not_empty] = MISSING
    end_of_text: Annotated[str, "spelling of the token that ends a text; auto: the tokenizer's EOS token", not_empty] = "auto"

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
    """Any dataset of the datasets library: local files, a folder, or a name on the Hugging Face Hub.

    Files may be .parquet, .json, .jsonl, .csv, .txt or .arrow; a folder may also be one that `save_to_disk` wrote. Rows are
    documents, labelled examples with columns as for data=labelled, or dialogues, rankings or prompts in the formats that gptkit's
    data sources of these names read.
    """

    name: str = "hf"
    path: Annotated[Any, "a folder, a file or glob or a list of them, or a name on the Hub", texts, not_empty] = MISSING
    config: Annotated[str | None, "configuration of a dataset that has several, such as wikitext-2-raw-v1", not_empty] = None
    revision: Annotated[str | None, "branch, tag or commit of a dataset on the Hub; null: the newest", not_empty] = None
    split: Annotated[dict[str, str], "names of the training, validation and test splits in the dataset; empty: not used"] = (
        dataclasses.field(default_factory=lambda: {"train": "train", "validation": "validation", "test": "test"})
    )
    records: Annotated[str, "record type of a row: one of documents, examples, dialogues, rankings, prompts", one_of(*RECORDS)] = (
        "documents"
    )
    field: Annotated[str, "the column that holds a document's text", not_empty] = "text"
    columns: Annotated[dict[str, Any], "column names for other record types: {text:premise,pair:hypothesis}"] = dataclasses.field(
        default_factory=dict
    )
    first_option: Annotated[int, "for examples with options, the label of the first option", at_least(0)] = 0
    label_means: Annotated[
        str, "for examples with options, the type of a label: text, column, number or letter; auto: detected", one_of(*LABEL_MEANS)
    ] = "auto"
    empty: Annotated[str, "empty answers: stop (with an error that names the row) or keep", one_of("stop", "keep")] = "stop"
    streaming: Annotated[bool, "tokenize the dataset while reading it, instead of downloading and converting it first"] = False

    def __post_init__(self) -> None:
        if self.columns and self.records == "documents":
            raise ValueError("data.columns is for other data.records; for documents, data.field names the text column")

    def build(self) -> Data:
        from gptkit_hf.data import HFDocuments, HFExamples, HFRecords

        if self.records == "documents":
            return HFDocuments(self)
        columns = self.example_columns()
        return HFRecords(self) if columns is None else HFExamples(self, columns)

    def example_columns(self) -> ExampleColumns | None:
        """Return the columns of labelled examples; None for other records.

        Raises:
            ConfigError: `data.columns` has an unknown key, or a value that is not a column.
        """
        from gptkit.data.parsing.examples import ExampleColumns

        if self.records != "examples":
            return None
        for name, column in self.columns.items():
            if name not in EXAMPLE_FIELDS:
                near = did_you_mean(name, EXAMPLE_FIELDS)
                raise ConfigError(f"data.columns has no key {name}; the keys are {', '.join(EXAMPLE_FIELDS)}.{near}")
            is_list = isinstance(column, list) and name == "options" and len(set(column)) == len(column) >= 2
            if not all(isinstance(each, str) and each for each in (column if is_list else [column])):
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
