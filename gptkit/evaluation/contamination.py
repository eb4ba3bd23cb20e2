"""The items of a task that occur in the training text of an index, and the metrics of clean and dirty items."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gptkit.contamination.index import NgramIndex
from gptkit.contamination.lookup import CLEAN, DIRTY, UNDECIDED, Overlap, look_up
from gptkit.data.ngrams.normalization import normalized_words
from gptkit.errors import ConfigError, DataError
from gptkit.evaluation.intervals import Metric, add_intervals, no_subsets
from gptkit.evaluation.runner import Results
from gptkit.task.base import Columns, Item, Task
from gptkit.task.requests import LogLikelihood, RollingLogLikelihood

_log = logging.getLogger("gptkit")

PERCENTILE, SHORTEST_N, LONGEST_N = 5, 8, 13
"""GPT-3 chooses N as this percentile of the lengths of the items in words, within these limits."""


@dataclass(frozen=True)
class Subset:
    """The metrics of a part of the items; empty if there are no items."""

    items: int
    metrics: dict[str, Metric]


class ItemOverlaps:
    """The overlap of every item of a task with the training text of an index."""

    def __init__(self, folder: Path, n: int | None, task: Task) -> None:
        """Look up all items.

        Args:
            folder: the folder of the index.
            n: words of an N-gram; None: the largest N of the index that is not above GPT-3's N for these items, or else its
                smallest one.
            task: the task, without examples in context, since these are not part of an item.

        Raises:
            ConfigError: the folder contains no index, or none with this N.
            DataError: the index is damaged.
        """
        try:
            self._index = NgramIndex(folder)
        except (ConfigError, DataError) as error:
            raise type(error)(f"index={folder}: {error}") from None
        texts = [item_texts(item) for item in task.items()]
        self.n = choose_n(self._index.n, texts) if n is None else n
        self.overlaps = [max((look_up(self._index, text, self.n) for text in each), key=_extent) for each in texts]

    def protocol(self) -> dict[str, Any]:
        """Return what decides the overlaps, as plain JSON values."""
        return {"training_text": self._index.content["key"], "n": self.n}

    def annotation(self, position: int) -> dict[str, Any]:
        """Return the overlap of an item as plain JSON values, for its line in items.jsonl."""
        overlap = self.overlaps[position]
        return {"overlap": {"status": overlap.status, "share": overlap.share, **asdict(overlap)}}

    def subsets(
        self,
        columns: Columns,
        aggregate: Callable[[Columns], dict[str, float]],
        subset_scores: Callable[[Columns], Columns] = no_subsets,
    ) -> dict[str, Subset]:
        """Return the metrics of the clean and the dirty items, and of those that are undecided, if there are any."""
        statuses = np.array([overlap.status for overlap in self.overlaps])
        subsets = {}
        for status in (CLEAN, DIRTY, UNDECIDED):
            is_inside = statuses == status
            count = int(is_inside.sum())
            if count:
                part = {name: values[is_inside] for name, values in columns.items()}
                subsets[status] = Subset(count, add_intervals(Results(aggregate(part), part, 0, 0), aggregate, subset_scores))
            elif status != UNDECIDED:
                subsets[status] = Subset(0, {})
        return subsets

    def share(self) -> float | None:
        """Return the share of the N-grams of all items that occur in the training text; None if there are no N-grams."""
        ngrams = sum(overlap.ngrams for overlap in self.overlaps)
        return sum(overlap.matched for overlap in self.overlaps) / ngrams if ngrams else None

    def warn_about_other_run(self, run: Mapping[str, Any], checkpoint: str) -> None:
        """Warn if the index does not contain the training text of the model's run, which is empty for hf:..."""
        data, fraction = run.get("data"), (run.get("val") or {}).get("fraction")
        if run and not any(each["data"] == data and each["val_fraction"] == fraction for each in self._index.content["runs"]):
            _log.warning(
                "index=%s does not contain the training text of %s; build its own: gptkit index %s to=<folder>",
                self._index.folder,
                checkpoint,
                checkpoint,
            )


def item_texts(item: Item) -> list[str]:
    """Return the texts of an item: each request with its continuation, or with the answer that is expected, without repetitions."""
    texts = []
    answer = f" {item.target}" if isinstance(item.target, str) else ""
    for request in item.requests:
        if isinstance(request, LogLikelihood):
            texts.append(request.context + request.continuation)
        else:
            texts.append(request.text if isinstance(request, RollingLogLikelihood) else request.prompt + answer)
    return list(dict.fromkeys(texts))


def choose_n(available: Sequence[int], texts: Sequence[Sequence[str]]) -> int:
    """Return the largest available N that is not above GPT-3's N for the items, or else the smallest one."""
    lengths = [max(len(normalized_words(text)) for text in each) for each in texts]
    if not lengths:
        return min(available)
    limit = int(np.clip(np.percentile(lengths, PERCENTILE), SHORTEST_N, LONGEST_N))
    return max((n for n in available if n <= limit), default=min(available))


def _extent(overlap: Overlap) -> tuple[int, int]:
    return overlap.matched, overlap.ngrams
