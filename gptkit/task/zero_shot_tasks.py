"""GPT-1's zero-shot heuristics as tasks: the texts that each of them scores, and its answers.

Source: "Improving Language Understanding by Generative Pre-Training", section 5, "Zero-shot Behaviors".
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gptkit.data.record_checks import labelled_examples
from gptkit.data.splits import evaluation_split, evenly_spaced
from gptkit.errors import ConfigError, DataError
from gptkit.records import Example
from gptkit.task.text_log_probs import Text, text_log_probs
from gptkit.task.zero_shot_scoring import best_threshold, highest_mean, matthews, means, most_probable, normalised

if TYPE_CHECKING:
    from gptkit.data.base import Data
    from gptkit.model.base import Model
    from gptkit.reward.base import Reward
    from gptkit.task import AcceptabilityConfig, HeuristicConfig, LikelyOptionConfig, NextWordConfig, ReferentConfig
    from gptkit.task.base import Subject
    from gptkit.tokenizer.base import Tokenizer


class Heuristic(ABC):
    """Reads its examples when it is built. Deterministic: uses no random numbers."""

    def __init__(self, settings: HeuristicConfig, data: Data) -> None:
        """Raises: DataError: the examples cannot be read, or do not fit the heuristic."""
        self.name = settings.name
        self.reference = settings.reference
        self.split = evaluation_split(data, "validation")
        self.examples = subsample(self.read(data, self.split), settings.examples)
        for example in self.examples:
            self.check(example)

    def read(self, data: Data, split: str) -> list[Example]:
        """Return the examples of a split.

        Raises:
            DataError: the source has no labelled examples.
        """
        return list(labelled_examples(data, split, reader=f"task={self.name}"))

    def __call__(
        self, subject: Subject, *, against: Subject | None = None, judge: Reward | None = None, seed: int
    ) -> dict[str, float]:
        if self.reference is not None and self.reference == self.chance_score:
            raise ConfigError(
                f"task={self.name}: reference={self.reference} is the score of random guessing; set a better one, or null"
            )
        scores = self.scores(subject.model, subject.tokenizer)
        if self.reference is not None:
            scores["normalised"] = normalised(next(iter(scores.values())), chance_score=self.chance_score, reference=self.reference)
        return scores

    @abstractmethod
    def check(self, example: Example) -> None:
        """Check an example.

        Raises:
            DataError: the example lacks what the heuristic reads.
        """

    @abstractmethod
    def scores(self, model: Model, tokenizer: Tokenizer) -> dict[str, float]:
        """Return named scores of a model in evaluation mode, the main one first."""

    @property
    @abstractmethod
    def chance_score(self) -> float:
        """The main score of random guessing."""


class Choice(Heuristic):
    """Chooses one of several continuations by the log-probabilities of their tokens. The score is accuracy."""

    def scores(self, model: Model, tokenizer: Tokenizer) -> dict[str, float]:
        texts = [self.texts(example, tokenizer) for example in self.examples]
        values = iter(text_log_probs(model, [text for each in texts for text in each]))
        correct = 0
        for example, each in zip(self.examples, texts, strict=True):
            correct += self.choose([next(values) for _ in each]) == self.correct_index(example)
        return {"accuracy": correct / len(self.examples)}

    @abstractmethod
    def texts(self, example: Example, tokenizer: Tokenizer) -> list[Text]:
        """Return one text per choice."""

    def choose(self, options: Sequence[Tensor]) -> int:
        """Return the index of the chosen continuation, from the log-probabilities of each."""
        return highest_mean(options)

    def correct_index(self, example: Example) -> int:
        """Return the index of the correct choice."""
        return int(example.label)

    def check(self, example: Example) -> None:
        if not example.options:
            raise DataError(f"task={self.name} reads texts with options, but the examples have none; set data.options")

    @property
    def chance_score(self) -> float:
        return sum(1 / len(example.options) for example in self.examples) / len(self.examples)


class NextWord(Choice):
    """SST-2: append "very" to the text, then compare P(positive) with P(negative)."""

    def __init__(self, settings: NextWordConfig, data: Data) -> None:
        self.suffix, self.words = settings.suffix, dict(settings.words)
        super().__init__(settings, data)
        if not settings.words:
            self.words = {label: f" {label}" for label in sorted({str(example.label) for example in self.examples})}
        self.labels = list(self.words)

    def texts(self, example: Example, tokenizer: Tokenizer) -> list[Text]:
        prefix = prompt_ids(tokenizer, example.text + self.suffix)
        return [Text(prefix, tokenizer.encode(word)) for word in self.words.values()]

    def choose(self, options: Sequence[Tensor]) -> int:
        return most_probable(options)

    def correct_index(self, example: Example) -> int:
        return self.labels.index(str(example.label))

    def check(self, example: Example) -> None:
        if self.words and str(example.label) not in self.words:
            raise DataError(f"task={self.name}: an example has the label {example.label}, but words has {', '.join(self.words)}")

    @property
    def chance_score(self) -> float:
        return 1 / len(self.labels)


class LikelyOption(Choice):
    """RACE: the text, and the question if there is one, then each option."""

    def __init__(self, settings: LikelyOptionConfig, data: Data) -> None:
        super().__init__(settings, data)

    def texts(self, example: Example, tokenizer: Tokenizer) -> list[Text]:
        prefix = prompt_ids(tokenizer, example.text if example.pair is None else f"{example.text}\n{example.pair}")
        return [Text(prefix, tokenizer.encode(f" {option}")) for option in example.options]


class Referent(Choice):
    """Winograd: substitute each option for the pronoun, and score the rest of the sentence."""

    def __init__(self, settings: ReferentConfig, data: Data) -> None:
        self.blank = settings.blank
        super().__init__(settings, data)

    def texts(self, example: Example, tokenizer: Tokenizer) -> list[Text]:
        start, rest = example.text.split(self.blank)
        return [Text(prompt_ids(tokenizer, start + option), tokenizer.encode(rest)) for option in example.options]

    def check(self, example: Example) -> None:
        super().check(example)
        _, blank, rest = example.text.partition(self.blank)
        if not blank or self.blank in rest or not rest.strip():
            raise DataError(
                f"task={self.name}: {example.text[:60]!r} must contain {self.blank} once, for the options, followed by words"
            )


class Acceptability(Heuristic):
    """CoLA: accept a sentence if its mean log-probability reaches a threshold."""

    def __init__(self, settings: AcceptabilityConfig, data: Data) -> None:
        self.acceptable, self.threshold = settings.acceptable, settings.threshold
        self._limit = settings.examples
        super().__init__(settings, data)

    def read(self, data: Data, split: str) -> list[Example]:
        examples = super().read(data, split)
        self.calibration: list[Example] = []
        if self.threshold is None:
            if split == "validation":
                self.calibration = subsample(super().read(data, "train"), self._limit)
            else:
                if len(examples) < 2:
                    raise DataError(
                        f"task={self.name}: one example is not enough, since every second example is used to choose the threshold"
                    )
                self.calibration, examples = subsample(examples[::2], self._limit), examples[1::2]
        labels = {str(example.label) for example in (*examples, *self.calibration)}
        if self.acceptable not in labels:
            known = ", ".join(sorted(labels))
            raise DataError(f"task={self.name}: no example has the label acceptable={self.acceptable}; the labels are {known}")
        return examples

    def check(self, example: Example) -> None:
        """Accept any label: those other than `acceptable` are unacceptable."""

    def scores(self, model: Model, tokenizer: Tokenizer) -> dict[str, float]:
        all_examples = [*self.calibration, *self.examples]
        texts = [Text(prompt_ids(tokenizer, ""), tokenizer.encode(example.text)) for example in all_examples]
        values = means(text_log_probs(model, texts))
        acceptable = torch.tensor([str(example.label) == self.acceptable for example in all_examples])
        split = len(self.calibration)
        threshold = best_threshold(values[:split], acceptable[:split]) if self.threshold is None else self.threshold
        accepted, acceptable = values[split:] >= threshold, acceptable[split:]
        accuracy = int((accepted == acceptable).sum()) / len(acceptable)
        return {"matthews": matthews(accepted, acceptable), "accuracy": accuracy, "threshold": threshold}

    @property
    def chance_score(self) -> float:
        return 0.0


def prompt_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """Encode a text after an end-of-text token."""
    return [tokenizer.special["end_of_text"], *tokenizer.encode(text)]


def subsample(examples: list[Example], limit: int) -> list[Example]:
    """Return at most `limit` examples, evenly spaced; 0: all."""
    return [examples[index] for index in evenly_spaced(len(examples), limit)]
