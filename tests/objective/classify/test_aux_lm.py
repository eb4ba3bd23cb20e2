"""Fine-tuning with an auxiliary language-modelling loss: losses against a slow version, one example at a time, and the head."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from torch import Tensor

from gptkit.objective.classify.classification_dataset import collate_examples
from gptkit.records import Example
from gptkit.training.step import combine_terms, split_into_micro_batches

TASKS = ["classification", "entailment", "similarity", "regression", "multiple_choice"]


def ready(build: Any, model_of: Any, source: Any, examples: Any, task: str, **settings: Any) -> Any:
    """Return the objective with its head, the model, and the training dataset."""
    objective = build(task, **settings)
    items = objective.datasets(source(examples[task]), validation_fraction=0.0)["train"]
    torch.nn.init.normal_(objective.head.weight)  # with the paper's initialisation, all labels are nearly equally probable
    torch.nn.init.normal_(objective.head.bias)
    return objective, model_of(objective), items


def sequences_of(example: Example, task: str, encode: Any) -> list[list[int]]:
    """Figure 1 of the paper, for bytes: start, delimiter and extract are the three ids after the tokenizer's 257."""
    start, delimiter, extract = 257, 258, 259
    if task == "classification":
        return [[start, *encode(example.text), extract]]
    if task == "multiple_choice":
        return [[start, *encode(example.text), delimiter, *encode(option), extract] for option in example.options]
    one, other = encode(example.text), encode(example.pair)
    there = [start, *one, delimiter, *other, extract]
    return [there] if task == "entailment" else [there, [start, *other, delimiter, *one, extract]]


def slow_loss(objective: Any, model: Any, examples: list[Example], task: str, lm_weight: float) -> tuple[float, float, float]:
    """Compute equations 3 to 5, one sequence at a time: the loss of the task, of language modelling, and their sum."""
    names = sorted({str(example.label) for example in examples})
    of_task, of_language = [], []
    for example in examples:
        result = [torch.tensor([ids]) for ids in sequences_of(example, task, objective.tokenizer.encode)]
        states = [model(tokens)[0] for tokens in result]
        for tokens, state in zip(result, states, strict=True):
            likelihoods = [
                float(torch.log_softmax(model.logits(state[position].double()), -1)[int(tokens[0, position + 1])])
                for position in range(tokens.size(1) - 1)
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
def test_the_batched_loss_matches_the_equations_one_example_at_a_time(
    task: str, build: Any, model_of: Any, source: Any, examples: Any
) -> None:
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


def test_lm_weight_zero_drops_the_language_modelling_loss(build: Any, model_of: Any, source: Any, examples: Any) -> None:
    objective, model, items = ready(build, model_of, source, examples, "entailment", lm_weight=0.0)
    batch = items.batch([0, 1])
    assert objective.loss(model, batch)[0].keys() == objective.counts(batch).keys() == {"task"}


def test_counts_are_examples_and_sequences(build: Any, model_of: Any, source: Any, examples: Any) -> None:
    objective, _, items = ready(build, model_of, source, examples, "multiple_choice")
    batch = items.batch([0, 1])
    assert objective.counts(batch) == {"task": 2, "lm": 6}  # language modelling trains on wrong options, too
    assert objective.tokens(batch) == sum(
        len(ids) for example in examples["multiple_choice"][:2] for ids in sequences_of(example, "multiple_choice", str.encode)
    )


@pytest.mark.parametrize("task", TASKS)
def test_micro_batches_give_the_gradient_of_the_batch(task: str, build: Any, model_of: Any, source: Any, examples: Any) -> None:
    objective, model, items = ready(build, model_of, source, examples, task)
    objective.eval()
    batch = items.batch(range(8))  # some examples occur twice
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
def test_outputs_depend_on_neither_padding_nor_other_examples(
    task: str, build: Any, model_of: Any, source: Any, examples: Any
) -> None:
    objective, model, items = ready(build, model_of, source, examples, task)
    objective.eval()
    model.double(), objective.double()
    with torch.no_grad():
        together = objective.loss(model, items.batch(range(len(items))))[1]["outputs"]
        for position in range(len(items)):
            alone = objective.loss(model, items.batch([position]))[1]["outputs"]
            torch.testing.assert_close(alone[0], together[position], rtol=1e-6, atol=1e-6)


def test_similarity_does_not_depend_on_the_order(build: Any, model_of: Any, source: Any, examples: Any) -> None:
    objective, model, items = ready(build, model_of, source, examples, "similarity")
    objective.eval()
    turned = [Example(example.pair, example.label, pair=example.text) for example in examples["similarity"]]
    with torch.no_grad():
        here = objective.loss(model, items.batch([0, 1, 2]))[1]["outputs"]
        there = objective.loss(model, collate_examples(objective.tokenize(turned, "turned")))[1]["outputs"]
    torch.testing.assert_close(here, there, rtol=1e-5, atol=1e-5)


def test_hidden_states_of_both_orders_are_added_before_the_head(build: Any, model_of: Any, source: Any, examples: Any) -> None:
    objective, model, items = ready(build, model_of, source, examples, "similarity")
    objective.eval()
    batch = items.batch([0])
    with torch.no_grad():
        one, other = (objective.hidden_states(model, batch)[row, int(batch["lengths"][0, row]) - 1] for row in (0, 1))
        outputs = objective.loss(model, batch)[1]["outputs"][0]
        torch.testing.assert_close(outputs, objective.head(one + other), rtol=1e-5, atol=1e-5)
        assert not torch.allclose(outputs, objective.head(one) + objective.head(other))  # otherwise the bias would count twice


def test_all_options_of_an_example_share_a_dropout_mask(build: Any, model_of: Any, source: Any) -> None:
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
def test_every_task_has_a_head_of_the_right_size(task: str, outputs: int, build: Any, source: Any, examples: Any) -> None:
    objective = build("auto" if task not in ("similarity",) else task)
    objective.datasets(source(examples[task]), validation_fraction=0.0)
    assert objective.task == task
    assert objective.head.weight.shape == (outputs, 16)
    assert objective.head.bias.tolist() == [0.0] * outputs


def test_the_head_is_initialised_as_in_the_paper(build: Any) -> None:
    objective = build()
    objective.width = 4000
    objective.set_labels("classification", ["a", "b"])
    assert float(objective.head.weight.detach().std()) == pytest.approx(0.02, rel=0.05)
    assert objective.head.bias.tolist() == [0.0, 0.0]


def test_labels_are_restored_from_a_state_dict(build: Any, source: Any) -> None:
    words = [Example("x", "schön"), Example("y", "日本"), Example("z", "a, b")]
    objective = build()
    objective.datasets(source(words), validation_fraction=0.0)
    back = build("auto")
    back.load_state_dict(objective.state_dict())
    assert (back.task, back.labels) == ("classification", sorted(["schön", "日本", "a, b"]))
    assert torch.equal(back.head.weight, objective.head.weight)


@pytest.mark.parametrize(("layers", "said"), [(None, False), (2, False), (3, True)])
def test_more_transfer_layers_than_blocks_are_reported(
    layers: int | None, said: bool, build: Any, model_of: Any, caplog: pytest.LogCaptureFixture
) -> None:
    objective = build(transfer_layers=layers)
    with caplog.at_level(logging.WARNING, "gptkit"):
        objective.start(model_of(objective))
    expected = ["objective.transfer_layers=3, but the model has 2 blocks"]
    assert [record.getMessage() for record in caplog.records] == expected * said


@pytest.mark.parametrize("task", ["classification", "similarity", "regression", "multiple_choice"])
def test_outputs_have_full_precision_under_autocast(task: str, build: Any, source: Any, examples: Any, model_of: Any) -> None:
    objective = build(task).eval()
    items = objective.datasets(source(examples[task]), validation_fraction=0.0)["train"]
    batch = items.batch(range(len(items)))
    hidden = objective.hidden_states(model_of(objective).eval(), batch)
    with torch.autocast("cpu", torch.bfloat16):
        result = objective.outputs(hidden, batch["lengths"])
    assert torch.equal(result, objective.outputs(hidden, batch["lengths"]))
