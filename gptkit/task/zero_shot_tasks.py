"""GPT-1's zero-shot heuristics as tasks: how each asks a language model, and how its answers are scored.

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
from gptkit.task.log_probabilities import Text, log_probabilities
from gptkit.task.zero_shot_scoring import best_threshold, highest_mean, matthews, means, most_probable, normalised

if TYPE_CHECKING:
    from gptkit.data.base import Data
    from gptkit.model.base import Model
    from gptkit.reward.base import Reward
    from gptkit.task import AcceptabilityConfig, HeuristicConfig, LikelyOptionConfig, NextWordConfig, ReferentConfig
    from gptkit.task.base import Subject
    from gptkit.tokenizer.base import Tokenizer


class Heuristic(ABC):
    """Reads its examples when it is made. No random number is drawn, and the model is only read."""

    def __init__(self, settings: HeuristicConfig, data: Data) -> None:
        """Raises: DataError: the examples cannot be read, or do not fit."""
        self.name = settings.name
        self.reference = settings.reference
        self.split = evaluation_split(data, "validation")
        self.examples = some(self.read(data, self.split), settings.examples)
        for example in self.examples:
            self.check(example)

    def read(self, data: Data, split: str) -> list[Example]:
        """Raises: DataError: the source has no labelled examples."""
        return list(labelled_examples(data, split, reader=f"task={self.name}"))

    def __call__(
        self, subject: Subject, *, against: Subject | None = None, judge: Reward | None = None, seed: int
    ) -> dict[str, float]:
        if self.reference is not None and self.reference == self.guess:
            raise ConfigError(f"task={self.name}: reference={self.reference} is what guessing gives; give a better score, or null")
        scores = self.scores(subject.model, subject.tokenizer)
        if self.reference is not None:
            scores["normalised"] = normalised(next(iter(scores.values())), guess=self.guess, reference=self.reference)
        return scores

    @abstractmethod
    def check(self, example: Example) -> None:
        """Raises: DataError: the example has not what the heuristic reads."""

    @abstractmethod
    def scores(self, model: Model, tokenizer: Tokenizer) -> dict[str, float]:
        """Named scores of a model in evaluation mode, the main one first."""

    @property
    @abstractmethod
    def guess(self) -> float:
        """The main score of random guessing."""


class Choice(Heuristic):
    """Several ways to go on, each scored by its tokens; the score is accuracy."""

    def scores(self, model: Model, tokenizer: Tokenizer) -> dict[str, float]:
        texts = [self.texts(example, tokenizer) for example in self.examples]
        values = iter(log_probabilities(model, [text for each in texts for text in each]))
        right = 0
        for example, each in zip(self.examples, texts, strict=True):
            right += self.choose([next(values) for _ in each]) == self.place(example)
        return {"accuracy": right / len(self.examples)}

    @abstractmethod
    def texts(self, example: Example, tokenizer: Tokenizer) -> list[Text]:
        """One for each choice."""

    def choose(self, options: Sequence[Tensor]) -> int:
        """From the log-probabilities of the choices' scored tokens to the place of one."""
        return highest_mean(options)

    def place(self, example: Example) -> int:
        """Of the right choice."""
        return int(example.label)

    def check(self, example: Example) -> None:
        if not example.options:
            raise DataError(f"task={self.name} reads texts with options, and there are none; give data.options")

    @property
    def guess(self) -> float:
        return sum(1 / len(example.options) for example in self.examples) / len(self.examples)


class NextWord(Choice):
    """SST-2: the text and "very"; P(positive) against P(negative), all other words aside."""

    def __init__(self, settings: NextWordConfig, data: Data) -> None:
        self.suffix, self.words = settings.suffix, dict(settings.words)
        super().__init__(settings, data)
        if not settings.words:
            self.words = {label: f" {label}" for label in sorted({str(example.label) for example in self.examples})}
        self.labels = list(self.words)

    def texts(self, example: Example, tokenizer: Tokenizer) -> list[Text]:
        before = beginning(tokenizer, example.text + self.suffix)
        return [Text(before, tokenizer.encode(word)) for word in self.words.values()]

    def choose(self, options: Sequence[Tensor]) -> int:
        return most_probable(options)

    def place(self, example: Example) -> int:
        return self.labels.index(str(example.label))

    def check(self, example: Example) -> None:
        if self.words and str(example.label) not in self.words:
            raise DataError(f"task={self.name}: an example has the label {example.label}, and words has {', '.join(self.words)}")

    @property
    def guess(self) -> float:
        return 1 / len(self.labels)


class LikelyOption(Choice):
    """RACE: the text (and the question), then each option."""

    def __init__(self, settings: LikelyOptionConfig, data: Data) -> None:
        super().__init__(settings, data)

    def texts(self, example: Example, tokenizer: Tokenizer) -> list[Text]:
        before = beginning(tokenizer, example.text if example.pair is None else f"{example.text}\n{example.pair}")
        return [Text(before, tokenizer.encode(f" {option}")) for option in example.options]


class Referent(Choice):
    """Winograd: each option in the place of the pronoun; the rest of the sentence is scored."""

    def __init__(self, settings: ReferentConfig, data: Data) -> None:
        self.blank = settings.blank
        super().__init__(settings, data)

    def texts(self, example: Example, tokenizer: Tokenizer) -> list[Text]:
        start, rest = example.text.split(self.blank)
        return [Text(beginning(tokenizer, start + option), tokenizer.encode(rest)) for option in example.options]

    def check(self, example: Example) -> None:
        super().check(example)
        _, found, rest = example.text.partition(self.blank)
        if not found or self.blank in rest or not rest.strip():
            raise DataError(
                f"task={self.name}: {example.text[:60]!r} must have {self.blank} once, where the options go, and words behind it"
            )


class Acceptability(Heuristic):
    """CoLA: the mean log-probability of a sentence's tokens, and a threshold."""

    def __init__(self, settings: AcceptabilityConfig, data: Data) -> None:
        self.acceptable, self.threshold = settings.acceptable, settings.threshold
        self._most = settings.examples
        super().__init__(settings, data)

    def read(self, data: Data, split: str) -> list[Example]:
        found = super().read(data, split)
        self.calibration: list[Example] = []
        if self.threshold is None:
            if split == "validation":
                self.calibration = some(super().read(data, "train"), self._most)
            else:
                if len(found) < 2:
                    raise DataError(f"task={self.name}: one example is too few, the threshold is chosen on every second one")
                self.calibration, found = some(found[::2], self._most), found[1::2]
        labels = {str(example.label) for example in (*found, *self.calibration)}
        if self.acceptable not in labels:
            known = ", ".join(sorted(labels))
            raise DataError(f"task={self.name}: no example has the label acceptable={self.acceptable}; the labels are {known}")
        return found

    def check(self, example: Example) -> None:
        """Any label will do: one that is not `acceptable` is not."""

    def scores(self, model: Model, tokenizer: Tokenizer) -> dict[str, float]:
        everything = [*self.calibration, *self.examples]
        texts = [Text(beginning(tokenizer, ""), tokenizer.encode(example.text)) for example in everything]
        found = means(log_probabilities(model, texts))
        right = torch.tensor([str(example.label) == self.acceptable for example in everything])
        chosen = len(self.calibration)
        threshold = best_threshold(found[:chosen], right[:chosen]) if self.threshold is None else self.threshold
        accepted, wanted = found[chosen:] >= threshold, right[chosen:]
        accuracy = int((accepted == wanted).sum()) / len(wanted)
        return {"matthews": matthews(accepted, wanted), "accuracy": accuracy, "threshold": threshold}

    @property
    def guess(self) -> float:
        return 0.0


def beginning(tokenizer: Tokenizer, text: str) -> list[int]:
    """End-of-text, behind which texts begin, and the text."""
    return [tokenizer.special["end_of_text"], *tokenizer.encode(text)]


def some(examples: list[Example], at_most: int) -> list[Example]:
    """At most so many of the examples, spread evenly over them; 0: all."""
    return [examples[place] for place in evenly_spaced(len(examples), at_most)]
