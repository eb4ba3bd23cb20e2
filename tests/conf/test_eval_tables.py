"""The tables of papers in conf/eval: every row can be evaluated, and its metrics are those of the task."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gptkit.config_groups import groups
from gptkit.evaluation.config import FewShotConfig
from gptkit.evaluation.table.requirements import metric_names
from gptkit.evaluation.table.task_groups import TaskGroup, read_groups
from gptkit.evaluation.table.task_rows import TaskRow, read_rows
from gptkit.evaluation.task_evaluation import TaskEvaluation
from tests.command_line import compose_settings

TABLES = groups()["eval"]
STORY = "".join(f"{number} The cat sat on mat {number} .\n" for number in range(1, 21))
CONTENTS = {
    "choices": "".join(
        json.dumps({"query": f"Question {number}", "choices": ["yes", "no"], "gold": number % 2}) + "\n" for number in range(120)
    ),
    "cloze": "".join(
        json.dumps({"context": f"The number after {number} is", "continuation": f"{number + 1}"}) + "\n" for number in range(120)
    ),
    "answers": "".join(json.dumps({"query": f"Question {number}", "answers": [f"{number}"]}) + "\n" for number in range(120)),
    "coqa": json.dumps(
        {
            "data": [
                {
                    "source": "news",
                    "story": "Ann has a cat.",
                    "questions": [{"input_text": f"How many cats, asked {number} times?"} for number in range(8)],
                    "answers": [{"input_text": "one"} for _ in range(8)],
                }
            ]
        }
    ),
    "parallel": "".join(f"Sentence {number}.\n" for number in range(8)),
    "text": "one two three\nfour five six\n",
    "childrens_book_test": f"{STORY}21 The XXXXX sat .\tcat\t\tcat|dog|mat|sat|on|the|a|b|c|d\n",
    "labelled": "sentence\ttext\tlabel\nso good\tso good\t1\nso bad\tso bad\t0\n",
}


def rows_of(table: str, root: Path) -> tuple[list[TaskRow], list[TaskGroup]]:
    settings = compose_settings("eval", ["checkpoint=x", f"+eval={table}", f"data.root={root}"])

    def make(task: Any, data: Any, fewshot: FewShotConfig) -> TaskEvaluation:
        if task.name in ("arithmetic", "word_scramble"):
            task.examples = 5
        return TaskEvaluation(task, data, fewshot)

    rows = read_rows(settings.tasks, root=str(root), fewshot=settings.fewshot, make=make)
    return rows, read_groups(settings.groups, [row.name for row in rows])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small file for every row of every table."""
    root = tmp_path_factory.mktemp("tables")
    for table in TABLES:
        for row in rows_of(table, root)[0]:
            data = row.evaluation.data
            for path in [getattr(data, "path", None), getattr(data, "target", None), row.evaluation.fewshot.path]:
                if path is not None:
                    assert data is not None
                    content = CONTENTS[data.name]
                    if row.evaluation.task.name == "referent":
                        content = content.replace("Question", "_ is a question,")
                    Path(path).write_text(content, encoding="utf-8")
    return root


def test_there_is_a_table_for_each_paper() -> None:
    assert TABLES == ["gpt1", "gpt2", "gpt3", "gpt3_few_shot", "gpt3_one_shot"]


@pytest.mark.parametrize("table", TABLES)
def test_every_row_can_be_evaluated_and_has_the_metrics_of_the_paper(table: str, files: Path) -> None:
    rows, _ = rows_of(table, files)
    for row in rows:
        assert row.missing is None, row.name
        assert row.paper is not None
        names = metric_names(row.prepare().task)
        assert names is not None, row.name
        assert set(row.paper.metrics) <= set(names), row.name


def test_rows_without_files_name_them(tmp_path: Path) -> None:
    for table in TABLES:
        for row in rows_of(table, tmp_path)[0]:
            assert (row.missing is None) == (row.evaluation.data is None)


def test_a_translation_without_its_second_file_has_no_file(files: Path, tmp_path: Path) -> None:
    (tmp_path / "newstest2014-fren.en").write_text("A sentence.\n", encoding="utf-8")
    rows = {row.name: row for row in rows_of("gpt2", tmp_path)[0]}
    assert rows["english_french"].missing == str(tmp_path / "newstest2014-fren.fr")
    assert {row.name: row for row in rows_of("gpt2", files)[0]}["english_french"].missing is None


def test_conversations_have_the_protocol_of_each_paper(tmp_path: Path) -> None:
    for table, beams, examples in [("gpt2", 1, 0), ("gpt3", 4, 0), ("gpt3_one_shot", 4, 1), ("gpt3_few_shot", 4, 5)]:
        row = {row.name: row for row in rows_of(table, tmp_path)[0]}["coqa"]
        assert row.evaluation.task.name == "coqa"
        assert getattr(row.evaluation.task, "beams") == beams  # noqa: B009  # only this task has beams
        assert row.evaluation.fewshot.k == examples


@pytest.mark.parametrize("table", ["gpt3_one_shot", "gpt3_few_shot"])
def test_columns_of_gpt3_differ_in_examples_and_numbers(table: str, tmp_path: Path) -> None:
    zero, _ = rows_of("gpt3", tmp_path)
    several, averages = rows_of(table, tmp_path)
    assert [row.name for row in zero if row.name != "ptb"] == [row.name for row in several]
    assert all(row.evaluation.fewshot.k == 0 for row in zero)
    numbers = {"hellaswag": 20, "lambada": 15, "piqa": 50, "openbook_qa": 100, "winograd": 7, "arithmetic": 50, "drop": 20}
    by_name = {row.name: row for row in several}
    for name, number in numbers.items():
        assert by_name[name].evaluation.fewshot.k == (1 if table == "gpt3_one_shot" else number)
    piqa = by_name["piqa"].paper
    assert piqa is not None
    assert piqa.metrics["accuracy"] == {"175B": 0.805 if table == "gpt3_one_shot" else 0.823}  # no number of another column is left
    (superglue,) = averages
    assert superglue.paper is not None
    assert superglue.paper.metrics["macro"]["175B"] == (0.689 if table == "gpt3_one_shot" else 0.732)


def test_numbers_are_those_of_the_documentation(tmp_path: Path) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    rows = {row.name: row for row in rows_of("gpt2", tmp_path)[0]}
    for size, first in (("117M", 29.41), ("1542M", 18.34)):
        line = next(line for line in text.splitlines() if line.startswith(f"| {size} | {first} |"))
        printed = [float(cell) for cell in line.strip("| ").split(" | ")[1:]]
        names = ("wikitext2", "ptb", "enwik8", "text8", "wikitext103", "one_billion_words")
        papers = [rows[name].paper for name in names]
        assert [next(iter(paper.metrics.values()))[size] for paper in papers if paper is not None] == printed
    for line in ("zero-shot", "one-shot", "few-shot (50)"):
        table = {"zero-shot": "gpt3", "one-shot": "gpt3_one_shot", "few-shot (50)": "gpt3_few_shot"}[line]
        arithmetic = next(row.paper for row in rows_of(table, tmp_path)[0] if row.name == "arithmetic")
        assert arithmetic is not None
        cells = next(each for each in text.splitlines() if each.startswith(f"| {line} |")).strip("| ").split(" | ")[1:]
        assert [round(100 * values["175B"], 2) for values in arithmetic.metrics.values()] == [float(cell) for cell in cells]
