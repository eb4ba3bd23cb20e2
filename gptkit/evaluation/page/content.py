"""What the page of an evaluation is made of: the files of its folder, and sections."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from gptkit.errors import DataError
from gptkit.kit_files import MIB, DamagedFile, read_json

TEMPLATES = Path(__file__).parent / "templates"
RESULTS, ITEMS, FILE = "results.json", "items.jsonl", "report.html"


@dataclass(frozen=True)
class Evaluation:
    """The content of the folder of an evaluation."""

    results: Mapping[str, Any]
    """results.json"""
    items: Sequence[Mapping[str, Any]] = ()
    """The lines of items.jsonl, in the order of the task."""

    @property
    def protocol(self) -> Mapping[str, Any]:
        """Everything that determines the results."""
        protocol: Mapping[str, Any] = self.results.get("protocol", {})
        return protocol

    @property
    def title(self) -> str:
        """The task and the model."""
        return f"{self.results.get('task')} · {self.results.get('checkpoint')}"


@dataclass(frozen=True)
class Section:
    """A section of the page of an evaluation."""

    title: str
    html: Markup


def is_evaluation(folder: Path) -> bool:
    """Return whether a folder holds the results of an evaluation."""
    return (folder / RESULTS).is_file() and (folder / ITEMS).is_file()


def find_results(path: Path) -> list[Path]:
    """Return the folder if it holds results, or else the folders in it that do, five levels deep, sorted."""
    if is_evaluation(path):
        return [path]
    found = {each.parent for depth in range(1, 6) for each in path.glob("*/" * depth + RESULTS)}
    return sorted(
        filter(is_evaluation, found),
        key=lambda folder: [(int(part), "") if part.isdecimal() else (1 << 62, part) for part in folder.parts],
    )


def read_results(folder: Path) -> dict[str, Any]:
    """Return the content of results.json.

    Raises:
        DataError: the file is damaged.
    """
    path = folder / RESULTS
    try:
        results = read_json(path, limit=64 * MIB)
        if not isinstance(results, dict) or not isinstance(results.get("metrics"), dict):
            raise DamagedFile("holds no results")
    except DamagedFile as error:
        raise DataError(f"{path} is damaged ({error}); remove it and repeat the evaluation, which keeps its items") from error
    return results


def read_evaluation(folder: Path) -> Evaluation:
    """Read the folder of an evaluation that has ended.

    Raises:
        DataError: a file is damaged.
    """
    results, path = read_results(folder), folder / ITEMS
    items = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                items.append(json.loads(line))
            except ValueError as error:
                raise DataError(f"{path}:{number}: the line is damaged; remove it and repeat the evaluation") from error
    return Evaluation(results, sorted(items, key=item_position))


def item_position(item: Mapping[str, Any]) -> int:
    """Return the position of an item in its task, with which its id begins."""
    position, _, _ = str(item.get("item", "")).partition("-")
    return int(position) if position.isdecimal() else 0
