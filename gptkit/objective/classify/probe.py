"""A head on a frozen model, trained on a few examples: what do its hidden states already know?

K examples are K of each label, drawn at random, as experiments with few examples do ("Making Pre-trained Language Models Better
Few-shot Learners", section 3); their result depends much on the draw, so repeat it over seeds.
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
"""Sets this draw apart from the order in which examples are read."""

_log = logging.getLogger("gptkit")


class Probe(AuxLM):
    """Only the head is trained. No token is added, so that the model stays as it is to the bit: end-of-text frames the parts."""

    def special_tokens_of(self, tokenizer: Tokenizer) -> SpecialTokens:
        end = tokenizer.special["end_of_text"]
        return SpecialTokens(end, end, end)

    def freeze(self, model: Model) -> None:
        model.requires_grad_(False)

    def select_examples(self, examples: list[Example]) -> list[Example]:
        """`examples` of each label, or of all where labels have no names, drawn by the seed; all where that is 0.

        A label that has fewer is there with all that it has, and a warning says so. Those of a smaller number are among those of a
        larger one.
        """
        if not self.settings.examples:
            return examples
        labels = [class_name(example.label) if self.labels else "" for example in examples]
        indices = sample_per_class(labels, self.settings.examples, self.seed)
        have = Counter(labels[index] for index in indices)
        few = [label for label in self.labels or [""] if have[label] < self.settings.examples]
        if few:
            only = format_labels([f"{have[label]} of label {label}" if label else f"{have[label]}" for label in few])
            _log.warning("objective.examples=%d, but of training examples there are only %s", self.settings.examples, only)
        return [examples[index] for index in indices]

    def hidden_states(self, model: Model, batch: Batch) -> Tensor:
        """Without dropout: a frozen model gives the same features every time."""
        with without_dropout(model), torch.no_grad():
            return super().hidden_states(model, batch)


def sample_per_class(labels: list[str], most: int, seed: int) -> list[int]:
    """At most so many places of each label, in their order: a pure function of labels, number and seed.

    The first ones by the ranks of Philox's raw numbers, which numpy promises to keep.
    """
    numbers = np.random.Philox(key=np.array([seed % 2**64, RANDOM_STREAM], dtype=np.uint64)).random_raw(len(labels))
    result: dict[str, list[int]] = {}
    for index in np.argsort(numbers, kind="stable").tolist():
        of_label = result.setdefault(labels[index], [])
        if len(of_label) < most:
            of_label.append(index)
    return sorted(index for indices in result.values() for index in indices)
