"""Fine-tuning on labelled examples with an auxiliary language-modelling loss: L3 = L2 + lambda L1.

Source: "Improving Language Understanding by Generative Pre-Training", section 3.2, equations 3 to 5, and section 3.3.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gptkit.data.dataset import Batch, Dataset
from gptkit.data.record_checks import labelled_examples
from gptkit.data.splits import split_records
from gptkit.errors import ConfigError, DataError
from gptkit.objective.base import Objective, Terms
from gptkit.objective.classify import AuxLMConfig
from gptkit.objective.classify.classification_dataset import (
    ClassificationDataset,
    TokenizedExample,
    infer_task,
    tokenize_examples,
    warn_about_duplicates,
    warn_about_truncation,
    warn_about_validation,
)
from gptkit.objective.classify.input_formats import SpecialTokens
from gptkit.objective.classify.labels import (
    CLASS_TASKS,
    class_names,
    format_labels,
    label_number,
    positive_class,
)
from gptkit.objective.classify.layer_transfer import is_transferred_weight, warn_about_missing_layers
from gptkit.objective.losses import cross_entropy_sum
from gptkit.objective.monitor import LOWEST_LOSS, Monitor
from gptkit.objective.precision import upcast_linear
from gptkit.records import Example

if TYPE_CHECKING:
    from gptkit.data.base import Data
    from gptkit.model.base import Model
    from gptkit.tokenizer.base import Tokenizer

INITIAL_STD = 0.02
"""Standard deviation of the initial weights of the head; its bias starts at 0, as in the released code."""


class AuxLM(Objective):
    """Shapes: B examples of C sequences of T tokens, D width, K labels.

    The head is created when the labels are known: from the training examples, or from a checkpoint.
    """

    def __init__(self, settings: AuxLMConfig, *, tokenizer: Tokenizer, context: int, width: int) -> None:
        super().__init__()
        self.settings = settings
        self.tokenizer = tokenizer
        self.context = context
        self.width = width
        self.special_tokens = self.make_special_tokens(tokenizer)
        self.task = settings.task
        self.labels: list[str] = []
        """The sorted labels of classification, entailment and similarity. The number of a label is its index."""
        self.register_buffer("known", torch.empty(0, dtype=torch.uint8))
        self.head = nn.Linear(width, 1)

    def make_special_tokens(self, tokenizer: Tokenizer) -> SpecialTokens:
        """Return the three tokens that the paper adds to the vocabulary."""
        return SpecialTokens(start=tokenizer.size, delimiter=tokenizer.size + 1, extract=tokenizer.size + 2)

    def start(self, model: Model) -> None:
        warn_about_missing_layers(model, self.settings.transfer_layers)

    # -- labels and head ----------------------------------------------------------------------------------------------------------

    def set_labels(self, task: str, labels: list[str]) -> None:
        """Set the task and its labels, and create a head for them."""
        self.task, self.labels = task, labels
        self.known = torch.tensor(list(json.dumps({"task": task, "labels": labels}).encode()), dtype=torch.uint8)
        self.head = nn.Linear(self.width, len(labels) or 1)
        nn.init.normal_(self.head.weight, std=INITIAL_STD)
        nn.init.zeros_(self.head.bias)

    def positive(self) -> int | None:
        """Return the number of the label whose F1 is reported; None: the mean over labels is, or labels have no names.

        Raises:
            ConfigError: `objective.positive` is not a label of the task.
        """
        if self.labels:
            return positive_class(self.settings.positive, self.labels)
        if self.settings.positive:
            raise ConfigError(f"objective.positive={self.settings.positive}: labels of {self.task} have no names; leave it empty")
        return None

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        saved = json.loads(bytes(state_dict["known"].tolist()))
        self.set_labels(saved["task"], saved["labels"])
        return super().load_state_dict(state_dict, strict, assign)

    # -- data ---------------------------------------------------------------------------------------------------------------------

    def datasets(self, data: Data, *, validation_fraction: float) -> dict[str, Dataset]:
        """Return the examples of the source in the input format of the task.

        Raises:
            DataError: the source has no examples, an example lacks what the task reads, a validation label does not occur in
                training, or all training labels are equal.
            ConfigError: `objective.positive` is not a label of the task.
        """
        reader = f"objective={self.settings.name}"
        training_split: list[Example] = []

        def read(source: Data, split: str) -> list[Example]:
            result = list(labelled_examples(source, split, reader=reader))
            if split == "train":
                training_split.extend(result)
            return result

        examples, held_out = split_records(data, validation_fraction, read)
        task = infer_task(training_split) if self.settings.task == "auto" else self.settings.task
        self.set_labels(task, class_names(examples) if task in CLASS_TASKS else [])
        self.positive()
        train = self._dataset(self.select_examples(examples), "training")
        if task == "regression" and len(train) > 1 and (train.labels == train.labels[0]).all():
            raise DataError(f"all {len(train)} training examples have the score {train.labels[0]:g}; there is nothing to learn")
        if not held_out:
            return {"train": train}
        warn_about_duplicates(examples, held_out)
        validation = self._dataset(held_out, "validation")
        warn_about_validation(train, validation, task=task, labels=self.labels)
        return {"train": train, "validation": validation}

    def describe(self, datasets: Mapping[str, Dataset]) -> str:
        train, held_out = datasets["train"], datasets.get("validation")
        assert isinstance(train, ClassificationDataset)
        if self.labels:
            positive = self.positive()
            f1 = "mean F1" if positive is None else f"F1 of {self.labels[positive]}"
            labels = f"with {len(self.labels)} labels ({format_labels(self.labels)}; {f1})"
        else:
            labels = f"of {train.sequences} options" if self.task == "multiple_choice" else "of scores"
        sizes = f"{len(train):,} examples to learn from" + (f" and {len(held_out):,} held out" if held_out is not None else "")
        return f"{self.task.replace('_', ' ')} {labels}, {sizes}"

    def _dataset(self, examples: list[Example], split: str) -> ClassificationDataset:
        items = self.tokenize(examples, split)
        warn_about_truncation(sum(item.is_truncated for item in items), len(items), split, task=self.task, context=self.context)
        return ClassificationDataset(items)

    def select_examples(self, examples: list[Example]) -> list[Example]:
        """Select the training examples to use. Default: all of them."""
        return examples

    def tokenize(self, examples: list[Example], split: str, *, labelled: bool = True) -> list[TokenizedExample]:
        """Tokenise examples of this task. If `labelled` is false, their labels are ignored."""
        return tokenize_examples(
            examples,
            task=self.task,
            tokenizer=self.tokenizer,
            context=self.context,
            special_tokens=self.special_tokens,
            label_number=functools.partial(label_number, task=self.task, labels=self.labels)
            if labelled
            else (lambda example, where: 0.0),
            split=split,
        )

    # -- loss ---------------------------------------------------------------------------------------------------------------------

    def tokens(self, batch: Batch) -> int:
        """Return the number of tokens, without padding."""
        return int(batch["lengths"].sum())

    def counts(self, batch: Batch) -> dict[str, int]:
        """Return the number of examples for the task, and of sequences for the language model, whose loss averages per sequence."""
        counts = {"task": len(batch["tokens"])}
        return counts | {"lm": batch["lengths"].numel()} if self.settings.lm_weight else counts

    def loss(self, model: Model, batch: Batch) -> tuple[Terms, dict[str, Tensor]]:
        hidden = self.hidden_states(model, batch)  # (B C, T, D)
        outputs = self.outputs(hidden, batch["lengths"])  # (B, K or C) or (B,)
        terms: dict[str, tuple[float, Tensor]] = {"task": (1.0, task_loss(self.task, outputs, batch["labels"]))}
        if self.settings.lm_weight:
            terms["lm"] = (self.settings.lm_weight, self.lm_loss(model, hidden, batch))
        metrics = {"outputs": outputs.detach(), "labels": batch["labels"]}
        if self.task != "regression":
            metrics["accuracy"] = (outputs.argmax(-1) == batch["labels"].long()).sum().float()
        return terms, metrics

    def hidden_states(self, model: Model, batch: Batch) -> Tensor:
        """Return the hidden states of every sequence, (B C, T, D). Causal attention hides the padding on the right."""
        return model(batch["tokens"].flatten(0, 1))  # type: ignore[no-any-return]

    def outputs(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """Apply the head to the hidden states at the extract tokens.

        Args:
            hidden: (B C, T, D).
            lengths: (B, C) number of tokens of each sequence; the last one is the extract token.

        Returns:
            (B, K) logits of the labels, (B, C) logits of the options, or (B,) scores; in at least float32.
        """
        rows = torch.arange(len(hidden), device=hidden.device)
        features = hidden[rows, lengths.flatten() - 1].view(*lengths.shape, -1)  # (B, C, D)
        if self.training and self.settings.classifier_dropout:
            ones = features.new_ones(len(features), 1, features.size(-1))  # all sequences of an example share one mask
            features = features * F.dropout(ones, self.settings.classifier_dropout)
        if self.task == "multiple_choice":
            return upcast_linear(self.head, features).squeeze(-1)
        outputs = upcast_linear(self.head, features.sum(1))  # one sequence, or the sum over both orders (section 3.3)
        return outputs.squeeze(-1) if self.task == "regression" else outputs

    def lm_loss(self, model: Model, hidden: Tensor, batch: Batch) -> Tensor:
        """Return the sum over sequences of their mean negative log-likelihood. Extract tokens are targets, padding is not."""
        tokens, lengths = batch["tokens"].flatten(0, 1), batch["lengths"].flatten()
        is_target = torch.arange(1, tokens.size(1), device=tokens.device) < lengths[:, None]  # (B C, T - 1)
        weights = (1.0 / (lengths - 1).float())[:, None].expand_as(is_target)[is_target]
        return cross_entropy_sum(model.logits(hidden[:, :-1][is_target]), tokens[:, 1:][is_target], weights)

    def compute_metrics(self, outputs: Mapping[str, Tensor]) -> dict[str, float]:
        from gptkit.objective.classify.metrics import compute_metrics

        return compute_metrics(self.task, outputs["outputs"], outputs["labels"], positive=self.positive())

    def monitor(self, metrics: Mapping[str, float]) -> Monitor:
        """Return accuracy, or Pearson's correlation, since the loss includes language modelling; without them, the loss."""
        main = "pearson" if self.task == "regression" else "accuracy"
        return Monitor(main, "max") if main in metrics else LOWEST_LOSS

    def is_transferred(self, model: Model, name: str) -> bool:
        return is_transferred_weight(model, name, self.settings.transfer_layers)


def task_loss(task: str, outputs: Tensor, labels: Tensor) -> Tensor:
    """Return the sum over examples of the negative log-likelihood in nats (equation 4), or for regression of squared errors (ours).

    Args:
        task: one of `gptkit.objective.classify.classification_dataset.TASKS`.
        outputs: (B, K) logits, or (B,) scores.
        labels: (B,) numbers of the correct labels or options, or scores.
    """
    if task == "regression":
        return F.mse_loss(outputs, labels.to(outputs), reduction="sum")
    return F.cross_entropy(outputs, labels.long(), reduction="sum")
