"""Reading of text files line by line, decoded as UTF-8."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, TypeGuard

from gptkit.data.readers.decompression import open_bytes
from gptkit.errors import DataError

BYTE_ORDER_MARK = "\ufeff"

MAX_LINE_BYTES = 1 << 28
"""Maximum length of a line in bytes. A file with longer lines does not consist of rows."""


def read_lines(path: Path, *, errors: str) -> Iterator[tuple[int, str, int]]:
    """Yield the lines of a UTF-8 file: (number from 1, line with its line end, bytes of the file that have been read).

    Args:
        path: the file.
        errors: for bytes that are not UTF-8, and NUL characters: strict (an error) or replace (with U+FFFD).

    Raises:
        DataError: the file cannot be read, or a line is too long, is not UTF-8, or contains a NUL character. The message names the
            file, the line and the byte.
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
            raise DataError(
                f"{path}:{number}: the line is longer than {MAX_LINE_BYTES:,} bytes; is this a file with one row per line?"
            )
        yield line


def is_number(cell: Any) -> TypeGuard[int | float]:
    """Return whether a cell is a finite number within the range of single precision."""
    return isinstance(cell, int | float) and not isinstance(cell, bool) and abs(cell) < 3e38  # comparisons with NaN are false


def replace_nul(where: str, text: str, errors: str) -> str:
    """Replace NUL characters, which occur in binary files and in UTF-16 without a byte order mark, with U+FFFD.

    Raises:
        DataError: `errors` is strict. The message names `where`.
    """
    if errors == "strict":
        raise DataError(
            f"{where}: there is a NUL character, as in UTF-16 or binary files; convert the file to UTF-8 "
            "(for training text, data.errors=replace reads it as U+FFFD)"
        )
    return text.replace("\0", "\ufffd")


def not_utf8_error(where: str, error: UnicodeDecodeError, offset: int) -> DataError:
    """Return the error for bytes that are not UTF-8.

    Args:
        where: the location, for the message.
        error: raised by the decoder.
        offset: position in the file of the first byte that was passed to the decoder.
    """
    return DataError(
        f"{where}: the byte 0x{error.object[error.start]:02x} at offset {offset + error.start} is not UTF-8; "
        "convert the file to UTF-8 (for training text, data.errors=replace reads it as U+FFFD)"
    )
