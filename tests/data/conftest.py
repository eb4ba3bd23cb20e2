"""Files of records, and what a source says of them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
import zstandard


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    """Writes rows to a file of the format that its name says: .jsonl, .jsonl.gz, .jsonl.zst or .parquet."""

    def write(*rows: dict[str, Any], name: str = "rows.jsonl") -> Path:
        path = tmp_path / name
        if path.suffix == ".parquet":
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)
            return path
        content = "".join(json.dumps(row) + "\n" for row in rows).encode()
        compress: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".zst": zstandard.compress}
        path.write_bytes(compress.get(path.suffix, bytes)(content))
        return path

    return write
