"""Data sets of the datasets library as documents, labelled examples, dialogues, rankings or prompts."""

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
"""Rows that are read together."""


class HFData(Data):
    """The tables of a data set by the kit's own names of the splits.

    The fingerprint of files on this machine is that of their content; that of a data set of the hub, its commit and its files.
    """

    def __init__(self, settings: HFDataConfig, *described: str) -> None:
        """Args: described: the settings that change the records, for the fingerprint."""
        self.where = f"data.path={settings.path}"
        for role in settings.split:
            if role not in ROLES:
                raise ConfigError(f"data.split has no key {role}.{did_you_mean(role, ROLES)}")
        tables, identity = open_tables(settings)
        usual = type(settings)().split
        self.tables: dict[str, Any] = {}
        for role in ROLES:
            name = settings.split.get(role, "")
            if name in tables:
                self.tables[role] = tables[name]
            elif role == "train" or name not in ("", usual[role]):
                raise ConfigError(f"data.split.{role}={name}: {settings.path} has no such split; it has {', '.join(tables)}")
        self.splits = tuple(self.tables)
        chosen = {role: settings.split[role] for role in self.splits}
        self.fingerprint = fingerprint_of("hf", *described, json.dumps(chosen, sort_keys=True), identity)


class HFDocuments(HFData):
    """One document per row, in the order of the data set."""

    def __init__(self, settings: HFDataConfig) -> None:
        self.column = settings.field
        super().__init__(settings, self.column)
        for role, table in self.tables.items():
            columns = table.column_names  # of a stream they may not be known yet
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
                    held = "nothing (null)" if text is None else f"no text but {type(text).__name__}"
                    raise DataError(f"{self.where}: row {row} of split {split} holds {held} in {self.column}; see data.field")
                yield Document(text)
                row += 1


class HFExamples(HFData, LabelledData):
    """One labelled example per row, in the order of the data set. A class that the set numbers is known by its name.

    Rows of class -1, which is how sets of the hub say that a row has no label, are left out and counted.
    """

    def __init__(self, settings: HFDataConfig, columns: ExampleColumns) -> None:
        self._named = columns
        self._told: set[str] = set()
        names = list(self._named.names().items())
        super().__init__(
            settings, "examples", json.dumps([names, self._named.first_option, self._named.label_means], sort_keys=True)
        )

    def records(self, split: str) -> Iterator[Example]:
        yield from parse_examples(self._rows(split), self._named)

    def _rows(self, split: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        table, row, without = self.tables[split], 0, 0
        wanted, label = self._named.names(), self._named.label
        assert label is not None
        if table.column_names is not None:
            self._refuse_missing(split, table.column_names)
            table = table.select_columns(list(wanted))
        classes = getattr((table.features or {}).get(label), "names", None)
        for batch in table.iter(batch_size=BATCH_ROWS):
            self._refuse_missing(split, batch)
            for cells in zip(*(batch[name] for name in wanted), strict=True):
                result = dict(zip(wanted, cells, strict=True))
                index = result[label]
                row += 1
                if classes is not None and index == -1:
                    without += 1
                    continue
                if classes is not None and index is not None:
                    result[label] = classes[index]
                yield f"{self.where}, row {row - 1} of split {split}", result
        if without and split not in self._told:
            self._told.add(split)
            _log.warning(
                "%s of %s rows of the %s split have no label (class -1) and are left out", f"{without:,}", f"{row:,}", split
            )

    def _refuse_missing(self, split: str, there: Collection[str]) -> None:
        for name, key in self._named.names().items():
            if name not in there:
                raise DataError(
                    f"{self.where}: split {split} has no column {name}; {key} can be {', '.join(there)}."
                    f"{did_you_mean(name, list(there))}"
                )


class HFRecords(HFData):
    """One dialogue, ranking or prompt per row, in the order of the data set, in the shapes that the kit's own sources read."""

    def __init__(self, settings: HFDataConfig) -> None:
        self._kind, self._columns, self._empty = settings.records, dict(settings.columns), settings.empty
        check_column_keys(RECORD_PARSERS[self._kind].shapes, self._columns)
        super().__init__(settings, self._kind, json.dumps(self._columns, sort_keys=True), self._empty)

    def records(self, split: str) -> Iterator[ConversationRecord]:
        yield from parse_records(self._rows(split), self._kind, self._columns, empty=self._empty)

    def chunks(self, split: str) -> Iterator[Chunk]:
        for record in self.records(split):
            yield Chunk(conversation_text(record), is_last=True)

    def _rows(self, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
        table, row = self.tables[split], 0
        if table.column_names is not None and self._kind != "prompts":  # all else in a row of prompts may be a fact
            try:
                table = table.select_columns(
                    list(set(match_columns(RECORD_PARSERS[self._kind].shapes, table.column_names, self._columns).values()))
                )
            except DataError as error:
                raise DataError(f"{self.where}, split {split}: {error}") from None
        for batch in table.iter(batch_size=BATCH_ROWS):
            for cells in zip(*batch.values(), strict=True):
                yield f"{self.where}, row {row} of split {split}", dict(zip(batch, cells, strict=True))
                row += 1
