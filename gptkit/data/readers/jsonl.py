"""The reader of .jsonl files: one JSON object per line."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from gptkit.data.readers.text_lines import read_lines
from gptkit.errors import DataError

MAX_DEPTH = 64
"""Maximum nesting depth of lists and objects in a line."""


class JsonLine(NamedTuple):
    """One line of a .jsonl file."""

    where: str
    """`file:line`, for errors."""
    values: dict[str, Any]
    has_escapes: bool
    """Whether a text may contain a lone surrogate, which is possible only with escapes (\\uD800)."""
    bytes_read: int
    """Compressed bytes of the file that have been read so far."""

    def select(self, fields: Iterable[str], *, errors: str) -> dict[str, Any]:
        """Return these fields and their values, and ensures that all texts are valid Unicode.

        Raises:
            DataError: a text contains half of a surrogate pair, and `errors` is strict.
        """
        if not self.has_escapes:
            return {field: self.values[field] for field in fields}
        check = functools.partial(replace_surrogates, self.where, errors=errors)
        return {check(field, field=field): map_texts(self.values[field], functools.partial(check, field=field)) for field in fields}


def read_jsonl(path: Path, *, errors: str) -> Iterator[JsonLine]:
    """Yield the objects of a .jsonl file in order. Skips blank lines.

    Args:
        path: the file.
        errors: for bytes that are not UTF-8, and NUL characters: strict (an error) or replace (with U+FFFD).

    Raises:
        DataError: the file cannot be read, or a line is not a JSON object. The message names the file and the line.
    """
    for number, line, bytes_read in read_lines(path, errors=errors):
        if line.strip():
            where = f"{path}:{number}"
            yield JsonLine(where, json_object(where, line), "\\u" in line, bytes_read)


def map_texts(cell: Any, function: Callable[[Any], Any]) -> Any:
    """Apply `function` to a text (str or bytes), or to every text within a list or an object."""
    if isinstance(cell, list):
        return [map_texts(each, function) for each in cell]
    if isinstance(cell, dict):
        return {name: map_texts(each, function) for name, each in cell.items()}
    return function(cell) if isinstance(cell, str | bytes) else cell


def json_object(where: str, line: str) -> dict[str, Any]:
    """Parse the object in a line of a .jsonl file.

    Raises:
        DataError: the line is not JSON, is not an object, is nested too deeply, or has a duplicate key. The message names `where`.
    """
    try:
        content = json.loads(line, object_pairs_hook=_unique_keys)
    except _DuplicateKeyError as error:
        raise DataError(f"{where}: the key {error} occurs twice in one object; remove one of them") from None
    except (ValueError, RecursionError) as error:
        reason = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
        raise DataError(f"{where}: the line is not JSON ({reason}); a .jsonl file has one JSON object per line") from None
    if not isinstance(content, dict):
        raise DataError(f"{where}: the line is JSON but not an object; a .jsonl file has one JSON object per line")
    if line.count("[") + line.count("{") > MAX_DEPTH and _is_deeper(content, MAX_DEPTH):
        raise DataError(f"{where}: lists and objects are nested more than {MAX_DEPTH} deep; flatten the row")
    return content


class _DuplicateKeyError(Exception):
    """An object has a duplicate key, which is the message."""


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _DuplicateKeyError(next(key for key in content if keys.count(key) > 1))
    return content


def _is_deeper(content: Any, depth: int) -> bool:
    """Return whether lists and objects are nested deeper than `depth`."""
    level = [content]
    for _ in range(depth):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def replace_surrogates(where: str, text: str, *, field: str, errors: str) -> str:
    """Replace lone surrogates, which escapes in JSON can produce and which are not characters, with U+FFFD.

    Raises:
        DataError: the text contains one, and `errors` is strict. The message names `where` and the field.
    """
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", errors)
    except UnicodeDecodeError:
        raise DataError(
            f"{where}: field {field} contains half of a surrogate pair, which is not a character; "
            "data.errors=replace reads it as U+FFFD"
        ) from None
