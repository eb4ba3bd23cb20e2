"""Labels and probabilities for the rows of a file: each family of tasks, in the input's order, as the model itself says."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import gptkit
from gptkit.command import PredictCommand
from gptkit.command.predict import LabelComparison
from gptkit.errors import CheckpointError, ConfigError, DataError
from gptkit.objective import AuxLMConfig
from gptkit.objective.classify import prediction
from gptkit.objective.classify.aux_lm import AuxLM
from gptkit.records import Example
from gptkit.tokenizer import BytesTokenizerConfig
from gptkit.training.checkpoints.load import load_objective
from tests.command_line import GptkitCommand

TINY = ("tokenizer=bytes", "model.layers=1", "model.heads=2", "model.width=16", "model.context=32", "batch.size=4", "trainer=cpu")
TEXTS = [f"{'good' if n % 3 else 'bad'} {'film ' * (n % 5)}{n}" for n in range(24)]


@pytest.fixture(scope="module")
def fine_tuned(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`fine_tuned(task, objective="aux_lm")`: a run of a few steps."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "classification.csv").write_text("review,stars\n" + "".join(f"{text},{text.split()[0]}\n" for text in TEXTS))
    pairs = [{"one": text, "two": text[::-1], "score": n / 4} for n, text in enumerate(TEXTS)]
    (folder / "regression.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    labelled = [{"one": text[:12], "two": text[-9:], "kind": f"k{n % 3}"} for n, text in enumerate(TEXTS)]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in labelled))
    options = [{"text": text, "ends": ["x", text[:3], "yy"], "right": 1 + n % 3} for n, text in enumerate(TEXTS)]
    (folder / "multiple_choice.jsonl").write_text("".join(json.dumps(option) + "\n" for option in options))
    words = {
        "classification": ("classification.csv", "data.text=review", "data.label=stars"),
        "entailment": ("pairs.jsonl", "data.text=one", "data.pair=two", "data.label=kind"),
        "similarity": ("pairs.jsonl", "data.text=one", "data.pair=two", "data.label=kind"),
        "regression": ("regression.jsonl", "data.text=one", "data.pair=two", "data.label=score"),
        "multiple_choice": ("multiple_choice.jsonl", "data.options=ends", "data.label=right", "data.first_option=1"),
    }

    def run(task: str, objective: str = "aux_lm") -> Path:
        name, *columns = words[task]
        place = folder / f"{objective}_{task}"
        if not place.exists():
            data = (f"objective={objective}", "data=labelled", f"data.path={folder / name}", f"objective.task={task}", *columns)
            end = ("trainer.max_steps=3", "samples.prompts=[]", "val.fraction=0.2", f"hydra.run.dir={place}")
            gptkit.run(gptkit.compose("train", [*data, *TINY, *end]))
        return place

    return run


@pytest.fixture
def predict(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str, dict[str, float]]]:
    def run(checkpoint: Path, input: Path, **settings: Any) -> tuple[str, str, dict[str, float]]:
        capsys.readouterr()
        found = PredictCommand(checkpoint=str(checkpoint), input=str(input), **({"precision": "fp32"} | settings)).run(checkpoint)
        captured = capsys.readouterr()
        return captured.out, captured.err, found

    return run


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_rows_come_in_the_order_of_the_input_with_the_probabilities_of_the_model(
    fine_tuned: Any, predict: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = fine_tuned("classification")
    monkeypatch.setattr(prediction, "EXAMPLES_PER_CHUNK", 10)
    out, err, metrics = predict(run, run.parent / "classification.csv", batch=3)
    rows = table(out)
    trained = load_objective(str(run))
    for number, (text, row) in enumerate(zip(TEXTS, rows, strict=True), 1):
        (item,) = trained.objective.tokenize([Example(text, "")], "x", labelled=False)
        with torch.no_grad():
            hidden = trained.model(torch.tensor(item.sequences[0])[None].long())
            wanted = trained.objective.head(hidden[0, -1]).softmax(-1)
        assert row["row"] == str(number)
        assert [float(row["p_bad"]), float(row["p_good"])] == pytest.approx(wanted.tolist(), abs=1e-5)
        assert row["label"] == ["bad", "good"][int(wanted.argmax())]
    right = sum(row["label"] == text.split()[0] for row, text in zip(rows, TEXTS, strict=True))
    assert metrics["accuracy"] == pytest.approx(right / 24)
    assert f"24 rows: accuracy {right / 24:.4f} (95% interval " in err
    assert predict(run, run.parent / "classification.csv", batch=3)[0] == out


def sequences(task: str, row: dict[str, Any], start: int, delimiter: int, extract: int) -> list[list[int]]:
    """By the figure of the paper, over bytes; each of two texts has at most 14 in a context of 32."""

    def pair(one: str, other: str) -> list[int]:
        return [start, *one.encode()[:14], delimiter, *other.encode()[:14], extract]

    if task == "multiple_choice":
        return [pair(row["text"], end) for end in row["ends"]]
    if task == "similarity":
        return [pair(row["one"], row["two"]), pair(row["two"], row["one"])]
    return [pair(row["one"], row["two"])]


@pytest.mark.parametrize("objective", ["aux_lm", "probe"])
@pytest.mark.parametrize(
    ("task", "file", "labels"),
    [
        ("entailment", "pairs.jsonl", ["k0", "k1", "k2"]),
        ("similarity", "pairs.jsonl", ["k0", "k1", "k2"]),
        ("multiple_choice", "multiple_choice.jsonl", [1, 2, 3]),
    ],
)
def test_probabilities_of_pairs_and_options_are_those_of_each_example_alone(
    fine_tuned: Any, predict: Any, objective: str, task: str, file: str, labels: list[Any]
) -> None:
    run = fine_tuned(task, objective)
    out, _, metrics = predict(run, run.parent / file, format="jsonl", batch=5)
    rows = [json.loads(line) for line in out.splitlines()]
    given = [json.loads(line) for line in (run.parent / file).read_text().splitlines()]
    trained = load_objective(str(run))
    marks = (257, 258, 259) if objective == "aux_lm" else (256, 256, 256)
    for row, example in zip(rows, given, strict=True):
        with torch.no_grad():
            ends = [trained.model(torch.tensor([ids]))[0, -1] for ids in sequences(task, example, *marks)]
            several = task == "multiple_choice"
            outputs = torch.cat([trained.objective.head(end) for end in ends]) if several else trained.objective.head(sum(ends))
        assert row["probabilities"] == pytest.approx(
            dict(zip(map(str, labels), outputs.softmax(-1).tolist(), strict=True)), abs=1e-5
        )
        assert row["label"] == labels[int(outputs.argmax())]
    wanted = [example["right" if task == "multiple_choice" else "kind"] for example in given]
    assert metrics["accuracy"] == pytest.approx(sum(row["label"] == right for row, right in zip(rows, wanted, strict=True)) / 24)


def test_a_probe_of_one_text_is_read_like_any_classifier(fine_tuned: Any, predict: Any) -> None:
    run = fine_tuned("classification", "probe")
    out, _, metrics = predict(run, run.parent / "classification.csv")
    trained = load_objective(str(run))
    for text, row in zip(TEXTS, table(out), strict=True):
        with torch.no_grad():
            hidden = trained.model(torch.tensor([[256, *text.encode()[:30], 256]]))
            wanted = trained.objective.head(hidden[0, -1]).softmax(-1).tolist()
        assert [float(row["p_bad"]), float(row["p_good"])] == pytest.approx(wanted, abs=1e-5)
    assert 0 <= metrics["accuracy_low"] <= metrics["accuracy"] <= metrics["accuracy_high"] <= 1


def test_regression_writes_scores_and_options_are_called_by_their_numbers(fine_tuned: Any, predict: Any) -> None:
    run = fine_tuned("regression")
    out, _, metrics = predict(run, run.parent / "regression.jsonl")
    assert list(table(out)[0]) == ["row", "score"]
    assert metrics.keys() == {"pearson", "pearson_low", "pearson_high", "spearman", "squared_error"}
    run = fine_tuned("multiple_choice")
    out, _, metrics = predict(run, run.parent / "multiple_choice.jsonl", format="jsonl")
    rows = [json.loads(line) for line in out.splitlines()]
    assert all(row["probabilities"].keys() == {"1", "2", "3"} for row in rows)
    assert all(row["probabilities"][str(row["label"])] == max(row["probabilities"].values()) for row in rows)
    assert metrics["accuracy"] == pytest.approx(sum(row["label"] == 1 + n % 3 for n, row in enumerate(rows)) / 24)


@pytest.mark.parametrize(
    ("means", "answers"), [("auto", ["first", "other", "last"]), ("letter", ["A", "B", "C"]), ("number", ["1", "2", "3"])]
)
def test_options_are_called_by_their_columns_and_labels_as_the_run_has_them(
    means: str, answers: list[str], predict: Any, tmp_path: Path
) -> None:
    table_of = tmp_path / "options.csv"
    rows = [f"{text},x,{text[:3]},yy,{'123'[n % 3] if means == 'number' else 'ABC'[n % 3]}" for n, text in enumerate(TEXTS)]
    table_of.write_text("\n".join(["text,first,other,last,label", *rows]) + "\n")
    columns = ("data.options=[first,other,last]", f"data.label_means={means}", "data.first_option=1")
    words = ("objective=aux_lm", "data=labelled", f"data.path={table_of}", *columns, "trainer.max_steps=1", "samples.prompts=[]")
    gptkit.run(gptkit.compose("train", [*words, *TINY, f"hydra.run.dir={tmp_path / 'run'}"]))
    out, _, metrics = predict(tmp_path / "run", table_of)
    found = table(out)
    names = ["p_first", "p_other", "p_last"]
    assert list(found[0]) == ["row", "label", *names]
    for row in found:
        assert row["label"] == answers[max(range(3), key=lambda place: float(row[names[place]]))]
    right = sum(row["label"] == answers[n % 3] for n, row in enumerate(found))
    assert metrics["accuracy"] == pytest.approx(right / 24)


def test_the_output_file_appears_whole_or_not_at_all(fine_tuned: Any, predict: Any, tmp_path: Path) -> None:
    run = fine_tuned("classification")
    good, bad = tmp_path / "good.tsv", tmp_path / "bad.csv"
    good.write_text('title\treview\n1\ta "good" film\n2\tbad\n')
    out, err, metrics = predict(run, good, output=str(tmp_path / "out.tsv"))
    assert (out, err, metrics) == ("", "", {})
    assert (tmp_path / "out.tsv").read_text().startswith("row\tlabel\tp_bad\tp_good\n1\t")
    bad.write_text("review\ngood\n  \n")
    with pytest.raises(DataError, match=r"bad.csv:3: column review is empty"):
        predict(run, bad, output=str(tmp_path / "new.csv"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.csv", "good.tsv", "out.tsv"]


def test_longer_texts_are_cut_and_counted(fine_tuned: Any, predict: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "long.csv").write_text(f"review\n{'long ' * 20}\nshort\n")
    out, _, _ = predict(fine_tuned("classification"), tmp_path / "long.csv")
    assert len(table(out)) == 2
    assert "1 of 2 input examples are longer than model.context=32" in caplog.text


def test_labels_that_the_model_does_not_know_are_not_compared(fine_tuned: Any, predict: Any, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("review,stars\ngood,5\nbad,1\n")
    out, err, metrics = predict(fine_tuned("classification"), tmp_path / "a.csv")
    assert (len(table(out)), metrics) == (2, {})
    assert "row 1 has the label '5', and the model knows bad, good" in err


@pytest.mark.parametrize(
    ("text", "settings", "error", "message"),
    [
        ("text\nx\n", {}, DataError, "no column review; text can be one of: text"),
        ("review\nx\n", {"label": "stars"}, DataError, "no column stars; label can be one of: review"),
        ("review,stars\nx,\n", {}, DataError, "has no label; .* predict without comparing: label=null"),
        ("review\n", {}, DataError, "there is no row in it"),
        ("review\nx\n", {"output": "x.xlsx"}, ConfigError, "must end with .csv, .tsv or .jsonl"),
        ("review\nx\n", {"output": "x.csv", "format": "jsonl"}, ConfigError, "contradict each other"),
        ("review\nx\n", {"output": "a.csv"}, ConfigError, "output=a.csv is also the input"),
    ],
)
def test_what_cannot_be_used_is_named(
    fine_tuned: Any, predict: Any, in_folder: Path, text: str, settings: Any, error: Any, message: str
) -> None:
    (in_folder / "a.csv").write_text(text)
    with pytest.raises(error, match=message):
        predict(fine_tuned("classification"), Path("a.csv"), **settings)


def test_a_language_model_is_no_classifier(tmp_path: Path, predict: Any) -> None:
    (tmp_path / "x.txt").write_text("To be, or not to be, that is the question.\n" * 30)
    (tmp_path / "a.csv").write_text("text\nx\n")
    data = ("data=text", f"data.path={tmp_path / 'x.txt'}", "samples.prompts=[]", "trainer.max_steps=1")
    gptkit.run(gptkit.compose("train", [*data, *TINY, f"hydra.run.dir={tmp_path / 'run'}"]))
    with pytest.raises(CheckpointError, match="another objective than aux_lm or probe"):
        predict(tmp_path / "run", tmp_path / "a.csv")
    with pytest.raises(CheckpointError, match="hf:x: has no objective"):
        predict("hf:x", tmp_path / "a.csv")


def test_the_command_line(gptkit_command: GptkitCommand, fine_tuned: Any, in_folder: Path) -> None:
    (in_folder / "a.csv").write_text('review\n"good, very good"\nDon\'t (stop) ü\n')
    outcome = gptkit_command("predict", f"checkpoint={fine_tuned('classification')}", "input=a.csv")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.splitlines()[0] == "row,label,p_bad,p_good"
    assert sorted(path.name for path in in_folder.iterdir()) == ["a.csv"]
    refused = gptkit_command("predict", f"checkpoint={fine_tuned('classification')}", "input=b.csv")
    assert (refused.status, refused.error_line) == (1, "gptkit: input=b.csv: there is no such file or folder. Did you mean a.csv?")


def test_the_comparison_is_that_of_the_run() -> None:
    objective = AuxLMConfig(positive="0").build(tokenizer=BytesTokenizerConfig().build(texts=[]), context=32, width=16)
    assert isinstance(objective, AuxLM)
    objective.set_labels("classification", ["0", "1"])
    comparison = LabelComparison(objective)
    rows: list[tuple[str | float, int]] = [(1.0, 1), ("0.0", 0), (1, 0), ("0", 1), (1, 0)]  # a number in several spellings
    for number, (label, chosen) in enumerate(rows, 1):
        probabilities = (0.25, 0.75) if chosen else (0.75, 0.25)
        comparison.add(prediction.Prediction(Example("x", label), probabilities, None, False), number)
    metrics, line = comparison.result()
    assert metrics["accuracy"] == pytest.approx(2 / 5)
    assert metrics["f1"] == pytest.approx(2 * 1 / (3 + 2))  # of 0: three predicted, two wanted, one of them right
    assert line.startswith("5 rows: accuracy 0.4000 ")


def test_a_classifier_is_exported_with_its_head_and_says_so_where_it_is_to_write(
    fine_tuned: Any, gptkit_command: GptkitCommand, tmp_path: Path
) -> None:
    run = fine_tuned("classification")
    exported = gptkit_command("export", f"checkpoint={run}", f"to={tmp_path / 'hf'}")
    assert exported.status == 0
    assert "AutoModelForSequenceClassification" in exported.out
    config = json.loads((tmp_path / "hf" / "config.json").read_text())
    assert config["id2label"] == {"0": "bad", "1": "good"}
    written = gptkit_command("generate", f"checkpoint={run}", "max_new_tokens=2")
    assert written.status == 0
    assert "was trained with objective=aux_lm to judge texts, not to write them; gptkit predict" in written.error_line
    refused = gptkit_command("export", f"checkpoint={fine_tuned('similarity')}", f"to={tmp_path / 'no'}")
    assert refused.status == 2
    assert "objective.task=similarity" in refused.error_line
    assert not (tmp_path / "no").exists()


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
def test_standard_input_is_a_table_or_one_text_a_line(
    fine_tuned: Any, gptkit_command: GptkitCommand, monkeypatch: pytest.MonkeyPatch, content: str, labels: bool
) -> None:
    words = ("predict", f"checkpoint={fine_tuned('classification')}", "precision=fp32")
    single = [table(gptkit_command(*words, f"example={text}").out)[0] for text in ("good film", "bad film")]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
    outcome = gptkit_command(*words, "input=-")
    assert outcome.status == 0
    rows = table(outcome.out)
    assert [row["label"] for row in rows] == [row["label"] for row in single]
    assert [float(row["p_good"]) for row in rows] == pytest.approx([float(row["p_good"]) for row in single], abs=1e-4)
    assert ("accuracy" in outcome.err) == labels


@pytest.mark.parametrize(
    ("words", "content", "status", "message"),
    [
        ((), "", 2, "give either input=<file>"),
        (("example=a", "input=-"), "", 2, "give either input=<file>"),
        (("example=  ",), "", 1, "example: "),
        (("input=-",), "\n \n", 1, "standard input: there is no text in it"),
        (("input=-",), '{"review": 3}', 1, "standard input:1"),
        (("input=-",), '{"text": "a"}', 1, "standard input:1: there is no column review; there is text"),
        (("input=-",), '{"review": "a"}\nno object', 1, "standard input:2: the line is not JSON"),
        (("input=-",), "review,stars\na,b,c", 1, "standard input:2: the row has 3 cells, the first line 2"),
        (("input=-",), 'review,stars\n"a,b', 1, "standard input:2: cannot parse the row"),
        (("input=-",), b"\xff\xfe", 1, "standard input: not UTF-8 text at byte 0"),
        (("input=-",), "a\0b", 1, "standard input: there is a NUL character"),
        (("input=-", "output=x.txt"), "a", 2, "output=x.txt must end with .csv, .tsv or .jsonl"),
    ],
)
def test_input_that_cannot_be_used_is_one_line(
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


def test_one_text_is_not_enough_for_tasks_that_read_two(fine_tuned: Any, gptkit_command: GptkitCommand) -> None:
    outcome = gptkit_command("predict", f"checkpoint={fine_tuned('entailment')}", "example=a")
    assert outcome.status == 2
    assert "task=entailment, which reads more" in outcome.error_line
