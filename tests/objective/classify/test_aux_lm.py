"""GPT-1's fine-tuning: each loss against one example at a time, written out; heads, labels, cutting, and what is refused."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gptkit.data import LabelledConfig
from gptkit.data.splits import split_items
from gptkit.errors import DataError
from gptkit.objective.classify.classification_dataset import as_batch
from gptkit.records import Document, Example
from gptkit.training.dataloader import TrainDataLoader, validation_items
from gptkit.training.step import combine_terms, split_into_micro_batches

TASKS = ["classification", "entailment", "similarity", "regression", "multiple_choice"]


def ready(build: Any, model_of: Any, source: Any, examples: Any, task: str, **settings: Any) -> Any:
    """Objective with its head, model, and the training items."""
    objective = build(task, **settings)
    items = objective.datasets(source(examples[task]), validation_fraction=0.0)["train"]
    torch.nn.init.normal_(objective.head.weight)  # as the paper draws it, all labels are nearly equally probable
    torch.nn.init.normal_(objective.head.bias)
    return objective, model_of(objective), items


def sequences_of(example: Example, task: str, encode: Any) -> list[list[int]]:
    """Figure 1 of the paper, for bytes: start, delimiter and extract are the three ids behind the tokenizer's 257."""
    start, delimiter, extract = 257, 258, 259
    if task == "classification":
        return [[start, *encode(example.text), extract]]
    if task == "multiple_choice":
        return [[start, *encode(example.text), delimiter, *encode(option), extract] for option in example.options]
    one, other = encode(example.text), encode(example.pair)
    there = [start, *one, delimiter, *other, extract]
    return [there] if task == "entailment" else [there, [start, *other, delimiter, *one, extract]]


def slow_loss(objective: Any, model: Any, examples: list[Example], task: str, lm_weight: float) -> tuple[float, float, float]:
    """Equations 3 to 5, one sequence at a time: the task's loss, the language model's, and both together."""
    names = sorted({str(example.label) for example in examples})
    of_task, of_language = [], []
    for example in examples:
        found = [torch.tensor([ids]) for ids in sequences_of(example, task, objective.tokenizer.encode)]
        states = [model(tokens)[0] for tokens in found]
        for tokens, state in zip(found, states, strict=True):
            likelihoods = [
                float(torch.log_softmax(model.logits(state[place].double()), -1)[int(tokens[0, place + 1])])
                for place in range(tokens.size(1) - 1)
            ]
            of_language.append(-sum(likelihoods) / len(likelihoods))
        if task == "multiple_choice":
            scores = torch.cat([objective.head(state[-1]) for state in states])
            of_task.append(-float(torch.log_softmax(scores.double(), -1)[int(example.label)]))
            continue
        feature = states[0][-1] + states[1][-1] if len(states) == 2 else states[0][-1]
        outputs = objective.head(feature).double()
        if task == "regression":
            of_task.append((float(outputs) - float(example.label)) ** 2)
        else:
            of_task.append(-float(torch.log_softmax(outputs, -1)[names.index(str(example.label))]))
    task_loss, language_loss = sum(of_task) / len(of_task), sum(of_language) / len(of_language)
    return task_loss, language_loss, task_loss + lm_weight * language_loss


@pytest.mark.parametrize("task", TASKS)
def test_the_loss_is_that_of_every_example_by_itself(task: str, build: Any, model_of: Any, source: Any, examples: Any) -> None:
    objective, model, items = ready(build, model_of, source, examples, task, lm_weight=0.7)
    objective.eval()
    model.double(), objective.double()
    batch = items.batch(range(len(items)))
    with torch.no_grad():
        terms, _ = objective.loss(model, batch)
        task_loss, language_loss, both = slow_loss(objective, model, examples[task], task, 0.7)
    counts = objective.counts(batch)
    assert float(terms["task"][1]) / counts["task"] == pytest.approx(task_loss, rel=1e-6)
    assert float(terms["lm"][1]) / counts["lm"] == pytest.approx(language_loss, rel=1e-6)
    assert float(combine_terms(terms, counts)) == pytest.approx(both, rel=1e-6)


def test_without_lambda_no_language_is_modelled(build: Any, model_of: Any, source: Any, examples: Any) -> None:
    objective, model, items = ready(build, model_of, source, examples, "entailment", lm_weight=0.0)
    batch = items.batch([0, 1])
    assert objective.loss(model, batch)[0].keys() == objective.counts(batch).keys() == {"task"}


def test_counts(build: Any, model_of: Any, source: Any, examples: Any) -> None:
    objective, _, items = ready(build, model_of, source, examples, "multiple_choice")
    batch = items.batch([0, 1])
    assert objective.counts(batch) == {"task": 2, "lm": 6}  # wrong options are read as language too, as in the released code
    assert objective.tokens(batch) == sum(
        len(ids) for example in examples["multiple_choice"][:2] for ids in sequences_of(example, "multiple_choice", str.encode)
    )


@pytest.mark.parametrize("task", TASKS)
def test_pieces_of_a_batch_give_the_gradient_of_the_batch(task: str, build: Any, model_of: Any, source: Any, examples: Any) -> None:
    objective, model, items = ready(build, model_of, source, examples, task)
    objective.eval()
    batch = items.batch(range(8))  # some twice
    counts = objective.counts(batch)
    parameters = [*model.parameters(), *objective.parameters()]

    def gradient(micro: int) -> list[Tensor]:
        for parameter in parameters:
            parameter.grad = None
        for piece in split_into_micro_batches(batch, micro):
            combine_terms(objective.loss(model, piece)[0], counts).backward()
        return [parameter.grad for parameter in parameters if parameter.grad is not None]

    whole = gradient(8)
    assert len(whole) == len(parameters)
    for one, other in zip(whole, gradient(3), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("task", TASKS)
def test_neither_padding_nor_company_moves_an_output(task: str, build: Any, model_of: Any, source: Any, examples: Any) -> None:
    objective, model, items = ready(build, model_of, source, examples, task)
    objective.eval()
    model.double(), objective.double()
    with torch.no_grad():
        together = objective.loss(model, items.batch(range(len(items))))[1]["outputs"]
        for place in range(len(items)):
            alone = objective.loss(model, items.batch([place]))[1]["outputs"]
            torch.testing.assert_close(alone[0], together[place], rtol=1e-6, atol=1e-6)


def test_similarity_does_not_depend_on_the_order(build: Any, model_of: Any, source: Any, examples: Any) -> None:
    objective, model, items = ready(build, model_of, source, examples, "similarity")
    objective.eval()
    turned = [Example(example.pair, example.label, pair=example.text) for example in examples["similarity"]]
    with torch.no_grad():
        here = objective.loss(model, items.batch([0, 1, 2]))[1]["outputs"]
        there = objective.loss(model, as_batch(objective.items(turned, "turned")))[1]["outputs"]
    torch.testing.assert_close(here, there, rtol=1e-5, atol=1e-5)


def test_hidden_vectors_are_added_before_the_head(build: Any, model_of: Any, source: Any, examples: Any) -> None:
    objective, model, items = ready(build, model_of, source, examples, "similarity")
    objective.eval()
    batch = items.batch([0])
    with torch.no_grad():
        one, other = (objective.hidden(model, batch)[row, int(batch["lengths"][0, row]) - 1] for row in (0, 1))
        outputs = objective.loss(model, batch)[1]["outputs"][0]
        torch.testing.assert_close(outputs, objective.head(one + other), rtol=1e-5, atol=1e-5)
        assert not torch.allclose(outputs, objective.head(one) + objective.head(other))  # the bias would count twice


def test_all_options_of_an_example_lose_the_same_features(build: Any, model_of: Any, source: Any) -> None:
    same = [Example("text", 0, options=("a", "a", "a")), Example("text", 1, options=("a", "a", "a"))]
    objective, model, items = ready(build, model_of, source, {"multiple_choice": same}, "multiple_choice")
    objective.settings.classifier_dropout = 0.5
    objective.train()
    model.eval()
    torch.manual_seed(3)
    outputs = objective.loss(model, items.batch([0, 1]))[1]["outputs"]
    assert outputs.std(dim=1, correction=0).max() < 1e-5
    assert abs(float(outputs[0, 0] - outputs[1, 0])) > 1e-3
    objective.eval()
    outputs = objective.loss(model, items.batch([0, 1]))[1]["outputs"]
    assert abs(float(outputs[0, 0] - outputs[1, 0])) < 1e-5


@pytest.mark.parametrize(("task", "outputs"), [*((task, 3) for task in TASKS[:3]), ("regression", 1), ("multiple_choice", 1)])
def test_a_head_per_family(task: str, outputs: int, build: Any, source: Any, examples: Any) -> None:
    objective = build("auto" if task not in ("similarity",) else task)
    objective.datasets(source(examples[task]), validation_fraction=0.0)
    assert objective.task == task
    assert objective.head.weight.shape == (outputs, 16)
    assert objective.head.bias.tolist() == [0.0] * outputs


def test_the_head_is_drawn_as_the_paper_says(build: Any) -> None:
    objective = build()
    objective.width = 4000
    objective.learn("classification", ["a", "b"])
    assert float(objective.head.weight.detach().std()) == pytest.approx(0.02, rel=0.05)
    assert objective.head.bias.tolist() == [0.0, 0.0]


def test_labels_survive_a_state(build: Any, source: Any) -> None:
    words = [Example("x", "schön"), Example("y", "日本"), Example("z", "a, b")]
    objective = build()
    objective.datasets(source(words), validation_fraction=0.0)
    back = build("auto")
    back.load_state_dict(objective.state_dict())
    assert (back.task, back.labels) == ("classification", sorted(["schön", "日本", "a, b"]))
    assert torch.equal(back.head.weight, objective.head.weight)


def test_a_source_keeps_its_own_validation(build: Any, source: Any, examples: Any) -> None:
    datasets = build().datasets(source(examples["classification"], examples["classification"][:2]), validation_fraction=0.4)
    assert (len(datasets["train"]), len(datasets["validation"])) == (5, 2)
    datasets = build().datasets(source(examples["classification"] * 4), validation_fraction=0.25)
    assert (len(datasets["train"]), len(datasets["validation"])) == (15, 5)


@pytest.mark.parametrize(
    ("labels", "pair", "task", "outputs", "warned"),
    [
        (["0.0", "0.5", "1.0"], "y", "regression", 1, False),  # a table of text
        ([4, 4.5, 1], "y", "regression", 1, False),  # a score that the file has as 4
        ([4.0, 2.0, 1.0], "y", "regression", 1, False),  # numbers of a type that has fractions
        (["0.0", "2.0", "1.0"], "y", "entailment", 3, False),
        ([0, 1, 2], "y", "entailment", 3, False),
        (["0.5", "1.0", "many"], "y", "entailment", 3, False),
        (["0.0", "0.5", "1.0"], None, "classification", 3, True),
        ([4.0, 2.0, 1.0], None, "classification", 3, False),
        (["a", "0.5", "b"], None, "classification", 3, False),
    ],
)
def test_labels_that_are_scores_are_learnt_as_scores_or_said_to_be_classes(
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
def test_what_is_learned_is_said(task: str, said: str, build: Any, source: Any, examples: Any) -> None:
    objective = build(task)
    assert objective.describe(objective.datasets(source(examples[task], examples[task][:2]), validation_fraction=0.0)) == said


def test_many_labels_are_counted_and_some_are_named(build: Any, source: Any) -> None:
    objective = build(positive="3")
    datasets = objective.datasets(source([Example("x", n) for n in range(20)]), validation_fraction=0.0)
    assert objective.describe(datasets) == (
        "classification with 20 labels (0, 1, 10, 11, 12, 13, 14, 15 and 12 more; F1 of 3), 20 examples to learn from"
    )


def test_long_texts_are_cut_and_counted(build: Any, model_of: Any, source: Any, caplog: pytest.LogCaptureFixture) -> None:
    long = [Example("a" * 50, "x", pair="b" * 3), Example("c", "y", pair="d" * 7), Example("c", "x", pair="d" * 6)]
    objective = build("entailment", context=17)
    with caplog.at_level(logging.WARNING, "gptkit"):
        items = objective.datasets(source(long), validation_fraction=0.0)["train"]
    (record,) = caplog.records
    assert record.getMessage() == (
        "2 of 3 training examples are longer than model.context=17 has room for (6 tokens a text) and were cut there"
    )
    assert items.batch([0])["tokens"].tolist() == [[[257, *b"aaaaaa", 258, *b"bbb", 259]]]
    assert items.batch([1])["tokens"].tolist() == [[[257, *b"c", 258, *b"dddddd", 259]]]
    objective.loss(model_of(objective), items.batch([0, 1, 2]))


def test_choices_are_read_together_whose_longest_options_are_alike(build: Any, source: Any) -> None:
    even, uneven = ("a" * 20, "b" * 20), ("a" * 39, "b")
    given = [Example("x", 0, options=even if place % 2 else uneven) for place in range(64)]
    items = build(context=100).datasets(source(given), validation_fraction=0.0)["train"]
    assert set(items.lengths()) == {2 * 4 + 40}  # what the horizon of a run is made of
    longest = [batch["lengths"].amax(1).tolist() for batch in TrainDataLoader(items, seed=0, batch=8, start=0, stop=8)]
    assert sorted(longest) == [[24] * 8] * 4 + [[43] * 8] * 4
    assert validation_items(items, 0) == [*range(1, 64, 2), *range(0, 64, 2)]


def test_what_is_not_cut_is_not_mentioned(build: Any, source: Any, examples: Any, caplog: pytest.LogCaptureFixture) -> None:
    build().datasets(source(examples["classification"]), validation_fraction=0.0)
    assert not caplog.records


CHOICE = Example("x", 0, options=("a", "b", "c", "d"))


@pytest.mark.parametrize(
    ("train", "validation", "said"),
    [
        (
            [CHOICE] * 2,
            [Example("x", 2, options=("a", "b", "c"))] * 2,
            "training examples have 4 options and validation examples 3: guessing is right in 1 of 4 there, and in 1 of 3 here",
        ),
        (
            [Example("x", "a"), Example("y", "b")],
            [Example("z", "b")] * 3,
            "all 3 validation examples have the label b, of which F1 and Matthews' correlation say nothing",
        ),
        (
            [Example("x", 1.5, pair="y"), Example("y", 2.5, pair="z")],
            [Example("z", 1.5, pair="z")] * 3,
            "all 3 validation examples have the score 1.5, of which correlations say nothing",
        ),
        (
            [Example("x", "a"), Example("x", "b"), Example("y", "b"), Example("z", "b", pair="x")],
            [Example("x", "b"), Example("z", "a"), Example("y", "a"), Example("x\nz", "b")],
            "2 of 4 validation examples have the same texts as training examples, which flatters the metrics; drop them from "
            "either (the first: example 1 of the validation split)",
        ),
        # the first is right everywhere, and no option is told from another by its place
        ([CHOICE] * 2, [Example("y", 0, options=CHOICE.options)] * 2, None),
        ([Example("x", "a"), Example("y", "b")], [Example("z", "b")], None),  # which is judged by its loss alone
    ],
)
def test_metrics_that_mean_less_are_said(
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
    for items in datasets.values():  # every option has a score of its own, however many there are
        loss = combine_terms(objective.loss(model, items.batch([0, 1]))[0], {"task": 2, "lm": 2})
        assert torch.isfinite(loss)


def test_a_question_belongs_to_its_document(build: Any, source: Any, caplog: pytest.LogCaptureFixture) -> None:
    asked = [Example("document", 0, pair="why?", options=("a", "b"))]
    items = build(context=64).datasets(source(asked), validation_fraction=0.0)["train"]
    assert items.batch([0])["tokens"].tolist() == [[[257, *b"documentwhy?", 258, *option, 259] for option in (b"a", b"b")]]
    with caplog.at_level(logging.WARNING, "gptkit"):
        items = build(context=20).datasets(source(asked), validation_fraction=0.0)["train"]
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
            r"example 1 of the validation split has the label c, .* \(they have a, b\); label more like it, or leave it out",
        ),
        (  # a table of text: nothing says that these are scores
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
            "example 2 of the training split has 3 options, those before it 2",
        ),
        ("auto", [Example("x", 2, options=("a", "b"))], None, "label 2 is no place of one of its 2 options"),
        ("auto", [Example("x", "b", options=("a", "b"))], None, "'b' is no number"),
        ("classification", [Example("x", i, options=("a", "b")) for i in (0, 1)], None, "has options.*task=multiple_choice"),
        ("regression", [Example("x", "much", pair="y")], None, "'much' is no number"),
        ("regression", [Example("x", math.nan, pair="y")], None, "nan is no number"),
        ("regression", [Example("x", 3.0, pair="y")] * 2, None, "all 2 training examples have the score 3; there is nothing"),
        ("auto", [Document("x")], None, r"gives Documents; choose data=labelled"),
        ("auto", [], None, "the train split has no examples"),
        ("auto", [Example("x", "a"), Example("y", "b")], [], "the validation split has no examples"),
    ],
)
def test_what_cannot_be_learnt_is_one_line(
    task: str, train: list[Any], validation: list[Any] | None, message: str, build: Any, source: Any
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        build(task).datasets(source(train, validation), validation_fraction=0.0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("task", "learnt"), [("regression", True), ("entailment", False)])
def test_what_cannot_be_learnt_is_found_in_its_source_whatever_is_held_out(
    task: str, learnt: bool, build: Any, source: Any, tmp_path: Path
) -> None:
    ranges = split_items(24, 0.25)[0 if learnt else 1]
    place = ranges[-1][0]
    assert place > 20
    labels = ["1", "2"] * 12
    labels[place] = "x"  # no score; and a label that none has that is learnt from
    given = [Example(f"text {number}", label, pair="y") for number, label in enumerate(labels)]
    with pytest.raises(DataError, match=rf"^example {place + 1} of the training split.* label '?x"):
        build(task).datasets(source(given), validation_fraction=0.25)
    table = "".join(f'"two\nlines of {each.text}",{each.label},y\n' for each in given)
    (tmp_path / "table.csv").write_text(f"text,label,pair\n{table}")
    with pytest.raises(DataError, match=rf"table\.csv:{2 + 2 * place}\b.* label '?x"):
        build(task).datasets(LabelledConfig(path=str(tmp_path / "table.csv"), pair="pair").build(), validation_fraction=0.25)


@pytest.mark.parametrize(("layers", "said"), [(None, False), (2, False), (3, True)])
def test_more_layers_than_there_are(
    layers: int | None, said: bool, build: Any, model_of: Any, caplog: pytest.LogCaptureFixture
) -> None:
    objective = build(transfer_layers=layers)
    with caplog.at_level(logging.WARNING, "gptkit"):
        objective.start(model_of(objective))
    expected = ["objective.transfer_layers=3, but the model has 2 blocks"]
    assert [record.getMessage() for record in caplog.records] == expected * said


@pytest.mark.parametrize(("task", "context"), [("classification", 2), ("entailment", 5)])
def test_a_context_without_room(task: str, context: int, build: Any, source: Any, examples: Any) -> None:
    with pytest.raises(DataError, match=rf"model\.context={context} has no room"):
        build(task, context=context).datasets(source(examples[task]), validation_fraction=0.0)


@pytest.mark.parametrize("task", ["classification", "similarity", "regression", "multiple_choice"])
def test_labels_and_scores_have_full_precision_whatever_training_computes_in(
    task: str, build: Any, source: Any, examples: Any, model_of: Any
) -> None:
    objective = build(task).eval()
    items = objective.datasets(source(examples[task]), validation_fraction=0.0)["train"]
    batch = items.batch(range(len(items)))
    hidden = objective.hidden(model_of(objective).eval(), batch)
    with torch.autocast("cpu", torch.bfloat16):
        found = objective.outputs(hidden, batch["lengths"])
    assert torch.equal(found, objective.outputs(hidden, batch["lengths"]))
