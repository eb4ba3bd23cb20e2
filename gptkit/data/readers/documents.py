"""Readers of documents from .txt, .md, .jsonl and .parquet files, in chunks."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gptkit.data.readers.decompression import BLOCK, open_bytes
from gptkit.data.readers.file_discovery import file_format
from gptkit.data.readers.jsonl import read_jsonl
from gptkit.data.readers.parquet import open_parquet, parquet_rows
from gptkit.data.readers.text_lines import BYTE_ORDER_MARK, not_utf8_error, replace_nul
from gptkit.errors import DataError, did_you_mean

TextChunk = tuple[str, bool, int]
"""A chunk of a document: its text, whether the document ends with it, and how many bytes of the file have been read."""


def read_documents(path: Path, *, field: str, errors: str) -> Iterator[TextChunk]:
    """Yield the documents of a file, in chunks.

    Args:
        path: a file whose format `file_format` recognises.
        field: the field or column of the text in .jsonl and .parquet files.
        errors: for bytes that are not UTF-8: strict (an error) or replace (with U+FFFD).

    Raises:
        DataError: the file cannot be read, or its content does not have its format. The message names the file and the line, row
            or byte.
    """
    return READERS[file_format(path) or ".txt"](path, field, errors)


def _read_plain(path: Path, field: str, errors: str) -> Iterator[TextChunk]:
    """The whole file is one document. Chunks end at line ends unless a line is longer than a block."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors)
    offset, pending, is_first = 0, "", True
    with open_bytes(path) as (stream, file):
        while True:
            block = stream.read(BLOCK)
            undecoded = len(decoder.getstate()[0])  # bytes of a character that started in the previous block
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                raise not_utf8_error(str(path), error, offset - undecoded) from None
            if "\0" in text:
                text = replace_nul(f"{path}: after byte {offset}", text, errors)
            offset += len(block)
            if is_first and text:
                text, is_first = text.removeprefix(BYTE_ORDER_MARK), False
            if not block:
                yield pending + text, True, file.tell()
                return
            text = pending + text
            end = text.rfind("\n") + 1 or len(text)
            pending = text[end:]
            yield text[:end], False, file.tell()


def _read_jsonl(path: Path, field: str, errors: str) -> Iterator[TextChunk]:
    """One document per line."""
    for line in read_jsonl(path, errors=errors):
        if field not in line.values:
            raise DataError(f"{line.where}: there is no field {field}; {_choices(field, list(line.values))}")
        text = line.values[field]
        if not isinstance(text, str):
            raise DataError(
                f"{line.where}: field {field} holds {type(text).__name__} instead of text; {_choices('', list(line.values))}"
            )
        yield line.select([field], errors=errors)[field] if line.has_escapes else text, True, line.bytes_read


def _read_parquet(path: Path, field: str, errors: str) -> Iterator[TextChunk]:
    """One document per row."""
    size = path.stat().st_size
    with open_parquet(path) as file:
        columns = file.schema_arrow
        if columns.names.count(field) != 1:
            problem = "are several columns" if field in columns.names else "is no column"
            raise DataError(f"{path}: there {problem} {field}; {_choices(field, columns.names)}")
        kind = columns.field(field).type
        if str(kind) not in ("string", "large_string", "string_view"):
            raise DataError(f"{path}: column {field} holds {kind} instead of text; {_choices('', columns.names)}")
        for number, (text,) in parquet_rows(path, file, [field], errors=errors):
            if text is None:
                raise DataError(f"{path}: row {number}: column {field} is empty (null); drop such rows")
            yield text, True, size * number // file.metadata.num_rows


def _choices(field: str, names: list[Any]) -> str:
    return f"data.field can be {', '.join(map(str, names)) or '(none)'}.{did_you_mean(field, map(str, names))}"


READERS: dict[str, Callable[[Path, str, str], Iterator[TextChunk]]] = {
    ".txt": _read_plain,
    ".md": _read_plain,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}
