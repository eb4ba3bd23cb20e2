"""`gptkit predict` writes labels and probabilities for the rows of a file, in the order of the input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import gptkit
from gptkit.command.predict import LabelComparison
from gptkit.errors import DataError
from gptkit.objective import AuxLMConfig
from gptkit.objective.classify import prediction
from gptkit.objective.classify.aux_lm import AuxLM
from gptkit.records import Example
from gptkit.tokenizer import BytesTokenizerConfig
from gptkit.training.checkpoints.load import load_objective
from tests.command.prediction_runs import TEXTS, TINY, parse_table


def test_rows_follow_the_input_order_with_the_models_probabilities(
    fine_tuned: Any, predict: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = fine_tuned("classification")
    monkeypatch.setattr(prediction, "EXAMPLES_PER_CHUNK", 10)
    out, err, metrics = predict(run, run.parent / "classification.csv", batch=3)
    rows = parse_table(out)
    trained = load_objective(str(run))
    for number, (text, row) in enumerate(zip(TEXTS, rows, strict=True), 1):
        (item,) = trained.objective.tokenize([Example(text, "")], "x", labelled=False)
        with torch.no_grad():
            hidden = trained.model(torch.tensor(item.sequences[0])[None].long())
            expected = trained.objective.head(hidden[0, -1]).softmax(-1)
        assert row["row"] == str(number)
        assert [float(row["p_bad"]), float(row["p_good"])] == pytest.approx(expected.tolist(), abs=1e-5)
        assert row["label"] == ["bad", "good"][int(expected.argmax())]
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
def test_batched_probabilities_of_pairs_and_options_equal_single_examples(
    fine_tuned: Any, predict: Any, objective: str, task: str, file: str, labels: list[Any]
) -> None:
    run = fine_tuned(task, objective)
    out, _, metrics = predict(run, run.parent / file, format="jsonl", batch=5)
    rows = [json.loads(line) for line in out.splitlines()]
    inputs = [json.loads(line) for line in (run.parent / file).read_text().splitlines()]
    trained = load_objective(str(run))
    special_tokens = (257, 258, 259) if objective == "aux_lm" else (256, 256, 256)
    for row, example in zip(rows, inputs, strict=True):
        with torch.no_grad():
            ends = [trained.model(torch.tensor([ids]))[0, -1] for ids in sequences(task, example, *special_tokens)]
            is_multiple_choice = task == "multiple_choice"
            outputs = (
                torch.cat([trained.objective.head(end) for end in ends])
                if is_multiple_choice
                else trained.objective.head(sum(ends))
            )
        assert row["probabilities"] == pytest.approx(
            dict(zip(map(str, labels), outputs.softmax(-1).tolist(), strict=True)), abs=1e-5
        )
        assert row["label"] == labels[int(outputs.argmax())]
    expected = [example["right" if task == "multiple_choice" else "kind"] for example in inputs]
    assert metrics["accuracy"] == pytest.approx(sum(row["label"] == right for row, right in zip(rows, expected, strict=True)) / 24)


def test_probe_predicts_like_a_classifier(fine_tuned: Any, predict: Any) -> None:
    run = fine_tuned("classification", "probe")
    out, _, metrics = predict(run, run.parent / "classification.csv")
    trained = load_objective(str(run))
    for text, row in zip(TEXTS, parse_table(out), strict=True):
        with torch.no_grad():
            hidden = trained.model(torch.tensor([[256, *text.encode()[:30], 256]]))
            expected = trained.objective.head(hidden[0, -1]).softmax(-1).tolist()
        assert [float(row["p_bad"]), float(row["p_good"])] == pytest.approx(expected, abs=1e-5)
    assert 0 <= metrics["accuracy_low"] <= metrics["accuracy"] <= metrics["accuracy_high"] <= 1


def test_regression_writes_scores_and_multiple_choice_writes_option_numbers(fine_tuned: Any, predict: Any) -> None:
    run = fine_tuned("regression")
    out, _, metrics = predict(run, run.parent / "regression.jsonl")
    assert list(parse_table(out)[0]) == ["row", "score"]
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
def test_option_columns_name_probabilities_and_label_means_decides_labels(
    means: str, answers: list[str], predict: Any, tmp_path: Path
) -> None:
    options_file = tmp_path / "options.csv"
    rows = [f"{text},x,{text[:3]},yy,{'123'[n % 3] if means == 'number' else 'ABC'[n % 3]}" for n, text in enumerate(TEXTS)]
    options_file.write_text("\n".join(["text,first,other,last,label", *rows]) + "\n")
    columns = ("data.options=[first,other,last]", f"data.label_means={means}", "data.first_option=1")
    words = (
        "objective=aux_lm",
        "data=labelled",
        f"data.path={options_file}",
        *columns,
        "trainer.max_steps=1",
        "samples.prompts=[]",
    )
    gptkit.run(gptkit.compose("train", [*words, "samples.prompts=[]", *TINY, f"hydra.run.dir={tmp_path / 'run'}"]))
    out, _, metrics = predict(tmp_path / "run", options_file)
    rows_out = parse_table(out)
    names = ["p_first", "p_other", "p_last"]
    assert list(rows_out[0]) == ["row", "label", *names]
    for row in rows_out:
        assert row["label"] == answers[max(range(3), key=lambda index: float(row[names[index]]))]
    right = sum(row["label"] == answers[n % 3] for n, row in enumerate(rows_out))
    assert metrics["accuracy"] == pytest.approx(right / 24)


def test_output_file_is_written_atomically(fine_tuned: Any, predict: Any, tmp_path: Path) -> None:
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


def test_truncated_texts_are_counted(fine_tuned: Any, predict: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "long.csv").write_text(f"review\n{'long ' * 20}\nshort\n")
    out, _, _ = predict(fine_tuned("classification"), tmp_path / "long.csv")
    assert len(parse_table(out)) == 2
    assert "1 of 2 input examples do not fit into model.context=32" in caplog.text


def test_unknown_labels_are_not_compared(fine_tuned: Any, predict: Any, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("review,stars\ngood,5\nbad,1\n")
    out, err, metrics = predict(fine_tuned("classification"), tmp_path / "a.csv")
    assert (len(parse_table(out)), metrics) == (2, {})
    assert "row 1 has the label '5', and the model knows bad, good" in err


def test_label_comparison_computes_the_metrics_of_a_validation() -> None:
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
    assert metrics["f1"] == pytest.approx(2 * 1 / (3 + 2))  # of 0: three predicted, two expected, one of them right
    assert line.startswith("5 rows: accuracy 0.4000 ")
