"""Reads the records of a run that Weights & Biases wrote offline, in the log format of LevelDB."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

BLOCK = 32768
FILE_HEADER = 7
RECORD_HEADER = 7

messages: Any = wandb_internal_pb2  # its classes are made at run time


def read_records(path: Path) -> Iterator[Any]:
    """Yields the records of a .wandb file; a record may be split into chunks, of which a block holds whole ones."""
    content = path.read_bytes()
    position, body = FILE_HEADER, b""
    while position + RECORD_HEADER <= len(content):
        left = BLOCK - position % BLOCK
        if left < RECORD_HEADER:
            position += left
            continue
        length = int.from_bytes(content[position + 4 : position + 6], "little")
        kind = content[position + 6]  # 1: whole, 2: first, 3: middle, 4: last chunk of a record
        position += RECORD_HEADER
        body += content[position : position + length]
        position += length
        if kind in (1, 4):
            record = messages.Record()
            record.ParseFromString(body)
            body = b""
            yield record


def read_history(path: Path) -> list[dict[str, Any]]:
    """Returns the rows that were logged."""
    rows = []
    for record in read_records(path):
        if record.WhichOneof("record_type") == "history":
            rows.append({item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in record.history.item})
    return rows


def read_config(path: Path) -> dict[str, Any]:
    """Returns the hyperparameters."""
    config = {}
    for record in read_records(path):
        if record.WhichOneof("record_type") == "config":
            config.update({item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in record.config.update})
    return config


def wait_until_written(path: Path, *, seconds: float = 60.0) -> None:
    """Waits for the record that ends a run: W&B's own process writes it after `finish` returns."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if any(record.WhichOneof("record_type") == "exit" for record in read_records(path)):
            return
        time.sleep(0.1)
    raise TimeoutError(f"{path} has no end")
