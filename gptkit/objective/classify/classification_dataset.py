"""Labelled examples as batches: laid out and tokenised once, padded to the longest of a batch."""

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
EXAMPLES_AT_ONCE = 4096
"""Examples tokenised at a time."""

_log = logging.getLogger("gptkit")


@dataclass(frozen=True)
class TokenizedExample:
    """An example as the model reads it."""

    sequences: tuple[NDArray[np.int32], ...]
    label: float
    """Number of the label or of the right option, or the score."""
    cut: bool = False
    """A text of it is longer than the context has room for."""


class ClassificationDataset(Dataset):
    """Item i of every epoch is example i.

    A batch has `tokens` (B, C, T) int64, padded on the right with 0; `lengths` (B, C) int64; `labels` (B,) float32.
    """

    sequences: int
    """C, the same for all: options, or orders of a pair."""
    labels: NDArray[np.float32]
    """(items,) their labels' numbers, or scores."""

    def __init__(self, items: Sequence[TokenizedExample]) -> None:
        self._items = items
        self.sequences = len(items[0].sequences)
        self.labels = np.array([item.label for item in items], dtype=np.float32)
        lengths = [[len(sequence) for sequence in item.sequences] for item in items]
        self._lengths = np.array([sum(of_item) for of_item in lengths], dtype=np.int64)
        self._longest = np.array([max(of_item) for of_item in lengths], dtype=np.int64)

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
    """The items of one batch, which all have C sequences."""
    tokens, lengths = pad_groups([item.sequences for item in items], len(items[0].sequences))
    return {"tokens": tokens, "lengths": lengths, "labels": torch.tensor([item.label for item in items], dtype=torch.float32)}


def infer_task(examples: Sequence[Example]) -> str:
    """The family of tasks that examples look like: their texts by the first, their labels by all; scores are of pairs."""
    first, labels = examples[0], [example.label for example in examples]
    if first.options:
        return "multiple_choice"
    if first.pair is not None:
        return "regression" if look_like_scores(labels) else "entailment"
    classes = sorted({class_name(label) for label in labels})
    if look_like_scores(classes):
        _log.warning(
            "the %d labels (%s) look like scores, and are learnt as classes; objective.task=regression learns scores, of pairs of "
            "texts: give data.pair, or objective.task=classification where these are classes",
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
    what: str,
) -> list[TokenizedExample]:
    """Tokenise and lay out examples; those that are longer than the context are cut as GPT-1 cuts them, and marked.

    Args:
        examples: of one split.
        task: one of `TASKS`.
        tokenizer: turns their text into ids.
        context: longest sequence.
        special_tokens: ids that frame the parts.
        label_number: the number of an example's label, given where the example stands.
        what: the split, for messages about examples that do not say where they stand.

    Raises:
        DataError: there is none, one lacks what the task reads or has options that it does not read, their numbers of options
            differ, or the context has no room for two texts.
    """
    result: list[TokenizedExample] = []
    source = iter(examples)
    room = max_text_tokens(task, context)
    if room < 1:
        parts = "one text" if task == "classification" else "two texts"
        raise DataError(f"model.context={context} has no room for {parts} and the tokens that frame them; give more")
    while chunk := list(itertools.islice(source, EXAMPLES_AT_ONCE)):
        indices = [each.where or f"example {number} of the {what} split" for number, each in enumerate(chunk, len(result) + 1)]
        texts = [_texts(example, task, where) for example, where in zip(chunk, indices, strict=True)]
        encoded = iter(tokenizer.encode_batch([text for of_example in texts for text in of_example]))
        for example, where, of_example in zip(chunk, indices, texts, strict=True):
            whole = [next(encoded).tolist() for _ in of_example]
            ids = [part[:room] for part in whole]
            cut = any(len(part) > room for part in whole)
            if task == "multiple_choice" and example.pair is not None:
                text, question, *options = ids
                ids = [append_question(text, question, room), *options]
                cut = cut or len(text) + len(question) > room
            item = TokenizedExample(_sequences(ids, task, special_tokens), label_number(example, where), cut)
            if result and len(item.sequences) != len(result[0].sequences):
                raise DataError(
                    f"{where} has {len(item.sequences)} options, those before it {len(result[0].sequences)}; all must have as many"
                )
            result.append(item)
    if not result:
        raise DataError(f"the {what} split has no examples")
    return result


def max_text_tokens(task: str, context: int) -> int:
    """The most tokens of each text of an example."""
    return max_single_text_tokens(context) if task == "classification" else max_pair_text_tokens(context)


def warn_about_truncation(cut: int, total: int, what: str, *, task: str, context: int) -> None:
    """Say how many of the examples of a split were cut, where any was."""
    if cut:
        _log.warning(
            "%d of %d %s examples are longer than model.context=%d has room for (%d tokens a text) and were cut there",
            cut,
            total,
            what,
            context,
            max_text_tokens(task, context),
        )


def warn_about_validation(
    train: ClassificationDataset, held_out: ClassificationDataset, *, task: str, labels: Sequence[str]
) -> None:
    """Say what makes the metrics of the held-out examples mean less: another number of options, or one answer for all of them.

    Args:
        train: training examples.
        held_out: validation examples.
        task: one of `TASKS`.
        labels: names of the labels, where they have some.
    """
    if task == "multiple_choice" and train.sequences != held_out.sequences:
        _log.warning(
            "training examples have %d options and validation examples %d: guessing is right in 1 of %d there, and in 1 of %d here",
            train.sequences,
            held_out.sequences,
            train.sequences,
            held_out.sequences,
        )
    if task != "multiple_choice" and len(held_out) > 1 and (held_out.labels == held_out.labels[0]).all():
        answer = f"score {held_out.labels[0]:g}" if task == "regression" else f"label {labels[int(held_out.labels[0])]}"
        metrics = "correlations" if task == "regression" else "F1 and Matthews' correlation"
        _log.warning("all %d validation examples have the %s, of which %s say nothing", len(held_out), answer, metrics)


def warn_about_duplicates(train: Sequence[Example], held_out: Sequence[Example]) -> None:
    """Say how many held-out examples have the texts of a training example, whatever their labels: metrics flatter what is known."""
    known = {(example.text, example.pair, example.options) for example in train}
    copies = [example for example in held_out if (example.text, example.pair, example.options) in known]
    if copies:
        _log.warning(
            "%d of %d validation examples have the same texts as training examples, which flatters the metrics; drop them from "
            "either (the first: %s)",
            len(copies),
            len(held_out),
            copies[0].where,
        )


def _texts(example: Example, task: str, where: str) -> list[str]:
    if example.options and task != "multiple_choice":
        raise DataError(f"{where} has options, and objective.task={task} reads none; choose objective.task=multiple_choice")
    if task == "classification":
        return [example.text] if example.pair is None else [f"{example.text}\n{example.pair}"]
    if task == "multiple_choice":
        if len(example.options) < 2:
            raise DataError(f"{where} has {len(example.options)} options; give data.options")
        return [example.text, *([] if example.pair is None else [example.pair]), *example.options]
    if example.pair is None:
        raise DataError(f"{where} has one text, and objective.task={task} reads two; give data.pair")
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
