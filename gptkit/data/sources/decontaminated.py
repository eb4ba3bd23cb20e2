"""The source `decontaminated`: the text of another source, without what occurs in evaluation sets."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from gptkit.data.base import Chunk, Data
from gptkit.data.ngrams.cleaning import clean_text
from gptkit.data.ngrams.ngram_set import NgramSet
from gptkit.records import Document, Example, Record

if TYPE_CHECKING:
    from gptkit.data.decontaminated_config import DecontaminatedConfig

_log = logging.getLogger("gptkit")


class Decontaminated(Data):
    """Each piece that is left of a document of the source is one document. Validation and test splits are unchanged."""

    def __init__(self, settings: DecontaminatedConfig, source: Data, remove: Mapping[str, Data]) -> None:
        """
        Args:
            settings: the lengths and limits.
            source: the text.
            remove: the evaluation sets by key.
        """
        self._settings, self._source, self._remove = settings, source, dict(remove)
        self._ngrams: NgramSet | None = None
        self._has_reported = False
        self.splits = source.splits
        limits = [settings.n, settings.window, settings.shortest_piece, settings.most_pieces, settings.most_documents]
        content = [settings.name, source.fingerprint, [data.fingerprint for data in self._remove.values()], limits]
        self.fingerprint = hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def records(self, split: str) -> Iterator[Record]:
        if split != "train":
            yield from self._source.records(split)
            return
        for chunk in self.chunks(split):
            yield Document(chunk.text)

    def chunks(self, split: str) -> Iterator[Chunk]:
        """Yield the pieces. After the last one, a line of the log says what was removed, once.

        Raises:
            DataError: the text or an evaluation set cannot be read.
        """
        if split != "train":
            yield from self._source.chunks(split)
            return
        if self._ngrams is None:
            self._ngrams = self._read_ngrams()
        limits = self._settings
        documents, changed, contaminated, characters, kept = 0, 0, 0, 0, 0
        for text, progress in _documents(self._source):
            cleaned = clean_text(
                text,
                self._ngrams,
                window=limits.window,
                shortest_piece=limits.shortest_piece,
                most_pieces=limits.most_pieces,
            )
            documents += 1
            changed += cleaned.collisions > 0
            contaminated += cleaned.is_contaminated
            characters += len(text)
            for begin, end in cleaned.ranges:
                kept += end - begin
                yield Chunk(text[begin:end], is_last=True, progress=progress)
        if not self._has_reported:
            self._has_reported = True
            share = (characters - kept) / max(1, characters)
            _log.warning(
                "%d of %d documents have %d-grams of %s: %d documents were removed, and %.3f%% of all characters",
                changed,
                documents,
                self._ngrams.n,
                ", ".join(self._remove),
                contaminated,
                100 * share,
            )

    def _read_ngrams(self) -> NgramSet:
        ngrams = NgramSet((text for data in self._remove.values() for text in item_texts(data)), self._settings.n)
        if self._settings.most_documents:
            ngrams.remove_common((text for text, _ in _documents(self._source)), self._settings.most_documents)
        return ngrams


def item_texts(data: Data) -> Iterator[str]:
    """Yield the texts of the items of all splits: the text of an example with each of its options, or with its label."""
    for split in data.splits:
        if not _has_examples(data, split):
            for text, _ in _documents(data, split):
                yield text
            continue
        for record in data.records(split):
            assert isinstance(record, Example)
            text = record.text if record.pair is None else f"{record.text} {record.pair}"
            for answer in record.options or (str(record.label),):
                yield f"{text} {answer}"


def _has_examples(data: Data, split: str) -> bool:
    return isinstance(next(iter(data.records(split)), None), Example)


def _documents(data: Data, split: str = "train") -> Iterator[tuple[str, float | None]]:
    """Yield the text of each document, and the share of the source that has been read."""
    parts: list[str] = []
    for chunk in data.chunks(split):
        parts.append(chunk.text)
        if chunk.is_last:
            yield "".join(parts), chunk.progress
            parts.clear()
