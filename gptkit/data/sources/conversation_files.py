"""The sources `dialogues`, `rankings` and `prompts`: files of the user, in the layouts in which such data is published."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gptkit.data.base import ConversationalData
from gptkit.data.parsing.column_layouts import check_column_keys
from gptkit.data.parsing.conversations import RANDOM_TURN_PARSER, RECORD_PARSERS, ConversationRecord, parse_records
from gptkit.data.readers.file_discovery import file_format, find_splits
from gptkit.data.readers.file_hashes import file_sha256
from gptkit.data.readers.tables import OBJECTS, read_objects
from gptkit.errors import DataError, did_you_mean
from gptkit.records import Ranking

if TYPE_CHECKING:
    from gptkit.data.conversation_config import RecordFilesConfig


class RecordFiles(ConversationalData):
    """The records of the files of `data.path`, `data.validation` and `data.test`.

    The fingerprint depends on the content, order and format of the files and on the settings, not on the location of the files.
    """

    def __init__(self, settings: RecordFilesConfig, *, held_out_labelers: Sequence[str] = (), random_turn: bool = False) -> None:
        """Find the files and compute the fingerprint.

        Args:
            settings: the config of the source.
            held_out_labelers: labelers whose rankings in the training files are used for validation.
            random_turn: whether a prompt ends before any answer of its dialogue, instead of before the last one.

        Raises:
            ConfigError: a key of `data.columns` is not a column of any layout.
            DataError: a file does not exist or cannot be read, no file has a supported format, or a file is in two splits.
        """
        self._kind, self._columns, self._errors = settings.name, dict(settings.columns), settings.errors
        self._empty, self._random_turn = settings.empty, random_turn
        self._held_out = tuple(held_out_labelers)
        check_column_keys(RECORD_PARSERS[self._kind].layouts, self._columns)
        self.files = find_splits(settings.path, settings.validation, settings.test, forms=OBJECTS)
        splits = {*self.files, *(["validation"] if self._held_out else [])}
        self.splits = tuple(split for split in ("train", "validation", "test") if split in splits)
        content = {
            split: [(file_format(path, OBJECTS), file_sha256(path)) for path in files] for split, files in self.files.items()
        }
        key = [self._kind, sorted(self._columns.items()), sorted(self._held_out), self._errors, self._empty, content]
        content_key = json.dumps([*key, "random turn"] if random_turn else key)
        self.fingerprint = hashlib.sha256(content_key.encode()).hexdigest()

    def records(self, split: str) -> Iterator[ConversationRecord]:
        """Yield the records of a split.

        Raises:
            DataError: see `parse_records`; also if the split has no record, or a held-out labeler has no ranking.
        """
        is_empty = True
        for record in self._records_of_split(split):
            is_empty = False
            yield record
        if is_empty:
            files = ", ".join(map(str, self.files.get(split, self.files["train"])))
            raise DataError(f"{files}: there are no {self._kind} for the {split} split")

    def _records_of_split(self, split: str) -> Iterator[ConversationRecord]:
        """Yield the records of a split. Training leaves out the rankings of held-out labelers, with which validation starts."""
        if self._held_out and split in ("train", "validation"):
            labelers: set[str | None] = set()
            for record in self._read("train"):
                labeler = record.labeler if isinstance(record, Ranking) else None
                labelers.add(labeler)
                if (labeler in self._held_out) == (split == "validation"):
                    yield record
            self._check_held_out_labelers({labeler for labeler in labelers if labeler is not None})
        if split in self.files and not (self._held_out and split == "train"):
            yield from self._read(split)

    def _read(self, split: str) -> Iterator[ConversationRecord]:
        for path in self.files[split]:
            rows = read_objects(path, errors=self._errors)
            yield from parse_records(
                rows, self._kind, self._columns, empty=self._empty, parser=RANDOM_TURN_PARSER if self._random_turn else None
            )

    def _check_held_out_labelers(self, labelers: set[str]) -> None:
        for name in self._held_out:
            if name not in labelers:
                known = f"labelers are {', '.join(sorted(labelers)[:20])}" if labelers else "no ranking names its labeler"
                raise DataError(f"data.held_out_labelers: no ranking is by {name}; {known}.{did_you_mean(name, labelers)}")
