"""One reader per file format.

Each yields pieces of documents: (text, whether the document ends here, bytes of the file that have been read).
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gptkit.data.decompress import BLOCK, open_bytes
from gptkit.data.file_discovery import form_of
from gptkit.data.parquet import open_parquet
from gptkit.data.text_lines import BYTE_ORDER_MARK, decoded_lines, json_object, not_utf8, whole_characters, without_nul
from gptkit.errors import DataError, did_you_mean

Piece = tuple[str, bool, int]


def read_file(path: Path, *, field: str, errors: str) -> Iterator[Piece]:
    """The documents of a file, by the reader of its format.

    Args:
        path: a file for which `form_of` names a format.
        field: where .jsonl and .parquet files hold the text.
        errors: bytes that are not UTF-8: strict (an error) or replace (with U+FFFD).

    Raises:
        DataError: the file cannot be read, or is not what its name says: names the file and the line, row or byte.
    """
    return READERS[form_of(path) or ".txt"](path, field, errors)


def _read_plain(path: Path, field: str, errors: str) -> Iterator[Piece]:
    """The whole file is one document; pieces end with a line where lines are not longer than a block."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors)
    offset, held, first = 0, "", True
    with open_bytes(path) as (stream, file):
        while True:
            block = stream.read(BLOCK)
            waiting = len(decoder.getstate()[0])  # bytes of a character that began in the block before
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                raise not_utf8(str(path), error, offset - waiting) from None
            if "\0" in text:
                text = without_nul(f"{path}: behind byte {offset}", text, errors)
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


def _read_jsonl(path: Path, field: str, errors: str) -> Iterator[Piece]:
    """One document a line; empty lines are passed over."""
    for number, line, read in decoded_lines(path, errors=errors):
        if line.strip():
            yield _field(f"{path}:{number}", line, field, errors), True, read


def _field(where: str, line: str, field: str, errors: str) -> str:
    content = json_object(where, line)
    if field not in content:
        raise DataError(f"{where}: there is no field {field}; {_choices(field, list(content))}")
    text = content[field]
    if not isinstance(text, str):
        raise DataError(f"{where}: field {field} holds no text but {type(text).__name__}; {_choices('', list(content))}")
    return whole_characters(where, text, field=field, errors=errors) if "\\u" in line else text


def _read_parquet(path: Path, field: str, errors: str) -> Iterator[Piece]:
    """One document a row."""
    size, row = path.stat().st_size, 0
    with open_parquet(path) as file:
        import pyarrow

        columns = file.schema_arrow
        if columns.names.count(field) != 1:
            many = "are several columns" if field in columns.names else "is no column"
            raise DataError(f"{path}: there {many} {field}; {_choices(field, columns.names)}")
        kind = columns.field(field).type
        if str(kind) not in ("string", "large_string", "string_view"):
            raise DataError(f"{path}: column {field} holds no text but {kind}; {_choices('', columns.names)}")
        for batch in file.iter_batches(batch_size=256, columns=[field]):
            for value in batch.column(0).cast(pyarrow.large_binary()).to_pylist():
                row += 1
                yield _cell(f"{path}: row {row}", value, field, errors), True, size * row // file.metadata.num_rows


def _cell(where: str, value: bytes | None, field: str, errors: str) -> str:
    if value is None:
        raise DataError(f"{where}: column {field} is empty (null); drop such rows")
    try:
        return value.decode("utf-8", errors)
    except UnicodeDecodeError as error:
        raise not_utf8(where, error, 0) from None


def _choices(field: str, names: list[Any]) -> str:
    return f"data.field can be {', '.join(map(str, names)) or 'nothing here'}.{did_you_mean(field, map(str, names))}"


READERS: dict[str, Callable[[Path, str, str], Iterator[Piece]]] = {
    ".txt": _read_plain,
    ".md": _read_plain,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}
