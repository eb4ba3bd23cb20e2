"""The sources `dialogues`, `rankings` and `prompts`: the user's own files, in the shapes in which such data is published."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptkit.data import dialogues, prompts, rankings
from gptkit.data.base import Chunk, Data
from gptkit.data.column_layouts import Shape, match, refuse_unknown_names
from gptkit.data.file_discovery import find_splits, form_of
from gptkit.data.file_hashes import digest
from gptkit.data.rows import OBJECTS, read_objects
from gptkit.data.turns import joined
from gptkit.errors import DataError, did_you_mean
from gptkit.records import Dialogue, Prompt, Ranking

if TYPE_CHECKING:
    from gptkit.data.dialogue_config import RecordFilesConfig

Spoken = Dialogue | Ranking | Prompt
"""The records of which somebody speaks in turns."""


@dataclass(frozen=True)
class Reading:
    """How records are read: the shapes that a row may have, and the function from row and columns to record."""

    shapes: tuple[Shape, ...]
    read: Callable[[Mapping[str, Any], Mapping[str, str]], Spoken]


READINGS = {
    "dialogues": Reading(dialogues.SHAPES, dialogues.to_dialogue),
    "rankings": Reading(rankings.SHAPES, rankings.to_ranking),
    "prompts": Reading(prompts.SHAPES, prompts.to_prompt),
}


def read_records(
    rows: Iterable[tuple[str, Mapping[str, Any]]], kind: str, columns: Mapping[str, str], *, empty: str = "stop"
) -> Iterator[Spoken]:
    """The records of rows, in order.

    Args:
        rows: where each stands, for errors, and its cells by column.
        kind: one of `READINGS`.
        columns: which columns hold what, as far as the user says; see `gptkit.data.column_layouts.match`.
        empty: turns of the user or the assistant that say nothing: stop (an error) or keep.

    Raises:
        DataError: a row is not of this kind, or something is wrong with it: names where it stands.
    """
    reading = READINGS[kind]
    shapes: dict[tuple[str, ...], dict[str, str]] = {}
    for where, row in rows:
        names = tuple(row)
        try:
            if names not in shapes:
                shapes[names] = match(reading.shapes, names, columns)
            record = reading.read(row, shapes[names])
            if empty == "stop":
                _refuse_empty(record)
            yield record
        except DataError as error:
            raise DataError(f"{where}: {error}") from None


def _refuse_empty(record: Spoken) -> None:
    for number, turn in enumerate(record.prompt if isinstance(record, Ranking) else record.turns, 1):
        if turn.role == "user" and not turn.text.strip():
            raise DataError(
                f"turn {number}, the user's, is empty; drop such rows, fill them, or let it say nothing by data.empty=keep"
            )
    if isinstance(record, Ranking):
        answers = [*record.completions, *([] if record.demonstration is None else [record.demonstration])]
    else:
        answers = [turn.text for turn in record.turns if turn.role == "assistant"]
    for place, text in enumerate(answers, 1):
        if not text.strip():
            what = "the demonstration" if isinstance(record, Ranking) and place > len(record.completions) else f"answer {place}"
            raise DataError(f"{what} is empty; drop such rows, fill them, or let the assistant say nothing by data.empty=keep")


def text_of(record: Spoken) -> str:
    """What is said, as one document: of a ranking also every completion and the demonstration, never facts."""
    if isinstance(record, Ranking):
        return joined(record.prompt, *record.completions, *([record.demonstration] if record.demonstration else []))
    return joined(record.turns)


class ConversationalData(Data):
    """A source of dialogues, rankings or prompts. As text, a record is one document."""

    def chunks(self, split: str) -> Iterator[Chunk]:
        for record in self.records(split):
            yield Chunk(text_of(record), last=True)  # type: ignore[arg-type]  # subclasses give no others


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
        refuse_unknown_names(READINGS[self._kind].shapes, self._columns)
        self.files = find_splits(settings.path, settings.validation, settings.test, forms=OBJECTS)
        there = {*self.files, *(["validation"] if self._held_out else [])}
        self.splits = tuple(split for split in ("train", "validation", "test") if split in there)
        content = {split: [(form_of(path, OBJECTS), digest(path)) for path in files] for split, files in self.files.items()}
        described = json.dumps(
            [self._kind, sorted(self._columns.items()), sorted(self._held_out), self._errors, self._empty, content]
        )
        self.fingerprint = hashlib.sha256(described.encode()).hexdigest()

    def records(self, split: str) -> Iterator[Spoken]:
        """Raises: DataError: see `read_records`; also where the split has no record, or nobody is a labeler that is held out."""
        empty = True
        for record in self._chosen(split):
            empty = False
            yield record
        if empty:
            files = ", ".join(map(str, self.files.get(split, self.files["train"])))
            raise DataError(f"{files}: there are no {self._kind} for the {split} split")

    def _chosen(self, split: str) -> Iterator[Spoken]:
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

    def _read(self, split: str) -> Iterator[Spoken]:
        for path in self.files[split]:
            yield from read_records(read_objects(path, errors=self._errors), self._kind, self._columns, empty=self._empty)

    def _refuse_unknown_labelers(self, labelers: set[str]) -> None:
        for name in self._held_out:
            if name not in labelers:
                known = f"they are {', '.join(sorted(labelers)[:20])}" if labelers else "no ranking says who made it"
                raise DataError(f"data.held_out_labelers: no ranking is by {name}; {known}.{did_you_mean(name, labelers)}")
