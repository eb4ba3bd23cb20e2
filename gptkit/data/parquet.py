"""Parquet files, opened in one place: whatever is wrong with one is said in a line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gptkit.data.file_hashes import unchanged
from gptkit.errors import DataError, GptkitError
from gptkit.user_files import opened


@contextmanager
def open_parquet(path: Path) -> Iterator[Any]:
    """A `pyarrow.parquet.ParquetFile`.

    Raises:
        DataError: pyarrow is not installed, or the file is no regular one, no parquet file, damaged, or changes (also later, while
            it is read in the `with` block).
    """
    try:
        import pyarrow.parquet
    except ImportError:
        raise DataError(f"{path}: reading .parquet files needs the package pyarrow; pip install gptkit[data]") from None
    with opened(path) as file, unchanged(path):
        try:
            with pyarrow.parquet.ParquetFile(file) as parquet:
                yield parquet
        except GptkitError:
            raise
        except Exception as error:  # damaged files bring out all kinds, some in several lines
            raise DataError(f"{path} is no parquet file that can be read ({' '.join(str(error).split())[:200]})") from None
