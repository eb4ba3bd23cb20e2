"""Files of text line by line, and lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, TypeGuard

from gptkit.data.decompress import open_bytes
from gptkit.errors import DataError

BYTE_ORDER_MARK = "\ufeff"

LONGEST_LINE = 1 << 28
"""Bytes of a line at most: what has no line break for longer is no file of rows."""

DEEPEST = 64
"""Lists and objects that may lie in one another in a line of JSON."""


def decoded_lines(path: Path, *, errors: str) -> Iterator[tuple[int, str, int]]:
    """The lines of a file in UTF-8, with their ends: (number from 1, line, bytes of the file that have been read).

    Args:
        errors: bytes that are not UTF-8, and NUL characters: strict (an error) or replace (with U+FFFD).

    Raises:
        DataError: the file cannot be read, a line is too long, not UTF-8, or has a NUL character: names the file, the line and
            the byte.
    """
    offset = 0
    with open_bytes(path) as (stream, file):
        for number, line in enumerate(_lines(path, stream), 1):
            try:
                text = line.decode("utf-8", errors)
            except UnicodeDecodeError as error:
                raise not_utf8(f"{path}:{number}", error, offset) from None
            if "\0" in text:
                text = without_nul(f"{path}:{number}", text, errors)
            offset += len(line)
            yield number, text.removeprefix(BYTE_ORDER_MARK) if number == 1 else text, file.tell()


def _lines(path: Path, stream: IO[bytes]) -> Iterator[bytes]:
    number = 0
    while line := stream.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise DataError(f"{path}:{number}: the line is longer than {LONGEST_LINE:,} bytes; is this a file of one row a line?")
        yield line


def json_object(where: str, line: str) -> dict[str, Any]:
    """The object that a line of a .jsonl file holds.

    Raises:
        DataError: the line is not JSON, no object, nested too deeply, or has a key twice; names `where`.
    """
    try:
        content = json.loads(line, object_pairs_hook=_object)
    except _TwiceError as error:
        raise DataError(f"{where}: the key {error} stands twice in one object; leave one of them out") from None
    except (ValueError, RecursionError) as error:
        reason = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
        raise DataError(f"{where}: the line is not JSON ({reason}); a .jsonl file holds one JSON object a line") from None
    if not isinstance(content, dict):
        raise DataError(f"{where}: the line is JSON but no object; a .jsonl file holds one JSON object a line")
    if line.count("[") + line.count("{") > DEEPEST and _deeper(content, DEEPEST):
        raise DataError(f"{where}: more than {DEEPEST} lists and objects lie in one another; a row holds no such thing")
    return content


class _TwiceError(Exception):
    """Says which key stands twice."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _TwiceError(next(key for key in found if keys.count(key) > 1))
    return found


def _deeper(content: Any, most: int) -> bool:
    """Whether more than so many lists and objects lie in one another."""
    level = [content]
    for _ in range(most):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def is_number(cell: Any) -> TypeGuard[int | float]:
    """Whether a cell is a number that can be reckoned with: no infinity, and nothing that single precision cannot hold."""
    return isinstance(cell, int | float) and not isinstance(cell, bool) and abs(cell) < 3e38  # nan is not below


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


def without_nul(where: str, text: str, errors: str) -> str:
    """The text with U+FFFD for NUL characters: a file that has them is binary, or text in UTF-16 without a mark.

    Raises:
        DataError: `errors` is strict; names `where`.
    """
    if errors == "strict":
        raise DataError(
            f"{where}: there is a NUL character, as in UTF-16 or no text at all; convert the file to UTF-8 "
            "(where it is training text, data.errors=replace goes on with U+FFFD)"
        )
    return text.replace("\0", "\ufffd")


def not_utf8(where: str, error: UnicodeDecodeError, offset: int) -> DataError:
    """Args: offset: of the first of the bytes that were decoded."""
    return DataError(
        f"{where}: the byte 0x{error.object[error.start]:02x} at offset {offset + error.start} is not UTF-8; "
        "convert the file to UTF-8 (where it is training text, data.errors=replace goes on with U+FFFD)"
    )
