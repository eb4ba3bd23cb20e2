"""Predictions of a fine-tuned model: probabilities of labels or options, or a score."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from gptkit.model.base import Model
from gptkit.objective.classify.aux_lm import AuxLM
from gptkit.objective.classify.classification_dataset import TokenizedExample, collate_examples
from gptkit.records import Example

EXAMPLES_AT_ONCE = 4096
"""Examples held in memory at a time; batches among them have similar lengths."""


@dataclass(frozen=True)
class Prediction:
    """The prediction for one example."""

    example: Example
    probabilities: tuple[float, ...]
    """Of the labels, in the order of `AuxLM.labels`, or of the options, in their own; empty for regression."""
    score: float | None
    """What regression predicts."""
    cut: bool
    """Whether a text was too long for the context, so that only its beginning was read."""

    @property
    def best(self) -> int:
        """The index of the most probable label or option: the first of those that are equally probable."""
        return max(range(len(self.probabilities)), key=self.probabilities.__getitem__)


def predict(model: Model, objective: AuxLM, examples: Iterable[Example], *, batch: int = 32) -> Iterator[Prediction]:
    """One prediction per example, in their order; at most `AT_ONCE` examples are held. The same examples give the same predictions.

    Args:
        model: with the objective's own tokens in its vocabulary, in evaluation mode (`load_objective` gives both).
        objective: with its labels and head, on the model's device.
        examples: their labels are ignored.
        batch: examples of one forward pass.

    Raises:
        DataError: an example lacks what the task of the objective reads.
    """
    source = iter(examples)
    while chunk := list(itertools.islice(source, EXAMPLES_AT_ONCE)):
        items = objective.tokenize(chunk, "input", labelled=False)
        outputs = compute_outputs(model, objective, items, batch=batch)
        is_regression = objective.task == "regression"
        rows = (outputs if is_regression else outputs.softmax(-1)).tolist()
        for example, item, row in zip(chunk, items, rows, strict=True):
            yield Prediction(example, () if is_regression else tuple(row), row if is_regression else None, item.cut)


@torch.inference_mode()
def compute_outputs(model: Model, objective: AuxLM, items: list[TokenizedExample], *, batch: int) -> Tensor:
    """(N, K) logits or (N,) scores of N items, fp32 on the CPU, in their order; batches are formed by length."""
    device = next(model.parameters()).device
    order = sorted(range(len(items)), key=lambda index: max(len(sequence) for sequence in items[index].sequences), reverse=True)
    batches = []
    for first in range(0, len(order), batch):
        inputs = collate_examples([items[index] for index in order[first : first + batch]])
        inputs = {name: tensor.to(device) for name, tensor in inputs.items()}
        batches.append(objective.outputs(objective.hidden_states(model, inputs), inputs["lengths"]).cpu())
    sorted_outputs = torch.cat(batches)
    outputs = torch.empty_like(sorted_outputs)
    outputs[torch.tensor(order)] = sorted_outputs
    return outputs
