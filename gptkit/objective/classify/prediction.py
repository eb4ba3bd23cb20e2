"""Predictions of a fine-tuned model: probabilities of labels or options, or scores."""

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

EXAMPLES_PER_CHUNK = 4096
"""The number of examples that are held in memory at a time. Batches within a chunk have similar lengths."""


@dataclass(frozen=True)
class Prediction:
    """The prediction for one example."""

    example: Example
    probabilities: tuple[float, ...]
    """The probability of each label, in the order of `AuxLM.labels`, or of each option; empty for regression."""
    score: float | None
    """The predicted score of regression; None for other tasks."""
    is_truncated: bool
    """Whether a text was too long for the context, so that the model read only its beginning."""

    @property
    def best(self) -> int:
        """The index of the most probable label or option; the first one if several are equally probable."""
        return max(range(len(self.probabilities)), key=self.probabilities.__getitem__)


def predict(model: Model, objective: AuxLM, examples: Iterable[Example], *, batch: int = 32) -> Iterator[Prediction]:
    """Yield one prediction per example, in order. Reads `EXAMPLES_PER_CHUNK` examples at a time; predictions are deterministic.

    Args:
        model: the fine-tuned model in evaluation mode, as returned by `load_objective`.
        objective: its objective, on the model's device.
        examples: the examples; their labels are ignored.
        batch: number of examples of a forward pass.

    Raises:
        DataError: an example lacks what the task of the objective reads.
    """
    source = iter(examples)
    while chunk := list(itertools.islice(source, EXAMPLES_PER_CHUNK)):
        items = objective.tokenize(chunk, "input", labelled=False)
        outputs = compute_outputs(model, objective, items, batch=batch)
        is_regression = objective.task == "regression"
        rows = (outputs if is_regression else outputs.softmax(-1)).tolist()
        for example, item, row in zip(chunk, items, rows, strict=True):
            yield Prediction(example, () if is_regression else tuple(row), row if is_regression else None, item.is_truncated)


@torch.inference_mode()
def compute_outputs(model: Model, objective: AuxLM, items: list[TokenizedExample], *, batch: int) -> Tensor:
    """Return the (N, K) logits or (N,) scores of N items in order, in float32 on the CPU. Batches are formed by length."""
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
