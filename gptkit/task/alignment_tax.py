"""The alignment tax: the change of the loss on held-out text, and of scores of other tasks, since before alignment."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from gptkit.data.splits import evenly_spaced
from gptkit.data.windows import language_model_datasets
from gptkit.errors import DataError
from gptkit.generation.scoring import TokenSequence, score_continuations

if TYPE_CHECKING:
    from gptkit.data.base import Data
    from gptkit.reward.base import Reward
    from gptkit.task import AlignmentTaxConfig
    from gptkit.task.base import Task
    from gptkit.task.comparison import Evaluate, Subject
    from gptkit.tokenizer.base import Tokenizer


class AlignmentTax:
    """Reads the text when it is called, since the windows depend on the context of the models."""

    def __init__(self, settings: AlignmentTaxConfig, data: Data, tasks: Mapping[str, Task]) -> None:
        self.settings = settings
        self._data, self._tasks = data, tasks

    def __call__(
        self, subject: Subject, *, against: Subject, judge: Reward | None = None, evaluate: Evaluate, seed: int
    ) -> dict[str, float]:
        """Return the change, the value and the other model's value of the loss (nats per token), bits per byte, and each task.

        Raises:
            DataError: the tokenizers differ, or there is too little text.
        """
        if subject.tokenizer.fingerprint != against.tokenizer.fingerprint:
            raise DataError(f"{subject.source} and {against.source} have different tokenizers, so their losses cannot be compared")
        context = min(subject.model.context, against.model.context)
        texts = self._windows(subject.tokenizer, context)
        byte_count = sum(_count_bytes(subject.tokenizer, text.continuation) for text in texts)
        scores: dict[str, float] = {}
        nats = [-_total_log_prob(each, texts) for each in (subject, against)]
        tokens = sum(len(text.continuation) for text in texts)
        _add_comparison(scores, "loss", *(total / tokens for total in nats))
        _add_comparison(scores, "bits_per_byte", *(total / math.log(2) / byte_count for total in nats))
        for label, task in self._tasks.items():
            own, other = evaluate(task, subject), evaluate(task, against)
            for index, name in enumerate(own):
                _add_comparison(scores, label if index == 0 else f"{label}_{name}", own[name], other[name])
        return scores

    def _windows(self, tokenizer: Tokenizer, context: int) -> list[TokenSequence]:
        """Return windows of held-out text, as in a validation. Every token of a window except the first is scored."""
        data, settings = self._data, self.settings
        dataset = language_model_datasets(data, tokenizer, context=context, validation_fraction=settings.fraction)["validation"]
        batch = dataset.batch(evenly_spaced(len(dataset), settings.windows))
        rows = zip(batch["tokens"].tolist(), batch["targets"].tolist(), strict=True)
        return [TokenSequence(tokens[:1], targets) for tokens, targets in rows]


def _total_log_prob(subject: Subject, texts: Sequence[TokenSequence]) -> float:
    scores = score_continuations(subject.model, texts)
    return float(torch.cat([score.log_probs for score in scores]).double().sum())


def _add_comparison(scores: dict[str, float], name: str, own: float, other: float) -> None:
    scores |= {f"{name}_change": own - other, name: own, f"{name}_against": other}


def _count_bytes(tokenizer: Tokenizer, ids: list[int]) -> int:
    """Count the UTF-8 bytes of these ids. A character that is cut at the edge of a window counts as a replacement character."""
    end_of_text = tokenizer.special["end_of_text"]
    return len(tokenizer.decode([token for token in ids if token != end_of_text]).encode("utf-8", "replace"))
