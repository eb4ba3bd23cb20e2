"""Documents from .txt, .md, .jsonl and .parquet files, in chunks."""

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
"""A part of a document: its text, whether the document ends here, and how many bytes of the file have been read."""


def read_documents(path: Path, *, field: str, errors: str) -> Iterator[TextChunk]:
    """The documents of a file, by the reader of its format.

    Args:
        path: a file for which `file_format` names a format.
        field: where .jsonl and .parquet files hold the text.
        errors: bytes that are not UTF-8: strict (an error) or replace (with U+FFFD).

    Raises:
        DataError: the file cannot be read, or is not what its name says: names the file and the line, row or byte.
    """
    return READERS[file_format(path) or ".txt"](path, field, errors)


def _read_plain(path: Path, field: str, errors: str) -> Iterator[TextChunk]:
    """The whole file is one document; chunks end at line ends where lines are not longer than a block."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors)
    offset, held, first = 0, "", True
    with open_bytes(path) as (stream, file):
        while True:
            block = stream.read(BLOCK)
            waiting = len(decoder.getstate()[0])  # bytes of a character that began in the block before
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                raise not_utf8_error(str(path), error, offset - waiting) from None
            if "\0" in text:
                text = replace_nul(f"{path}: behind byte {offset}", text, errors)
            offset += len(block)
            if first and text:
                text, first = text.removeprefix(BYTE_ORDER_MARK), False
            if not block:
                yield held + text, True, file.tell()
                return
            text = held + text
            end = text.rfind("\n") + 1 or len(text)
            held = text[end:]
            yield text[:end], False, file.tell()


def _read_jsonl(path: Path, field: str, errors: str) -> Iterator[TextChunk]:
    """One document per line."""
    for line in read_jsonl(path, errors=errors):
        if field not in line.values:
            raise DataError(f"{line.where}: there is no field {field}; {_choices(field, list(line.values))}")
        text = line.values[field]
        if not isinstance(text, str):
            raise DataError(
                f"{line.where}: field {field} holds no text but {type(text).__name__}; {_choices('', list(line.values))}"
            )
        yield line.select([field], errors=errors)[field] if line.has_escapes else text, True, line.bytes_read


def _read_parquet(path: Path, field: str, errors: str) -> Iterator[TextChunk]:
    """One document per row."""
    size = path.stat().st_size
    with open_parquet(path) as file:
        columns = file.schema_arrow
        if columns.names.count(field) != 1:
            many = "are several columns" if field in columns.names else "is no column"
            raise DataError(f"{path}: there {many} {field}; {_choices(field, columns.names)}")
        kind = columns.field(field).type
        if str(kind) not in ("string", "large_string", "string_view"):
            raise DataError(f"{path}: column {field} holds no text but {kind}; {_choices('', columns.names)}")
        for number, (text,) in parquet_rows(path, file, [field], errors=errors):
            if text is None:
                raise DataError(f"{path}: row {number}: column {field} is empty (null); drop such rows")
            yield text, True, size * number // file.metadata.num_rows


def _choices(field: str, names: list[Any]) -> str:
    return f"data.field can be {', '.join(map(str, names)) or 'nothing here'}.{did_you_mean(field, map(str, names))}"


READERS: dict[str, Callable[[Path, str, str], Iterator[TextChunk]]] = {
    ".txt": _read_plain,
    ".md": _read_plain,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}
