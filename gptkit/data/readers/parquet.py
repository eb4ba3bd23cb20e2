"""The reader of .parquet files. All errors in a file are reported as a `DataError` of one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gptkit.data.readers.file_hashes import ensure_unchanged
from gptkit.data.readers.jsonl import map_texts
from gptkit.data.readers.text_lines import not_utf8_error
from gptkit.errors import DataError, GptkitError
from gptkit.user_files import open_user_file


@contextmanager
def open_parquet(path: Path) -> Iterator[Any]:
    """Open a file as a `pyarrow.parquet.ParquetFile`.

    Raises:
        DataError: pyarrow is not installed, or the file is not a regular file, not a parquet file, damaged, or changes. The error
            may be raised later, while the `with` block reads the file.
    """
    try:
        import pyarrow.parquet
    except ImportError:
        raise DataError(f"{path}: reading .parquet files needs the package pyarrow; pip install gptkit[data]") from None
    with open_user_file(path) as file, ensure_unchanged(path):
        try:
            with pyarrow.parquet.ParquetFile(file) as parquet:
                yield parquet
        except GptkitError:
            raise
        except Exception as error:  # damaged files raise many types of errors, some with several lines
            raise DataError(f"{path} cannot be read as a parquet file ({' '.join(str(error).split())[:200]})") from None


BATCH_ROWS = 256
"""Rows per read."""


def parquet_columns(path: Path) -> list[str]:
    """Return the names of the columns of a file.

    Raises:
        DataError: see `open_parquet`.
    """
    with open_parquet(path) as file:
        return list(file.schema_arrow.names)


def parquet_rows(path: Path, file: Any, columns: Sequence[str], *, errors: str) -> Iterator[tuple[int, list[Any]]]:
    """Yield the number of each row, counted from 1, and its cells in `columns`. Null becomes None.

    Args:
        path: name of the file, for errors.
        file: the file that `open_parquet` opened.
        columns: names that occur exactly once in the file.
        errors: for text that is not UTF-8: strict (an error) or replace (with U+FFFD).

    Raises:
        DataError: a text is not UTF-8, and `errors` is strict.
    """
    row = 0
    for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=list(columns)):
        cells = [_values(batch.column(batch.schema.get_field_index(column))) for column in columns]
        for values in zip(*cells, strict=True):
            row += 1
            decode = _decoder(f"{path}: row {row}", errors)
            yield row, [map_texts(value, decode) for value in values]


def _values(column: Any) -> list[Any]:
    """Return the values of a column, with texts as bytes, because pyarrow does not check that they are UTF-8."""
    import pyarrow
    from pyarrow import types

    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        column = column.cast(pyarrow.large_binary())
    elif types.is_list(kind) or types.is_large_list(kind):
        inner = kind.value_type
        if types.is_string(inner) or types.is_large_string(inner):
            column = column.cast(pyarrow.large_list(pyarrow.large_binary()))
    values: list[Any] = column.to_pylist()
    return values


def _decoder(where: str, errors: str) -> Callable[[Any], Any]:
    def decode(value: Any) -> Any:
        if not isinstance(value, bytes):
            return value
        try:
            return value.decode("utf-8", errors)
        except UnicodeDecodeError as error:
            raise not_utf8_error(where, error, 0) from None

    return decode
