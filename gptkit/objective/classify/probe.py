"""A linear probe: a head on a frozen model, trained on a few examples, to measure what the hidden states already encode.

Samples K examples of each label, as is usual in few-shot experiments ("Making Pre-trained Language Models Better Few-shot
Learners", section 3). The result depends strongly on the sample, so repeat the experiment with several seeds.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from gptkit.data.dataset import Batch
from gptkit.model.evaluation_mode import without_dropout
from gptkit.objective.classify.aux_lm import AuxLM
from gptkit.objective.classify.input_formats import SpecialTokens
from gptkit.objective.classify.labels import class_name, format_labels
from gptkit.records import Example

if TYPE_CHECKING:
    from gptkit.model.base import Model
    from gptkit.tokenizer.base import Tokenizer

RANDOM_STREAM = 0x50524F4245
"""Separates the random numbers of the sample from those of the order in which examples are read."""

_log = logging.getLogger("gptkit")


class Probe(AuxLM):
    """Trains only the head. Adds no tokens, so that the model is unchanged bit for bit: end-of-text delimits the texts."""

    def make_special_tokens(self, tokenizer: Tokenizer) -> SpecialTokens:
        end = tokenizer.special["end_of_text"]
        return SpecialTokens(end, end, end)

    def freeze(self, model: Model) -> None:
        model.requires_grad_(False)

    def select_examples(self, examples: list[Example]) -> list[Example]:
        """Sample `objective.examples` examples of each label, or in total if labels have no names; 0: use all.

        Uses all examples of a label that has fewer, and logs a warning. A smaller sample is a subset of a larger one.
        """
        if not self.settings.examples:
            return examples
        labels = [class_name(example.label) if self.labels else "" for example in examples]
        indices = sample_per_class(labels, self.settings.examples, self.seed)
        counts = Counter(labels[index] for index in indices)
        scarce = [label for label in self.labels or [""] if counts[label] < self.settings.examples]
        if scarce:
            available = format_labels([f"{counts[label]} of label {label}" if label else f"{counts[label]}" for label in scarce])
            _log.warning("objective.examples=%d, but the training examples include only %s", self.settings.examples, available)
        return [examples[index] for index in indices]

    def hidden_states(self, model: Model, batch: Batch) -> Tensor:
        """Return the hidden states without dropout, so that a frozen model always returns the same features."""
        with without_dropout(model), torch.no_grad():
            return super().hidden_states(model, batch)


def sample_per_class(labels: list[str], limit: int, seed: int) -> list[int]:
    """Return the sorted indices of at most `limit` items of each label, as a pure function of the arguments.

    Selects the items with the smallest raw numbers of Philox, a stream that NumPy guarantees not to change.
    """
    numbers = np.random.Philox(key=np.array([seed % 2**64, RANDOM_STREAM], dtype=np.uint64)).random_raw(len(labels))
    result: dict[str, list[int]] = {}
    for index in np.argsort(numbers, kind="stable").tolist():
        label_indices = result.setdefault(labels[index], [])
        if len(label_indices) < limit:
            label_indices.append(index)
    return sorted(index for indices in result.values() for index in indices)
