"""What a model lost against the one before it: its loss on held-out text, and its scores on other tasks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from gptkit.data.splits import evenly_spaced
from gptkit.data.windows import language_model_datasets
from gptkit.errors import DataError
from gptkit.task.log_probabilities import Text, log_probabilities

if TYPE_CHECKING:
    from gptkit.data.base import Data
    from gptkit.reward.base import Reward
    from gptkit.task import AlignmentTaxConfig
    from gptkit.task.base import Subject, Task
    from gptkit.tokenizer.base import Tokenizer


class AlignmentTax:
    """The text is read when it is called: its windows depend on the models' context."""

    def __init__(self, settings: AlignmentTaxConfig, data: Data, tasks: Mapping[str, Task]) -> None:
        self.settings = settings
        self._data, self._tasks = data, tasks

    def __call__(
        self, subject: Subject, *, against: Subject | None = None, judge: Reward | None = None, seed: int
    ) -> dict[str, float]:
        """For the loss in nats per token, in bits per byte and for each task: the difference, the subject's, and the other's.

        Raises:
            DataError: the tokenizers differ, or there is too little text.
        """
        assert against is not None
        if subject.tokenizer.fingerprint != against.tokenizer.fingerprint:
            raise DataError(f"{subject.source} and {against.source} have different tokenizers, so their losses cannot be compared")
        context = min(subject.model.context, against.model.context)
        texts = self._windows(subject.tokenizer, context)
        size = sum(_bytes(subject.tokenizer, text.scored) for text in texts)
        found: dict[str, float] = {}
        nats = [-float(torch.cat(log_probabilities(each.model, texts)).double().sum()) for each in (subject, against)]
        tokens = sum(len(text.scored) for text in texts)
        _compare(found, "loss", *(total / tokens for total in nats))
        _compare(found, "bits_per_byte", *(total / math.log(2) / size for total in nats))
        for word, task in self._tasks.items():
            scores, others = task(subject, seed=seed), task(against, seed=seed)
            for place, name in enumerate(scores):
                _compare(found, word if place == 0 else f"{word}_{name}", scores[name], others[name])
        return found

    def _windows(self, tokenizer: Tokenizer, context: int) -> list[Text]:
        """Windows of held-out text, as validation reads them: in each, every token but the first is scored."""
        data, settings = self._data, self.settings
        dataset = language_model_datasets(data, tokenizer, context=context, validation_fraction=settings.fraction)["validation"]
        batch = dataset.batch(evenly_spaced(len(dataset), settings.windows))
        rows = zip(batch["tokens"].tolist(), batch["targets"].tolist(), strict=True)
        return [Text(tokens[:1], targets) for tokens, targets in rows]


def _compare(found: dict[str, float], name: str, own: float, other: float) -> None:
    found |= {f"{name}_change": own - other, name: own, f"{name}_against": other}


def _bytes(tokenizer: Tokenizer, ids: list[int]) -> int:
    """Bytes of UTF-8 that these ids stand for; a character that a window's edge cuts counts as a replacement character."""
    end_of_text = tokenizer.special["end_of_text"]
    return len(tokenizer.decode([token for token in ids if token != end_of_text]).encode("utf-8", "replace"))
