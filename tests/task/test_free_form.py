"""Free-form answers: prompts, SQuAD's metrics, BLEU equal to sacrebleu's, and malformed rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gptkit.errors import ConfigError, DataError
from gptkit.evaluation.few_shot.task import FewShotTask
from gptkit.task import FreeFormConfig
from gptkit.task.base import Task
from gptkit.task.requests import Generation, GenerationAnswer
from gptkit.task.text_metrics import exact_match, f1, normalise_answer

ROWS = [
    {"query": "Who wrote Emma?", "answers": ["Jane Austen", "Austen"]},
    {"query": "What is the capital of Peru?", "answers": "Lima"},
    {"query": "How many legs has a spider?", "answers": ["eight", "8"]},
]


@pytest.fixture
def free_form(tmp_path: Path) -> Callable[..., Task]:
    """`free_form(rows, key=value)`: the task on rows."""

    def build(rows: Sequence[Any] = ROWS, **settings: Any) -> Task:
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return FreeFormConfig(data={"name": "answers", "path": str(path)}, **settings).build()

    return build


def metrics_of_texts(task: Task, texts: Sequence[str]) -> dict[str, float]:
    rows = [task.score(item, [GenerationAnswer(text)]) for item, text in zip(task.items(), texts, strict=True)]
    return task.aggregate({name: np.array([row[name] for row in rows]) for name in rows[0]})


def test_requests_are_beam_searches_in_the_format_of_the_paper(free_form: Callable[..., Task]) -> None:
    item = free_form().items()[0]
    assert item.requests == (Generation("Q: Who wrote Emma?\n\nA:", 64, stop=("\n",), beams=4, length_penalty=0.6),)
    assert item.target == ["Jane Austen", "Austen"]


def test_prompt_is_that_of_the_settings(free_form: Callable[..., Task]) -> None:
    task = free_form(prompt="{query}\n=", beams=1)
    assert task.items()[1].requests == (Generation("What is the capital of Peru?\n=", 64, stop=("\n",)),)
    with pytest.raises(ConfigError, match=r"task\.prompt must contain \{query\} once"):
        FreeFormConfig(prompt="Q:")


def test_examples_in_context_show_the_first_answer(free_form: Callable[..., Task]) -> None:
    task = free_form()
    (request,) = FewShotTask(task, task.pool(), k=2).items()[1].requests
    assert isinstance(request, Generation)
    assert "Q: Who wrote Emma?\n\nA: Jane Austen\n\n" in request.prompt
    assert request.prompt.endswith("\n\nQ: What is the capital of Peru?\n\nA:")
    assert request.beams == 4


def test_normalisation_is_that_of_squad() -> None:
    assert normalise_answer("  The  Cat's hat, an APPLE & a pear. ") == "cats hat apple pear"
    assert exact_match(" the Jane Austen!", ["Austen", "Jane Austen"]) == 1.0
    assert exact_match("Jane", ["Austen", "Jane Austen"]) == 0.0


def test_f1_is_that_of_the_best_reference() -> None:
    assert f1("Jane B. Austen", ["Austen", "Jane Austen"]) == pytest.approx(0.8)  # precision 2/3, recall 1
    assert f1("cat cat dog", ["cat dog dog"]) == pytest.approx(2 / 3)
    assert (f1("", ["the"]), f1("", ["cat"]), f1("dog", ["cat"])) == (1.0, 0.0, 0.0)


def test_metrics_are_means_over_the_items(free_form: Callable[..., Task]) -> None:
    task = free_form()
    assert metrics_of_texts(task, ["Jane Austen", " Lima", "eight legs"]) == pytest.approx({"f1": 8 / 9, "exact_match": 2 / 3})
    assert metrics_of_texts(task, ["", "Oslo", "six"]) == {"f1": 0.0, "exact_match": 0.0}


@pytest.mark.parametrize("tokenizer", ["13a", "intl", "char"])
def test_bleu_equals_that_of_sacrebleu(free_form: Callable[..., Task], tokenizer: str) -> None:
    sacrebleu = pytest.importorskip("sacrebleu")
    references = ["The cat sat on the mat, and slept.", "It rained on Monday all day long.", "Nobody knows the answer."]
    answers = ["The cat sat on a mat and slept.", "On Monday it rained all day.", "Nobody knows."]
    rows = [{"query": "x", "answers": reference} for reference in references]
    task = free_form(rows, metrics=["bleu"], bleu_tokenizer=tokenizer)
    expected = sacrebleu.corpus_bleu(answers, [references], tokenize=tokenizer).score
    assert 20 < expected < 90
    assert metrics_of_texts(task, answers) == {"bleu": pytest.approx(expected, abs=1e-9)}
    assert metrics_of_texts(task, references) == {"bleu": pytest.approx(100.0)}


def test_bleu_with_several_references_equals_that_of_sacrebleu(free_form: Callable[..., Task]) -> None:
    sacrebleu = pytest.importorskip("sacrebleu")
    first, second = ["the small cat sat down here", "it rained all day"], ["a little cat sat here", "the rain lasted all day long"]
    answers = ["the little cat sat down", "it rained all day long"]
    task = free_form(
        [{"query": "x", "answers": [one, other]} for one, other in zip(first, second, strict=True)], metrics=["bleu", "f1"]
    )
    assert metrics_of_texts(task, answers)["bleu"] == pytest.approx(sacrebleu.corpus_bleu(answers, [first, second]).score)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"query": "x"}, r"rows\.jsonl:1: there is no answers"),
        ({"query": "x", "answers": []}, r"rows\.jsonl:1: answers must be a text or a list of texts, none of them empty"),
        ({"query": "x", "answers": [3]}, r"rows\.jsonl:1: answers must be a text or a list of texts, none of them empty"),
        ({"query": " ", "answers": "y"}, r"rows\.jsonl:1: query must be a text that is not empty"),
    ],
)
def test_malformed_rows_are_named(free_form: Callable[..., Task], row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        free_form([row])
