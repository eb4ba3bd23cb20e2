"""The dataset of labelled examples: formatted and tokenised once, padded to the longest sequence of a batch."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gptkit.data.dataset import Batch, Dataset
from gptkit.data.padding import pad_groups
from gptkit.errors import DataError
from gptkit.objective.classify.input_formats import (
    SpecialTokens,
    append_question,
    classification_input,
    entailment_input,
    max_pair_text_tokens,
    max_single_text_tokens,
    multiple_choice_input,
    similarity_input,
)
from gptkit.objective.classify.labels import class_name, format_labels, look_like_scores
from gptkit.records import Example
from gptkit.tokenizer.base import Tokenizer

TASKS = ("classification", "entailment", "similarity", "regression", "multiple_choice")
EXAMPLES_PER_CHUNK = 4096
"""The number of examples that are tokenised at a time."""

_log = logging.getLogger("gptkit")


@dataclass(frozen=True)
class TokenizedExample:
    """An example as token sequences."""

    sequences: tuple[NDArray[np.int32], ...]
    label: float
    """The number of the label or of the correct option, or the score."""
    is_truncated: bool = False
    """Whether a text of the example was too long for the context."""


class ClassificationDataset(Dataset):
    """Item i of every epoch is example i.

    A batch has `tokens` (B, C, T) int64, padded on the right with 0; `lengths` (B, C) int64; `labels` (B,) float32.
    """

    sequences: int
    """C, the number of sequences of every example: of options, or of orders of a pair."""
    labels: NDArray[np.float32]
    """(items,) the numbers of the labels, or scores."""

    def __init__(self, items: Sequence[TokenizedExample]) -> None:
        self._items = items
        self.sequences = len(items[0].sequences)
        self.labels = np.array([item.label for item in items], dtype=np.float32)
        lengths = [[len(sequence) for sequence in item.sequences] for item in items]
        self._lengths = np.array([sum(item_lengths) for item_lengths in lengths], dtype=np.int64)
        self._longest = np.array([max(item_lengths) for item_lengths in lengths], dtype=np.int64)

    def __len__(self) -> int:
        return len(self._items)

    def lengths(self) -> NDArray[np.int64]:
        return self._lengths

    def longest(self) -> NDArray[np.int64]:
        return self._longest

    def batch(self, indices: Sequence[int]) -> Batch:
        items = [self._items[index % len(self._items)] for index in indices]
        return collate_examples(items)


def collate_examples(items: Sequence[TokenizedExample]) -> Batch:
    """Collate examples, which all have C sequences, into a batch."""
    tokens, lengths = pad_groups([item.sequences for item in items], len(items[0].sequences))
    return {"tokens": tokens, "lengths": lengths, "labels": torch.tensor([item.label for item in items], dtype=torch.float32)}


def infer_task(examples: Sequence[Example]) -> str:
    """Infer the family of tasks from the texts of the first example and the labels of all. Only pairs can have scores."""
    first, labels = examples[0], [example.label for example in examples]
    if first.options:
        return "multiple_choice"
    if first.pair is not None:
        return "regression" if look_like_scores(labels) else "entailment"
    classes = sorted({class_name(label) for label in labels})
    if look_like_scores(classes):
        _log.warning(
            "the %d labels (%s) look like scores, but single texts are classified; for scores of pairs of texts, set data.pair and "
            "objective.task=regression, and if the labels are classes, set objective.task=classification",
            len(classes),
            format_labels(classes),
        )
    return "classification"


def tokenize_examples(
    examples: Iterable[Example],
    *,
    task: str,
    tokenizer: Tokenizer,
    context: int,
    special_tokens: SpecialTokens,
    label_number: Callable[[Example, str], float],
    split: str,
) -> list[TokenizedExample]:
    """Tokenise and format examples. Examples that are longer than the context are truncated as in GPT-1, and marked.

    Args:
        examples: the examples of one split.
        task: one of `TASKS`.
        tokenizer: encodes the texts.
        context: maximum sequence length.
        special_tokens: the ids that delimit the texts.
        label_number: returns the number of an example's label; the second argument is the location of the example, for messages.
        split: name of the split, for messages about examples without a location.

    Raises:
        DataError: there are no examples, an example lacks what the task reads or has options that it does not read, examples have
            different numbers of options, or the context has no room for the texts.
    """
    result: list[TokenizedExample] = []
    source = iter(examples)
    room = max_text_tokens(task, context)
    if room < 1:
        texts = "one text" if task == "classification" else "two texts"
        raise DataError(f"model.context={context} has no room for {texts} and the special tokens; increase it")
    while chunk := list(itertools.islice(source, EXAMPLES_PER_CHUNK)):
        locations = [each.where or f"example {number} of the {split} split" for number, each in enumerate(chunk, len(result) + 1)]
        chunk_texts = [_texts(example, task, where) for example, where in zip(chunk, locations, strict=True)]
        encoded = iter(tokenizer.encode_batch([text for example_texts in chunk_texts for text in example_texts]))
        for example, where, example_texts in zip(chunk, locations, chunk_texts, strict=True):
            text_ids = [next(encoded).tolist() for _ in example_texts]
            ids = [part[:room] for part in text_ids]
            is_truncated = any(len(part) > room for part in text_ids)
            if task == "multiple_choice" and example.pair is not None:
                text, question, *options = ids
                ids = [append_question(text, question, room), *options]
                is_truncated = is_truncated or len(text) + len(question) > room
            item = TokenizedExample(_sequences(ids, task, special_tokens), label_number(example, where), is_truncated)
            if result and len(item.sequences) != len(result[0].sequences):
                raise DataError(
                    f"{where} has {len(item.sequences)} options, but earlier examples have {len(result[0].sequences)}; "
                    "all must have the same number"
                )
            result.append(item)
    if not result:
        raise DataError(f"the {split} split has no examples")
    return result


def max_text_tokens(task: str, context: int) -> int:
    """Return the maximum number of tokens of each text of an example."""
    return max_single_text_tokens(context) if task == "classification" else max_pair_text_tokens(context)


def warn_about_truncation(truncated: int, total: int, split: str, *, task: str, context: int) -> None:
    """Warn if examples of a split were truncated, with their number."""
    if truncated:
        _log.warning(
            "%d of %d %s examples do not fit into model.context=%d (%d tokens per text) and were truncated",
            truncated,
            total,
            split,
            context,
            max_text_tokens(task, context),
        )


def warn_about_validation(
    train: ClassificationDataset, held_out: ClassificationDataset, *, task: str, labels: Sequence[str]
) -> None:
    """Warn if validation metrics say little: the number of options differs from training, or all labels are equal.

    Args:
        train: training examples.
        held_out: validation examples.
        task: one of `TASKS`.
        labels: names of the labels, if they have names.
    """
    if task == "multiple_choice" and train.sequences != held_out.sequences:
        _log.warning(
            "training examples have %d options and validation examples %d: random guessing scores 1/%d in training and "
            "1/%d in validation",
            train.sequences,
            held_out.sequences,
            train.sequences,
            held_out.sequences,
        )
    if task != "multiple_choice" and len(held_out) > 1 and (held_out.labels == held_out.labels[0]).all():
        answer = f"score {held_out.labels[0]:g}" if task == "regression" else f"label {labels[int(held_out.labels[0])]}"
        metrics = "correlations" if task == "regression" else "F1 and Matthews correlation"
        _log.warning("all %d validation examples have the %s, so %s are meaningless", len(held_out), answer, metrics)


def warn_about_duplicates(train: Sequence[Example], held_out: Sequence[Example]) -> None:
    """Warn if held-out examples have the same texts as training examples, regardless of their labels."""
    train_texts = {(example.text, example.pair, example.options) for example in train}
    duplicates = [example for example in held_out if (example.text, example.pair, example.options) in train_texts]
    if duplicates:
        _log.warning(
            "%d of %d validation examples have the same texts as training examples, which inflates the metrics; remove them from "
            "one of the splits (the first: %s)",
            len(duplicates),
            len(held_out),
            duplicates[0].where,
        )


def _texts(example: Example, task: str, where: str) -> list[str]:
    if example.options and task != "multiple_choice":
        raise DataError(f"{where} has options, but objective.task={task} does not read any; set objective.task=multiple_choice")
    if task == "classification":
        return [example.text] if example.pair is None else [f"{example.text}\n{example.pair}"]
    if task == "multiple_choice":
        if len(example.options) < 2:
            raise DataError(f"{where} has {len(example.options)} options, but needs at least two; set data.options")
        return [example.text, *([] if example.pair is None else [example.pair]), *example.options]
    if example.pair is None:
        raise DataError(f"{where} has one text, but objective.task={task} reads two; set data.pair")
    return [example.text, example.pair]


def _sequences(ids: list[list[int]], task: str, special_tokens: SpecialTokens) -> tuple[NDArray[np.int32], ...]:
    if task == "classification":
        sequences = [classification_input(ids[0], special_tokens)]
    elif task == "multiple_choice":
        sequences = multiple_choice_input(ids[0], ids[1:], special_tokens)
    elif task == "entailment":
        sequences = [entailment_input(ids[0], ids[1], special_tokens)]
    else:
        sequences = similarity_input(ids[0], ids[1], special_tokens)
    return tuple(np.array(sequence, dtype=np.int32) for sequence in sequences)
