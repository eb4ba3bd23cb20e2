"""Data sets of the datasets library as documents."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gptkit.data.built import BuiltData
from gptkit.errors import ConfigError, DataError, did_you_mean
from gptkit.records import Document
from gptkit.tokenizer.built import fingerprint_of
from gptkit_hf.tables import opened

if TYPE_CHECKING:
    from gptkit_hf import HFData

ROLES = ("train", "validation", "test")
AT_ONCE = 256
"""Rows that are read together."""


class BuiltHFData(BuiltData):
    """One document per row, in the order of the data set.

    The fingerprint of files on this machine is that of their content; that of a data set of the hub, its commit and its files.
    """

    def __init__(self, settings: HFData) -> None:
        self.where = f"data.path={settings.path}"
        self.column = settings.field
        for role in settings.split:
            if role not in ROLES:
                raise ConfigError(f"data.split has no key {role}.{did_you_mean(role, ROLES)}")
        found, identity = opened(settings)
        usual = type(settings)().split
        self.tables: dict[str, Any] = {}
        for role in ROLES:
            name = settings.split.get(role, "")
            if name in found:
                self.tables[role] = found[name]
            elif role == "train" or name not in ("", usual[role]):
                raise ConfigError(f"data.split.{role}={name}: {settings.path} has no such split; it has {', '.join(found)}")
        for role, table in self.tables.items():
            columns = table.column_names  # of a stream they may not be known yet
            if columns is not None and self.column not in columns:
                choices = f"data.field can be {', '.join(columns)}.{did_you_mean(self.column, columns)}"
                raise DataError(f"{self.where}: split {role} has no column {self.column}; {choices}")
        self.splits = tuple(self.tables)
        chosen = {role: settings.split[role] for role in self.splits}
        self.fingerprint = fingerprint_of("hf", self.column, json.dumps(chosen, sort_keys=True), identity)

    def records(self, split: str) -> Iterator[Document]:
        table, row = self.tables[split], 0
        if table.column_names is not None:
            table = table.select_columns([self.column])
        for batch in table.iter(batch_size=AT_ONCE):
            if self.column not in batch:
                raise DataError(f"{self.where}: split {split} has no column {self.column}; data.field can be {', '.join(batch)}")
            for text in batch[self.column]:
                if not isinstance(text, str):
                    held = "nothing (null)" if text is None else f"no text but {type(text).__name__}"
                    raise DataError(f"{self.where}: row {row} of split {split} holds {held} in {self.column}; see data.field")
                yield Document(text)
                row += 1
