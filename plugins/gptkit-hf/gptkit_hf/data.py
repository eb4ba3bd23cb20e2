"""Read datasets of the datasets library as documents, labelled examples, dialogues, rankings or prompts."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gptkit.data.base import Chunk, Data, LabelledData, conversation_text
from gptkit.data.parsing.column_layouts import check_column_keys, match_columns
from gptkit.data.parsing.conversations import RECORD_PARSERS, ConversationRecord, parse_records
from gptkit.data.parsing.examples import parse_examples
from gptkit.errors import ConfigError, DataError, did_you_mean
from gptkit.records import Document, Example
from gptkit.tokenizer.base import fingerprint_of
from gptkit_hf.tables import open_tables

if TYPE_CHECKING:
    from gptkit.data.parsing.examples import ExampleColumns
    from gptkit_hf import HFDataConfig

_log = logging.getLogger("gptkit")

ROLES = ("train", "validation", "test")
BATCH_ROWS = 256
"""Number of rows that are read together."""


class HFData(Data):
    """The tables of a dataset by split: train, validation, test.

    The fingerprint of local files is that of their content; that of a dataset on the Hub covers its commit and its files.
    """

    def __init__(self, settings: HFDataConfig, *described: str) -> None:
        """Open the tables. `described` holds the settings that affect the records, for the fingerprint."""
        self.where = f"data.path={settings.path}"
        for role in settings.split:
            if role not in ROLES:
                raise ConfigError(f"data.split has no key {role}.{did_you_mean(role, ROLES)}")
        tables, identity = open_tables(settings)
        default_names = type(settings)().split
        self.tables: dict[str, Any] = {}
        for role in ROLES:
            name = settings.split.get(role, "")
            if name in tables:
                self.tables[role] = tables[name]
            elif role == "train" or name not in ("", default_names[role]):
                raise ConfigError(f"data.split.{role}={name}: {settings.path} does not have this split; it has {', '.join(tables)}")
        self.splits = tuple(self.tables)
        chosen = {role: settings.split[role] for role in self.splits}
        self.fingerprint = fingerprint_of("hf", *described, json.dumps(chosen, sort_keys=True), identity)


class HFDocuments(HFData):
    """One document per row, in the order of the dataset."""

    def __init__(self, settings: HFDataConfig) -> None:
        self.column = settings.field
        super().__init__(settings, self.column)
        for role, table in self.tables.items():
            columns = table.column_names  # None for a stream whose columns are not known yet
            if columns is not None and self.column not in columns:
                choices = f"data.field can be {', '.join(columns)}.{did_you_mean(self.column, columns)}"
                raise DataError(f"{self.where}: split {role} has no column {self.column}; {choices}")

    def records(self, split: str) -> Iterator[Document]:
        table, row = self.tables[split], 0
        if table.column_names is not None:
            table = table.select_columns([self.column])
        for batch in table.iter(batch_size=BATCH_ROWS):
            if self.column not in batch:
                raise DataError(f"{self.where}: split {split} has no column {self.column}; data.field can be {', '.join(batch)}")
            for text in batch[self.column]:
                if not isinstance(text, str):
                    content = "null" if text is None else f"a value of type {type(text).__name__}"
                    raise DataError(
                        f"{self.where}: row {row} of split {split} has {content} instead of text in {self.column}; see data.field"
                    )
                yield Document(text)
                row += 1


class HFExamples(HFData, LabelledData):
    """One labelled example per row, in the order of the dataset. Labels of a `ClassLabel` column are replaced by their names.

    Rows of class -1, by which datasets on the Hub mark rows without a label, are skipped and counted.
    """

    def __init__(self, settings: HFDataConfig, columns: ExampleColumns) -> None:
        self._example_columns = columns
        self._warned: set[str] = set()
        names = list(columns.names().items())
        super().__init__(settings, "examples", json.dumps([names, columns.first_option, columns.label_means], sort_keys=True))

    def records(self, split: str) -> Iterator[Example]:
        yield from parse_examples(self._rows(split), self._example_columns)

    def _rows(self, split: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        table, row, unlabelled = self.tables[split], 0, 0
        names, label = self._example_columns.names(), self._example_columns.label
        assert label is not None
        if table.column_names is not None:
            self._check_columns(split, table.column_names)
            table = table.select_columns(list(names))
        classes = getattr((table.features or {}).get(label), "names", None)
        for batch in table.iter(batch_size=BATCH_ROWS):
            self._check_columns(split, batch)
            for cells in zip(*(batch[name] for name in names), strict=True):
                result = dict(zip(names, cells, strict=True))
                index = result[label]
                row += 1
                if classes is not None and index == -1:
                    unlabelled += 1
                    continue
                if classes is not None and index is not None:
                    result[label] = classes[index]
                yield f"{self.where}, row {row - 1} of split {split}", result
        if unlabelled and split not in self._warned:
            self._warned.add(split)
            _log.warning(
                "%s of %s rows of the %s split have no label (class -1) and are skipped", f"{unlabelled:,}", f"{row:,}", split
            )

    def _check_columns(self, split: str, columns: Collection[str]) -> None:
        for name, key in self._example_columns.names().items():
            if name not in columns:
                raise DataError(
                    f"{self.where}: split {split} has no column {name}; {key} can be {', '.join(columns)}."
                    f"{did_you_mean(name, list(columns))}"
                )


class HFRecords(HFData):
    """One dialogue, ranking or prompt per row, in the order of the dataset, in the formats that gptkit's data sources read."""

    def __init__(self, settings: HFDataConfig) -> None:
        self._kind, self._columns, self._empty = settings.records, dict(settings.columns), settings.empty
        check_column_keys(RECORD_PARSERS[self._kind].layouts, self._columns)
        super().__init__(settings, self._kind, json.dumps(self._columns, sort_keys=True), self._empty)

    def records(self, split: str) -> Iterator[ConversationRecord]:
        yield from parse_records(self._rows(split), self._kind, self._columns, empty=self._empty)

    def chunks(self, split: str) -> Iterator[Chunk]:
        for record in self.records(split):
            yield Chunk(conversation_text(record), is_last=True)

    def _rows(self, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
        table, row = self.tables[split], 0
        if table.column_names is not None and self._kind != "prompts":  # other columns of prompts may be facts
            try:
                table = table.select_columns(
                    list(set(match_columns(RECORD_PARSERS[self._kind].layouts, table.column_names, self._columns).values()))
                )
            except DataError as error:
                raise DataError(f"{self.where}, split {split}: {error}") from None
        for batch in table.iter(batch_size=BATCH_ROWS):
            for cells in zip(*batch.values(), strict=True):
                yield f"{self.where}, row {row} of split {split}", dict(zip(batch, cells, strict=True))
                row += 1
