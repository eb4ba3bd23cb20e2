"""`gptkit predict` reads files, standard input and single texts, and reports invalid ones in one line."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

import gptkit
from gptkit.errors import CheckpointError, ConfigError, DataError
from tests.command.prediction_runs import TINY, parse_table
from tests.command_line import GptkitCommand


@pytest.mark.parametrize(
    ("content", "labels"),
    [
        ("good film\n\nbad film\r\n", False),
        ('{"review": "good film", "stars": "good"}\n{"review": "bad film", "stars": "bad"}\n', True),
        ('review,stars\n"good film",good\nbad film,bad\n', True),
        ("stars\treview\ngood\tgood film\nbad\tbad film\n", True),
        ("\ufeffreview\ngood film\nbad film\n", False),
    ],
    ids=["lines", "jsonl", "csv", "tsv", "one column"],
)
def test_standard_input_is_a_table_or_one_text_per_line(
    fine_tuned: Any, gptkit_command: GptkitCommand, monkeypatch: pytest.MonkeyPatch, content: str, labels: bool
) -> None:
    words = ("predict", f"checkpoint={fine_tuned('classification')}", "precision=fp32")
    single = [parse_table(gptkit_command(*words, f"example={text}").out)[0] for text in ("good film", "bad film")]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
    outcome = gptkit_command(*words, "input=-")
    assert outcome.status == 0
    rows = parse_table(outcome.out)
    assert [row["label"] for row in rows] == [row["label"] for row in single]
    assert [float(row["p_good"]) for row in rows] == pytest.approx([float(row["p_good"]) for row in single], abs=1e-4)
    assert ("accuracy" in outcome.err) == labels


@pytest.mark.parametrize(
    ("words", "content", "status", "message"),
    [
        ((), "", 2, "set either input=<file>"),
        (("example=a", "input=-"), "", 2, "set either input=<file>"),
        (("example=  ",), "", 1, "example: "),
        (("input=-",), "\n \n", 1, "standard input: contains no text"),
        (("input=-",), '{"review": 3}', 1, "standard input:1"),
        (("input=-",), '{"text": "a"}', 1, "standard input:1: there is no column review; there is text"),
        (("input=-",), '{"review": "a"}\nno object', 1, "standard input:2: the line is not JSON"),
        (("input=-",), "review,stars\na,b,c", 1, "standard input:2: the row has 3 cells, but the header has 2 columns"),
        (("input=-",), 'review,stars\n"a,b', 1, "standard input:2: cannot parse the row"),
        (("input=-",), b"\xff\xfe", 1, "standard input: not UTF-8 text at byte 0"),
        (("input=-",), "a\0b", 1, "standard input: contains a NUL character"),
        (("input=-", "output=x.txt"), "a", 2, "output=x.txt must end with .csv, .tsv or .jsonl"),
    ],
)
def test_invalid_standard_input_is_reported_in_one_line(
    fine_tuned: Any,
    gptkit_command: GptkitCommand,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    content: Any,
    status: int,
    message: str,
) -> None:
    content = content if isinstance(content, bytes) else content.encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    outcome = gptkit_command("predict", f"checkpoint={fine_tuned('classification')}", *words)
    assert (outcome.status, outcome.out) == (status, "")
    assert message in outcome.error_line


def test_single_text_is_rejected_for_tasks_with_two_texts(fine_tuned: Any, gptkit_command: GptkitCommand) -> None:
    outcome = gptkit_command("predict", f"checkpoint={fine_tuned('entailment')}", "example=a")
    assert outcome.status == 2
    assert "task=entailment, which needs more" in outcome.error_line


@pytest.mark.parametrize(
    ("text", "settings", "error", "message"),
    [
        ("text\nx\n", {}, DataError, "no column review; text can be one of: text"),
        ("review\nx\n", {"label": "stars"}, DataError, "no column stars; label can be one of: review"),
        ("review,stars\nx,\n", {}, DataError, "has no label; .* predict without comparison: label=null"),
        ("review\n", {}, DataError, "has no rows"),
        ("review\nx\n", {"output": "x.xlsx"}, ConfigError, "must end with .csv, .tsv or .jsonl"),
        ("review\nx\n", {"output": "x.csv", "format": "jsonl"}, ConfigError, "contradict each other"),
        ("review\nx\n", {"output": "a.csv"}, ConfigError, "output=a.csv is also the input"),
    ],
)
def test_invalid_input_and_output_are_named(
    fine_tuned: Any, predict: Any, in_folder: Path, text: str, settings: Any, error: Any, message: str
) -> None:
    (in_folder / "a.csv").write_text(text)
    with pytest.raises(error, match=message):
        predict(fine_tuned("classification"), Path("a.csv"), **settings)


def test_language_model_is_rejected(tmp_path: Path, predict: Any) -> None:
    (tmp_path / "x.txt").write_text("To be, or not to be, that is the question.\n" * 30)
    (tmp_path / "a.csv").write_text("text\nx\n")
    data = ("data=text", f"data.path={tmp_path / 'x.txt'}", "samples.prompts=[]", "trainer.max_steps=1")
    gptkit.run(gptkit.compose("train", [*data, *TINY, f"hydra.run.dir={tmp_path / 'run'}"]))
    with pytest.raises(CheckpointError, match="another objective than aux_lm or probe"):
        predict(tmp_path / "run", tmp_path / "a.csv")
    with pytest.raises(CheckpointError, match="hf:x: has no objective"):
        predict("hf:x", tmp_path / "a.csv")


def test_command_writes_a_table_and_names_missing_files(gptkit_command: GptkitCommand, fine_tuned: Any, in_folder: Path) -> None:
    (in_folder / "a.csv").write_text('review\n"good, very good"\nDon\'t (stop) ü\n')
    outcome = gptkit_command("predict", f"checkpoint={fine_tuned('classification')}", "input=a.csv")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.splitlines()[0] == "row,label,p_bad,p_good"
    assert sorted(path.name for path in in_folder.iterdir()) == ["a.csv"]
    rejected = gptkit_command("predict", f"checkpoint={fine_tuned('classification')}", "input=b.csv")
    assert (rejected.status, rejected.error_line) == (
        1,
        "gptkit: input=b.csv: there is no such file or folder. Did you mean a.csv?",
    )


def test_classifier_is_exported_with_its_head_and_warns_when_it_generates(
    fine_tuned: Any, gptkit_command: GptkitCommand, tmp_path: Path
) -> None:
    run = fine_tuned("classification")
    exported = gptkit_command("export", f"checkpoint={run}", f"to={tmp_path / 'hf'}")
    assert exported.status == 0
    assert "AutoModelForSequenceClassification" in exported.out
    config = json.loads((tmp_path / "hf" / "config.json").read_text())
    assert config["id2label"] == {"0": "bad", "1": "good"}
    generated = gptkit_command("generate", f"checkpoint={run}", "max_new_tokens=2")
    assert generated.status == 0
    assert (
        "was trained with objective=aux_lm to judge texts, not to generate them; label texts with gptkit predict"
        in generated.error_line
    )
    rejected = gptkit_command("export", f"checkpoint={fine_tuned('similarity')}", f"to={tmp_path / 'no'}")
    assert rejected.status == 2
    assert "objective.task=similarity" in rejected.error_line
    assert not (tmp_path / "no").exists()
