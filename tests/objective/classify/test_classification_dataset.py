"""Datasets of labelled examples: inferred tasks and labels, truncated texts, warnings, and unusable data."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from gptkit.data import LabelledConfig
from gptkit.data.splits import split_items
from gptkit.errors import DataError
from gptkit.records import Document, Example
from gptkit.training.dataloader import TrainDataLoader, validation_items
from gptkit.training.step import combine_terms


def test_the_validation_split_of_a_source_is_used(build: Any, source: Any, examples: Any) -> None:
    datasets = build().datasets(source(examples["classification"], examples["classification"][:2]), validation_fraction=0.4)
    assert (len(datasets["train"]), len(datasets["validation"])) == (5, 2)
    datasets = build().datasets(source(examples["classification"] * 4), validation_fraction=0.25)
    assert (len(datasets["train"]), len(datasets["validation"])) == (15, 5)


@pytest.mark.parametrize(
    ("labels", "pair", "task", "outputs", "warned"),
    [
        (["0.0", "0.5", "1.0"], "y", "regression", 1, False),  # a table of text
        ([4, 4.5, 1], "y", "regression", 1, False),  # a score that the file writes as 4
        ([4.0, 2.0, 1.0], "y", "regression", 1, False),  # whole numbers of a floating-point type
        (["0.0", "2.0", "1.0"], "y", "entailment", 3, False),
        ([0, 1, 2], "y", "entailment", 3, False),
        (["0.5", "1.0", "many"], "y", "entailment", 3, False),
        (["0.0", "0.5", "1.0"], None, "classification", 3, True),
        ([4.0, 2.0, 1.0], None, "classification", 3, False),
        (["a", "0.5", "b"], None, "classification", 3, False),
    ],
)
def test_scores_of_pairs_are_regression_and_scores_of_single_texts_warn(
    labels: list[Any], pair: str | None, task: str, outputs: int, warned: bool, build: Any, source: Any, caplog: Any
) -> None:
    objective = build()
    with caplog.at_level(logging.WARNING, "gptkit"):
        objective.datasets(source([Example("x", label, pair=pair) for label in labels]), validation_fraction=0.0)
    assert (objective.task, objective.head.out_features) == (task, outputs)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == warned
    assert all("the 3 labels (0, 0.5, 1) look like scores" in line and "objective.task=regression" in line for line in said)


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("similarity", "similarity with 3 labels (no, perhaps, yes; mean F1), 3 examples to learn from and 2 held out"),
        ("multiple_choice", "multiple choice of 3 options, 3 examples to learn from and 2 held out"),
        ("regression", "regression of scores, 3 examples to learn from and 2 held out"),
    ],
)
def test_a_run_describes_its_task_and_data(task: str, said: str, build: Any, source: Any, examples: Any) -> None:
    objective = build(task)
    assert objective.describe(objective.datasets(source(examples[task], examples[task][:2]), validation_fraction=0.0)) == said


def test_a_run_with_many_labels_names_the_first_few(build: Any, source: Any) -> None:
    objective = build(positive="3")
    datasets = objective.datasets(source([Example("x", n) for n in range(20)]), validation_fraction=0.0)
    assert objective.describe(datasets) == (
        "classification with 20 labels (0, 1, 10, 11, 12, 13, 14, 15 and 12 more; F1 of 3), 20 examples to learn from"
    )


def test_long_texts_are_truncated_and_counted(build: Any, model_of: Any, source: Any, caplog: pytest.LogCaptureFixture) -> None:
    long = [Example("a" * 50, "x", pair="b" * 3), Example("c", "y", pair="d" * 7), Example("c", "x", pair="d" * 6)]
    objective = build("entailment", context=17)
    with caplog.at_level(logging.WARNING, "gptkit"):
        items = objective.datasets(source(long), validation_fraction=0.0)["train"]
    (record,) = caplog.records
    assert record.getMessage() == (
        "2 of 3 training examples do not fit into model.context=17 (6 tokens per text) and were truncated"
    )
    assert items.batch([0])["tokens"].tolist() == [[[257, *b"aaaaaa", 258, *b"bbb", 259]]]
    assert items.batch([1])["tokens"].tolist() == [[[257, *b"c", 258, *b"dddddd", 259]]]
    objective.loss(model_of(objective), items.batch([0, 1, 2]))


def test_examples_are_batched_by_their_longest_option(build: Any, source: Any) -> None:
    even, uneven = ("a" * 20, "b" * 20), ("a" * 39, "b")
    records = [Example("x", 0, options=even if index % 2 else uneven) for index in range(64)]
    items = build(context=100).datasets(source(records), validation_fraction=0.0)["train"]
    assert set(items.lengths()) == {2 * 4 + 40}  # the horizon of a run is computed from these lengths
    longest = [batch["lengths"].amax(1).tolist() for batch in TrainDataLoader(items, seed=0, batch=8, start=0, stop=8)]
    assert sorted(longest) == [[24] * 8] * 4 + [[43] * 8] * 4
    assert validation_items(items, 0) == [*range(1, 64, 2), *range(0, 64, 2)]


def test_texts_that_fit_cause_no_warning(build: Any, source: Any, examples: Any, caplog: pytest.LogCaptureFixture) -> None:
    build().datasets(source(examples["classification"]), validation_fraction=0.0)
    assert not caplog.records


CHOICE = Example("x", 0, options=("a", "b", "c", "d"))


@pytest.mark.parametrize(
    ("train", "validation", "said"),
    [
        (
            [CHOICE] * 2,
            [Example("x", 2, options=("a", "b", "c"))] * 2,
            "training examples have 4 options and validation examples 3: random guessing scores 1/4 in training "
            "and 1/3 in validation",
        ),
        (
            [Example("x", "a"), Example("y", "b")],
            [Example("z", "b")] * 3,
            "all 3 validation examples have the label b, so F1 and Matthews correlation are meaningless",
        ),
        (
            [Example("x", 1.5, pair="y"), Example("y", 2.5, pair="z")],
            [Example("z", 1.5, pair="z")] * 3,
            "all 3 validation examples have the score 1.5, so correlations are meaningless",
        ),
        (
            [Example("x", "a"), Example("x", "b"), Example("y", "b"), Example("z", "b", pair="x")],
            [Example("x", "b"), Example("z", "a"), Example("y", "a"), Example("x\nz", "b")],
            "2 of 4 validation examples have the same texts as training examples, which inflates the metrics; remove them from one "
            "of the splits (the first: example 1 of the validation split)",
        ),
        # the first option is always right, but the order of options has no meaning
        ([CHOICE] * 2, [Example("y", 0, options=CHOICE.options)] * 2, None),
        ([Example("x", "a"), Example("y", "b")], [Example("z", "b")], None),  # a single example has no metrics but the loss
    ],
)
def test_uninformative_validation_metrics_cause_a_warning(
    train: list[Any],
    validation: list[Any],
    said: str | None,
    build: Any,
    model_of: Any,
    source: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    objective = build()
    with caplog.at_level(logging.WARNING, "gptkit"):
        datasets = objective.datasets(source(train, validation), validation_fraction=0.0)
    assert [record.getMessage() for record in caplog.records] == ([] if said is None else [said])
    model = model_of(objective)
    for items in datasets.values():  # each option gets its own score, whatever their number
        loss = combine_terms(objective.loss(model, items.batch([0, 1]))[0], {"task": 2, "lm": 2})
        assert torch.isfinite(loss)


def test_a_question_follows_its_document_and_is_kept_when_truncating(
    build: Any, source: Any, caplog: pytest.LogCaptureFixture
) -> None:
    questions = [Example("document", 0, pair="why?", options=("a", "b"))]
    items = build(context=64).datasets(source(questions), validation_fraction=0.0)["train"]
    assert items.batch([0])["tokens"].tolist() == [[[257, *b"documentwhy?", 258, *option, 259] for option in (b"a", b"b")]]
    with caplog.at_level(logging.WARNING, "gptkit"):
        items = build(context=20).datasets(source(questions), validation_fraction=0.0)["train"]
    assert items.batch([0])["tokens"][0, 0].tolist() == [257, *b"docuwhy?", 258, *b"a", 259]
    assert caplog.records[0].getMessage().startswith("1 of 1 training examples")


@pytest.mark.parametrize(
    ("task", "train", "validation", "message"),
    [
        ("auto", [Example("x", "a")], None, "all 1 training examples have the label a"),
        (
            "auto",
            [Example("x", "a"), Example("y", "b")],
            [Example("z", "c")],
            r"example 1 of the validation split has the label c, .* \(their labels are a, b\); add training examples",
        ),
        (  # in a table of text, these could be the names of classes
            "auto",
            [Example("x", score, pair="y") for score in ("1.0", "2.0", "3.0")],
            [Example("x", "2.75", pair="y")],
            r"label 2\.75, .*; if labels are scores, choose objective\.task=regression",
        ),
        ("entailment", [Example("x", "a"), Example("y", "b")], None, r"example 1 of the training split has one text.*data\.pair"),
        ("multiple_choice", [Example("x", 0, options=("a",))], None, r"has 1 options.*data\.options"),
        ("multiple_choice", [Example("x", 0)], None, r"has 0 options"),
        (
            "auto",
            [Example("x", 0, options=("a", "b")), Example("x", 0, options=("a", "b", "c"))],
            None,
            "example 2 of the training split has 3 options, but earlier examples have 2",
        ),
        ("auto", [Example("x", 2, options=("a", "b"))], None, "the label 2 is not the index of one of the 2 options"),
        ("auto", [Example("x", "b", options=("a", "b"))], None, "'b' is not a number"),
        ("classification", [Example("x", i, options=("a", "b")) for i in (0, 1)], None, "has options.*task=multiple_choice"),
        ("regression", [Example("x", "much", pair="y")], None, "'much' is not a number"),
        ("regression", [Example("x", math.nan, pair="y")], None, "nan is not a number"),
        ("regression", [Example("x", 3.0, pair="y")] * 2, None, "all 2 training examples have the score 3; there is nothing"),
        ("auto", [Document("x")], None, r"the source yields Documents; choose data=labelled"),
        ("auto", [], None, "the train split has no examples"),
        ("auto", [Example("x", "a"), Example("y", "b")], [], "the validation split has no examples"),
    ],
)
def test_unusable_examples_are_reported_in_one_line(
    task: str, train: list[Any], validation: list[Any] | None, message: str, build: Any, source: Any
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        build(task).datasets(source(train, validation), validation_fraction=0.0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("task", "in_training"), [("regression", True), ("entailment", False)])
def test_an_unusable_example_is_located_in_its_source_file(
    task: str, in_training: bool, build: Any, source: Any, tmp_path: Path
) -> None:
    ranges = split_items(24, 0.25)[0 if in_training else 1]
    index = ranges[-1][0]
    assert index > 20
    labels = ["1", "2"] * 12
    labels[index] = "x"  # not a score; not a label of the training examples
    records = [Example(f"text {number}", label, pair="y") for number, label in enumerate(labels)]
    with pytest.raises(DataError, match=rf"^example {index + 1} of the training split.* label '?x"):
        build(task).datasets(source(records), validation_fraction=0.25)
    table = "".join(f'"two\nlines of {each.text}",{each.label},y\n' for each in records)
    (tmp_path / "table.csv").write_text(f"text,label,pair\n{table}")
    with pytest.raises(DataError, match=rf"table\.csv:{2 + 2 * index}\b.* label '?x"):
        build(task).datasets(LabelledConfig(path=str(tmp_path / "table.csv"), pair="pair").build(), validation_fraction=0.25)


@pytest.mark.parametrize(("task", "context"), [("classification", 2), ("entailment", 5)])
def test_a_context_too_short_for_any_text_is_named(task: str, context: int, build: Any, source: Any, examples: Any) -> None:
    with pytest.raises(DataError, match=rf"model\.context={context} has no room"):
        build(task, context=context).datasets(source(examples[task]), validation_fraction=0.0)
