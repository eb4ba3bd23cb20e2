"""What a fine-tuned model says of examples: probabilities of labels or options, or a score."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from gptkit.model.base import Model
from gptkit.objective.classify.aux_lm import AuxLM
from gptkit.objective.classify.classification_dataset import TokenizedExample, as_batch
from gptkit.records import Example

AT_ONCE = 4096
"""Examples held in memory at a time; those among them that are read together are of similar length."""


@dataclass(frozen=True)
class Prediction:
    """Of one example."""

    example: Example
    probabilities: tuple[float, ...]
    """Of the labels in the order of `AuxLM.labels`, or of the options in theirs; empty for regression."""
    score: float | None
    """What regression predicts."""
    cut: bool
    """The example was longer than the context has room for, and only its beginning was read."""

    @property
    def chosen(self) -> int:
        """The place of the most probable label or option: the first of those that are equally probable."""
        return max(range(len(self.probabilities)), key=self.probabilities.__getitem__)


def predict(model: Model, objective: AuxLM, examples: Iterable[Example], *, batch: int = 32) -> Iterator[Prediction]:
    """One prediction per example, in their order; at most `AT_ONCE` examples are held. The same examples give the same predictions.

    Args:
        model: with the objective's own tokens in its vocabulary, in evaluation mode (`load_objective` gives both).
        objective: with its labels and head, on the model's device.
        examples: their labels are not looked at.
        batch: examples that are read at once.

    Raises:
        DataError: an example has not what the objective's task reads.
    """
    source = iter(examples)
    while chunk := list(itertools.islice(source, AT_ONCE)):
        items = objective.items(chunk, "input", labelled=False)
        outputs = outputs_of(model, objective, items, batch=batch)
        scored = objective.task == "regression"
        rows = (outputs if scored else outputs.softmax(-1)).tolist()
        for example, item, row in zip(chunk, items, rows, strict=True):
            yield Prediction(example, () if scored else tuple(row), row if scored else None, item.cut)


@torch.inference_mode()
def outputs_of(model: Model, objective: AuxLM, items: list[TokenizedExample], *, batch: int) -> Tensor:
    """(N, K) logits or (N,) scores of N items, fp32 on the CPU, in their order; they are read in the order of their lengths."""
    device = next(model.parameters()).device
    order = sorted(range(len(items)), key=lambda place: max(len(sequence) for sequence in items[place].sequences), reverse=True)
    found = []
    for first in range(0, len(order), batch):
        read = as_batch([items[place] for place in order[first : first + batch]])
        read = {name: tensor.to(device) for name, tensor in read.items()}
        found.append(objective.outputs(objective.hidden(model, read), read["lengths"]).cpu())
    sorted_outputs = torch.cat(found)
    outputs = torch.empty_like(sorted_outputs)
    outputs[torch.tensor(order)] = sorted_outputs
    return outputs
