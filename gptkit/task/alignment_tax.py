"""What a model lost against the one before it: its loss on held-out text, and its scores on other tasks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from gptkit.data.splits import evenly
from gptkit.data.windows import language_model_datasets
from gptkit.errors import ConfigError, DataError
from gptkit.plugins import registry
from gptkit.task.log_probabilities import Text, log_probabilities

if TYPE_CHECKING:
    from gptkit.data import DataConfig
    from gptkit.reward.base import Reward
    from gptkit.task import AlignmentTaxConfig
    from gptkit.task.base import Subject, Task
    from gptkit.tokenizer.base import Tokenizer


class AlignmentTax:
    """The text is read when it is called: its windows depend on the models' context."""

    def __init__(self, settings: AlignmentTaxConfig, source: DataConfig | None) -> None:
        """Raises: ConfigError: no source is named, or `tasks` holds what is no task of one model."""
        if source is None and "name" not in settings.data:
            raise ConfigError("task=alignment_tax needs text, such as data=text data.path=held_out.txt")
        self.settings = settings
        self._data = registry().resolve("data", source or settings.data).build()
        self._tasks = {word: _task(word, part) for word, part in settings.tasks.items() if part is not None}

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
        batch = dataset.batch(evenly(len(dataset), settings.windows))
        rows = zip(batch["tokens"].tolist(), batch["targets"].tolist(), strict=True)
        return [Text(tokens[:1], targets) for tokens, targets in rows]


def _compare(found: dict[str, float], name: str, own: float, other: float) -> None:
    found |= {f"{name}_change": own - other, name: own, f"{name}_against": other}


def _bytes(tokenizer: Tokenizer, ids: list[int]) -> int:
    """Bytes of UTF-8 that these ids stand for; a character that a window's edge cuts counts as a replacement character."""
    end_of_text = tokenizer.special["end_of_text"]
    return len(tokenizer.decode([token for token in ids if token != end_of_text]).encode("utf-8", "replace"))


def _task(word: str, part: Any) -> Task:
    if not hasattr(part, "get"):
        raise ConfigError(f"task.tasks.{word}={part} must be the settings of a task: {{name: next_word}}")
    settings = registry().resolve("task", part, path=f"task.tasks.{word}")
    if settings.compares or settings.judged:
        raise ConfigError(f"task.tasks.{word}: {settings.name} is no task of one model; name another")
    built: Task = settings.build()
    return built
