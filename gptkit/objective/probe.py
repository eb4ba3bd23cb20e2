"""A head on a frozen model, trained on a few examples: what do its hidden states already know?"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gptkit.objective.aux_lm import BuiltAuxLM
from gptkit.objective.built import Batch
from gptkit.objective.layouts import Marks
from gptkit.records import Example

if TYPE_CHECKING:
    from gptkit.model.built import BuiltModel
    from gptkit.tokenizer.built import BuiltTokenizer


class BuiltProbe(BuiltAuxLM):
    """Only the head is trained. No token is added, so that the model stays as it is to the bit: end-of-text frames the parts."""

    def marks_of(self, tokenizer: BuiltTokenizer) -> Marks:
        end = tokenizer.special["end_of_text"]
        return Marks(end, end, end)

    def prepare(self, model: BuiltModel) -> None:
        model.requires_grad_(False)

    def chosen(self, examples: list[Example]) -> list[Example]:
        """The first `examples` of each label; all where that is 0."""
        most = self.settings.examples
        if not most:
            return examples
        seen: Counter[str] = Counter()
        found = []
        for example in examples:
            label = str(example.label) if self.labels else ""
            seen[label] += 1
            if seen[label] <= most:
                found.append(example)
        return found

    def hidden(self, model: BuiltModel, batch: Batch) -> Tensor:
        """Without dropout: a frozen model gives the same features every time."""
        training = model.training
        model.eval()
        try:
            with torch.no_grad():
                return super().hidden(model, batch)
        finally:
            model.train(training)
