"""Fine-tuning on labelled examples with an auxiliary language-modelling loss: L3 = L2 + lambda L1.

Source: "Improving Language Understanding by Generative Pre-Training", section 3.2, equations 3 to 5, and section 3.3.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gptkit.data.dataset import Batch, Dataset
from gptkit.data.readers.text_lines import is_number
from gptkit.data.record_checks import labelled_examples
from gptkit.data.splits import split_records
from gptkit.errors import ConfigError, DataError
from gptkit.objective.base import LOWEST_LOSS, Monitor, Objective, Terms
from gptkit.objective.classify import AuxLMConfig
from gptkit.objective.classify.classification_dataset import (
    ClassificationDataset,
    TokenizedExample,
    laid_out,
    task_of,
    warn_of_copies,
    warn_of_cut,
    warn_of_held_out,
)
from gptkit.objective.classify.input_formats import SpecialTokens
from gptkit.objective.classify.labels import NAMED, labels_of, named, numeric, positive_of, shown
from gptkit.objective.losses import cross_entropy_sum
from gptkit.objective.precision import upcast_linear
from gptkit.records import Example

if TYPE_CHECKING:
    from gptkit.data.base import Data
    from gptkit.model.base import Model
    from gptkit.tokenizer.base import Tokenizer

_log = logging.getLogger("gptkit")

DEVIATION = 0.02
"""Of the head's initial weights; its bias begins at 0 (the released code)."""


class AuxLM(Objective):
    """Shapes: B examples of C sequences of T tokens, D width, K labels.

    The head is made when the labels are known: from the training examples, or from a checkpoint.
    """

    def __init__(self, settings: AuxLMConfig, *, tokenizer: Tokenizer, context: int, width: int) -> None:
        super().__init__()
        self.settings = settings
        self.tokenizer = tokenizer
        self.context = context
        self.width = width
        self.marks = self.marks_of(tokenizer)
        self.task = settings.task
        self.labels: list[str] = []
        """Of classification, entailment and similarity: sorted; a label's number is its place."""
        self.register_buffer("known", torch.empty(0, dtype=torch.uint8))
        self.head = nn.Linear(width, 1)

    def marks_of(self, tokenizer: Tokenizer) -> SpecialTokens:
        """The three tokens that the paper adds to the vocabulary."""
        return SpecialTokens(start=tokenizer.size, delimiter=tokenizer.size + 1, extract=tokenizer.size + 2)

    def start(self, model: Model) -> None:
        """Say so where more blocks are to be transferred than the model has: runs that should differ would be the same."""
        layers = {layer for name in model.state_dict() if (layer := model.layer_of(name)) is not None}
        if (self.settings.transfer_layers or 0) > len(layers):
            _log.warning(
                "objective.transfer_layers=%d, but the model has %d blocks",
                self.settings.transfer_layers,
                len(layers),
            )

    # -- labels and head ----------------------------------------------------------------------------------------------------------

    def learn(self, task: str, labels: list[str]) -> None:
        """Take over a task and its labels, and make a head for them."""
        self.task, self.labels = task, labels
        self.known = torch.tensor(list(json.dumps({"task": task, "labels": labels}).encode()), dtype=torch.uint8)
        self.head = nn.Linear(self.width, len(labels) or 1)
        nn.init.normal_(self.head.weight, std=DEVIATION)
        nn.init.zeros_(self.head.bias)

    def positive(self) -> int | None:
        """The number of the label whose F1 is reported; None: the mean over labels is, or there are no labels.

        Raises:
            ConfigError: `objective.positive` is no label of the task.
        """
        if self.labels:
            return positive_of(self.settings.positive, self.labels)
        if self.settings.positive:
            raise ConfigError(f"objective.positive={self.settings.positive}: labels of {self.task} have no names; leave it empty")
        return None

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        known = json.loads(bytes(state_dict["known"].tolist()))
        self.learn(known["task"], known["labels"])
        return super().load_state_dict(state_dict, strict, assign)

    # -- data ---------------------------------------------------------------------------------------------------------------------

    def datasets(self, data: Data, *, validation_fraction: float) -> dict[str, Dataset]:
        """The examples of the source, laid out for the task.

        Raises:
            DataError: the source has no examples, one has not what the task reads, a label that training lacks, or all have
                the same.
            ConfigError: `objective.positive` is no label of the task.
        """
        reader = f"objective={self.settings.name}"
        training_split: list[Example] = []

        def read(source: Data, split: str) -> list[Example]:
            found = list(labelled_examples(source, split, reader=reader))
            if split == "train":
                training_split.extend(found)
            return found

        examples, held_out = split_records(data, validation_fraction, read)
        task = task_of(training_split) if self.settings.task == "auto" else self.settings.task
        self.learn(task, labels_of(examples) if task in NAMED else [])
        self.positive()
        train = self._dataset(self.chosen(examples), "training")
        if task == "regression" and len(train) > 1 and (train.labels == train.labels[0]).all():
            raise DataError(
                f"all {len(train)} training examples have the score {train.labels[0]:g}; there is nothing to tell apart"
            )
        if not held_out:
            return {"train": train}
        warn_of_copies(examples, held_out)
        validation = self._dataset(held_out, "validation")
        warn_of_held_out(train, validation, task=task, labels=self.labels)
        return {"train": train, "validation": validation}

    def describe(self, datasets: Mapping[str, Dataset]) -> str:
        train, held_out = datasets["train"], datasets.get("validation")
        assert isinstance(train, ClassificationDataset)
        if self.labels:
            positive = self.positive()
            f1 = "mean F1" if positive is None else f"F1 of {self.labels[positive]}"
            answers = f"with {len(self.labels)} labels ({shown(self.labels)}; {f1})"
        else:
            answers = f"of {train.sequences} options" if self.task == "multiple_choice" else "of scores"
        sizes = f"{len(train):,} examples to learn from" + (f" and {len(held_out):,} held out" if held_out is not None else "")
        return f"{self.task.replace('_', ' ')} {answers}, {sizes}"

    def _dataset(self, examples: list[Example], what: str) -> ClassificationDataset:
        items = self.items(examples, what)
        warn_of_cut(sum(item.cut for item in items), len(items), what, task=self.task, context=self.context)
        return ClassificationDataset(items)

    def chosen(self, examples: list[Example]) -> list[Example]:
        """The training examples that are used: all."""
        return examples

    def items(self, examples: list[Example], what: str, *, labelled: bool = True) -> list[TokenizedExample]:
        """Examples of this task as the model reads them; with `labelled` false their labels are left aside."""
        return laid_out(
            examples,
            task=self.task,
            tokenizer=self.tokenizer,
            context=self.context,
            marks=self.marks,
            number_of=self._number if labelled else (lambda example, where: 0.0),
            what=what,
        )

    def _number(self, example: Example, where: str) -> float:
        if self.task in NAMED:
            if named(example.label) not in self.labels:
                way_out = "label more like it, or leave it out"
                if numeric(self.labels) and len(self.labels) > 2 and example.pair is not None:
                    way_out = "if labels are scores, choose objective.task=regression"
                known = shown(self.labels)
                raise DataError(
                    f"{where} has the label {example.label}, which no training example has (they have {known}); {way_out}"
                )
            return float(self.labels.index(named(example.label)))
        try:
            number = float(example.label)
        except (ValueError, OverflowError):
            number = math.nan
        if not is_number(number):
            raise DataError(f"{where}: its label {repr(example.label)[:40]} is no number, and objective.task={self.task} wants one")
        if self.task == "multiple_choice" and number not in range(len(example.options)):
            raise DataError(
                f"{where}: its label {example.label} is no place of one of its {len(example.options)} options, counted from 0"
            )
        return number

    # -- loss ---------------------------------------------------------------------------------------------------------------------

    def tokens(self, batch: Batch) -> int:
        """Without padding."""
        return int(batch["lengths"].sum())

    def counts(self, batch: Batch) -> dict[str, int]:
        """Examples for the task, sequences for the language model: its loss is averaged within each sequence first."""
        counts = {"task": len(batch["tokens"])}
        return counts | {"lm": batch["lengths"].numel()} if self.settings.lm_weight else counts

    def loss(self, model: Model, batch: Batch) -> tuple[Terms, dict[str, Tensor]]:
        hidden = self.hidden(model, batch)  # (B C, T, D)
        outputs = self.outputs(hidden, batch["lengths"])  # (B, K or C) or (B,)
        terms: dict[str, tuple[float, Tensor]] = {"task": (1.0, task_loss(self.task, outputs, batch["labels"]))}
        if self.settings.lm_weight:
            terms["lm"] = (self.settings.lm_weight, self.lm_loss(model, hidden, batch))
        measured = {"outputs": outputs.detach(), "labels": batch["labels"]}
        if self.task != "regression":
            measured["accuracy"] = (outputs.argmax(-1) == batch["labels"].long()).sum().float()
        return terms, measured

    def hidden(self, model: Model, batch: Batch) -> Tensor:
        """Of every sequence: (B C, T, D). Padding stands on the right, where a causal model's other places do not see it."""
        return model(batch["tokens"].flatten(0, 1))  # type: ignore[no-any-return]

    def outputs(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """What the head makes of the hidden states at the extract tokens.

        Args:
            hidden: (B C, T, D).
            lengths: (B, C) tokens of each sequence, the last of which is the extract token.

        Returns:
            (B, K) logits of the labels, (B, C) logits of the options, or (B,) scores; in at least float32.
        """
        rows = torch.arange(len(hidden), device=hidden.device)
        features = hidden[rows, lengths.flatten() - 1].view(*lengths.shape, -1)  # (B, C, D)
        if self.training and self.settings.classifier_dropout:
            alike = features.new_ones(len(features), 1, features.size(-1))  # one mask for all sequences of an example
            features = features * F.dropout(alike, self.settings.classifier_dropout)
        if self.task == "multiple_choice":
            return upcast_linear(self.head, features).squeeze(-1)
        outputs = upcast_linear(self.head, features.sum(1))  # one sequence, or both orders added (section 3.3)
        return outputs.squeeze(-1) if self.task == "regression" else outputs

    def lm_loss(self, model: Model, hidden: Tensor, batch: Batch) -> Tensor:
        """Over sequences, the sum of each one's mean negative log-likelihood; padding is no target, extract is one."""
        tokens, lengths = batch["tokens"].flatten(0, 1), batch["lengths"].flatten()
        real = torch.arange(1, tokens.size(1), device=tokens.device) < lengths[:, None]  # (B C, T - 1)
        weights = (1.0 / (lengths - 1).float())[:, None].expand_as(real)[real]
        return cross_entropy_sum(model.logits(hidden[:, :-1][real]), tokens[:, 1:][real], weights)

    def compute_metrics(self, kept: Mapping[str, Tensor]) -> dict[str, float]:
        from gptkit.objective.classify.metrics import judgement

        return judgement(self.task, kept["outputs"], kept["labels"], positive=self.positive())

    def monitor(self, metrics: Mapping[str, float]) -> Monitor:
        """Accuracy, or Pearson's correlation: the loss includes the language model's. The loss for a single held-out example."""
        main = "pearson" if self.task == "regression" else "accuracy"
        return Monitor(main, "max") if main in metrics else LOWEST_LOSS

    def is_transferred(self, model: Model, name: str) -> bool:
        """Embeddings and the blocks below `transfer_layers` (section 5, "Impact of number of layers transferred"); below 0 nothing.

        What stands behind the blocks (a last norm, which GPT-1 lacks) goes with the last of them. What has a row per token is
        taken with the embeddings: an output matrix may be them.
        """
        wanted: int | None = self.settings.transfer_layers
        if wanted is None or wanted < 0:
            return wanted is None
        layer = model.layer_of(name)
        if layer is not None:
            return layer < wanted
        state = model.state_dict()
        layers = [model.layer_of(other) for other in state]
        first = next((place for place, found in enumerate(layers) if found is not None), len(layers))
        if list(state).index(name) < first or state[name].shape[:1] == (model.vocabulary,):
            return True
        return wanted > max((found for found in layers if found is not None), default=-1)


def task_loss(task: str, outputs: Tensor, labels: Tensor) -> Tensor:
    """The sum over examples of equation 4's negative log-likelihood in nats; of regression, of squared errors (ours).

    Args:
        task: one of `gptkit.objective.classify.classification_dataset.TASKS`.
        outputs: (B, K) logits, or (B,) scores.
        labels: (B,) numbers of the right ones, or scores.
    """
    if task == "regression":
        return F.mse_loss(outputs, labels.to(outputs), reduction="sum")
    return F.cross_entropy(outputs, labels.long(), reduction="sum")
