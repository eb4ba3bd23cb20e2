"""Files of text line by line, and lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gptkit.data.decompress import open_bytes
from gptkit.errors import DataError

BYTE_ORDER_MARK = "\ufeff"


def decoded_lines(path: Path, *, errors: str) -> Iterator[tuple[int, str, int]]:
    """The lines of a file in UTF-8, with their ends: (number from 1, line, bytes of the file that have been read).

    Args:
        errors: bytes that are not UTF-8: strict (an error) or replace (with U+FFFD).

    Raises:
        DataError: the file cannot be read, or is not UTF-8: names the file, the line and the byte.
    """
    offset = 0
    with open_bytes(path) as (stream, file):
        for number, line in enumerate(stream, 1):
            try:
                text = line.decode("utf-8", errors)
            except UnicodeDecodeError as error:
                raise not_utf8(f"{path}:{number}", error, offset) from None
            offset += len(line)
            yield number, text.removeprefix(BYTE_ORDER_MARK) if number == 1 else text, file.tell()


def json_object(where: str, line: str) -> dict[str, Any]:
    """The object that a line of a .jsonl file holds.

    Raises:
        DataError: the line is not JSON, or no object; names `where`.
    """
    try:
        content = json.loads(line)
    except (ValueError, RecursionError) as error:
        reason = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
        raise DataError(f"{where}: the line is not JSON ({reason}); a .jsonl file holds one JSON object a line") from None
    if not isinstance(content, dict):
        raise DataError(f"{where}: the line is JSON but no object; a .jsonl file holds one JSON object a line")
    return content


def whole_characters(where: str, text: str, *, field: str, errors: str) -> str:
    """The text as it stands: an escape in JSON can bring half of a surrogate pair, which is no character.

    Raises:
        DataError: it does, and `errors` is strict; names `where` and the field.
    """
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", errors)
    except UnicodeDecodeError:
        raise DataError(
            f"{where}: field {field} holds half of a surrogate pair, which is no character; data.errors=replace goes on with U+FFFD"
        ) from None


def not_utf8(where: str, error: UnicodeDecodeError, offset: int) -> DataError:
    """Args: offset: of the first of the bytes that were decoded."""
    return DataError(
        f"{where}: the byte 0x{error.object[error.start]:02x} at offset {offset + error.start} is not UTF-8; "
        "convert the file to UTF-8 (where it is training text, data.errors=replace goes on with U+FFFD)"
    )
