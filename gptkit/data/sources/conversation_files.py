"""The sources `dialogues`, `rankings` and `prompts`: the user's own files, in the shapes in which such data is published."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gptkit.data.base import ConversationalData
from gptkit.data.parsing.column_layouts import check_column_keys
from gptkit.data.parsing.conversations import RECORD_PARSERS, ConversationRecord, parse_records
from gptkit.data.readers.file_discovery import file_format, find_splits
from gptkit.data.readers.file_hashes import file_sha256
from gptkit.data.readers.tables import OBJECTS, read_objects
from gptkit.errors import DataError, did_you_mean
from gptkit.records import Ranking

if TYPE_CHECKING:
    from gptkit.data.conversation_config import RecordFilesConfig


class RecordFiles(ConversationalData):
    """The records of the files that `data.path`, `data.validation` and `data.test` mean.

    The fingerprint depends on the files' content, order and format and on the settings, not on where the files lie.
    """

    def __init__(self, settings: RecordFilesConfig, *, held_out_labelers: Sequence[str] = ()) -> None:
        """Args: held_out_labelers: whose rankings among the files for training are for validation.

        Raises:
            ConfigError: `data.columns` speaks of something that no shape has.
            DataError: there is no such file, none that can be read, or one is in two splits.
        """
        self._kind, self._columns, self._errors = settings.name, dict(settings.columns), settings.errors
        self._empty = settings.empty
        self._held_out = tuple(held_out_labelers)
        check_column_keys(RECORD_PARSERS[self._kind].shapes, self._columns)
        self.files = find_splits(settings.path, settings.validation, settings.test, forms=OBJECTS)
        there = {*self.files, *(["validation"] if self._held_out else [])}
        self.splits = tuple(split for split in ("train", "validation", "test") if split in there)
        content = {
            split: [(file_format(path, OBJECTS), file_sha256(path)) for path in files] for split, files in self.files.items()
        }
        described = json.dumps(
            [self._kind, sorted(self._columns.items()), sorted(self._held_out), self._errors, self._empty, content]
        )
        self.fingerprint = hashlib.sha256(described.encode()).hexdigest()

    def records(self, split: str) -> Iterator[ConversationRecord]:
        """Raises: DataError: see `read_records`; also where the split has no record, or nobody is a labeler that is held out."""
        empty = True
        for record in self._chosen(split):
            empty = False
            yield record
        if empty:
            files = ", ".join(map(str, self.files.get(split, self.files["train"])))
            raise DataError(f"{files}: there are no {self._kind} for the {split} split")

    def _chosen(self, split: str) -> Iterator[ConversationRecord]:
        """The split's own records; for training without the labelers that are held out, for validation with them first."""
        if self._held_out and split in ("train", "validation"):
            labelers: set[str | None] = set()
            for record in self._read("train"):
                labeler = record.labeler if isinstance(record, Ranking) else None
                labelers.add(labeler)
                if (labeler in self._held_out) == (split == "validation"):
                    yield record
            self._refuse_unknown_labelers({labeler for labeler in labelers if labeler is not None})
        if split in self.files and not (self._held_out and split == "train"):
            yield from self._read(split)

    def _read(self, split: str) -> Iterator[ConversationRecord]:
        for path in self.files[split]:
            yield from parse_records(read_objects(path, errors=self._errors), self._kind, self._columns, empty=self._empty)

    def _refuse_unknown_labelers(self, labelers: set[str]) -> None:
        for name in self._held_out:
            if name not in labelers:
                known = f"they are {', '.join(sorted(labelers)[:20])}" if labelers else "no ranking says who made it"
                raise DataError(f"data.held_out_labelers: no ranking is by {name}; {known}.{did_you_mean(name, labelers)}")
