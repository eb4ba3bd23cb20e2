"""Compares stored results: pairs their items, compares their protocols, and tests the differences of their metrics."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gptkit.errors import DataError, GptkitError
from gptkit.evaluation.comparison.paired import Aggregate, PairedDifference, adjust_over_tasks, paired_differences
from gptkit.evaluation.comparison.stored_results import StoredResult
from gptkit.evaluation.protocol import differing_values
from gptkit.evaluation.task_evaluation import settings_from_plain
from gptkit.task.base import Columns

MODEL_KEYS = ("weights", "tokenizer", "context")
"""Keys of a protocol that describe the model."""


@dataclass(frozen=True)
class Pairing:
    """The items that two results have in common."""

    rows_a: list[int]
    """Indices of items of a."""
    rows_b: list[int]
    """Indices of the same items in b."""
    only_a: int
    only_b: int
    by_position: bool = False
    """Whether the items were paired by their position, because their prompts differ."""


@dataclass(frozen=True)
class TaskComparison:
    """The comparison of two results of one task."""

    a: StoredResult
    b: StoredResult
    pairing: Pairing
    differences: dict[str, PairedDifference]
    """By metric, the main one first."""
    protocol: list[tuple[str, Any, Any]]
    """The keys of the protocols that differ, with their values in a and b."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """The comparison of two folders of results."""

    tasks: dict[str, TaskComparison]
    only_a: list[str]
    """The tasks that only a has."""
    only_b: list[str]


def compare_results(a: Mapping[str, StoredResult], b: Mapping[str, StoredResult]) -> Comparison:
    """Compare the tasks that two folders have in common. P-values are adjusted over tasks.

    Args:
        a: results by name; the name is empty if there is one, in the folder itself.
        b: likewise.

    Raises:
        DataError: there is no common task, two results are of different tasks, or have no common item.
    """
    if "" in a and "" in b:
        pairs = {a[""].task: (a[""], b[""])}
        only_a: list[str] = []
        only_b: list[str] = []
    else:
        pairs = {name: (a[name], b[name]) for name in a if name in b}
        only_a, only_b = [name for name in a if name not in b], [name for name in b if name not in a]
        if not pairs:
            raise DataError(f"a has {_names(a)} and b has {_names(b)}: there is no common task")
    tasks = {name: _compare_task(one, other) for name, (one, other) in pairs.items()}
    adjusted = adjust_over_tasks({name: task.differences for name, task in tasks.items()})
    return Comparison({name: replace(task, differences=adjusted[name]) for name, task in tasks.items()}, only_a, only_b)


def pair_items(a: StoredResult, b: StoredResult) -> Pairing:
    """Pair the items with the same requests and target, whatever their order.

    If there are none, because the prompts differ, but both results are of the same data with the same targets in the same order,
    items are paired by position.

    Raises:
        DataError: there is no common item.
    """
    keys_a, keys_b = _content_keys(a), _content_keys(b)
    common = [key for key in keys_a if key in keys_b]
    if common:
        rows_a, rows_b = [keys_a[key] for key in common], [keys_b[key] for key in common]
        return Pairing(rows_a, rows_b, len(keys_a) - len(common), len(keys_b) - len(common))
    if _have_same_targets(a, b):
        rows = list(range(len(a.items)))
        return Pairing(rows, rows, 0, 0, by_position=True)
    raise DataError(f"{a.folder} and {b.folder} have no common item of task={a.task}")


def protocol_differences(a: StoredResult, b: StoredResult) -> list[tuple[str, Any, Any]]:
    """Return the keys of the protocols that differ apart from the model and the items, with their values."""
    found = differing_values(dict(a.protocol), dict(b.protocol))
    names = {name for name, *_ in found}
    return [
        each
        for each in found
        if each[0] not in MODEL_KEYS and each[0] != "items" and f"task.{each[0]}" not in names  # boundary, prefix
    ]


def _compare_task(a: StoredResult, b: StoredResult) -> TaskComparison:
    if a.task != b.task:
        raise DataError(f"{a.folder} is a result of task={a.task}, and {b.folder} of task={b.task}; compare results of one task")
    pairing = pair_items(a, b)
    columns_a, columns_b = a.columns(pairing.rows_a), b.columns(pairing.rows_b)
    names = [name for name in columns_a if name in columns_b]
    if not names:
        raise DataError(f"{a.folder} and {b.folder} have no common score")
    notes = ["the prompts differ, so the items are paired by their position"] if pairing.by_position else []
    if a.draws or b.draws:
        notes.append(f"scores are means over the fixed draws of examples of each item ({a.draws} in a, {b.draws} in b)")
    aggregate = _task_aggregate(a, b)
    if aggregate is None:
        aggregate = _means
        notes.append("the data of the task cannot be read again, so only means of scores are compared")
    elif len(names) < max(len(columns_a), len(columns_b)):
        aggregate = _means
        notes.append("the results have different scores, so only means of common scores are compared")
    common_a, common_b = ({name: each[name] for name in names} for each in (columns_a, columns_b))
    differences = paired_differences(common_a, common_b, aggregate)
    return TaskComparison(a, b, pairing, differences, protocol_differences(a, b), tuple(notes))


def _task_aggregate(a: StoredResult, b: StoredResult) -> Aggregate | None:
    """Return the function that computed the metrics of both results; None if the task cannot be built again."""
    if _is_reproduced(a, _means) and _is_reproduced(b, _means):
        return _means
    for result in (a, b):
        try:
            settings = settings_from_plain(result.content["evaluation"])
            task: Any = settings.task.build(data=settings.data)
            if _is_reproduced(a, task.aggregate) and _is_reproduced(b, task.aggregate):
                aggregate: Aggregate = task.aggregate
                return aggregate
        except (GptkitError, KeyError, TypeError):
            continue
    return None


def _is_reproduced(result: StoredResult, aggregate: Aggregate) -> bool:
    """Return whether a function of the scores yields the stored metrics."""
    metrics = aggregate(result.columns(list(range(len(result.items)))))
    stored = {name: metric["value"] for name, metric in result.content["metrics"].items()}
    return list(metrics) == list(stored) and all(
        math.isclose(value, stored[name], rel_tol=1e-9) if stored[name] is not None else not math.isfinite(value)
        for name, value in metrics.items()
    )


def _means(columns: Columns) -> dict[str, float]:
    return {name: float(np.mean(values)) for name, values in columns.items()}


def _content_keys(result: StoredResult) -> dict[tuple[str, int], int]:
    """Return the index of every item by the hash of its content, and a number that tells equal items apart."""
    seen: Counter[str] = Counter()
    keys = {}
    for row, item in enumerate(result.items):
        keys[item.content_hash, seen[item.content_hash]] = row
        seen[item.content_hash] += 1
    return keys


def _have_same_targets(a: StoredResult, b: StoredResult) -> bool:
    sources = [(each.content.get("evaluation") or {}).get("data") for each in (a, b)]
    return (
        sources[0] == sources[1]
        and len(a.items) == len(b.items)
        and all(one.target == other.target for one, other in zip(a.items, b.items, strict=True))
    )


def _names(results: Mapping[str, StoredResult]) -> str:
    names = [name or f"one result of task={result.task}" for name, result in results.items()]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
