"""Training data and settings of the runs with which the tests of `gptkit predict` predict."""

from __future__ import annotations

import csv
import io

TINY = ("tokenizer=bytes", "model.layers=1", "model.heads=2", "model.width=16", "model.context=32", "batch.size=4", "trainer=cpu")
TEXTS = [f"{'good' if n % 3 else 'bad'} {'film ' * (n % 5)}{n}" for n in range(24)]


def parse_table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))
