"""Evaluates a task into a folder, and kills its process in the middle of a line."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

from gptkit.evaluation import model_answerer
from gptkit.evaluation.folder import EvaluationFolder
from gptkit.evaluation.intervals import add_intervals
from gptkit.evaluation.report import results_content
from gptkit.evaluation.runner import ScoredItem, evaluate
from gptkit.task.base import Item
from gptkit.task.comparison import Subject
from gptkit.task.requests import Answer
from tests.evaluation.test_runner import Options
from tests.small_models import TOKENIZER, random_model

PROTOCOL = {"task": {"name": "options"}, "seed": 0}


class KilledFolder(EvaluationFolder):
    """Writes some bytes of the line of an item, then kills the process."""

    def __init__(self, folder: Path, item: int, size: int) -> None:
        super().__init__(str(folder), PROTOCOL)
        self._left, self._size = item, size

    def add(self, identifier: str, item: Item, answers: Sequence[Answer], scored: ScoredItem) -> None:
        if self._left == 0:
            assert self._file is not None
            self._file.write('{"item": "a line that is not complete"'[: self._size])
            self._file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1
        super().add(identifier, item, answers, scored)


def run(folder: EvaluationFolder) -> int:
    """Evaluate the task, and return the number of items that this process scored."""
    model_answerer.TOKENS_PER_BATCH = 300
    task = Options(range(60))
    with folder:
        before = len(folder.scored)
        results = evaluate(task, Subject(random_model(), TOKENIZER), store=folder)
        metrics = add_intervals(results, task.aggregate)
        content = results_content(metrics, chance={}, items=60, requests=results.requests, truncated=results.truncated)
        folder.write_results(content)
    return 60 - before


def run_until_killed(folder: Path, item: int, size: int) -> None:
    run(KilledFolder(folder, item, size))
