"""Reads the result folders that `gptkit eval to=<folder>` writes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gptkit.errors import ConfigError, DataError, did_you_mean
from gptkit.evaluation.folder import ITEMS, RESULTS
from gptkit.evaluation.runner import split_draw
from gptkit.kit_files import MIB, DamagedFile, open_regular, read_json
from gptkit.task.base import Columns
from gptkit.user_files import expand_path


@dataclass(frozen=True)
class StoredItem:
    """One line of items.jsonl."""

    identifier: str
    """The position of the item in its task, and a hash of its requests and its target."""
    requests: int
    target: Any
    scores: Mapping[str, float]
    offset: int
    """The position of the line in the file, in bytes; that of the first draw, if the item has a line for each draw."""

    @property
    def position(self) -> int:
        return int(self.identifier.partition("-")[0])

    @property
    def content_hash(self) -> str:
        return self.identifier.partition("-")[2]


@dataclass(frozen=True)
class StoredResult:
    """One task with one model."""

    folder: Path
    content: Mapping[str, Any]
    """results.json."""
    items: tuple[StoredItem, ...]
    """In the order of the task. With fixed draws of examples, the scores of an item are the means over its draws."""

    @property
    def draws(self) -> int:
        """The number of fixed draws of examples; 0: there are none."""
        return len((self.content.get("draws") or {}).get("each", ()))

    @property
    def task(self) -> str:
        return str(self.protocol["task"]["name"])

    @property
    def protocol(self) -> Mapping[str, Any]:
        protocol: Mapping[str, Any] = self.content["protocol"]
        return protocol

    def columns(self, rows: list[int]) -> Columns:
        """Return the scores of some items, by their indices."""
        return {name: np.array([self.items[row].scores[name] for row in rows], float) for name in self.items[0].scores}

    def lines(self, rows: list[int]) -> Iterator[dict[str, Any]]:
        """Yield the lines of some items, with their requests and answers."""
        with (self.folder / ITEMS).open("rb") as file:
            for row in rows:
                file.seek(self.items[row].offset)
                yield json.loads(file.readline())


def find_results(key: str, word: str) -> dict[str, StoredResult]:
    """Return the results in a folder and in the folders below it, by their paths below it; that of the folder itself is "".

    Args:
        key: the key of the command that names the folder, for messages.
        word: the folder.

    Raises:
        ConfigError: there is no such folder, or no result in it.
        DataError: a result is damaged or not finished.
    """
    root = expand_path(word)
    if not root.is_dir():
        near = [str(root.parent / name) for name in os.listdir(root.parent)] if root.parent.is_dir() else []
        raise ConfigError(f"{key}={word}: there is no folder {root}.{did_you_mean(str(root), near)}")
    folders = sorted(path.parent for path in root.rglob(ITEMS))
    if not folders:
        raise ConfigError(f"{key}={word}: {root} holds no result; write one with gptkit eval to={word}")
    return {"" if folder == root else folder.relative_to(root).as_posix(): read_result(folder) for folder in folders}


def read_result(folder: Path) -> StoredResult:
    """Read the result of one task with one model.

    Raises:
        DataError: a file is damaged, or the evaluation is not finished.
    """
    path = folder / RESULTS
    try:
        content = read_json(path, limit=64 * MIB)
    except FileNotFoundError:
        raise DataError(f"{folder} is not finished; repeat its gptkit eval to continue it") from None
    except DamagedFile as error:
        raise DataError(f"{path} {error}") from error
    try:
        count = int(content["items"])
        name = content["protocol"]["task"]["name"]
    except (KeyError, TypeError, ValueError):
        raise DataError(f"{path} is not the result of an evaluation") from None
    lines = {item.identifier: item for item in _read_items(folder / ITEMS)}
    items = _mean_over_draws(lines.values())
    if len(items) != count:
        raise DataError(f"{folder / ITEMS} has {len(items):,} items of task={name}, and {RESULTS} {count:,}; evaluate again")
    return StoredResult(folder, content, tuple(sorted(items, key=lambda item: item.position)))


def _mean_over_draws(lines: Iterable[StoredItem]) -> list[StoredItem]:
    """Return one item for the lines of all its draws, because scores of the same item are not independent."""
    by_item: dict[str, list[StoredItem]] = {}
    for line in sorted(lines, key=lambda line: split_draw(line.identifier)[1]):
        by_item.setdefault(split_draw(line.identifier)[0], []).append(line)
    items = []
    for identifier, draws in by_item.items():
        scores = {name: float(np.mean([each.scores[name] for each in draws])) for name in draws[0].scores}
        items.append(replace(draws[0], identifier=identifier, scores=scores))
    return items


def _read_items(path: Path) -> Iterator[StoredItem]:
    try:
        file = open_regular(path)
    except (FileNotFoundError, DamagedFile) as error:
        raise DataError(f"{path} cannot be read") from error
    with file:
        offset = 0
        for number, line in enumerate(file, 1):
            try:
                content = json.loads(line)
                item = StoredItem(content["item"], len(content["requests"]), content["target"], dict(content["scores"]), offset)
                item.position  # noqa: B018  # checks the identifier
                split_draw(item.identifier)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise DataError(f"{path}:{number}: the line is damaged") from error
            offset += len(line)
            yield item
