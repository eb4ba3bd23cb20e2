"""Text files line by line, decoded as UTF-8."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, TypeGuard

from gptkit.data.readers.decompression import open_bytes
from gptkit.errors import DataError

BYTE_ORDER_MARK = "\ufeff"

MAX_LINE_BYTES = 1 << 28
"""Bytes of a line at most: what has no line break for longer is no file of rows."""


def read_lines(path: Path, *, errors: str) -> Iterator[tuple[int, str, int]]:
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
                raise not_utf8_error(f"{path}:{number}", error, offset) from None
            if "\0" in text:
                text = replace_nul(f"{path}:{number}", text, errors)
            offset += len(line)
            yield number, text.removeprefix(BYTE_ORDER_MARK) if number == 1 else text, file.tell()


def _lines(path: Path, stream: IO[bytes]) -> Iterator[bytes]:
    number = 0
    while line := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise DataError(f"{path}:{number}: the line is longer than {MAX_LINE_BYTES:,} bytes; is this a file of one row a line?")
        yield line


def is_number(cell: Any) -> TypeGuard[int | float]:
    """Whether a cell is a number that can be reckoned with: no infinity, and nothing that single precision cannot hold."""
    return isinstance(cell, int | float) and not isinstance(cell, bool) and abs(cell) < 3e38  # nan is not below


def replace_nul(where: str, text: str, errors: str) -> str:
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


def not_utf8_error(where: str, error: UnicodeDecodeError, offset: int) -> DataError:
    """Args: offset: of the first of the bytes that were decoded."""
    return DataError(
        f"{where}: the byte 0x{error.object[error.start]:02x} at offset {offset + error.start} is not UTF-8; "
        "convert the file to UTF-8 (where it is training text, data.errors=replace goes on with U+FFFD)"
    )
