"""Perplexity of documents per word, token, character and byte."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from gptkit.data.splits import evaluation_split, evenly_spaced
from gptkit.errors import DataError
from gptkit.task.base import Columns, Item, Task
from gptkit.task.detokenizers import DETOKENIZERS
from gptkit.task.example_task import log_likelihoods
from gptkit.task.lambada import exponential
from gptkit.task.requests import Answer, RollingLogLikelihood

if TYPE_CHECKING:
    from gptkit.data.base import Data
    from gptkit.task import PerplexityConfig

WORD_COUNTS: dict[str, Callable[[str], int]] = {
    "words": lambda text: len(text.split()),
    "words_and_lines": lambda text: len(text.split()) + text.count("\n"),
    "lm_eval": lambda text: len(re.split(r"\s+", text)),
}


class Perplexity(Task):
    """An item is a document or a line. Its units are counted before de-tokenization, in the text that other papers measure.

    An item has the scores `log_prob` (in nats), `tokens`, `words`, `characters` and `bytes`.
    """

    def __init__(self, settings: PerplexityConfig, data: Data) -> None:
        """Raises: DataError: the text cannot be read, or there is none."""
        texts = read_documents(data)
        if settings.documents == "line":
            texts = (line for text in texts for line in text.splitlines(keepends=True))
        documents = [text for text in texts if text.strip()]
        if not documents:
            raise DataError(f"task={settings.name}: there is no text")
        self.documents = [documents[index] for index in evenly_spaced(len(documents), settings.examples)]
        self._detokenize = DETOKENIZERS[settings.detokenizer].detokenize
        automatic = "words" if settings.detokenizer == "none" else "words_and_lines"
        self._count_words = WORD_COUNTS[automatic if settings.words == "auto" else settings.words]
        self._stride = settings.stride
        self._items: list[Item] | None = None

    def items(self) -> Sequence[Item]:
        if self._items is None:
            self._items = [
                Item((RollingLogLikelihood(self._detokenize(text), self._stride),), self._count_units(text))
                for text in self.documents
            ]
        return self._items

    def _count_units(self, text: str) -> dict[str, int]:
        return {"words": self._count_words(text), "characters": len(text), "bytes": len(text.encode())}

    def score(self, item: Item, answers: Sequence[Answer]) -> dict[str, float]:
        (answer,) = log_likelihoods(answers)
        units = {name: float(count) for name, count in item.target.items()}
        return {"log_prob": answer.total, "tokens": float(len(answer.log_probs)), **units}

    def aggregate(self, scores: Columns) -> dict[str, float]:
        nats = -math.fsum(scores["log_prob"])
        per = {unit: nats / math.fsum(scores[unit]) for unit in ("words", "tokens", "characters", "bytes")}
        return {
            **{f"{unit.removesuffix('s')}_perplexity": exponential(value) for unit, value in per.items()},
            "bits_per_character": per["characters"] / math.log(2),
            "bits_per_byte": per["bytes"] / math.log(2),
        }


def read_documents(data: Data) -> Iterator[str]:
    """Yield the documents of the validation split, or all documents if the source has none."""
    parts: list[str] = []
    for chunk in data.chunks(evaluation_split(data, "validation")):
        parts.append(chunk.text)
        if chunk.is_last:
            yield "".join(parts)
            parts = []
